"""Commands about secrets: list, set, scope, versions, rollback, delete, rotate-key.

A value is never an argument: arguments stand in the list of processes and in the shell's history.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import CommandError, Connection
from millrace.cli.consent import Yes
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.cli.scopes import (
    AllWorkflows,
    Workflows,
    list_versions,
    print_users_of,
    remove,
    rescope,
    roll_back,
    said_scope,
    scope,
)

Name = Annotated[
    str,
    typer.Argument(
        help="Name of the secret, as in {{ secrets.NAME }}.",
        autocompletion=completion.secrets,
        callback=a_name("a secret", "millrace secrets"),
    ),
]

Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host", help="It may be sent only to this host, such as api.example.com or *.example.com; again for more."
    ),
]
AnyHost = Annotated[bool, typer.Option("--any-host", help="It may be sent to any host.")]

secrets = typer.Typer(help="Secrets in the database. Their values can be set, and never be shown.")


@secrets.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List the secrets; the same as `millrace secrets list`."""
    if context.invoked_subcommand is None:
        list_secrets(as_json, server)


@secrets.command(name="list")
def list_secrets(as_json: AsJson = False, server: Server = None) -> None:
    """List the secrets, without their values; also those that the environment and the folder of the server define."""
    with Connection(server) as connection:
        found = [{**item, "source": "database"} for item in connection.pages("/secrets")]
        outside = list(connection.pages("/outside-secrets"))
    if as_json:
        print_json([*found, *outside])
        return
    rows = [
        [
            item["name"],
            item["source"],
            str(item["version"]),
            moment(item["updated_at"]),
            item["overridden_by"] or "-",
            said_scope(item["workflows"]),
            said_scope(item["hosts"]),
            item["description"] or "",
        ]
        for item in found
    ]
    rows += [[item["name"], item["source"], "-", "-", "-", "all", "all", ""] for item in outside]
    print_table(["name", "source", "version", "set at", "overridden by", "workflows", "hosts", "description"], rows)


@secrets.command(name="set")
def set_secret(
    name: Name,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    from_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="Take the value of this variable.")] = None,
    from_file: Annotated[Path | None, typer.Option(help="Take the content of this file.", exists=True)] = None,
    workflow: Workflows = None,
    all_workflows: AllWorkflows = False,
    host: Hosts = None,
    any_host: AnyHost = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Set a secret. The value is asked for, or read from standard input, a variable or a file."""
    body: dict[str, Any] = {"value": value_of(name, from_env, from_file)}
    if description is not None:
        body["description"] = description
    body |= scope("workflows", workflow, "--workflow", to_all=all_workflows, all_option="--all-workflows")
    body |= scope("hosts", host, "--host", to_all=any_host, all_option="--any-host")
    with Connection(server) as connection:
        shown = connection.put(f"/secrets/{quote(name, safe='')}", body)
    if as_json:
        print_json(shown)
        return
    say(f"{name} is set, version {shown['version']}")
    if shown["overridden_by"]:
        say(f"but the {shown['overridden_by']} defines the same name and wins over it", err=True)
    print_users_of(shown, "it is read by")


@secrets.command(name="scope")
def scope_secret(
    name: Name,
    workflow: Workflows = None,
    all_workflows: AllWorkflows = False,
    host: Hosts = None,
    any_host: AnyHost = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Say what a secret is for, without its value. Hosts that it could not be sent to so far take its value: set it."""
    body = scope("workflows", workflow, "--workflow", to_all=all_workflows, all_option="--all-workflows")
    body |= scope("hosts", host, "--host", to_all=any_host, all_option="--any-host")
    shown = rescope(f"/secrets/{quote(name, safe='')}", name, body, as_json=as_json, server=server)
    if not as_json:
        print_users_of(shown, "it is read by")


@secrets.command()
def versions(name: Name, as_json: AsJson = False, server: Server = None) -> None:
    """List the versions that are kept: numbers, by whom and when."""
    list_versions(f"/secrets/{quote(name, safe='')}", as_json=as_json, server=server)


@secrets.command()
def rollback(
    name: Name,
    version: Annotated[int, typer.Argument(help="Number of the version whose value is to hold again.", min=1)],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Have a former value hold again, as a new version."""
    shown = roll_back(f"/secrets/{quote(name, safe='')}", name, version, as_json=as_json, server=server)
    if not as_json:
        print_users_of(shown, "it is read by")


@secrets.command()
def delete(name: Name, yes: Yes = False, as_json: AsJson = False, server: Server = None) -> None:
    """Delete a secret; says which workflows will miss it."""
    remove(f"/secrets/{quote(name, safe='')}", "secret", name, yes=yes, as_json=as_json, server=server)


@secrets.command(name="rotate-key")
def rotate_key(as_json: AsJson = False, server: Server = None) -> None:
    """Encrypt all secrets and connections with a new key."""
    with Connection(server) as connection:
        done = connection.post("/secrets/rotate-key")
    if as_json:
        print_json(done)
        return
    values = f"{counted(done['resealed'], 'value')} {'is' if done['resealed'] == 1 else 'are'}"
    say(f"{values} encrypted with the {'new ' * done['key_is_new']}key {done['key_id']} now")
    if done["key_is_new"]:
        say("back the key file up again")
    if done["former_key_ids"]:
        say(f"keep for older backups of the database: {', '.join(done['former_key_ids'])}")


def value_of(name: str, from_env: str | None, from_file: Path | None) -> str:
    """The value from where it was said to be. One line break at its end belongs to the file, not to the value."""
    if from_env is not None and from_file is not None:
        raise CommandError("give one of --from-env and --from-file")
    if from_env is not None:
        value = os.environ.get(from_env)
        if value is None:
            raise CommandError(f"the variable {from_env} is not set")
        return value
    if from_file is None and sys.stdin.isatty():
        return str(typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    try:
        raw = sys.stdin.buffer.read() if from_file is None else from_file.read_bytes()
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandError("the value is not UTF-8 text; a binary one can be set as base64") from None
    except OSError as error:
        raise CommandError(f"{from_file} cannot be read: {error.strerror}") from None

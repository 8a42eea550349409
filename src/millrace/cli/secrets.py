"""Commands about secrets: list, set, delete, rotate-key.

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
from millrace.cli.consent import Yes, consent
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

Name = Annotated[
    str,
    typer.Argument(
        help="Name of the secret, as in {{ secrets.NAME }}.",
        autocompletion=completion.secrets,
        callback=a_name("a secret", "millrace secrets"),
    ),
]

secrets = typer.Typer(help="Secrets in the database. Their values can be set, and never be shown.")


@secrets.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List the secrets; the same as `millrace secrets list`."""
    if context.invoked_subcommand is None:
        list_secrets(as_json, server)


@secrets.command(name="list")
def list_secrets(as_json: AsJson = False, server: Server = None) -> None:
    """List the secrets, without their values."""
    with Connection(server) as connection:
        found = list(connection.pages("/secrets"))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["name"],
            str(item["version"]),
            moment(item["updated_at"]),
            item["overridden_by"] or "-",
            item["description"] or "",
        ]
        for item in found
    ]
    print_table(["name", "version", "set at", "overridden by", "description"], rows)


@secrets.command(name="set")
def set_secret(
    name: Name,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    from_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="Take the value of this variable.")] = None,
    from_file: Annotated[Path | None, typer.Option(help="Take the content of this file.", exists=True)] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Set a secret. The value is asked for, or read from standard input, a variable or a file."""
    body: dict[str, Any] = {"value": value_of(name, from_env, from_file)}
    if description is not None:
        body["description"] = description
    with Connection(server) as connection:
        shown = connection.put(f"/secrets/{quote(name, safe='')}", body)
    if as_json:
        print_json(shown)
        return
    say(f"{name} is set, version {shown['version']}")
    if shown["overridden_by"]:
        say(f"but the {shown['overridden_by']} defines the same name and wins over it", err=True)
    print_users(shown["used_by"], "it is read by")


@secrets.command()
def delete(name: Name, yes: Yes = False, as_json: AsJson = False, server: Server = None) -> None:
    """Delete a secret; says which workflows will miss it."""
    with Connection(server) as connection:
        path = f"/secrets/{quote(name, safe='')}"
        if not yes:
            consent(f"the secret {name!r}{missed(connection.get(path)['used_by'])}", yes=yes)
        gone = connection.delete(path)
    if as_json:
        print_json(gone)
        return
    say(f"{name} is deleted")
    print_users(gone["used_by"], "these will fail without it:")


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


def missed(users: list[dict[str, Any]]) -> str:
    """What will fail, in a question about what it needs."""
    return f", which {', '.join(repr(user['name']) for user in users)} will miss" if users else ""


def print_users(users: list[dict[str, Any]], introduction: str) -> None:
    if users:
        say(f"{introduction} {', '.join(user['name'] for user in users)}")

"""Commands about connections: list, set, scope, show, versions, rollback, delete, test.

A password is asked for, or comes by standard input.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.consent import Yes
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.cli.scopes import (
    AllWorkflows,
    Workflows,
    list_versions,
    print_users_of,
    remove,
    rescope,
    roll_back,
    scope,
)

Name = Annotated[
    str,
    typer.Argument(
        help="Name of the connection.",
        autocompletion=completion.connections,
        callback=a_name("a connection", "millrace connections"),
    ),
]
SECRET_FIELDS = ("password", "connection_string", "webhook_url", "token", "key", "client_secret")

connections = typer.Typer(help="Connections: what tasks need to reach databases, mail servers and others, by name.")


@connections.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List the connections; the same as `millrace connections list`."""
    if context.invoked_subcommand is None:
        list_connections(as_json, server)


@connections.command(name="list")
def list_connections(as_json: AsJson = False, server: Server = None) -> None:
    """List the connections."""
    with Connection(server) as connection:
        found = list(connection.pages("/connections"))
    if as_json:
        print_json(found)
        return
    rows = [
        [item["name"], item["type"], _place(item["config"]), moment(item["updated_at"]), item["description"] or ""]
        for item in found
    ]
    print_table(["name", "type", "leads to", "set at", "description"], rows)


@connections.command(name="set")
def set_connection(
    name: Name,
    type_: Annotated[str, typer.Option("--type", "-t", help="postgresql, mysql, mariadb, sqlite, smtp or http.")],
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", "-f", help="key=value, for example host=db.internal; auth.type=bearer."),
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", "-a", help="A field whose value is asked for, such as password.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The config as JSON in a file; - is standard input.", dir_okay=False)
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    workflow: Workflows = None,
    all_workflows: AllWorkflows = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Set a connection. Secret fields are asked for with --ask, or read from --file; one alone also from a pipe."""
    config = _file_config(file) if file is not None else {}
    for text in fields or []:
        key, sign, value = text.partition("=")
        if not sign or key.rpartition(".")[2] in SECRET_FIELDS:
            raise CommandError(f"--field {key}: write key=value; a secret is given with --ask {key}")
        _put(config, key, int(value) if key == "port" and value.isdecimal() else value)
    for key in ask or []:
        _put(config, key, _asked(key, alone=len(ask or []) == 1))
    body: dict[str, Any] = {"type": type_, "config": config}
    if description is not None:
        body["description"] = description
    body |= scope("workflows", workflow, "--workflow", to_all=all_workflows, all_option="--all-workflows")
    with Connection(server) as connection:
        shown = connection.put(f"/connections/{quote(name, safe='')}", body)
    if as_json:
        print_json(shown)
        return
    say(f"{name} is set, version {shown['version']}; try it with `millrace connections test {name}`")
    print_users_of(shown, "it is used by")


@connections.command()
def show(name: Name, server: Server = None) -> None:
    """Show a connection as JSON, with *** in place of what is secret."""
    with Connection(server) as connection:
        print_json(connection.get(f"/connections/{quote(name, safe='')}"))


@connections.command(name="scope")
def scope_connection(
    name: Name,
    workflow: Workflows = None,
    all_workflows: AllWorkflows = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Say which workflows a connection is for; what it says stays as it is."""
    body = scope("workflows", workflow, "--workflow", to_all=all_workflows, all_option="--all-workflows")
    shown = rescope(f"/connections/{quote(name, safe='')}", name, body, as_json=as_json, server=server)
    if not as_json:
        print_users_of(shown, "it is used by")


@connections.command()
def versions(name: Name, as_json: AsJson = False, server: Server = None) -> None:
    """List the versions that are kept: numbers, by whom and when."""
    list_versions(f"/connections/{quote(name, safe='')}", as_json=as_json, server=server)


@connections.command()
def rollback(
    name: Name,
    version: Annotated[int, typer.Argument(help="Number of the version that is to hold again.", min=1)],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Have it say again what it said in a former version, as a new version."""
    shown = roll_back(f"/connections/{quote(name, safe='')}", name, version, as_json=as_json, server=server)
    if not as_json:
        print_users_of(shown, "it is used by")


@connections.command()
def delete(name: Name, yes: Yes = False, as_json: AsJson = False, server: Server = None) -> None:
    """Delete a connection; says which workflows will miss it."""
    remove(f"/connections/{quote(name, safe='')}", "connection", name, yes=yes, as_json=as_json, server=server)


@connections.command(name="test")
def try_out(name: Name, as_json: AsJson = False, server: Server = None) -> None:
    """Connect once, as a task would. Exit status 1 if that does not work."""
    with Connection(server) as connection:
        said = connection.post(f"/connections/{quote(name, safe='')}/test")
    if as_json:
        print_json(said)
    else:
        say(f"{'ok' if said['ok'] else 'failed'} after {said['duration_ms']} ms: {said['message']}")
    if not said["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _file_config(file: Path) -> dict[str, Any]:
    source = "standard input" if str(file) == "-" else str(file)
    try:
        config = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        # What stands there may be a password, and is not repeated.
        raise CommandError(f"{source} does not hold JSON: line {error.lineno}, {error.msg}") from None
    except ValueError:
        raise CommandError(f"{source} does not hold JSON, but something that is no text") from None
    if not isinstance(config, dict):
        raise CommandError(f"{source} holds JSON that is not a mapping")
    return config


def _put(config: dict[str, Any], key: str, value: object) -> None:
    *outer, last = key.split(".")
    for part in outer:
        config = config.setdefault(part, {})
        if not isinstance(config, dict):
            raise CommandError(f"{key}: {part} is no mapping")
    config[last] = value


def _asked(key: str, *, alone: bool) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {key}", hide_input=True))
    if not alone:
        raise CommandError("several values can be asked for on a terminal only; use --file -")
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _place(config: dict[str, Any]) -> str:
    if "host" in config:
        return f"{config['host']}/{config['database']}" if config.get("database") else str(config["host"])
    return str(config.get("path") or config.get("url") or "***")

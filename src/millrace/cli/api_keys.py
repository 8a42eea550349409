"""Commands about API keys: list, create, rotate, revoke."""

from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

Key = Annotated[
    str,
    typer.Argument(
        help="Id of the key, not the key itself.",
        autocompletion=completion.keys,
        callback=an_id("an API key", "millrace keys"),
    ),
]
Owner = Annotated[
    str | None,
    typer.Option(
        "--user", help="Of this user or service account, for administrators.", autocompletion=completion.users
    ),
]

keys = typer.Typer(help="API keys: yours, and for administrators those of others.")


@keys.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List your API keys; the same as `millrace keys list`."""
    if context.invoked_subcommand is None:
        list_keys(None, False, as_json, server)


@keys.command(name="list")
def list_keys(
    user: Owner = None,
    everybody: Annotated[bool, typer.Option("--all", help="Of everybody, for administrators.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List API keys, the newest first; never the keys themselves."""
    if everybody and user is not None:
        raise typer.BadParameter("--all is of everybody; leave out --user")
    with Connection(server) as connection:
        found = list(connection.pages("/api-keys", user=user, all="true" if everybody else None))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["id"],
            item["name"],
            *([item["user"]["name"]] if everybody else []),
            f"{item['prefix']}…",
            item["status"],
            ",".join(item["scopes"]) if item["scopes"] else "all of the role",
            moment(item["expires_at"]),
            moment(item["last_used_at"]),
        ]
        for item in found
    ]
    owner = ["of"] if everybody else []
    print_table(["id", "name", *owner, "begins", "status", "may", "expires", "last used"], rows)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", "-s", help="A permission such as run:read; may be repeated. Without it all of the role."
        ),
    ] = None,
    expires_in: Annotated[str | None, typer.Option(help="How long it holds, such as 90d; for ever without.")] = None,
    user: Owner = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Make an API key. It is shown this once."""
    given = {"scopes": scope or None, "expires_in": expires_in, "user": user}
    body: dict[str, Any] = {"name": name, **{key: value for key, value in given.items() if value is not None}}
    with Connection(server) as connection:
        _tell(connection.post("/api-keys", body), as_json=as_json)


@keys.command()
def rotate(
    key: Key,
    overlap: Annotated[
        str | None, typer.Option(help="How long the old key holds, such as 1d; not at all without.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Make a key in place of another, which ends now or after the overlap."""
    with Connection(server) as connection:
        body = {} if overlap is None else {"overlap": overlap}
        _tell(connection.post(f"/api-keys/{key}/rotate", dict(body)), as_json=as_json)


@keys.command()
def revoke(key: Key, yes: Yes = False, server: Server = None) -> None:
    """End an API key at once, for ever."""
    with Connection(server) as connection:
        if not yes:
            consent(f"the API key {connection.get(f'/api-keys/{key}')['name']!r}", yes=yes)
        say(f"{connection.delete(f'/api-keys/{key}')['name']} is revoked")


def _tell(made: dict[str, Any], *, as_json: bool) -> None:
    """The key alone on stdout, so that it can be piped to where it is wanted."""
    if as_json:
        print_json(made)
        return
    say(f"the key {made['name']} of {made['user']['name']}, shown this once:", err=True)
    say(made["key"])

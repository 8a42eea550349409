"""Commands about users and service accounts: list, show, create, edit, disable, enable, reset, logout, delete.

And about what is kept of them: export, erase.
"""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import CommandError, Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.login import FromPipe, new_password
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

User = Annotated[
    str,
    typer.Argument(
        help="E-mail address or id; of a service account its name.",
        autocompletion=completion.users,
        callback=a_name("a user", "millrace users"),
    ),
]
Role = Annotated[str | None, typer.Option(help="admin, developer, operator or viewer.")]

Access = Annotated[str | None, typer.Option(help="all, or granted: of workflows only what `millrace grants` gives.")]

READING = 600.0
"""Seconds for which the server may read the audit log without an answer."""

users = typer.Typer(help="Users and service accounts, for administrators.")


@users.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List the users; the same as `millrace users list`."""
    if context.invoked_subcommand is None:
        list_users(None, None, None, as_json, server)


@users.command(name="list")
def list_users(
    role: Role = None,
    kind: Annotated[str | None, typer.Option(help="person or service.")] = None,
    status: Annotated[str | None, typer.Option(help="active, disabled or deleted.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the users, the oldest first."""
    with Connection(server) as connection:
        found = list(connection.pages("/users", role=role, kind=kind, status=status))
    if as_json:
        print_json(found)
        return
    rows = [
        [item["name"], item["email"] or "-", _power(item), item["kind"], item["status"], moment(item["last_login_at"])]
        for item in found
    ]
    print_table(["name", "e-mail", "role", "kind", "status", "last login"], rows)


@users.command()
def show(user: User, server: Server = None) -> None:
    """Show a user as JSON."""
    with Connection(server) as connection:
        print_json(connection.get(_path(user)))


@users.command()
def create(
    name: Annotated[str, typer.Argument(help="The name; of a service account such as deploy-bot.")],
    email: Annotated[str | None, typer.Option(help="The e-mail address, with which a person logs in.")] = None,
    role: Role = None,
    access: Access = None,
    service: Annotated[bool, typer.Option("--service", help="An account of a program: API keys, no password.")] = False,
    password_stdin: FromPipe = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Make a user. A person gets a token to set a password by, which is shown once, for you to pass on."""
    body: dict[str, Any] = {"name": name, "kind": "service" if service else "person"}
    body |= {key: value for key, value in (("email", email), ("role", role), ("access", access)) if value is not None}
    if password_stdin:
        body["password"] = new_password(from_pipe=True)
    with Connection(server) as connection:
        made = connection.post("/users", body)
    if as_json:
        print_json(made)
        return
    say(f"{made['name']} is there: {_power(made)}")
    if service:
        say(f"make it an API key: millrace keys create KEY-NAME --user {made['name']}")
    _tell_reset(made)


@users.command()
def edit(
    user: User,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    email: Annotated[str | None, typer.Option(help="Another e-mail address.")] = None,
    role: Role = None,
    access: Access = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Change name, e-mail address, role or access; another role holds at once."""
    given = {"name": name, "email": email, "role": role, "access": access}
    body = {key: value for key, value in given.items() if value is not None}
    if not body:
        raise CommandError("nothing is to be changed; `millrace users edit --help` shows what can be")
    with Connection(server) as connection:
        changed = connection.patch(_path(user), dict(body))
    if as_json:
        print_json(changed)
        return
    say(f"{changed['name']} ({changed['email'] or 'service account'}): {_power(changed)}")


@users.command()
def disable(user: User, server: Server = None) -> None:
    """Refuse whatever the user has, at once: logins and API keys."""
    with Connection(server) as connection:
        say(f"{connection.post(_path(user, 'disable'))['name']} is disabled")


@users.command()
def enable(user: User, server: Server = None) -> None:
    """Let a disabled user in again; API keys hold again."""
    with Connection(server) as connection:
        say(f"{connection.post(_path(user, 'enable'))['name']} is enabled")


@users.command()
def reset(user: User, as_json: AsJson = False, server: Server = None) -> None:
    """Get a token by which the user can set a new password, for you to pass on."""
    with Connection(server) as connection:
        done = connection.post(_path(user, "reset"))
    if as_json:
        print_json(done)
        return
    _tell_reset(done)


@users.command()
def logout(user: User, server: Server = None) -> None:
    """End all logins of a user; API keys stay."""
    with Connection(server) as connection:
        say(f"{counted(connection.post(_path(user, 'logout'))['ended'], 'login')} ended")


@users.command()
def delete(user: User, yes: Yes = False, server: Server = None) -> None:
    """Delete a user for ever: logins and keys end, what was done keeps the name."""
    with Connection(server) as connection:
        if not yes:
            consent(f"the user {connection.get(_path(user))['name']!r}", yes=yes)
        say(f"{connection.delete(_path(user))['name']} is deleted")


@users.command()
def export(user: User, server: Server = None) -> None:
    """Print all that is kept of a user, as JSON."""
    with Connection(server) as connection:
        print_json(connection.get(_path(user, "personal-data")))


@users.command()
def erase(user: User, yes: Yes = False, server: Server = None) -> None:
    """Delete a user for ever, with what says who it was, in the audit log, too; what was done keeps the id."""
    with Connection(server) as connection:
        found = connection.get(_path(user))
        name = found["email"] or found["name"]
        consent(f"the user {name!r} and all that says who it was", yes=yes, act="erase")
        connection.post_slowly(_path(user, "erase"), {"confirm": name}, silence=READING)
        say(f"{name} is erased; the id {found['id']} stays with what was done")


def _power(user: dict[str, Any]) -> str:
    return str(user["role"]) if user["access"] == "all" else f"{user['role']}, restricted"


def _path(user: str, act: str = "") -> str:
    return f"/users/{quote(user, safe='')}{f'/{act}' if act else ''}"


def _tell_reset(made: dict[str, Any]) -> None:
    if made["reset_token"] is not None:
        say(f"reset token  {made['reset_token']}")
        say(f"             shown this once, until {moment(made['reset_expires_at'])}; pass it on:")
        say("             `millrace password --reset` asks for it and for a password")

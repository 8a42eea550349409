"""Commands about one's own account: setup, login, logout, whoami, password, sessions.

A password is never an argument: arguments stand in the list of processes and in the shell's history.
"""

import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from millrace.cli import credentials
from millrace.cli.arguments import an_id
from millrace.cli.connection import CommandError, Connection, ProblemError, api_key
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

FromPipe = Annotated[bool, typer.Option("--password-stdin", help="Read the password from a pipe, and ask nothing.")]
Email = Annotated[str | None, typer.Option(help="The e-mail address; it is asked for without.")]

GRANTS_SHOWN = 10
FORBIDDEN = 403

sessions = typer.Typer(help="Where you are logged in.")


def setup(
    email: Email = None,
    name: Annotated[str | None, typer.Option(help="Your name, as others see it.")] = None,
    password_stdin: FromPipe = False,
    server: Server = None,
) -> None:
    """Give the first administrator an address and a password. Needs the first API key, which is in its file here."""
    key = api_key(server).text
    with Connection(server, anonymous=True) as connection:
        if not connection.get("/auth/setup")["needed"]:
            raise CommandError("this installation has been set up; use `millrace login`")
        body = {"setup_key": key, "email": _asked("E-mail", email), "name": _asked("Name", name)}
        shown = connection.post("/auth/setup", {**body, "password": new_password(from_pipe=password_stdin)})
    say(f"{shown['name']} is an administrator; log in with `millrace login`")


def login(
    email: Email = None,
    password_stdin: FromPipe = False,
    oidc: Annotated[bool, typer.Option("--oidc", help="Log in by the login provider of the server instead.")] = False,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="With --oidc: show the address, and ask for the code that it ends with."),
    ] = False,
    server: Server = None,
) -> None:
    """Log in with e-mail address and password. The commands that follow use it, unless MILLRACE_API_KEY is set."""
    if (oidc and (email is not None or password_stdin)) or (no_browser and not oidc):
        raise CommandError("--oidc takes no address and no password, and --no-browser belongs to it")
    with Connection(server, anonymous=True) as connection:
        if oidc:
            from millrace.cli import oidc_login

            given = oidc_login.tokens_by_provider(connection, browser=not no_browser)
        else:
            form = {"grant_type": "password", "username": _asked("E-mail", email)}
            given = connection.tokens({**form, "password": _password(from_pipe=password_stdin)})
        credentials.keep(connection.url, given)
        url = connection.url
    with Connection(url, as_logged_in=True) as connection:
        shown = connection.get("/auth/me")
    say(f"logged in as {shown['name']} ({shown['role']})")
    if shown["must_change_password"]:
        say("somebody else chose this password; change it first: `millrace password`", err=True)


def logout(
    everywhere: Annotated[bool, typer.Option("--everywhere", help="End all your logins, in browsers too.")] = False,
    server: Server = None,
) -> None:
    """End the login that `millrace login` has begun here."""
    with Connection(server, as_logged_in=True) as connection:
        ended = connection.post(f"/auth/logout{'-everywhere' if everywhere else ''}")
        credentials.forget(connection.url)
    say("logged out" + (f"; {counted(ended['ended'], 'login')} ended" if everywhere else ""))
    with suppress(CommandError):
        say(f"from now on commands here use the API key in {api_key(server).place}")
    if ended is not None and "provider_logout_url" in ended:
        say(f"at the login provider you log out at {ended['provider_logout_url']}")


def whoami(as_json: AsJson = False, server: Server = None) -> None:
    """Show who you are to the server, and what you may do."""
    with Connection(server) as connection:
        shown = connection.get("/auth/me")
        if as_json:
            print_json({**shown, "key_from": connection.key_from})
            return
        given = _own_grants(connection)
    key = shown["api_key"]
    by = "a login" if key is None else f"the API key {key['name']!r} ({key['prefix']}…) from {connection.key_from}"
    power = shown["role"] if shown["access"] == "all" else f"{shown['role']}, restricted"
    say(f"{shown['name']} ({shown['email'] or 'service account'}), {power}, by {by}")
    say(f"may: {', '.join(shown['permissions'])}")
    if given is None or (not given["items"] and shown["access"] == "all"):
        return
    names = [f"{item['workflow']['name']} ({', '.join(item['grants'])})" for item in given["items"]]
    more = "; `millrace grants list` shows more" if given["next_cursor"] else ""
    say(f"granted: {', '.join(names) or 'nothing'}{more}")


def _own_grants(connection: Connection) -> dict[str, Any] | None:
    """The first few; `None` where the key may not ask for what belongs to the account."""
    try:
        return connection.first("/auth/me/grants", GRANTS_SHOWN)
    except ProblemError as error:
        if error.http_status != FORBIDDEN:
            raise
        return None


def password(
    by_token: Annotated[
        bool, typer.Option("--reset", help="Set it by a token that an administrator has given you.")
    ] = False,
    server: Server = None,
) -> None:
    """Change your password; your other logins end. A pipe has the old one, or the token, and the new one by lines."""
    first, second = _two_secrets("Token" if by_token else "Old password")
    with Connection(server, anonymous=by_token) as connection:
        if by_token:
            connection.post("/auth/reset", {"token": first, "password": second})
        else:
            connection.post("/auth/password", {"old_password": first, "new_password": second})
    say("the password is set" + ("; log in with `millrace login`" if by_token else ""))


@sessions.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List your logins; the same as `millrace sessions list`."""
    if context.invoked_subcommand is None:
        list_sessions(as_json, server)


@sessions.command(name="list")
def list_sessions(as_json: AsJson = False, server: Server = None) -> None:
    """List where you are logged in, the newest first."""
    with Connection(server) as connection:
        found = list(connection.pages("/auth/sessions"))
    if as_json:
        print_json(found)
        return
    print_table(["id", "kind", "from", "with", "begun", "last used", ""], [_row(item) for item in found])


@sessions.command()
def end(
    session: Annotated[str, typer.Argument(help="Id of the login.", callback=an_id("a login", "millrace sessions"))],
    server: Server = None,
) -> None:
    """End one of your logins at once."""
    with Connection(server) as connection:
        connection.delete(f"/auth/sessions/{session}")
    say(f"{session} has ended")


def new_password(*, from_pipe: bool) -> str:
    """Asked for twice."""
    if from_pipe:
        return _piped()
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _row(item: dict[str, Any]) -> list[str]:
    return [
        item["id"],
        item["kind"],
        item["address"] or "-",
        (item["user_agent"] or "-")[:40],
        moment(item["created_at"]),
        moment(item["last_used_at"]),
        "this one" if item["current"] else "",
    ]


def _asked(what: str, given: str | None) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandError(f"say --{what.lower().replace('-', '')}; there is no terminal to ask at")
    return str(typer.prompt(what))


def _password(*, from_pipe: bool) -> str:
    if from_pipe:
        return _piped()
    if not sys.stdin.isatty():
        raise CommandError("say --password-stdin to have the password read from the pipe")
    return str(typer.prompt("Password", hide_input=True))


def _piped() -> str:
    text = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not text:
        raise CommandError("nothing came through the pipe")
    return text


def _two_secrets(first: str) -> tuple[str, str]:
    if sys.stdin.isatty():
        old = str(typer.prompt(first, hide_input=True))
        return old, str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
    lines = sys.stdin.read().splitlines()
    if len(lines) != 2:
        raise CommandError(f"two lines are to come through the pipe: {first.lower()} and new password")
    return lines[0], lines[1]

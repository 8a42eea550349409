"""Commands about agents: list, show, create, update, delete, health. A token or key is asked for, or piped in."""

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.cli.scopes import missed, print_users

Agent = Annotated[
    str,
    typer.Argument(
        help="Name or id of the agent.",
        autocompletion=completion.agents,
        callback=a_name("an agent", "millrace agents"),
    ),
]
Status = Annotated[str | None, typer.Option(help="Only those that are active, inactive or deleted.")]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Auth = Annotated[
    str | None, typer.Option(help="none, bearer or apikey; the token or key is asked for, or read from a pipe.")
]
HeaderName = Annotated[str | None, typer.Option(help="The header of the key, for apikey; X-API-Key by default.")]
Timeout = Annotated[int | None, typer.Option(help="Milliseconds that a call may take: 1000 to 300000.")]
Retry = Annotated[
    list[str] | None,
    typer.Option(help="key=value of max_retries, delay, max_delay, multiplier; delays in seconds. Others: as usual."),
]
Limit = Annotated[int | None, typer.Option(help="Attempts that may call it at the same time; 0 for any number.")]
HealthPath = Annotated[str | None, typer.Option(help="What stands behind its url for health checks; /health usually.")]

agents = typer.Typer(help="Agents: HTTP services that tasks call, by name.")


@agents.callback(invoke_without_command=True)
def default(context: typer.Context, as_json: AsJson = False, server: Server = None) -> None:
    """List the agents; the same as `millrace agents list`."""
    if context.invoked_subcommand is None:
        list_agents(None, as_json, server)


@agents.command(name="list")
def list_agents(status: Status = None, as_json: AsJson = False, server: Server = None) -> None:
    """List the agents by name."""
    with Connection(server) as connection:
        found = list(connection.pages("/agents", status=status))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["name"],
            item["status"],
            item["health"]["status"],
            item["circuit"]["state"],
            item["url"],
            item["description"] or "",
        ]
        for item in found
    ]
    print_table(["name", "status", "health", "circuit", "url", "description"], rows)


@agents.command()
def show(agent: Agent, server: Server = None) -> None:
    """Show an agent as JSON, with *** in place of what is secret."""
    with Connection(server) as connection:
        print_json(connection.get(_path(agent)))


@agents.command()
def create(
    name: Annotated[str, typer.Argument(help="What tasks call it.")],
    url: Annotated[str, typer.Argument(help="Its address, to which tasks add paths.")],
    description: Description = None,
    auth: Auth = None,
    header: HeaderName = None,
    timeout: Timeout = None,
    retry: Retry = None,
    max_concurrent: Limit = None,
    health_path: HealthPath = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Register an agent."""
    body = {"name": name, "url": url, **_fields(description, timeout, retry, max_concurrent, health_path)}
    body |= _credentials(auth, header)
    with Connection(server) as connection:
        made = connection.post("/agents", body)
    if as_json:
        print_json(made)
        return
    say(f"{name} is registered; look at its health with `millrace agents health {name}`")


@agents.command()
def update(
    agent: Agent,
    url: Annotated[str | None, typer.Option(help="Its address.")] = None,
    status: Annotated[str | None, typer.Option(help="active or inactive.")] = None,
    description: Description = None,
    auth: Auth = None,
    header: HeaderName = None,
    timeout: Timeout = None,
    retry: Retry = None,
    max_concurrent: Limit = None,
    health_path: HealthPath = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Change what is given of an agent; its name stays."""
    body = _fields(description, timeout, retry, max_concurrent, health_path) | _credentials(auth, header)
    body |= {key: value for key, value in (("url", url), ("status", status)) if value is not None}
    if not body:
        raise CommandError("nothing is to be changed; `millrace agents update --help` shows what can be")
    with Connection(server) as connection:
        changed = connection.patch(_path(agent), body)
    if as_json:
        print_json(changed)
        return
    say(f"{changed['name']} is {changed['status']}, version {changed['version']}")
    print_users(changed["used_by"], "it is called by")


@agents.command()
def delete(
    agent: Agent,
    force: Annotated[bool, typer.Option("--force", help="Also where deployed workflows call it.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Delete an agent; refused while deployed workflows call it, unless --force."""
    with Connection(server) as connection:
        if not yes:
            consent(f"the agent {agent!r}{missed(connection.get(_path(agent))['used_by'])}", yes=yes)
        gone = connection.delete(f"{_path(agent)}{'?force=true' if force else ''}")
    if as_json:
        print_json(gone)
        return
    say(f"{gone['name']} is deleted")
    print_users(gone["used_by"], "these will fail without it:")


@agents.command()
def health(
    agent: Agent,
    history: Annotated[bool, typer.Option("--history", help="Show what was found before, and look not.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Look at the health of an agent now. Exit status 1 if it is not well."""
    with Connection(server) as connection:
        if history:
            _print_history(list(connection.pages(f"{_path(agent)}/health")), as_json=as_json)
            return
        found = connection.post(f"{_path(agent)}/health")
    if as_json:
        print_json(found)
    else:
        say(_sentence(found))
    if not found["healthy"]:
        raise typer.Exit(EXIT_FAILED)


def _print_history(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        [
            moment(item["at"]),
            "healthy" if item["healthy"] else "unhealthy",
            str(item["http_status"] or "-"),
            f"{item['latency_ms']} ms",
            item["message"] or "",
        ]
        for item in found
    ]
    print_table(["at", "health", "status", "latency", "message"], rows)


def _sentence(found: dict[str, Any]) -> str:
    if found["healthy"]:
        return f"healthy: status {found['http_status']} after {found['latency_ms']} ms"
    return f"unhealthy after {found['latency_ms']} ms: {found['message']}"


def _path(agent: str) -> str:
    return f"/agents/{quote(agent, safe='')}"


def _fields(
    description: str | None,
    timeout: int | None,
    retry: list[str] | None,
    max_concurrent: int | None,
    health_path: str | None,
) -> dict[str, Any]:
    given = {"description": description, "timeout_ms": timeout, "health_path": health_path}
    body: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if max_concurrent is not None:
        body["max_concurrent"] = max_concurrent or None
    if retry:
        body["retry_config"] = dict(map(_number, retry))
    return body


def _number(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    try:
        number = json.loads(value)
    except ValueError:
        number = None
    if not sign or not isinstance(number, int | float):
        raise CommandError(f"--retry {text}: write key=NUMBER, such as max_retries=5")
    return key, number


def _credentials(auth: str | None, header: str | None) -> dict[str, Any]:
    match auth:
        case None if header is None:
            return {}
        case "none":
            return {"auth_type": "none"}
        case "bearer":
            return {"auth_type": auth, "auth_config": {"token": _asked("token")}}
        case "apikey":
            named = {} if header is None else {"header": header}
            return {"auth_type": auth, "auth_config": {**named, "key": _asked("key")}}
        case _:
            raise CommandError("--auth is one of none, bearer and apikey; --header goes with apikey")


def _asked(what: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {what}", hide_input=True))
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")

"""What the shell offers when Tab is pressed: names and ids of the server that the command would talk to.

A shell waits with the cursor standing still, so a server gets `SECONDS`, and whatever goes wrong offers nothing: no
message may stand in the middle of what somebody types.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import typer

from millrace.cli.connection import Connection

SECONDS = 2.0
MOST = 50
"""Offers at once; who types on gets others."""

PLAIN = re.compile(r"[\w.@%+-]+", re.ASCII)
"""What a shell takes as one word as it is. It would part others, at a blank or a colon."""

RUNS_OF = {
    "cancel": "pending,running,waiting,paused,cancelling",
    "pause": "pending,running,waiting",
    "resume": "paused",
    "signal": "pending,running,waiting,paused",
    "approve": "running,waiting,paused",
    "reject": "running,waiting,paused",
    "approval-link": "running,waiting,paused",
    "retry": "failed,cancelled",
}
"""Statuses of the runs that a command can be about; the others take any."""

Offers = Iterable[tuple[str, str]]
"""Words, each with what it is, which some shells show beside it."""

Ask = Callable[[Connection, typer.Context, str], Offers]


def _offering(ask: Ask) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """A callback for `autocompletion` that offers what `ask` finds on the server, or nothing."""

    def offer(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            with Connection(context.params.get("server"), silence=SECONDS) as connection:
                found = ask(connection, context, incomplete)
                return [(word, about) for word, about in found if word.startswith(incomplete) and PLAIN.fullmatch(word)]
        except Exception:
            return []

    return offer


def _workflows(connection: Connection, _: typer.Context, incomplete: str) -> Offers:
    """By name, or by slug where a name is not one word. The part that is typed may be of either."""
    for name in {incomplete, incomplete.replace("-", " ")}:
        for item in connection.get("/workflows", name=name or None, limit=MOST)["items"]:
            yield (item["name"] if PLAIN.fullmatch(item["name"]) else item["slug"]), item["status"]


def _runs(connection: Connection, context: typer.Context, _: str) -> Offers:
    """The newest."""
    status = RUNS_OF.get(context.info_name or "")
    for item in connection.get("/runs", status=status, limit=MOST)["items"]:
        yield item["id"], f"{item['workflow']['name']} {item['status']}"


def _tasks(connection: Connection, context: typer.Context, _: str) -> Offers:
    """The tasks of the run or the workflow that stands before."""
    if run := _given(context, "run_id"):
        for item in connection.get(f"/runs/{quote(run, safe='')}/tasks", limit=200)["items"]:
            yield item["path"], f"{item['type']} {item['status']}"
    elif workflow := _given(context, "workflow"):
        for item in connection.get(f"/workflows/{quote(workflow, safe='')}/tasks")["items"]:
            yield item["id"], item["task"]["type"]


def _versions(connection: Connection, context: typer.Context, _: str) -> Offers:
    path = f"/workflows/{quote(_given(context, 'workflow') or '', safe='')}/versions"
    for item in connection.get(path, limit=MOST)["items"]:
        yield str(item["number"]), item["comment"] or ""
        if item["tag"]:
            yield item["tag"], f"version {item['number']}"


def _triggers(connection: Connection, _: typer.Context, __: str) -> Offers:
    for item in connection.get("/triggers", limit=200)["items"]:
        yield item["id"], f"{item['name']} of {item['workflow']['name']}"


def _webhooks(connection: Connection, _: typer.Context, __: str) -> Offers:
    for item in connection.get("/webhooks", limit=200)["items"]:
        yield item["id"], f"{item['url_path']} of {item['workflow']['name']}"


def _named(path: str, about: str) -> Ask:
    def ask(connection: Connection, _: typer.Context, __: str) -> Offers:
        for item in connection.get(path, limit=200)["items"]:
            yield item["name"], item[about] or ""

    return ask


def _users(connection: Connection, _: typer.Context, __: str) -> Offers:
    for item in connection.get("/users", limit=200)["items"]:
        yield item["email"] or item["name"], item["role"]


def _keys(connection: Connection, _: typer.Context, __: str) -> Offers:
    for item in connection.get("/api-keys", limit=MOST)["items"]:
        yield item["id"], item["name"]


def _artifacts(connection: Connection, _: typer.Context, __: str) -> Offers:
    for item in connection.get("/artifacts", limit=MOST)["items"]:
        yield item["id"], item["name"]


def _given(context: typer.Context, name: str) -> str | None:
    """An argument of the command that has been typed. Behind an option without its value it is not parsed yet."""
    if any(parameter.name == name for parameter in context.command.params):
        found: str | None = context.params.get(name) or next(iter(context.args), None)
        return found
    return None


workflows: Any = _offering(_workflows)
runs: Any = _offering(_runs)
tasks: Any = _offering(_tasks)
versions: Any = _offering(_versions)
triggers: Any = _offering(_triggers)
webhooks: Any = _offering(_webhooks)
secrets: Any = _offering(_named("/secrets", "description"))
connections: Any = _offering(_named("/connections", "type"))
agents: Any = _offering(_named("/agents", "status"))
users: Any = _offering(_users)
keys: Any = _offering(_keys)
artifacts: Any = _offering(_artifacts)

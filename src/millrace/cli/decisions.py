"""Commands about what runs wait for from outside: signals, approvals, and links by which others decide."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import Connection
from millrace.cli.inputs import parse_input
from millrace.cli.json_values import json_value
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, RunId, Server
from millrace.core.values import JsonObject

LONGEST_SHOWN = 60

Path = Annotated[
    str,
    typer.Argument(
        help="Path of the task, such as ask or 'loop[3].ask'; `millrace approvals` shows it.",
        callback=a_name("a task", "millrace approvals"),
    ),
]
Comment = Annotated[str | None, typer.Option("--comment", "-c", help="Kept with the decision.")]
Form = Annotated[
    list[str] | None,
    typer.Option("--form", "-f", help="key=value, filled into the form; JSON if it is JSON, else text."),
]


def signal(
    run_id: RunId,
    name: Annotated[str, typer.Argument(help="The name that a task of the run waits for.")],
    data: Annotated[str | None, typer.Option(help="JSON that it is told; @FILE reads it, @- from stdin.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Send a signal to a run: tasks that wait for its name go on."""
    body: JsonObject = {"name": name}
    if data is not None:
        body["data"] = json_value("--data", data)
    with Connection(server) as connection:
        answer = connection.post(f"/runs/{run_id}/signal", body)
    print_json(answer) if as_json else say(f"{run_id} was sent {name}")


def approvals(
    workflow: Annotated[
        str | None,
        typer.Option("--workflow", "-w", help="Only of runs of this workflow.", autocompletion=completion.workflows),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the tasks that wait for a decision, those first that have waited longest."""
    with Connection(server) as connection:
        found = list(connection.pages("/approvals", workflow=workflow))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["run_id"],
            item["path"],
            item["workflow"]["name"],
            moment(item["since"]),
            moment(item["until"]),
            _line(item["message"]),
        ]
        for item in found
    ]
    print_table(["run", "task", "workflow", "waits since", "until", "message"], rows)


def approve(
    run_id: RunId, path: Path, comment: Comment = None, form: Form = None, as_json: AsJson = False,
    server: Server = None,
) -> None:  # fmt: skip
    """Approve what a task asks; its run goes on."""
    _decide("approve", run_id, path, comment, form, as_json=as_json, server=server)


def reject(
    run_id: RunId, path: Path, comment: Comment = None, form: Form = None, as_json: AsJson = False,
    server: Server = None,
) -> None:  # fmt: skip
    """Reject what a task asks; it fails, or its `else` runs. Nothing need be filled in."""
    _decide("reject", run_id, path, comment, form, as_json=as_json, server=server)


def approval_link(
    run_id: RunId,
    path: Path,
    expires_in: Annotated[str | None, typer.Option(help="How long it holds: 12h; 7d by default, 30d at most.")] = None,
    decision: Annotated[str | None, typer.Option(help="What alone can be decided by it: approve or reject.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Print a link by which somebody without an account decides, once, in your name."""
    given = {"expires_in": expires_in, "decision": decision}
    body: JsonObject = {name: value for name, value in given.items() if value is not None}
    with Connection(server) as connection:
        answer = connection.post(f"{_task(run_id, path)}/approval-link", body)
    print_json(answer) if as_json else say(answer["url"])


def _decide(
    decision: str,
    run_id: str,
    path: str,
    comment: str | None,
    form: list[str] | None,
    *,
    as_json: bool,
    server: str | None,
) -> None:
    body: JsonObject = {"decision": decision}
    if comment is not None:
        body["comment"] = comment
    with Connection(server) as connection:
        if form:
            body["form"] = parse_input(form, lambda: _schema(connection, run_id, path), "--form")
        answer = connection.post(f"{_task(run_id, path)}/decision", body)
    word = "approved" if decision == "approve" else "rejected"
    print_json(answer) if as_json else say(f"{word} {path} of {run_id}")


def _schema(connection: Connection, run_id: str, path: str) -> dict[str, Any]:
    """What the task wants to be filled in; `{}` if it does not ask any more, which the decision itself then tells."""
    question = connection.get(_task(run_id, path)).get("approval") or {}
    return question.get("form") or {}


def _task(run_id: str, path: str) -> str:
    return f"/runs/{run_id}/tasks/{quote(path, safe='')}"


def _line(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"

"""Commands that change the course of runs: cancel, pause, resume, stop, bulk."""

import time
from typing import Annotated, Any

import typer

from millrace.cli.connection import Connection
from millrace.cli.output import print_json, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, RunId, Server
from millrace.core.values import JsonObject

Reason = Annotated[str | None, typer.Option(help="Kept in the run's history.")]
LOOK_AGAIN = 0.2


def cancel(run_id: RunId, reason: Reason = None, as_json: AsJson = False, server: Server = None) -> None:
    """Cancel a run: what runs is stopped, `finally` tasks still run. A second cancel skips those too."""
    with Connection(server) as connection:
        answer = connection.post(f"/runs/{run_id}/cancel", _because(reason))
    print_json(answer) if as_json else say(f"cancel of {run_id} is under way")


def pause(run_id: RunId, as_json: AsJson = False, server: Server = None) -> None:
    """Start nothing more of a run until it is resumed; what runs, runs on."""
    with Connection(server) as connection:
        answer = connection.post(f"/runs/{run_id}/pause", {})
    print_json(answer) if as_json else say(f"pause of {run_id} is under way")


def resume(run_id: RunId, as_json: AsJson = False, server: Server = None) -> None:
    """Let a paused run go on."""
    with Connection(server) as connection:
        answer = connection.post(f"/runs/{run_id}/resume", {})
    print_json(answer) if as_json else say(f"{run_id} goes on")


def stop(
    workflow: Workflow,
    reason: Reason = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Cancel every run of a workflow that has not finished."""
    with Connection(server) as connection:
        answer = connection.post(f"{workflow_path(connection, workflow)}/stop", _because(reason))
    print_json(answer) if as_json else say(f"{answer['stopped']} runs are being ended")


def bulk(
    action: Annotated[str, typer.Argument(help="cancel, pause, resume or retry.")],
    workflow: Annotated[str | None, typer.Option("--workflow", "-w", help="Only runs of this workflow.")] = None,
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="Only runs with this status.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only runs with this correlation id.")] = None,
    version: Annotated[str | None, typer.Option(help="For retry: same or newest.")] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="Really every run, when no other option narrows.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs that are meant.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="For retry: also runs of workflows that ask for a confirmation.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Cancel, pause, resume or retry many runs, and show how far it has come."""
    conditions: JsonObject = {"workflow": workflow, "status": [*(status or ())], "correlation_id": correlation_id}
    narrow: JsonObject = {name: value for name, value in conditions.items() if value}
    if not narrow and not everything:
        raise typer.BadParameter("say which runs are meant, with --workflow, --status or --correlation-id, or --all")
    body: JsonObject = {"action": action, "filter": narrow, "dry_run": dry_run, **_because(reason)}
    if version is not None:
        body["version"] = version
    if everything:
        body["all"] = True
    if confirm:
        body["confirmation"] = True
    with Connection(server) as connection:
        operation = _ended(connection, connection.post("/runs/bulk", body))
    if as_json:
        print_json(operation)
    elif dry_run:
        say(f"{operation['total']} runs are meant")
    else:
        say(f"{action}: {operation['done']} of {operation['total']} runs, {operation['failed']} did not take it")
        if operation["error"]:
            say(f"the last that did not: {operation['error']}")


def _ended(connection: Connection, operation: dict[str, Any]) -> dict[str, Any]:
    while operation["status"] == "running":
        time.sleep(LOOK_AGAIN)
        operation = connection.get(f"/operations/{operation['id']}")
    return operation


def _because(reason: str | None) -> JsonObject:
    return {} if reason is None else {"reason": reason}

"""Commands that change the course of runs: cancel, pause, resume, stop, bulk."""

import time
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import counted, print_json, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, RunId, Server
from millrace.core.values import JsonObject

Reason = Annotated[str | None, typer.Option(help="Kept in the run's history.")]
CANCELLING = "cancelling"
LOOK_AGAIN = 0.2


def cancel(run_id: RunId, reason: Reason = None, as_json: AsJson = False, server: Server = None) -> None:
    """Cancel a run: what runs is stopped, `finally` tasks still run. A second cancel skips those too."""
    with Connection(server) as connection:
        again = not as_json and connection.get(f"/runs/{run_id}")["status"] == CANCELLING
        answer = connection.post(f"/runs/{run_id}/cancel", _because(reason))
    if as_json:
        print_json(answer)
    elif again:
        say(f"second cancel of {run_id} is under way: its `finally` tasks and what undoes others are skipped, too")
    else:
        say(f"cancel of {run_id} is under way")


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
    print_json(answer) if as_json else say(f"{_runs_are(answer['stopped'])} being ended")


def bulk(
    action: Annotated[str, typer.Argument(help="cancel, pause, resume or retry.")],
    workflow: Annotated[
        list[str] | None,
        typer.Option("--workflow", "-w", help="Only runs of this workflow.", autocompletion=completion.workflows),
    ] = None,
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="Only runs with this status.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="key:value of the workflow.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="Only those started so: manual, cron, interval, once, event or webhook.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only runs with this correlation id.")] = None,
    since: Annotated[str | None, typer.Option(help="Created at this time or later: 2026-03-29T01:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Created before this time.")] = None,
    version: Annotated[str | None, typer.Option(help="For retry: the number of a version, same or newest.")] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="Really every run, when no other option narrows.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs that are meant.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="For retry: also runs of workflows that ask for a confirmation.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="For retry: also runs that were retried or rerun before.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Cancel, pause, resume or retry many runs, and show how far it has come."""
    conditions: JsonObject = {
        "workflow": _only(workflow or []),
        "status": [*(status or ())],
        "labels": _labels(label or []),
        "trigger_type": trigger,
        "correlation_id": correlation_id,
        "created_after": since,
        "created_before": until,
    }
    narrow: JsonObject = {name: value for name, value in conditions.items() if value}
    if not narrow and not everything:
        raise CommandError("say which runs are meant, with --workflow, --status or another filter, or --all")
    body: JsonObject = {"action": action, "filter": narrow, "dry_run": dry_run, **_because(reason)}
    if version is not None:
        body["version"] = int(version) if version.isdigit() else version
    if everything:
        body["all"] = True
    if confirm:
        body["confirmation"] = True
    if again:
        body["again"] = True
    with Connection(server) as connection:
        operation = _ended(connection, connection.post("/runs/bulk", body))
    print_json(operation) if as_json else _say_outcome(operation, action, dry_run)
    if operation["status"] == "failed":
        raise CommandError(f"the operation has ended early: {operation['error']}")


def _say_outcome(operation: dict[str, Any], action: str, dry_run: bool) -> None:
    if dry_run:
        say(f"{_runs_are(operation['total'])} meant")
    else:
        said = f"{operation['done']} of {counted(operation['total'], 'run')}"
        say(f"{action}: {said}, {operation['failed']} did not take it")
        _say_refused(operation)
    _say_left_out(operation)


def _only(workflows: list[str]) -> str | None:
    """The workflow that is meant; of several the last would be taken without a word."""
    if len(workflows) > 1:
        raise CommandError("one --workflow at a time: an operation on many runs takes those of one workflow, or of all")
    return workflows[0] if workflows else None


def _labels(pairs: list[str]) -> JsonObject:
    labels: JsonObject = {}
    for pair in pairs:
        key, found, value = pair.partition(":")
        if not found or not key:
            raise CommandError(f"--label {pair}: write key:value")
        labels[key] = value
    return labels


def _say_refused(operation: dict[str, Any]) -> None:
    """Which runs did not take it and why; of very many the first."""
    for refused in operation["refused"]:
        say(f"  {refused['run']}: {refused['message']}")
    if further := operation["failed"] - len(operation["refused"]):
        say(f"  and {further} more")


def _say_left_out(operation: dict[str, Any]) -> None:
    if before := operation["already_retried"]:
        say(f"{_runs_are(before)} left out: retried or rerun before (--again takes them too)")
    if waited_for := operation["left_to_parents"]:
        say(f"{_runs_are(waited_for)} left out: waited for by the task of another run; retry that run")


def _ended(connection: Connection, operation: dict[str, Any]) -> dict[str, Any]:
    while operation["status"] == "running":
        time.sleep(LOOK_AGAIN)
        operation = connection.get(f"/operations/{operation['id']}")
    return operation


def _runs_are(number: int) -> str:
    return f"{counted(number, 'run')} {'is' if number == 1 else 'are'}"


def _because(reason: str | None) -> JsonObject:
    return {} if reason is None else {"reason": reason}

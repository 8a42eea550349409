"""Commands that show runs: runs, show."""

import json
from typing import Annotated, Any

import typer

from millrace.cli.connection import Connection
from millrace.cli.follow import FINISHED
from millrace.cli.output import cancel_told, duration, marked, moment, print_json, print_table, say

Server = Annotated[str | None, typer.Option("--server", help="URL of the server; found by itself if it runs here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunId = Annotated[str, typer.Argument(help="Id of the run.")]

WITH_ITS_RUN = "cancelled with the run"

AT_ONCE = 1000


def runs(
    workflow: Annotated[str | None, typer.Option("--workflow", "-w", help="Only runs of this workflow.")] = None,
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="May be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="key:value of the workflow.")] = None,
    trigger: Annotated[str | None, typer.Option(help="Only those started so: cron or manual.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only runs with this correlation id.")] = None,
    since: Annotated[str | None, typer.Option(help="Created at this time or later: 2026-03-29T01:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Created before this time.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List runs, newest first."""
    query = {
        "workflow": workflow,
        "status": ",".join(status) if status else None,
        "label": label or None,
        "trigger_type": trigger,
        "correlation_id": correlation_id,
        "created_after": since,
        "created_before": until,
    }
    with Connection(server) as connection:
        page = connection.first("/runs", limit, **query)
    if as_json:
        print_json(page)
        return
    rows = [
        [
            item["id"],
            item["workflow"]["name"],
            marked(item["status"]),
            moment(item["created_at"]),
            duration(item["started_at"], item["finished_at"]),
        ]
        for item in page["items"]
    ]
    print_table(["id", "workflow", "status", "created", "took"], rows)


def show(run_id: RunId, as_json: AsJson = False, server: Server = None) -> None:
    """Show a run and its tasks."""
    with Connection(server) as connection:
        found = connection.get(f"/runs/{run_id}")
        tasks = list(connection.pages(f"/runs/{run_id}/tasks"))
        cancels = [] if as_json or not found["cancelled_at"] else _cancels(connection, run_id)
    if as_json:
        print_json({**found, "tasks": tasks})
        return
    say(f"run       {found['id']}")
    say(f"workflow  {found['workflow']['name']} version {found['workflow']['version']}")
    say(f"status    {marked(found['status'])}")
    say(f"created   {moment(found['created_at'])}   took {duration(found['started_at'], found['finished_at'])}")
    say(f"input     {json.dumps(found['input'], ensure_ascii=False)}")
    print_ending(found)
    for data in cancels:
        say(f"cancel    {cancel_told(data)}")
    if found["payloads_deleted_at"]:
        say(f"deleted   inputs and outputs of its tasks, and its logs, {moment(found['payloads_deleted_at'])}")
    for waiting in found["waiting_for"]:
        say(f"waits     {waiting.get('task', 'the run')}: {waiting['message']}")
    say("")
    print_table(
        ["task", "type", "status", "attempt", "took", "error"], [_task_row(task, found["status"]) for task in tasks]
    )


def print_ending(found: dict[str, Any]) -> None:
    if found.get("error"):
        say(f"error     {found['error']['kind']}: {found['error']['message']}")
    if found.get("output") is not None:
        say(f"output    {json.dumps(found['output'], ensure_ascii=False)}")
    elif found["status"] in FINISHED and not found.get("error"):
        took = (
            f"in {duration(found['started_at'], found['finished_at'])}" if found["started_at"] else "before it started"
        )
        say(f"{found['status']} {took}")


def went_with_its_run(status: str | None, error: dict[str, Any] | None, status_of_run: str) -> bool:
    """Whether a task was cancelled because its run was, and has nothing else to say."""
    silent = error is None or error["kind"] == "cancelled"
    return silent and status == "cancelled" and status_of_run in ("cancelled", "cancelling")


def _cancels(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """What the run's history says about why it was to be cancelled: looked for from its end on, where it mostly is."""
    page = connection.get(f"/runs/{run_id}/events", tail=AT_ONCE, limit=AT_ONCE)["items"]
    while page:
        found = [record["data"] or {} for record in page if record["type"] == "run.cancel_requested"]
        if found or page[0]["seq"] == 1:
            return found
        page = connection.get(f"/runs/{run_id}/events", before=page[0]["seq"], limit=AT_ONCE)["items"]
    return []


def _task_row(task: dict[str, Any], status_of_run: str) -> list[str]:
    error = task.get("error")
    told = f"{error['kind']}: {error['message']}"[:100] if error else ""
    return [
        task["path"],
        task["type"],
        marked(task["status"]),
        str(task["attempt"]) if task["attempt"] else "-",
        duration(task["started_at"], task["finished_at"]),
        WITH_ITS_RUN if went_with_its_run(task["status"], error, status_of_run) else told,
    ]

"""Commands that show runs: runs, show."""

import json
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.follow import FINISHED
from millrace.cli.loops import how_far, left_out, task_runs, with_key
from millrace.cli.output import (
    cancel_told,
    counted,
    duration,
    failure_told,
    marked,
    moment,
    name_of,
    print_json,
    print_table,
    say,
    skip_told,
)
from millrace.cli.parts import parts_of, place, when

Server = Annotated[str | None, typer.Option("--server", help="URL of the server; found by itself if it runs here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunId = Annotated[
    str, typer.Argument(help="Id of the run.", autocompletion=completion.runs, callback=an_id("a run", "millrace runs"))
]

WITH_ITS_RUN = "cancelled with the run"
ADOPTED = "taken over from"
MOCKED = "mocked"

AT_ONCE = 1000
CHILDREN = 50
"""Runs of sub-workflows that a run is shown with."""
LONGEST_VALUE = 2000
"""Characters of an input or output that are shown."""


def runs(
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow", "-w", help="Only runs of this workflow; may be repeated.", autocompletion=completion.workflows
        ),
    ] = None,
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="May be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="key:value of the workflow.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="Only those started so: cron, interval, once, manual, test.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only runs with this correlation id.")] = None,
    parent: Annotated[str | None, typer.Option(help="Only runs that the sub-workflows of this run started.")] = None,
    since: Annotated[str | None, typer.Option(help="Created at this time or later: 2026-03-29T01:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Created before this time.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List runs, newest first."""
    query = {
        "workflow": workflow or None,
        "status": ",".join(status) if status else None,
        "label": label or None,
        "trigger_type": trigger,
        "correlation_id": correlation_id,
        "parent": parent,
        "created_after": since,
        "created_before": until,
    }
    with Connection(server) as connection:
        page = connection.first("/runs", limit, **query)
    if as_json:
        print_json(page)
        return
    columns = ["id", "workflow", "version", "status", "created", "took"]
    rows = [
        [
            item["id"],
            item["workflow"]["name"],
            str(item["workflow"]["version"]),
            marked(item["status"]),
            moment(item["created_at"]),
            duration(item["started_at"], item["finished_at"]),
        ]
        for item in page["items"]
    ]
    if any(item["waiting_for"] for item in page["items"]):
        columns.append("waits")
        for row, item in zip(rows, page["items"], strict=True):
            row.append("; ".join(waiting["message"] for waiting in item["waiting_for"])[:100])
    print_table(columns, rows)


def show(
    run_id: RunId,
    within: Annotated[
        str | None,
        typer.Option(help="Only what stands in this control task (load), or in this iteration of a loop (load[3])."),
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", "-s", help="Only tasks with this status; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show a run and its tasks. In a large run a loop stands for what is in it; --within opens it."""
    some = {"within": within, "status": ",".join(status) if status else None}
    with Connection(server) as connection:
        found = connection.get(f"/runs/{run_id}")
        if as_json or within or status:
            tasks = list(connection.pages(f"/runs/{run_id}/tasks", **some))
        else:
            tasks = task_runs(connection, run_id)
        if as_json:
            print_json({**found, "tasks": tasks})
            return
        cancels = _cancels(connection, run_id) if found["cancelled_at"] else []
        parts = parts_of(connection, found)
        children = None if within or status else connection.first("/runs", CHILDREN, parent=run_id)
    print_run(found, tasks, parts, cancels)
    if children is not None and children["items"]:
        _print_children(run_id, children, tasks)


def print_run(
    found: dict[str, Any], tasks: list[dict[str, Any]], parts: dict[str, str], cancels: list[dict[str, Any]]
) -> None:
    """A run and its tasks; `cancels`: what was said each time it was asked to end."""
    say(f"run       {found['id']}")
    say(f"workflow  {found['workflow']['name']} version {found['workflow']['version']}")
    say(f"status    {marked(found['status'])}")
    say(f"trigger   {_origin(found)}")
    if found.get("test"):
        say(f"test      {_test_told(found['test'])}")
    if found["parent"]:
        say(f"parent    {found['parent']}{', task ' + found['parent_path'] if found['parent_path'] else ''}")
    if found["retry_of"]:
        say(f"retry of  {found['retry_of']}{_taken_over(tasks)}")
    say(f"created   {moment(found['created_at'])}   took {duration(found['started_at'], found['finished_at'])}")
    say(f"input     {_short(found, 'input')}")
    print_ending(found, _short(found, "output"))
    for number, data in enumerate(cancels):
        say(f"cancel    {cancel_told(data)}{'; what follows a cancel is skipped since' if number else ''}")
    if found["payloads_deleted_at"]:
        say(f"deleted   inputs and outputs of its tasks, and its logs, {moment(found['payloads_deleted_at'])}")
    for waiting in found["waiting_for"]:
        say(f"waits     {waiting.get('task', 'the run')}: {waiting['message']}")
    say("")
    _print_tasks(found, tasks, parts)
    for loop in left_out(tasks):
        say(f"what is in {loop}: millrace show {found['id']} --within {loop}")


def _print_tasks(run: dict[str, Any], tasks: list[dict[str, Any]], parts: dict[str, str]) -> None:
    """Part by part; which one stands in a column of its own, if there is more than the main one."""
    columns = ["task", "type", "status", "attempt", "took", "note"]
    tasks = sorted(tasks, key=lambda task: place(parts.get(task["path"])))
    again = done_again(run)
    rows = [[*_task_row(task), _note(task, again, parts.get(task["path"]), run["status"])] for task in tasks]
    if parts:
        columns.insert(1, "part")
        for row, task in zip(rows, tasks, strict=True):
            row.insert(1, parts.get(task["path"], "main"))
    print_table(columns, rows)


def _print_children(run_id: str, page: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    """The runs that its sub-workflows started, the newest first. Those that nobody waits for do not name their task."""
    say("")
    started_by = {task["child_run_id"]: task["path"] for task in tasks}
    rows = [
        [
            one["id"],
            one["workflow"]["name"],
            marked(one["status"]),
            one["parent_path"] or started_by.get(one["id"], "-"),
        ]
        for one in page["items"]
    ]
    print_table(["child", "workflow", "status", "started by"], rows)
    if page["next_cursor"] is not None:
        say(f"the newest {CHILDREN} are shown; more: millrace runs --parent {run_id}")


def _short(found: dict[str, Any], what: str) -> str:
    """A value of the run in one line: of a very large one its beginning, and how all of it is had."""
    text = json.dumps(found[what], ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[:LONGEST_VALUE]}… ({len(text):,} characters; --json prints all of them)"


def _test_told(test: dict[str, Any]) -> str:
    """What a test run tests."""
    alone = [f"{test['only']} alone"] if test["only"] else []
    mocked = [f"{counted(len(test['mocked']), 'task')} mocked"]
    return ", ".join([*alone, *mocked, *(["no time passes"] if test["virtual_time"] else [])])


def _taken_over(tasks: list[dict[str, Any]]) -> str:
    """How much of the run is that of an earlier one."""
    adopted = sum(task["adopted_from"] is not None for task in tasks)
    return f", took over {adopted} of {counted(len(tasks), 'task')}" if adopted else ""


def _origin(found: dict[str, Any]) -> str:
    """What started the run: its kind, the id of the trigger, the name of the user."""
    which = f" {found['trigger_id']}" if found["trigger_id"] else ""
    return f"{found['trigger_type']}{which}{', by ' + name_of(found['triggered_by']) if found['triggered_by'] else ''}"


def print_ending(found: dict[str, Any], output: str | None = None) -> None:
    """What a run came to; `output` stands for its own, which is shown as a whole otherwise."""
    if found.get("error"):
        say(f"error     {failure_told(found['error'])}")
    if found.get("output") is not None:
        say(f"output    {json.dumps(found['output'], ensure_ascii=False) if output is None else output}")
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


def done_again(run: dict[str, Any]) -> dict[str, str]:
    """Tasks that a run did again though an earlier one had completed them, each with why."""
    return {item["task"]: f"done again: {item['reason']}" for item in run["done_again"]}


def _task_row(task: dict[str, Any]) -> list[str]:
    return [
        with_key(task),
        task["type"],
        marked(task["status"]),
        str(task["attempt"]) if task["attempt"] else "-",
        duration(task["started_at"], task["finished_at"]),
    ]


def _note(task: dict[str, Any], again: dict[str, str], part: str | None, status_of_run: str) -> str:
    """Why the task is as it is, where its status does not say it."""
    error = task.get("error")
    if far := how_far(task):
        return f"{far}; {failure_told(error)[:100]}" if error else far
    if went_with_its_run(task["status"], error, status_of_run):
        return WITH_ITS_RUN
    if task["adopted_from"]:
        return f"{ADOPTED} {task['adopted_from']}" + (f": {failure_told(error)[:100]}" if error else "")
    if error:
        return f"{MOCKED}: {failure_told(error)}"[:100] if task.get("mocked") else failure_told(error)[:100]
    if task.get("mocked") and task["status"] == "completed":
        return MOCKED
    if task["skip_reason"]:
        return skip_told(task["skip_reason"])
    if task["path"] in again:
        return again[task["path"]]
    return when(part) if part and task["status"] == "pending" else ""

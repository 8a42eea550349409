"""Commands about what runs leave behind: logs, events, explain."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.connection import Connection
from millrace.cli.follow import record_line
from millrace.cli.output import (
    cancel_told,
    clock_time,
    duration,
    failure_told,
    json_text,
    marked,
    moment,
    name_of,
    print_json,
    say,
    skip_told,
)
from millrace.cli.parts import parts_of
from millrace.cli.runs import ADOPTED, AT_ONCE, WITH_ITS_RUN, AsJson, RunId, Server, done_again, went_with_its_run
from millrace.cli.streams import Event, follow

LEVEL_COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red"}

EXIT_INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has finished.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")]
Tail = Annotated[int | None, typer.Option("--tail", "-n", help="Only the last so many.", min=0, max=AT_ONCE)]

WAITS = {
    "queued": "waited for a free worker",
    "task_limit": "waited for a free worker and a place under its limit",
    "concurrency": "waited for a place under its limit",
    "rate_limit": "waited for its turn under the rate limit",
    "retry_delay": "waited to be tried again",
    "run_paused": "stood still, the run was paused",
    "not_admitted": "waited for a place under its limits",
    "start_delayed": "waited for its time to start",
}


def logs(
    run_id: RunId,
    follow_logs: Follow = False,
    tail: Tail = None,
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Only lines of this task.", autocompletion=completion.tasks)
    ] = None,
    attempt: Annotated[int | None, typer.Option(help="Only lines of this attempt.", min=1)] = None,
    level: Annotated[
        str | None, typer.Option("--level", "-l", help="debug, info, warning or error: it and what is more severe.")
    ] = None,
    as_json: AsJsonLines = False,
    server: Server = None,
) -> None:
    """Print the log lines of a run."""
    narrow: dict[str, str | int | None] = {"task": task, "attempt": attempt, "level": level}
    _print(run_id, "logs", log_line, as_json=as_json, following=follow_logs, tail=tail, server=server, narrow=narrow)


def events(
    run_id: RunId,
    follow_events: Follow = False,
    tail: Tail = None,
    as_json: AsJsonLines = False,
    server: Server = None,
) -> None:
    """Print the history of a run: its numbered records."""
    _print(run_id, "events", record_line, as_json=as_json, following=follow_events, tail=tail, server=server, narrow={})


def explain(
    run_id: RunId,
    after: Annotated[
        int | None, typer.Option(help="Only what the records above this number say, for runs with very many.", min=0)
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Tell what became of each task and why: attempts, waits, retries, reasons."""
    with Connection(server) as connection:
        timeline = connection.get(f"/runs/{run_id}/timeline", after=after)
        if as_json:
            print_json(timeline)
            return
        run = connection.get(f"/runs/{run_id}")
        parts = parts_of(connection, run)
        adopted = _adopted(connection, run) if run["retry_of"] and not after else {}
    took = duration(timeline["started_at"], timeline["finished_at"])
    cancels = [note["data"] for note in timeline["notes"] if note["type"] == "run.cancel_requested"]
    why = "".join(f"  cancel: {cancel_told(data)}" for data in cancels)
    say(f"run {run_id}  {marked(timeline['status'])}  created {moment(timeline['created_at'])}  took {took}{why}")
    if run["retry_of"]:
        say(f"  retry of {run['retry_of']}")
    for wait in timeline["waits"]:
        say(f"  {_wait_line(wait, run['workflow'])}")
    for path, (status, origin) in adopted.items():
        say(f"{path}  {marked(status)}  {ADOPTED} {origin}")
    again = done_again(run)
    for task in timeline["tasks"]:
        part = f"  ({parts[task['path']]})" if task["path"] in parts else ""
        say(f"{task['path']}  {marked(task['outcome'] or 'running')}{part}{_because(task, timeline['status'])}")
        if task["path"] in again:
            say(f"  {again[task['path']]}")
        for _, line in sorted(_lines_of(task, run["workflow"])):
            say(f"  {line}")
    if not timeline["complete"]:
        say(f"the run has more records than are told here, {(after or 0) + 1} to {timeline['last_seq']}; go on with")
        say(f"  millrace explain {run_id} --after {timeline['next_after']}")


def _print(
    run_id: str,
    what: str,
    line_of: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
    following: bool,
    tail: int | None,
    server: str | None,
    narrow: dict[str, str | int | None],
) -> None:
    path = f"/runs/{run_id}/{what}"
    try:
        with Connection(server) as connection:
            if following:
                items = _followed(follow(connection, path, **_start(connection, path, what, tail, narrow)))
            elif tail is not None:
                items = iter(connection.get(path, tail=tail, limit=AT_ONCE, **narrow)["items"])
            else:
                items = connection.pages(path, **narrow)
            for item in items:
                if as_json:
                    typer.echo(json_text(item))
                else:
                    say(line_of(item), fg=LEVEL_COLOURS.get(item.get("level", "")))
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _start(
    connection: Connection, path: str, what: str, tail: int | None, narrow: dict[str, str | int | None]
) -> dict[str, str | int | None]:
    """Where to begin to follow. Logs know `tail` themselves; records have no gaps, so it is a number before the end."""
    if tail is None or what == "logs":
        return {**narrow, "tail": tail}
    last = connection.get(path, tail=1)["items"]
    return {"after": max(0, last[0]["seq"] - tail) if last else 0}


def _followed(events: Iterator[Event]) -> Iterator[dict[str, Any]]:
    return (event.data for event in events if event.name != "end")


def log_line(line: dict[str, Any]) -> str:
    level = "" if line["level"] == "info" else f"{line['level'].upper()} "
    return f"{clock_time(line['at'])} {line['path'] or 'run'} | {level}{line['text']}"


def _adopted(connection: Connection, run: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and origin of the tasks that the run took over; its records only count them."""
    tasks = connection.pages(f"/runs/{run['id']}/tasks")
    return {task["path"]: (task["status"], task["adopted_from"]) for task in tasks if task["adopted_from"]}


def _because(task: dict[str, Any], status_of_run: str) -> str:
    error, reason = task["error"], task["reason"]
    if went_with_its_run(task["outcome"], error, status_of_run):
        return f"  {WITH_ITS_RUN}"
    if error:
        return f"  {failure_told(error)}"
    return f"  because {skip_told(reason)}" if reason else ""


def _lines_of(task: dict[str, Any], workflow: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What happened to the task, each with its time, to be put in order."""
    for wait in task["waits"]:
        yield wait["from"], _wait_line(wait, workflow)
    for attempt in task["attempts"]:
        began = attempt["started_at"] or attempt["scheduled_at"] or ""
        took = f" after {duration(began, attempt['finished_at'])}" if attempt["finished_at"] else ""
        error = attempt["error"]
        why = f"  {failure_told(error)}" if error else ""
        yield began, f"attempt {attempt['number']} {attempt['outcome'] or 'goes on'}{took}{why}"
    for note in task["notes"]:
        yield note["at"], _note_line(note)


def _note_line(note: dict[str, Any]) -> str:
    """A decision in words; of one that is not known here its name, and what it has with it."""
    if note["type"] == "task.cancelling" and "attempt" in note["data"]:
        return f"attempt {note['data']['attempt']} was told to end"
    what = note["type"].partition(".")[2].replace("_", " ")
    details = [f"{key.replace('_', ' ')} {_detail(value)}" for key, value in note["data"].items()]
    return f"{what} ({', '.join(details)})" if details else what


def _detail(value: Any) -> str:
    """What a record tells; a user by the name."""
    if isinstance(value, dict) and {"id", "name"} <= value.keys():
        return name_of(value)
    return value if isinstance(value, str) else json_text(value)


def _wait_line(wait: dict[str, Any], workflow: Mapping[str, Any]) -> str:
    words = WAITS.get(wait["reason"], wait["reason"].replace("_", " "))
    until = wait.get("until") or datetime.now().astimezone().isoformat()
    under = f" ({', '.join(_limit_told(key, workflow) for key in wait['keys'])})" if wait.get("keys") else ""
    return f"{words}{under} for {duration(wait['from'], until)}{'' if wait.get('until') else ' so far'}"


def _limit_told(key: str, workflow: Mapping[str, Any]) -> str:
    """What a limit is of: a workflow by its name, and the key of the run where the limit has one."""
    own = f"workflow:{workflow['id']}"
    if not key.startswith(own):
        return key
    of_runs = key.removeprefix(own).removeprefix(":")
    return f"workflow {workflow['name']}{', key ' + of_runs if of_runs else ''}"

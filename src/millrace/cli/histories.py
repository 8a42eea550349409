"""Commands about what runs leave behind: logs, events, explain."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from millrace.cli.connection import Connection
from millrace.cli.follow import record_line
from millrace.cli.output import cancel_told, clock_time, duration, json_text, marked, moment, print_json, say
from millrace.cli.runs import AT_ONCE, WITH_ITS_RUN, AsJson, RunId, Server, went_with_its_run
from millrace.cli.streams import Event, follow

LEVEL_COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red"}

EXIT_INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has finished.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")]
Tail = Annotated[int | None, typer.Option("--tail", "-n", help="Only the last so many.", min=0, max=AT_ONCE)]

WAITS = {
    "queued": "waited for a free worker",
    "retry_delay": "waited to be tried again",
    "run_paused": "stood still, the run was paused",
    "not_admitted": "waited for a place under its limit",
    "start_delayed": "waited for its time to start",
}


def logs(
    run_id: RunId,
    follow_logs: Follow = False,
    tail: Tail = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only lines of this task.")] = None,
    attempt: Annotated[int | None, typer.Option(help="Only lines of this attempt.", min=1)] = None,
    level: Annotated[
        str | None, typer.Option("--level", "-l", help="debug, info, warning or error: it and what is more severe.")
    ] = None,
    as_json: AsJsonLines = False,
    server: Server = None,
) -> None:
    """Print the log lines of a run."""
    narrow: dict[str, str | int | None] = {"task": task, "attempt": attempt, "level": level}
    _print(run_id, "logs", _log_line, as_json=as_json, following=follow_logs, tail=tail, server=server, narrow=narrow)


def events(
    run_id: RunId,
    follow_events: Follow = False,
    tail: Tail = None,
    as_json: AsJsonLines = False,
    server: Server = None,
) -> None:
    """Print the history of a run: its numbered records."""
    _print(run_id, "events", record_line, as_json=as_json, following=follow_events, tail=tail, server=server, narrow={})


def explain(run_id: RunId, as_json: AsJson = False, server: Server = None) -> None:
    """Tell what became of each task and why: attempts, waits, retries, reasons."""
    with Connection(server) as connection:
        timeline = connection.get(f"/runs/{run_id}/timeline")
    if as_json:
        print_json(timeline)
        return
    took = duration(timeline["started_at"], timeline["finished_at"])
    cancels = [note["data"] for note in timeline["notes"] if note["type"] == "run.cancel_requested"]
    why = "".join(f"  cancel: {cancel_told(data)}" for data in cancels)
    say(f"run {run_id}  {marked(timeline['status'])}  created {moment(timeline['created_at'])}  took {took}{why}")
    for wait in timeline["waits"]:
        say(f"  {_wait_line(wait)}")
    for task in timeline["tasks"]:
        say(f"{task['path']}  {marked(task['outcome'] or 'running')}{_because(task, timeline['status'])}")
        for _, line in sorted(_lines_of(task)):
            say(f"  {line}")
    if not timeline["complete"]:
        say(f"the run has more records than are told here; the last one told is {timeline['last_seq']}")


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


def _log_line(line: dict[str, Any]) -> str:
    level = "" if line["level"] == "info" else f"{line['level'].upper()} "
    return f"{clock_time(line['at'])} {line['path'] or 'run'} | {level}{line['text']}"


def _because(task: dict[str, Any], status_of_run: str) -> str:
    error, reason = task["error"], task["reason"]
    if went_with_its_run(task["outcome"], error, status_of_run):
        return f"  {WITH_ITS_RUN}"
    if error:
        return f"  {error['kind']}: {error['message']}"
    return f"  because: {str(reason).replace('_', ' ')}" if reason else ""


def _lines_of(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What happened to the task, each with its time, to be put in order."""
    for wait in task["waits"]:
        yield wait["from"], _wait_line(wait)
    for attempt in task["attempts"]:
        began = attempt["started_at"] or attempt["scheduled_at"] or ""
        took = f" after {duration(began, attempt['finished_at'])}" if attempt["finished_at"] else ""
        error = attempt["error"]
        why = f"  {error['kind']}: {error['message']}" if error else ""
        yield began, f"attempt {attempt['number']} {attempt['outcome'] or 'goes on'}{took}{why}"
    for note in task["notes"]:
        yield note["at"], f"{note['type'].partition('.')[2].replace('_', ' ')} {json.dumps(note['data'])}"


def _wait_line(wait: dict[str, Any]) -> str:
    words = WAITS.get(wait["reason"], wait["reason"].replace("_", " "))
    until = wait.get("until") or datetime.now().astimezone().isoformat()
    return f"{words} for {duration(wait['from'], until)}{'' if wait.get('until') else ' so far'}"

"""Following a run: a live picture on a terminal, plain lines in a pipe. Both read the run's records as they come."""

import queue
import threading
import time
from typing import Any

from millrace.cli.connection import CommandError, Connection
from millrace.cli.loops import left_out, task_runs
from millrace.cli.output import (
    clock_time,
    counted,
    failure_told,
    moment_of,
    name_of,
    on_terminal,
    say,
    skip_told,
)
from millrace.cli.picture import Picture
from millrace.cli.streams import Event
from millrace.cli.streams import follow as events_of

FINISHED = frozenset({"completed", "failed", "cancelled"})

PICTURE_SECONDS = 0.25
"""Between two looks at the tasks of a run that is shown live."""


def follow(connection: Connection, run_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Show the run until it has finished; answers the finished run. `quiet` shows nothing."""
    if on_terminal() and not quiet:
        return _follow_live(connection, run_id)
    for event in events_of(connection, f"/runs/{run_id}/events"):
        if event.name == "record" and not quiet:
            say(record_line(event.data))
    run: dict[str, Any] = connection.get(f"/runs/{run_id}")
    return run


def record_line(record: dict[str, Any]) -> str:
    subject, _, what = record["type"].partition(".")
    data = record.get("data") or {}
    details = []
    if subject == "task" and data.get("attempt", 1) > 1:
        details.append(f"attempt {data['attempt']}")
    details += _of_control(record["type"], data)
    if "phase" in data:
        details.append(str(data["phase"]))
    if "reason" in data:
        details.append(skip_told(data["reason"]) if record["type"] == "task.skipped" else str(data["reason"]))
    if "by" in data and record["type"] != "run.created":
        by = data["by"]
        details.append(f"by {by if isinstance(by, str) else name_of(by)}")
    if "error" in data:
        details.append(failure_told(data["error"]))
    name = record.get("path") or "run"
    suffix = f" ({'; '.join(details)})" if details else ""
    return f"{clock_time(record['at'])} {name} {what.replace('_', ' ')}{suffix}"


def _of_control(kind: str, data: dict[str, Any]) -> list[str]:
    """What a record says about a control task, or about a signal."""
    match kind:
        case "task.waiting":
            until = data.get("until")
            return [f"for {data['for']}"] + ([] if until is None else [f"until {moment_of(until)}"])
        case "task.entered":
            block = [] if data.get("block") in (None, "tasks") else [str(data["block"])]
            kept = [f"{counted(data['adopted'], 'iteration')} taken over"] if "adopted" in data else []
            items = [counted(data["items"], "item")] if "items" in data else []
            return [*block, *items, *kept, *_said(data, "why")]
        case "task.decided":
            by_default = ["its time was over"] if data.get("timed_out") else []
            return ["approved" if data["approved"] else "rejected", *by_default]
        case "task.child_started" | "task.cancelling":
            return [f"run {run_id}" for run_id in _said(data, "run_id")]
        case "run.signalled" | "run.signal_dropped":
            return _said(data, "name")
        case _:
            return []


def _said(data: dict[str, Any], name: str) -> list[str]:
    return [str(data[name])] if name in data else []


def _follow_live(connection: Connection, run_id: str) -> dict[str, Any]:
    from rich.live import Live

    news: queue.SimpleQueue[Event | CommandError] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection.url, run_id, news), daemon=True).start()
    large = False
    with Live(refresh_per_second=8, transient=False) as live:
        while True:
            run: dict[str, Any] = connection.get(f"/runs/{run_id}")
            tasks = task_runs(connection, run_id, loops_closed=large)
            large = large or bool(left_out(tasks))
            live.update(Picture(run, tasks))
            if run["status"] in FINISHED:
                return run
            _next(news)
            time.sleep(PICTURE_SECONDS)
            while not news.empty():
                _next(news)


def _listen(url: str, run_id: str, news: "queue.SimpleQueue[Event | CommandError]") -> None:
    """Hand on each event. The picture is drawn by another thread, so that many events make one picture."""
    try:
        with Connection(url) as connection:
            for event in events_of(connection, f"/runs/{run_id}/events"):
                news.put(event)
    except CommandError as error:
        news.put(error)


def _next(news: "queue.SimpleQueue[Event | CommandError]") -> None:
    event = news.get()
    if isinstance(event, CommandError):
        raise event

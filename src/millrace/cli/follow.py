"""Following a run: a live picture on a terminal, plain lines in a pipe. Both read the run's records as they come."""

from typing import Any

import typer

from millrace.cli.connection import Connection
from millrace.cli.output import MARKS, clock_time, duration, on_terminal

FINISHED = frozenset({"completed", "failed", "cancelled"})
WAIT_SECONDS = 20


def follow(connection: Connection, run_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Show the run until it has finished; answers the finished run. `quiet` shows nothing."""
    if on_terminal() and not quiet:
        return _follow_live(connection, run_id)
    after = 0
    while True:
        after = _print_records(connection, run_id, after, quiet=quiet)
        run: dict[str, Any] = connection.get(f"/runs/{run_id}")
        if run["status"] in FINISHED:
            _print_records(connection, run_id, after, quiet=quiet)
            return run


def _print_records(connection: Connection, run_id: str, after: int, *, quiet: bool) -> int:
    """Print all that is new, waiting for it a while; answers the last record's number."""
    while True:
        page = connection.get(f"/runs/{run_id}/events", after=after, wait_seconds=WAIT_SECONDS, limit=1000)
        for record in page["items"]:
            after = record["seq"]
            if not quiet:
                typer.echo(record_line(record))
        if page["next_cursor"] is None:
            return after


def record_line(record: dict[str, Any]) -> str:
    subject, _, what = record["type"].partition(".")
    data = record.get("data") or {}
    details = []
    if subject == "task" and data.get("attempt", 1) > 1:
        details.append(f"attempt {data['attempt']}")
    if "reason" in data:
        details.append(str(data["reason"]))
    if "error" in data:
        details.append(f"{data['error']['kind']}: {data['error']['message']}")
    name = record.get("path") or "run"
    suffix = f" ({'; '.join(details)})" if details else ""
    return f"{clock_time(record['at'])} {name} {what.replace('_', ' ')}{suffix}"


def _follow_live(connection: Connection, run_id: str) -> dict[str, Any]:
    from rich.live import Live

    after = 0
    with Live(refresh_per_second=8, transient=False) as live:
        while True:
            run: dict[str, Any] = connection.get(f"/runs/{run_id}")
            live.update(_picture(run, list(connection.pages(f"/runs/{run_id}/tasks"))))
            if run["status"] in FINISHED:
                return run
            page = connection.get(f"/runs/{run_id}/events", after=after, wait_seconds=2)
            after = max([after, *(record["seq"] for record in page["items"])])


def _picture(run: dict[str, Any], tasks: list[dict[str, Any]]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from millrace.cli.output import COLOURS

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "task", "status", "attempt", "took"):
        table.add_column(heading, style=None)
    for task in tasks:
        colour = COLOURS.get(task["status"], "default")
        table.add_row(
            Text(MARKS.get(task["status"], " "), style=colour),
            Text(task["path"]),
            Text(task["status"], style=colour),
            Text(str(task["attempt"]) if task["attempt"] else ""),
            Text(duration(task.get("started_at"), task.get("finished_at"))),
        )
    title = f"{run['workflow']['name']}  {run['id']}  {run['status']}"
    return Group(Text(title, style="bold"), table)

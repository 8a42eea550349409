"""The live picture of a run: never higher than the terminal, which could not draw it over again otherwise.

What is under way or failed comes first when there is no room for all. It is drawn anew by itself several times a
second, so that the time that something takes is seen to pass.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millrace.cli.loops import how_far, with_key
from millrace.cli.output import COLOURS, MARKS, cleaned, counted, duration, length

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

FRAME = 3
"""Lines that the picture has besides those of tasks: the run, the headings, and what is left out."""
LAST = ("completed", "skipped", "cancelled", "pending")
"""Statuses of tasks that are left out before all others, these in this order."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A run and its tasks as they are; drawn for whatever height the terminal has by then."""

    run: dict[str, Any]
    tasks: Sequence[dict[str, Any]]

    def __rich_console__(self, console: "Console", _: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        title = f"{self.run['workflow']['name']}  {self.run['id']}  {self.run['status']}"
        yield Text(cleaned(title), style="bold", no_wrap=True, overflow="ellipsis")
        # One line less than there are: below the picture stands the cursor.
        shown = _fitting(self.tasks, max(1, console.size.height - FRAME - 1))
        yield _table(shown, {waiting.get("task"): waiting["message"] for waiting in self.run["waiting_for"]})
        if len(shown) < len(self.tasks):
            yield Text(_left_out(self.tasks, shown), style="bright_black", no_wrap=True, overflow="ellipsis")


def _fitting(tasks: Sequence[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """As many tasks as there is room for, in their order."""
    if len(tasks) <= room:
        return list(tasks)
    first = sorted(range(len(tasks)), key=lambda number: _rank(tasks[number]["status"], number))
    return [tasks[number] for number in sorted(first[:room])]


def _rank(status: str, number: int) -> tuple[int, int]:
    """What has ended last is news, and of what is yet to come that which comes first."""
    weight = len(LAST) - LAST.index(status) if status in LAST else 0
    return weight, number if status == "pending" else -number


def _left_out(tasks: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]]) -> str:
    missing = Counter(task["status"] for task in tasks)
    missing.subtract(task["status"] for task in shown)
    each = ", ".join(f"{number} {status}" for status, number in missing.items() if number)
    return f"and {counted(len(tasks) - len(shown), 'task')} more: {each}; millrace show has all"


def _table(tasks: Sequence[dict[str, Any]], waits: dict[str | None, str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "task", "status", "attempt", "took", ""):
        # What gives way on a narrow terminal are the columns that might be wrapped, though a line never is.
        table.add_column(heading, style=None, no_wrap=heading not in ("task", ""))
    for task in tasks:
        colour = COLOURS.get(task["status"], "default")
        note = how_far(task) or waits.get(task["path"], "")
        table.add_row(
            Text(MARKS.get(task["status"], " "), style=colour),
            Text(cleaned(with_key(task)), no_wrap=True, overflow="ellipsis"),
            Text(task["status"], style=colour),
            Text(str(task["attempt"]) if task["attempt"] else ""),
            Text(_took(task)),
            Text(cleaned(" ".join(note.split())), no_wrap=True, overflow="ellipsis"),
        )
    return table


def _took(task: dict[str, Any]) -> str:
    """How long a task took; of one that is under way how long so far, by the clock of this machine."""
    began = task.get("started_at")
    if not began or task.get("finished_at"):
        return duration(began, task.get("finished_at"))
    so_far = datetime.now(UTC) - datetime.fromisoformat(began)
    return length(max(0.0, so_far.total_seconds()))

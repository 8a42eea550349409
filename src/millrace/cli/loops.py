"""The tasks of a run as a person reads them: in a large run a loop stands for what is in it, and says how far it is."""

from typing import Any

from millrace.cli.connection import Connection
from millrace.cli.output import counted

MOST_ROWS = 200
"""Up to so many task runs all are shown; it is what one page of the API holds."""
LONGEST_KEY = 40
"""Characters of what an item is called; it may be any text."""


def task_runs(connection: Connection, run_id: str, *, loops_closed: bool = False) -> list[dict[str, Any]]:
    """Every task run, or, where they are too many to be read, those that stand in no loop."""
    path = f"/runs/{run_id}/tasks"
    if not loops_closed:
        page = connection.get(path, limit=MOST_ROWS)
        if page["next_cursor"] is None:
            items: list[dict[str, Any]] = page["items"]
            return items
    return list(connection.pages(path, loops="closed"))


def left_out(tasks: list[dict[str, Any]]) -> list[str]:
    """The loops whose iterations are not among the tasks."""
    return [task["path"] for task in tasks if task["begun"] is not None]


def how_far(task: dict[str, Any]) -> str | None:
    """How many iterations of a loop have begun; `None` for what is no such loop."""
    if task["begun"] is None:
        return None
    of_all = "" if task["items"] is None else f" of {task['items']:,}"
    return f"{task['begun']:,}{of_all} iterations begun" if of_all else f"{counted(task['begun'], 'iteration')} begun"


def with_key(task: dict[str, Any]) -> str:
    """The path of a task run as it is copied, and behind it what the item of its iteration is called."""
    key = task["item_key"]
    if key is None:
        return str(task["path"])
    return f"{task['path']} ({key if len(key) <= LONGEST_KEY else key[: LONGEST_KEY - 1] + '…'})"

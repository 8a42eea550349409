"""Which part of a run a task belongs to, and where the output of a task that was not done again comes from.

The definition says the first, for each version of a workflow; who may not read workflows is told of no parts.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.cli.connection import Connection, ProblemError
from millrace.core.values import JsonValue

WHEN = {"on_failure": "runs if the run fails", "finally": "runs at the end, in any case"}
"""What brings about a part that has not begun."""


def parts_of(connection: Connection, run: Mapping[str, Any]) -> dict[str, str]:
    """Of each task that is not of the main part: `on_failure`, `finally`, or `undoes TASK`."""
    workflow = run["workflow"]
    try:
        version = connection.get(f"/workflows/{workflow['id']}/versions/{workflow['version']}")
    except ProblemError:
        return {}
    definition = version["definition"]
    found = _undoing(definition.get("tasks"), None)
    for part in WHEN:
        found |= _undoing(definition.get(part), part)
    return found


def place(part: str | None) -> int:
    """Where a part comes among those of a run; `None` is the main one."""
    return 0 if part is None else {"on_failure": 1, "finally": 3}.get(part, 2)


def when(part: str) -> str:
    """What a task of the part waits for before the part has begun."""
    return WHEN.get(part, f"{part} if the run fails or is cancelled")


def _undoing(tasks: JsonValue, part: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for task in _tasks(tasks):
        name = str(task["id"])
        if part is not None:
            found[name] = part
        for key, value in task.items():
            if key == "on_rollback":
                found |= _undoing(value, f"undoes {name}")
            elif key != "config":
                found |= _undoing(value, part)
    return found


def _tasks(value: JsonValue) -> Iterator[Mapping[str, JsonValue]]:
    """The tasks of a list of them, or of the lists in a mapping, such as the cases of a switch."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _tasks(inner)
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict) and {"id", "type"} <= item.keys())

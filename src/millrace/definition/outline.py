"""Where the tasks of a canonical definition stand, those within tasks included. It finds; it judges nothing.

A list of tasks is named as it is reached: `tasks`, `finally`, `load.tasks` (the tasks within the task `load`),
`large.then`, `route.cases.eu`. Such a name stays the same while tasks are added and moved; a path does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import at
from millrace.definition.model import NESTED, ON_ROLLBACK, TASK_LISTS

_HOLD_TASKS = (*NESTED, ON_ROLLBACK)


@dataclass(frozen=True, slots=True)
class TaskList:
    """`tasks` is the list of the definition itself, not a copy; `path` is where it is: `tasks[1].then`."""

    name: str
    path: str
    tasks: list[JsonValue]


@dataclass(frozen=True, slots=True)
class PlacedTask:
    task: JsonObject
    within: TaskList
    index: int

    @property
    def id(self) -> str:
        return str(self.task["id"])

    @property
    def path(self) -> str:
        return at(self.within.path, self.index)


def task_lists(definition: JsonObject) -> Iterator[TaskList]:
    """Every list of tasks, each before those within it."""
    for name in TASK_LISTS:
        yield from _lists(definition.get(name), name, name)


def placed_tasks(definition: JsonObject) -> Iterator[PlacedTask]:
    """Every task, each before those within it."""
    for found in task_lists(definition):
        for index, task in enumerate(found.tasks):
            if isinstance(task, dict):
                yield PlacedTask(task, found, index)


def task_ids(definition: JsonObject) -> list[str]:
    return [placed.id for placed in placed_tasks(definition)]


def nested_keys(task: JsonObject) -> frozenset[str]:
    """The fields of a task that hold tasks."""
    return frozenset(key for key in _HOLD_TASKS if key in task)


def _lists(value: JsonValue, name: str, path: str) -> Iterator[TaskList]:
    """The lists in a field that holds tasks: it is a list of them, or its parts are or have such lists."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _lists(part, f"{name}.{key}", at(path, key))
    elif isinstance(value, list) and all(isinstance(part, dict) and "type" in part for part in value):
        yield TaskList(name, path, value)
        for index, task in enumerate(value):
            yield from _nested(task, str(task["id"]) if isinstance(task, dict) else name, at(path, index))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _nested(part, f"{name}[{index}]", at(path, index))


def _nested(part: JsonValue, name: str, path: str) -> Iterator[TaskList]:
    if isinstance(part, dict):
        for key in filter(part.__contains__, _HOLD_TASKS):
            yield from _lists(part[key], f"{name}.{key}", at(path, key))

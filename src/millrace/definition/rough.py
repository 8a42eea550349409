"""Reading a definition that may be malformed: as much of it as can be used to find further faults.

Nothing here tells a fault. It protects the rule that a fault is told once: what a part leaves open because it is
malformed is answered by `None` or "unsure", and is not judged again by those who ask.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import at
from millrace.definition.model import CASES, NESTED, ON_ROLLBACK, TASK_LISTS, Canonical, Task

_BLANK = Task.model_construct(type="")
"""Copied for each task: making one anew costs ten times as much, and there may be 10,000."""


def items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def mappings(value: JsonValue) -> list[JsonObject]:
    return [item for item in items(value) if isinstance(item, dict)]


def mapping(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True, eq=False)
class WrittenList:
    """A list of tasks as it is written. Two are the same if they are one."""

    path: str
    part: str
    """The part of the run that it belongs to: `tasks`, `on_failure`, `on_rollback` or `finally`."""
    tasks: list[JsonValue]
    field: str
    around: "WrittenList | None" = None
    """The list of the task that it stands in; `None` for the lists of a definition, and those that undo tasks."""
    position: int = 0
    """That of the task that it is a field of."""
    case: str | None = None
    """The name of the case, for one of several lists of a field."""


def lists_of(raw: JsonObject) -> Iterator[WrittenList]:
    """Every list of tasks, each before those within it; what undoes tasks comes last."""
    for name in TASK_LISTS:
        yield from _with_nested(WrittenList(name, name, items(raw.get(name)), name))
    for number, task in enumerate(items(raw.get("tasks"))):
        if isinstance(task, dict) and task.get(ON_ROLLBACK):
            path = at(at("tasks", number), ON_ROLLBACK)
            undoing = items(task[ON_ROLLBACK])
            yield from _with_nested(WrittenList(path, ON_ROLLBACK, undoing, ON_ROLLBACK, position=number))


def _with_nested(one: WrittenList) -> Iterator[WrittenList]:
    yield one
    for number, task in enumerate(one.tasks):
        if isinstance(task, dict) and not NESTED.keys().isdisjoint(task):
            for path, field, case, tasks in nested_in(task, at(one.path, number)):
                yield from _with_nested(WrittenList(path, one.part, tasks, field, one, number, case))


def nested_in(task: JsonObject, path: str) -> Iterator[tuple[str, str, str | None, list[JsonValue]]]:
    """The lists of tasks in a task: path, field, the name of the case if there are several, and the tasks."""
    for field in NESTED:
        value = task.get(field)
        if isinstance(value, list):
            yield at(path, field), field, None, value
        elif field == CASES and isinstance(value, dict):
            for name, tasks in value.items():
                yield at(at(path, field), name), field, name, items(tasks)


def tasks_in(lists: Iterable[WrittenList], model: Canonical | None) -> dict[WrittenList, Sequence[Task]]:
    """The tasks of every list: checked ones, or as much of each as can be used."""
    found: dict[WrittenList, Sequence[Task]] = {}
    for one in lists:
        if model is None:
            found[one] = [_task(task, at(one.path, number)) for number, task in enumerate(one.tasks)]
        elif one.field == ON_ROLLBACK:
            found[one] = model.tasks[one.position].on_rollback
        elif one.around is None:
            found[one] = getattr(model, TASK_LISTS[one.field])
        else:
            nested = getattr(found[one.around][one.position], NESTED[one.field])
            found[one] = nested if one.case is None else nested[one.case]
    return found


def _task(task: JsonValue, place: str) -> Task:
    """The id stays as written, also when it is no good, so that what refers to it is understood; so does `config`."""
    fields: dict[str, Any] = mapping(task)
    task_id, depends_on, condition = fields.get("id"), fields.get("depends_on"), fields.get("if")
    usable_part = {
        "id": task_id if isinstance(task_id, str) else place,
        "type": fields["type"] if isinstance(fields.get("type"), str) else "",
        "config": fields.get("config", {}),
        "depends_on": [need for need in depends_on if isinstance(need, str)] if isinstance(depends_on, list) else None,
        "if_": condition if isinstance(condition, str) else None,
    }
    return _BLANK.model_copy(update=usable_part)


def unsure(task: JsonValue, known: Set[str]) -> bool:
    """Whether it cannot be told what goes before a task, because its `depends_on` is faulty."""
    if not isinstance(task, dict):
        return True
    depends_on = task.get("depends_on")
    if depends_on is None:
        return False
    return not isinstance(depends_on, list) or not all(isinstance(need, str) and need in known for need in depends_on)


def usable(task: Task, written: JsonValue, known: Set[str]) -> list[str] | None:
    """The dependencies that could be met; `None` if the task, as it is written, leaves them to the order of the list.

    A single one that is written as text is meant, though it has to be a list.
    """
    depends_on: JsonValue = mapping(written).get("depends_on")
    if depends_on is None:
        return None
    meant = [depends_on] if isinstance(depends_on, str) else task.depends_on or ()
    return [need for need in dict.fromkeys(meant) if need in known and need != task.id]


def twice(ids: Iterable[str | None]) -> frozenset[str]:
    """Ids that several tasks have."""
    return frozenset(task_id for task_id, count in Counter(ids).items() if task_id is not None and count > 1)


def declared(value: JsonValue) -> frozenset[str] | None:
    """The keys of a mapping; `None` if it is none."""
    return frozenset(value or {}) if value is None or isinstance(value, dict) else None


def closed_inputs(schema: JsonValue) -> frozenset[str] | None:
    """The names of a schema that allows no others."""
    if not isinstance(schema, dict) or schema.get("additionalProperties") is not False:
        return None
    return None if "patternProperties" in schema else declared(schema.get("properties"))

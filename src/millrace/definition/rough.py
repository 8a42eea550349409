"""Reading a definition that may be malformed: as much of it as can be used to find further faults.

Nothing here tells a fault. It protects the rule that a fault is told once: what a part leaves open because it is
malformed is answered by `None` or "unsure", and is not judged again by those who ask.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import at
from millrace.definition.model import MOST_TASKS, NESTED, ON_ROLLBACK, TASK_LISTS, TYPES_NOT_YET, Canonical, Task

_BLANK = Task.model_construct(type="")
"""Copied for each task: making one anew costs ten times as much, and there may be 10,000."""


def items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def mappings(value: JsonValue) -> list[JsonObject]:
    return [item for item in items(value) if isinstance(item, dict)]


def mapping(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def lists_of(raw: JsonObject) -> dict[str, list[JsonValue]]:
    """Every list of tasks as it is written, by its path: the three of a definition, and what undoes each task."""
    lists = {name: items(raw.get(name)) for name in TASK_LISTS}
    undoing = {
        at(at("tasks", number), ON_ROLLBACK): items(task.get(ON_ROLLBACK))
        for number, task in enumerate(lists["tasks"])
        if isinstance(task, dict) and task.get(ON_ROLLBACK)
    }
    return {**lists, **undoing}


def tasks_in(raw: JsonObject, model: Canonical | None) -> dict[str, Sequence[Task]]:
    """The tasks of every list, by its path: checked ones, or as much of each as can be used."""
    if model is None:
        return {
            path: [_task(task, at(path, number)) for number, task in enumerate(written[:MOST_TASKS])]
            for path, written in lists_of(raw).items()
        }
    lists: dict[str, Sequence[Task]] = {name: getattr(model, field) for name, field in TASK_LISTS.items()}
    undoing = {
        at(at("tasks", number), ON_ROLLBACK): task.on_rollback
        for number, task in enumerate(model.tasks)
        if task.on_rollback
    }
    return {**lists, **undoing}


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


def usable(task: Task, known: Set[str]) -> list[str] | None:
    """The dependencies that could be met."""
    if task.depends_on is None:
        return None
    return [need for need in dict.fromkeys(task.depends_on) if need in known and need != task.id]


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


def without_nested(task: JsonValue) -> JsonValue:
    """A task of a type that is not there yet, without the tasks in it: of these there is nothing to tell."""
    if not isinstance(task, dict) or not _is_not_yet(task):
        return task
    return {key: value for key, value in task.items() if key not in NESTED}


def nested_ids(raw: JsonObject) -> frozenset[str]:
    """Ids in such tasks."""
    tasks = (task for name in TASK_LISTS for task in mappings(raw.get(name)) if _is_not_yet(task))
    return frozenset(found for task in tasks for key in NESTED for found in _ids(task.get(key)))


def _is_not_yet(task: JsonObject) -> bool:
    kind = task.get("type")
    return isinstance(kind, str) and kind in TYPES_NOT_YET


def _ids(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            yield str(value["id"])
        for part in value.values():
            yield from _ids(part)
    for part in items(value):
        yield from _ids(part)

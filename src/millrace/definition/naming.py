"""An id for every task and trigger: made from its name where none is given, and that of no other."""

from collections.abc import Iterable, Mapping, Sequence

from millrace.core.values import JsonObject, JsonValue
from millrace.definition import rough
from millrace.definition.faults import FaultList, at
from millrace.definition.model import CASES, NESTED, ON_ROLLBACK, TASK_LISTS, Task
from millrace.definition.names import numbered, task_id_from
from millrace.definition.rough import WrittenList

_HOLD_TASKS = frozenset({*NESTED, ON_ROLLBACK})


def with_ids(raw: JsonObject) -> JsonObject:
    """`raw` with an id for every task and trigger that has none; what is malformed is left as it is.

    The tasks of a list get theirs before those within them: what is put into a task does not rename those beside it.
    """
    named = dict(raw)
    tasks = _IdMaker(part for one in rough.lists_of(raw) for part in rough.mappings(one.tasks))
    triggers = _IdMaker(rough.mappings(raw.get("triggers")))
    for name, maker, source in (*((name, tasks, "name") for name in TASK_LISTS), ("triggers", triggers, "type")):
        if isinstance(raw.get(name), list):
            named[name] = [maker.with_id(part, source) for part in rough.items(raw[name])]
    for name in TASK_LISTS:
        if isinstance(raw.get(name), list):
            fields = _HOLD_TASKS if name == "tasks" else NESTED.keys()
            named[name] = [_with_inner_ids(task, tasks, fields) for task in rough.items(named[name])]
    return named


def _with_inner_ids(task: JsonValue, maker: "_IdMaker", fields: Iterable[str] = NESTED.keys()) -> JsonValue:
    if not isinstance(task, dict) or _HOLD_TASKS.isdisjoint(task):
        return task
    inner: JsonObject = {}
    for field in fields:
        value = task.get(field)
        if isinstance(value, list):
            inner[field] = _named(value, maker)
        elif field == CASES and isinstance(value, dict):
            inner[field] = {
                name: _named(tasks, maker) if isinstance(tasks, list) else tasks for name, tasks in value.items()
            }
    return {key: inner.get(key, value) for key, value in task.items()}


def _named(tasks: list[JsonValue], maker: "_IdMaker") -> list[JsonValue]:
    named = [maker.with_id(task, "name") for task in tasks]
    return [_with_inner_ids(task, maker) for task in named]


class _IdMaker:
    """Makes ids that no other of the same kind has."""

    def __init__(self, parts: Iterable[JsonObject]) -> None:
        self._taken = {str(part["id"]) for part in parts if part.get("id") is not None}
        self._counts: dict[str, int] = {}

    def with_id(self, part: JsonValue, source: str) -> JsonValue:
        """`part`, with an id made from its field `source` if it has none."""
        if not isinstance(part, dict) or part.get("id") is not None or not {"name", "type"} & part.keys():
            return part
        made = numbered(task_id_from(_text(part, source)), self._taken, self._counts)
        return {"id": made, **{key: value for key, value in part.items() if key != "id"}}


def check_ids(lists: Mapping[WrittenList, Sequence[Task]], faults: FaultList) -> dict[str, str]:
    """All ids and the list each stands in; an id that is used twice is a fault."""
    seen: dict[str, tuple[str, int]] = {}
    for one, tasks in lists.items():
        for position, task in enumerate(tasks):
            if faults.full:
                return {}
            if task.id in seen:
                other, number = seen[task.id]
                message = f"the id {task.id} is also that of {faults.place(at(other, number))}"
                remedy = "give one of them another id: ids are unique in the whole definition"
                faults.add(at(at(one.path, position), "id"), "duplicate", message, remedy)
            elif task.id is not None:
                seen[task.id] = (one.path, position)
    return {task_id: path for task_id, (path, _) in seen.items()}


def _text(part: JsonObject, key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) and value.strip() else "task"

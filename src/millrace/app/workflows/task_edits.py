"""Adding, changing and removing one task of a definition. Pure; the definition that is given is changed in place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from millrace.app.workflows.requests import Position
from millrace.core.errors import Fault, InvalidRequest, NotFound
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.controls.kinds import KINDS
from millrace.definition.faults import FaultList, at
from millrace.definition.model import CASES, TASK_LISTS
from millrace.definition.outline import PlacedTask, TaskList, placed_tasks, task_lists
from millrace.definition.shapes.accepted import to_canonical
from millrace.definition.shapes.rewritten import Rewritten

ALONE = "tasks[0]"
"""Where a task stands in a definition that holds nothing else."""


@dataclass(frozen=True, slots=True)
class GivenTask:
    """A task as a request gives it, in the canonical shape; `rewritten` knows where its parts were in the request."""

    fields: JsonObject
    position: Position
    rewritten: Rewritten | None = None

    def place(self, path: str) -> str:
        """Where a part of the task, given by its path in the task, is in the user's own text."""
        if self.rewritten is None:
            return path
        return self.rewritten.place(f"{ALONE}.{path}").removeprefix(ALONE).removeprefix(".")


def read_task(task: JsonObject, position: Position) -> GivenTask:
    """The task of a request, of any accepted shape. Raises `InvalidRequest`."""
    if "task_type" not in task:
        return GivenTask(task, position)
    faults = FaultList()
    order = task.get("order_index")
    rewritten = to_canonical({"name": "task", "tasks": [task]}, faults)
    made = rewritten.raw["tasks"] if rewritten is not None else None
    if faults or rewritten is None or not isinstance(made, list) or not isinstance(made[0], dict):
        found = [replace(fault, path=fault.path.removeprefix(f"{ALONE}.")) for fault in faults.found]
        raise InvalidRequest("invalid_definition", "the task is not valid", faults=found)
    if not position and isinstance(order, int) and order >= 0:
        position = Position(index=order)
    fields: JsonObject = dict(made[0])
    if "id" in task:
        fields["id"] = task["id"]
    return GivenTask(fields, position, rewritten)


def find(definition: JsonObject, uids: Mapping[str, str], reference: str) -> PlacedTask:
    """The task with this uid, else with this id. Raises `NotFound`."""
    by_id = {placed.id: placed for placed in placed_tasks(definition)}
    for task_id, placed in by_id.items():
        if uids.get(task_id) == reference:
            return placed
    if reference in by_id:
        return by_id[reference]
    raise NotFound("task_not_found", f"the workflow has no task with the uid or id {reference[:80]!r}")


def insert(definition: JsonObject, uids: Mapping[str, str], task: JsonObject, position: Position) -> PlacedTask:
    """Put a task, which may be malformed, where it is to stand. Raises `InvalidRequest`."""
    if position.after is not None:
        before = _of_request(definition, uids, position.after)
        within, index = before.within, before.index + 1
    else:
        within = _list_called(definition, position.list or "tasks")
        index = len(within.tasks) if position.index is None else min(position.index, len(within.tasks))
    within.tasks.insert(index, task)
    return PlacedTask(task, within, index)


def put(
    definition: JsonObject, uids: Mapping[str, str], placed: PlacedTask, task: JsonObject, position: Position
) -> PlacedTask:
    """Put a changed task in the place of the old one, or where it is to stand from now on."""
    if not position:
        placed.within.tasks[placed.index] = task
        return PlacedTask(task, placed.within, placed.index)
    if position.after is None and position.list is None:
        position = replace(position, list=placed.within.name)
    remove(placed)
    return insert(definition, uids, task, position)


def same_place(definition: JsonObject, placed: PlacedTask) -> PlacedTask:
    """The task of another definition that stands where `placed` does."""
    return next(
        found
        for found in placed_tasks(definition)
        if (found.within.name, found.index) == (placed.within.name, placed.index)
    )


def remove(placed: PlacedTask) -> None:
    del placed.within.tasks[placed.index]


def merged(task: JsonObject, given: JsonObject) -> JsonObject:
    """`task` with the fields of `given` in place of its own; null takes a field out."""
    return {key: value for key, value in {**task, **given}.items() if value is not None}


def detach(definition: JsonObject, placed: PlacedTask) -> list[Fault]:
    """Take a task out of every `depends_on`; answers a fault for each that it was in."""
    faults: list[Fault] = []
    for other in placed_tasks(definition):
        needs = other.task.get("depends_on")
        if isinstance(needs, list) and placed.id in needs:
            faults += [
                Fault(
                    f"{other.path}.depends_on[{index}]",
                    "in_use",
                    f"{other.id} depends on {placed.id}",
                    f"take {placed.id} out of it first, or remove {other.id}",
                )
                for index, need in enumerate(needs)
                if need == placed.id
            ]
            other.task["depends_on"] = [need for need in needs if need != placed.id]
    return faults


def within_task(faults: Sequence[Fault], path: str, given: GivenTask) -> list[Fault]:
    """The faults of a definition, those in the task at `path` with the places of the request that gave it."""
    return [
        replace(fault, path=given.place(fault.path.removeprefix(path).removeprefix(".")))
        if fault.path == path or fault.path.startswith((f"{path}.", f"{path}["))
        else fault
        for fault in faults
    ]


def before_removal(faults: Sequence[Fault], removed: PlacedTask) -> list[Fault]:
    """The faults of a definition that has lost a task, with the places that the others had before."""
    pattern = re.compile(re.escape(removed.within.path) + r"\[(\d+)\]")
    found = []
    for fault in faults:
        match = pattern.match(fault.path)
        if match is not None and int(match[1]) >= removed.index:
            path = f"{removed.within.path}[{int(match[1]) + 1}]{fault.path[match.end() :]}"
            fault = replace(fault, path=path)
        found.append(fault)
    return found


def _of_request(definition: JsonObject, uids: Mapping[str, str], reference: str) -> PlacedTask:
    try:
        return find(definition, uids, reference)
    except NotFound as error:
        fault = Fault("after", "unknown_task", error.message, "write the id or uid of a task of this workflow")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault]) from None


def _list_called(definition: JsonObject, name: str) -> TaskList:
    for found in task_lists(definition):
        if found.name == name:
            return found
    made = _made_list(definition, name)
    if made is not None:
        return made
    known = ", ".join(dict.fromkeys([*TASK_LISTS, *(found.name for found in task_lists(definition))]))
    fault = Fault("list", "unknown_list", f"the workflow has no list of tasks named {name[:80]!r}", f"one of {known}")
    raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


def _made_list(definition: JsonObject, name: str) -> TaskList | None:
    """A list that is not there and may be: of the definition itself, or of a task whose type takes such a list."""
    tasks: list[JsonValue] = []
    if name in TASK_LISTS:
        definition[name] = tasks
        return TaskList(name, name, tasks)
    task_id, _, field = name.partition(".")
    for placed in placed_tasks(definition):
        kind = KINDS.get(str(placed.task["type"]))
        if placed.id != task_id or kind is None:
            continue
        if field in kind.blocks and field != CASES:
            placed.task[field] = tasks
            return TaskList(name, at(placed.path, field), tasks)
        case = field.removeprefix(f"{CASES}.")
        cases = placed.task.get(CASES)
        if CASES in kind.blocks and case != field and isinstance(cases, dict):
            cases[case] = tasks
            return TaskList(name, at(at(placed.path, CASES), case), tasks)
    return None

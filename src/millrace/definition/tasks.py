"""What is wrong with the tasks of a definition: their order, where they stand, their types and configs, what they read.

Later steps run on whatever the earlier ones could make sense of, so that one mistake does not hide the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from millrace.core.values import JsonObject
from millrace.definition import configs, graph, references, rough
from millrace.definition.controls.checking import check_blocks, check_control
from millrace.definition.controls.kinds import KINDS, PARALLEL
from millrace.definition.faults import FaultList, at
from millrace.definition.model import Canonical, Task
from millrace.definition.naming import check_ids
from millrace.definition.places import ListPlace, TaskPlace
from millrace.definition.readers import Reader
from millrace.definition.rough import WrittenList
from millrace.definition.words import hint
from millrace.ports.runner import AnyRunner

DEEPEST = 20
"""Tasks that may be around a task."""

MOST_LOOPS = 5
"""Loops that may stand in one another."""

LONGEST_PATH = 512
"""Characters of the path of a task run."""


@dataclass(frozen=True, slots=True)
class _Ids:
    lists: Mapping[str, str]
    """The list in which each stands."""
    twice: frozenset[str]
    """Those that several tasks have, so that it is not known which of them is meant."""


def check_tasks(
    raw: JsonObject, model: Canonical | None, task_types: Mapping[str, AnyRunner], faults: FaultList
) -> references.Names:
    """Add everything that is wrong with the tasks; answers what else in the definition may name."""
    lists = rough.tasks_in(rough.lists_of(raw), model)
    twice = rough.twice(task.id for tasks in lists.values() for task in tasks)
    ids = _Ids(check_ids(lists, faults), twice)
    places = _placed(lists, ids, faults)
    names = references.Names(
        variables=rough.declared(raw.get("variables")),
        inputs=rough.closed_inputs(raw.get("input")),
        tasks={
            str(task.id): place
            for one, tasks in lists.items()
            for task, place in zip(tasks, places.get(one, ()), strict=False)
        },
        twice=twice,
    )
    for one, tasks in lists.items():
        for position, task in enumerate(tasks):
            if faults.full:
                return names
            part = rough.mapping(one.tasks[position])
            _check_task(task, part, at(one.path, position), places[one][position], names, task_types, faults)
    return names


def _placed(
    lists: Mapping[WrittenList, Sequence[Task]], ids: _Ids, faults: FaultList
) -> dict[WrittenList, list[TaskPlace]]:
    """Where every task stands; what waits for itself, or stands too deep, is a fault."""
    places: dict[WrittenList, list[TaskPlace]] = {}
    for one, tasks in lists.items():
        around = None if one.around is None else places[one.around][one.position]
        keys, ancestors = _check_order(one, tasks, around, ids, faults)
        within = ListPlace(one.path, one.part, ancestors, around)
        places[one] = [TaskPlace(key, task.type, within) for key, task in zip(keys, tasks, strict=True)]
        if within.depth:
            _check_depth(within, places[one], faults)
    return places


def _check_order(
    one: WrittenList, tasks: Sequence[Task], around: TaskPlace | None, ids: _Ids, faults: FaultList
) -> tuple[list[str], graph.Ancestors]:
    """Who goes before whom in a list. Where an id stands for two tasks, it is not known which one was meant."""
    graph.check_dependencies(one.path, tasks, ids.lists, ids.twice, faults)
    known = frozenset(str(task.id) for task in tasks) - ids.twice
    keys = [str(task.id) if task.id in known else at(one.path, number) for number, task in enumerate(tasks)]
    needs = graph.needs_of(
        [(key, rough.usable(task, part, known)) for key, task, part in zip(keys, tasks, one.tasks, strict=True)],
        at_once=around is not None and around.type == PARALLEL,
    )
    graph.check_cycles(graph.TaskList(one.path, keys, needs), faults)
    unsure = [key for key, part in zip(keys, one.tasks, strict=False) if rough.unsure(part, known)]
    return keys, graph.Ancestors(needs, unsure)


def _check_depth(within: ListPlace, tasks: Sequence[TaskPlace], faults: FaultList) -> None:
    """The limits on tasks within tasks. What stands too deep is told once, and not for all that stands in it."""
    if within.depth == DEEPEST + 1:
        message = f"tasks stand in at most {DEEPEST} others, and these stand in {within.depth}"
        faults.add(within.path, "value", message, "make a workflow of the inner ones, and start it as a sub_workflow")
    for number, task in enumerate(tasks):
        place = at(within.path, number)
        if task.is_loop and within.loops == MOST_LOOPS:
            message = f"loops stand in one another at most {MOST_LOOPS} deep, and this stands in {within.loops} others"
            remedy = "make a workflow of the inner ones, and start it as a sub_workflow"
            faults.add(at(place, "type"), "value", message, remedy)
        if within.loops and within.prefix + len(task.key) > LONGEST_PATH:
            message = (
                f"the paths of its task runs, such as `loop[99999].{task.key[:20]}…`, must have at most "
                f"{LONGEST_PATH} characters, not {within.prefix + len(task.key)}"
            )
            faults.add(at(place, "id"), "value", message, "give it, or the loops around it, shorter ids")


def _check_task(
    task: Task,
    part: JsonObject,
    path: str,
    place: TaskPlace,
    names: references.Names,
    task_types: Mapping[str, AnyRunner],
    faults: FaultList,
) -> None:
    reader = Reader(at(path, "config"), place)
    if task.type in KINDS:
        check_blocks(task.type, part, path, faults)
        check_control(task, part, replace(reader, by_engine=True), names, faults)
    else:
        _check_for_a_worker(task, part, path, replace(reader, secrets=True), names, task_types, faults)
    if isinstance(task.if_, str):
        condition = replace(reader, path=at(path, "if"))
        if references.is_one_expression(task.if_, condition.path, faults):
            references.check_value(task.if_, condition, names, faults)


def _check_for_a_worker(
    task: Task,
    part: JsonObject,
    path: str,
    reader: Reader,
    names: references.Names,
    task_types: Mapping[str, AnyRunner],
    faults: FaultList,
) -> None:
    runner = _runner_of(task, path, task_types, faults)
    if runner is not None:
        check_blocks(task.type, part, path, faults)
    literal = runner.literal_fields if runner is not None else frozenset()
    config = rough.mapping(task.config)
    literals = {name for name in literal if isinstance(config.get(name), str)}
    templates = {key: value for key, value in config.items() if key not in literals}
    references.check_value(templates, reader, names, faults)
    references.check_literals(config, literals, reader.path, faults)
    if runner is not None and isinstance(task.config, dict):
        configs.check_config(config, runner.config_model, reader.path, faults, owner=Task, part=part)


def _runner_of(task: Task, path: str, task_types: Mapping[str, AnyRunner], faults: FaultList) -> AnyRunner | None:
    runner = task_types.get(task.type)
    if runner is not None or not task.type:
        return runner
    place = at(path, "type")
    known = sorted({*task_types, *KINDS})
    remedy = f"the task types here are {', '.join(known)}"
    faults.add(place, "unknown_type", f"there is no task type {task.type!r}{hint(task.type, known)}", remedy)
    return None

"""The definition of a test in which one task runs alone: the task, and before it what it reads of others.

    [mocked, mocked, …]  →  the task                       one that stands in no loop, lifted out of all that is around
    [mocked, mocked, …]  →  its loop [ the task ]          one that does, with the one item that was given

`if`, `join` and `depends_on` are gone, for they are about others; so are the handlers of the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millrace.core.controls import ForEach, While
from millrace.core.plan import TaskPlan
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.compiling import compile_plan, reads_of
from millrace.definition.controls.kinds import KINDS, is_loop
from millrace.definition.expressions.paths import PathRead
from millrace.definition.faults import FaultList, at
from millrace.definition.mocking import LONGEST_ID, MOCKS, Asked, Derived, Stood, whole_mocks, without_mocked
from millrace.definition.mocks import HOLDERS, Terms
from millrace.definition.model import ON_ROLLBACK
from millrace.definition.stored import Definition
from millrace.definition.words import hint

ITEM: Final = "item"
KEPT: Final = (
    "name",
    "variables",
    "concurrency",
    "rate_limit",
    "timeout",
    "priority",
    "queue",
    "defaults",
    "retention",
)
"""Of the definition; the rest is about other tasks."""
OF_OTHERS: Final = frozenset({"depends_on", "join", "if", ON_ROLLBACK})


@dataclass(frozen=True, slots=True)
class _Alone:
    own: Stood
    loop: Stood | None
    """The innermost one that it stands in."""
    inside: frozenset[str]
    """The task and all that stands in it."""
    asked: Asked

    @property
    def names(self) -> JsonObject:
        """What the names of its loop stand for."""
        given = dict(self.asked.names or {})
        if self.loop is None:
            return {}
        usual: JsonObject = {"index": 0, "item": None, "previous": None}
        return {name: given.get(name, usual[name]) for name in KINDS[self.loop.type].names}


def alone(definition: Definition, asked: Asked, tasks: Mapping[str, Stood], faults: FaultList) -> Derived | None:
    """The test of the task `asked.only`; `None` with faults. The mocks were checked."""
    found = _find(asked, tasks, faults)
    if found is None:
        return None
    _check_names(found, faults)
    _check_mocks_around(found, faults)
    if faults:
        return None
    terms = _terms(found, tasks)
    canonical = _canonical(definition.canonical, found, terms, tasks)
    made = Derived(Definition(canonical), terms)
    plan = compile_plan(made.definition, terms)
    for task_id in sorted(found.inside & plan.tasks.keys()):
        _check_reads(plan.tasks[task_id], found, faults)
    return None if faults else made


def check_names_of_none(asked: Asked, faults: FaultList) -> None:
    """`item` and its like have a meaning for one task that runs alone."""
    for name in asked.names or ():
        faults.add(
            name,
            "contradiction",
            f"{name} is for a task that runs alone",
            f"name the task in `only`, or leave {name} out",
        )


def _find(asked: Asked, tasks: Mapping[str, Stood], faults: FaultList) -> _Alone | None:
    task_id = asked.only or ""
    own = tasks.get(task_id)
    if own is None:
        message = f"there is no task {task_id[:LONGEST_ID]!r}{hint(task_id, tasks)}"
        faults.add("only", "unknown_task", message, "name a task of this version of the workflow")
        return None
    loops = [outer for outer in own.around if is_loop(outer.type)]
    inside = {stood.id for stood in tasks.values() if stood is own or own in stood.around}
    return _Alone(own, loops[-1] if loops else None, frozenset(inside), asked)


def _check_names(found: _Alone, faults: FaultList) -> None:
    known = () if found.loop is None else KINDS[found.loop.type].names
    for name, value in (found.asked.names or {}).items():
        if name not in known:
            where = "it stands in no loop" if found.loop is None else f"{found.loop.id} is a {found.loop.type}"
            remedy = f"leave {name} out" + (f", and give {' and '.join(known)}" if known else "")
            faults.add(name, "contradiction", f"{found.own.id} reads no {name}: {where}", remedy)
        elif name == "index" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            faults.add(name, "type", "index is the number of an iteration, from 0", "write a number such as 3")


def _check_mocks_around(found: _Alone, faults: FaultList) -> None:
    """What stands around the task cannot have ended before it."""
    for outer in found.own.around:
        if outer.id in found.asked.mocks and (outer is found.loop or outer.type in HOLDERS):
            message = f"{found.own.id} stands in {outer.id}, and runs alone"
            remedy = "give its item" if outer is found.loop else "take the mock out"
            faults.add(at(MOCKS, outer.id), "contradiction", message, remedy)


def _terms(found: _Alone, tasks: Mapping[str, Stood]) -> Terms:
    asked = found.asked
    mocks = whole_mocks(tasks, asked, spared=found.own.id)
    kept = {task_id: given for task_id, given in mocks.items() if task_id in found.inside or task_id in asked.mocks}
    return Terms(
        mocks=kept,
        before=frozenset(kept) - found.inside,
        names={} if found.loop is None else {found.loop.id: found.names},
        virtual_time=asked.virtual_time,
        only=found.own.id,
    )


def _canonical(whole: JsonObject, found: _Alone, terms: Terms, tasks: Mapping[str, Stood]) -> JsonObject:
    before: list[JsonValue] = [
        {"id": task_id, "type": tasks[task_id].type, "depends_on": [], "allow_failure": True}
        for task_id in terms.mocks
        if task_id in terms.before
    ]
    own = {name: value for name, value in found.own.task.items() if name not in OF_OTHERS}
    (own,) = without_mocked([own], terms.mocks)
    last = own if found.loop is None else _looped(own, found.loop)
    last |= {"depends_on": sorted(terms.before), "join": "all_done"}
    kept: JsonObject = {name: whole[name] for name in KEPT if name in whole}
    schema = whole.get("input")
    if isinstance(schema, dict):
        # What other tasks need is not asked for.
        kept["input"] = {word: value for word, value in schema.items() if word != "required"}
    return {**kept, "tasks": [*before, last], "output": _output(found)}


def _looped(own: dict[str, Any], loop: Stood) -> dict[str, Any]:
    """A loop of the same id with one iteration. What it goes over is told in the trigger: a literal would be read as a
    template."""
    config: JsonObject = (
        {"items": ["{{ trigger.item }}"]}
        if loop.type == "foreach"
        else {"condition": "{{ index == 0 }}", "max_iterations": 1}
    )
    return {"id": loop.id, "type": loop.type, "config": config, "tasks": [own]}


def _output(found: _Alone) -> str:
    if found.loop is None:
        return f"{{{{ tasks['{found.own.id}'].output }}}}"
    result = "results[0]" if found.loop.type == "foreach" else "result"
    return f"{{{{ tasks['{found.loop.id}'].output.{result} }}}}"


# --- what it reads ----------------------------------------------------------------------------------------------------


def _check_reads(task: TaskPlan, found: _Alone, faults: FaultList) -> None:
    """A fault for each thing that the task surely reads and that is not given."""
    if task.mock is not None:
        return
    mine = found.loop is not None and (not task.loops or task.loops[-1] == found.loop.id)
    for read in _sure_reads(task):
        if read.root == "tasks" and read.keys:
            _check_task_read(task, read.keys, found, faults)
        elif read.root == ITEM and mine and ITEM in found.names and ITEM not in (found.asked.names or {}):
            faults.add(ITEM, "missing", f"{task.id} reads item, and none is given", "give an item of its loop")


def _sure_reads(task: TaskPlan) -> Iterator[PathRead]:
    """Without what stands in `default` and `has`; and a loop binds names of its own, which look the same."""
    is_a_loop = isinstance(task.control, ForEach | While)
    return (read for read in reads_of(task) if not read.optional and not (is_a_loop and read.root == ITEM))


def _check_task_read(task: TaskPlan, keys: Sequence[str | int], found: _Alone, faults: FaultList) -> None:
    other = str(keys[0])
    field = keys[1] if len(keys) > 1 else None
    if other in found.inside or other in found.asked.mocks:
        return
    if found.loop is not None and other == found.loop.id:
        if field == ITEM and ITEM not in (found.asked.names or {}):
            faults.add(ITEM, "missing", f"{task.id} reads the item of {other}, and none is given", "give an item")
        return
    if field in ("item", "index", "previous"):
        message = f"{task.id} reads {field} of {other}, a loop further out, which cannot be given"
        faults.add("only", "outer_loop", message, f"run {other} alone instead, with mocks in it")
        return
    message = f"{task.id} reads {other}, and it is not said what that came to"
    faults.add(at(MOCKS, other), "missing", message, f'write mocks: {{"{other}": {{"output": …}}}}')

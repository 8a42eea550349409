"""What is wrong with the mocks of a test run, and the definition that is derived for it.

A mocked group or loop is mocked with all that stands in it: the derived definition does not have that any more. For
which task runs alone see `alone`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from millrace.core.controls import APPROVAL, CONTROL_TYPES, SLEEP, UNTIL, WAIT_FOR_EVENT
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.controls.compiling import blocks_of
from millrace.definition.controls.kinds import with_article
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.mocks import HOLDERS, OUTCOMES, SENT, Terms, is_settled
from millrace.definition.model import CASES, NESTED, ON_ROLLBACK, TASK_LISTS
from millrace.definition.stored import Definition
from millrace.definition.words import hint

MOCKS: Final = "mocks"
LONGEST_ID: Final = 100
"""Characters of a name that a fault repeats."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks of a test run, besides what every run is given."""

    mocks: Mapping[str, JsonObject]
    only: str | None = None
    names: Mapping[str, JsonValue] | None = None
    """Of `item`, `index` and `previous` those that were given; for `only`."""
    virtual_time: bool = False
    mock_others: bool = False
    """What no mock names completes at once, with the output null; waits are waited for all the same."""


@dataclass(frozen=True, slots=True)
class Derived:
    definition: Definition
    terms: Terms


@dataclass(frozen=True, slots=True, eq=False)
class Stood:
    """A task of a canonical definition, and what it stands in, the outermost first."""

    task: dict[str, Any]
    around: tuple["Stood", ...] = ()

    @property
    def id(self) -> str:
        return str(self.task["id"])

    @property
    def type(self) -> str:
        return str(self.task["type"])


def all_tasks(canonical: Mapping[str, Any]) -> dict[str, Stood]:
    """Every task by its id, each before those within it."""
    return {found.id: found for name in TASK_LISTS for found in _standing(canonical.get(name) or [], ())}


def _standing(listed: list[dict[str, Any]], around: tuple[Stood, ...]) -> Iterator[Stood]:
    for task in listed:
        own = Stood(task, around)
        yield own
        for _, tasks in blocks_of(task):
            yield from _standing(tasks, (*around, own))
        yield from _standing(task.get(ON_ROLLBACK) or [], around)


# --- deriving ---------------------------------------------------------------------------------------------------------


def derived(definition: Definition, asked: Asked, tasks: Mapping[str, Stood]) -> Derived:
    """The definition of a test of the whole. `asked` was checked."""
    canonical = {name: value for name, value in definition.canonical.items() if name != "triggers"}
    mocks = whole_mocks(tasks, asked)
    for name in TASK_LISTS:
        if name in canonical:
            canonical[name] = without_mocked(canonical[name], mocks)
    return Derived(Definition(canonical), Terms(mocks, virtual_time=asked.virtual_time))


def whole_mocks(tasks: Mapping[str, Stood], asked: Asked, spared: str | None = None) -> dict[str, JsonObject]:
    """The mocks with all that they leave unsaid; `spared` is none of the others."""
    mocks = {task_id: _filled(tasks[task_id].type, given) for task_id, given in asked.mocks.items()}
    if asked.mock_others:
        hidden = {task_id for task_id in mocks if tasks[task_id].type in HOLDERS}
        for stood in tasks.values():
            is_done = stood.type not in CONTROL_TYPES or stood.type in SENT
            if is_done and stood.id != spared and not any(outer.id in hidden for outer in stood.around):
                mocks.setdefault(stood.id, {"output": None})
    return mocks


def _filled(task_type: str, given: JsonObject) -> JsonObject:
    usual, output = OUTCOMES.get(task_type), given.get("output")
    if usual is None or not isinstance(output, dict):
        return given
    # Nobody approves by letting time pass.
    late = {"approved": False} if task_type == APPROVAL and output.get("timed_out") is True else {}
    return {**given, "output": {**usual, **late, **output}}


def without_mocked(listed: Any, mocks: Mapping[str, JsonObject]) -> Any:
    """The tasks of a list, those groups and loops emptied that are mocked."""
    return [_emptied(task, mocks) for task in listed]


def _emptied(task: dict[str, Any], mocks: Mapping[str, JsonObject]) -> dict[str, Any]:
    if task["id"] in mocks and task["type"] in HOLDERS:
        return {name: value for name, value in task.items() if name not in NESTED}
    inner: dict[str, Any] = {name: without_mocked(task[name], mocks) for name in _LISTS if task.get(name)}
    if task.get(CASES):
        inner[CASES] = {name: without_mocked(tasks, mocks) for name, tasks in task[CASES].items()}
    return {**task, **inner} if inner else task


_LISTS: Final = (*(name for name in NESTED if name != CASES), ON_ROLLBACK)


# --- checking ---------------------------------------------------------------------------------------------------------


def check_mocks(tasks: Mapping[str, Stood], mocks: Mapping[str, JsonObject], faults: FaultList) -> None:
    for task_id, given in mocks.items():
        path = at(MOCKS, task_id)
        stood = tasks.get(task_id)
        if stood is None:
            message = f"there is no task {task_id[:LONGEST_ID]!r}{hint(task_id, tasks)}"
            faults.add(path, "unknown_task", message, "name a task of this version of the workflow")
            continue
        holder = next((outer for outer in stood.around if outer.id in mocks and outer.type in HOLDERS), None)
        if holder is not None:
            message = f"{task_id} stands in {holder.id}, which is mocked with all that is in it"
            faults.add(path, "mocked_already", message, "take one of the two mocks out")
        elif _says_one_thing(stood, given, path, faults):
            _check_output(stood, given, path, faults)


def _says_one_thing(stood: Stood, given: JsonObject, path: str, faults: FaultList) -> bool:
    """Whether it is said how the task ends, and in one way."""
    if "output" not in given and "fail" not in given:
        message = "it is not said what the task comes to"
        faults.add(path, "missing", message, 'write {"output": …}, or {"fail": {"message": "…"}}')
    elif "times" in given and "fail" not in given:
        faults.add(at(path, "times"), "contradiction", "times says how often it fails, and it does not", "add fail")
    elif "times" in given and is_settled(stood.type):
        message = f"{with_article(stood.type)} is tried once"
        faults.add(at(path, "times"), "contradiction", message, "take times out")
    elif "output" in given and "fail" in given and "times" not in given:
        message = "a task that always fails has no output"
        faults.add(at(path, "output"), "contradiction", message, "take output out, or say how many `times` it fails")
    else:
        return "output" in given
    return False


def _check_output(stood: Stood, given: JsonObject, path: str, faults: FaultList) -> None:
    """The output of what decides about others must be one that it can have."""
    output, place = given["output"], at(path, "output")
    match stood.type:
        case "condition":
            if not (isinstance(output, dict) and output.keys() == {"branch"} and output["branch"] in ("then", "else")):
                message, remedy = _unlike(output), 'write {"branch": "then"} or {"branch": "else"}'
                faults.add(place, "value", f"it must say which branch is taken, {message}", remedy)
        case "switch":
            cases = stood.task[CASES]
            if not (isinstance(output, dict) and output.keys() == {"case"} and _is_case(output["case"], cases)):
                known = ", ".join(list(cases)[:10])
                remedy = f'write {{"case": NAME}} with one of {known}, or null for `default`'
                faults.add(place, "value", f"it must say which case is taken, {_unlike(output)}", remedy)
        case kind if kind in OUTCOMES:
            _check_outcome(kind, output, place, faults)
        case kind if kind in (SLEEP, UNTIL) and output is not None:
            faults.add(place, "value", f"{with_article(kind)} has no output", "write null")


def _is_case(name: JsonValue, cases: Mapping[str, Any]) -> bool:
    return name is None or (isinstance(name, str) and name in cases)


def _check_outcome(kind: str, output: JsonValue, place: str, faults: FaultList) -> None:
    """Of a wait: it may leave out what is as usual; an event or a signal may be whatever a task reads of it."""
    example = '{"approved": true}' if kind == APPROVAL else '{"event": {"data": …}}, {"signal": {"data": …}}'
    remedy = f'write {example}, or {{"timed_out": true}}'
    if not isinstance(output, dict):
        faults.add(place, "type", f"it must be a mapping, not {kind_of(output)}", remedy)
        return
    known = {*OUTCOMES[kind], *(("event", "signal") if kind == WAIT_FOR_EVENT else ())}
    for name, value in output.items():
        if name not in known:
            message = f"the output of {with_article(kind)} has no {name[:LONGEST_ID]!r}{hint(name, known)}"
            faults.add(at(place, name), "unknown_field", message, f"it has {', '.join(sorted(known))}")
        elif name in ("approved", "timed_out") and not isinstance(value, bool):
            faults.add(at(place, name), "type", f"it must be true or false, not {kind_of(value)}", remedy)
        elif name in ("event", "signal", "form") and not isinstance(value, dict | NoneType):
            faults.add(at(place, name), "type", f"it must be a mapping, not {kind_of(value)}", remedy)
    if kind == APPROVAL and "approved" not in output and "timed_out" not in output:
        faults.add(at(place, "approved"), "missing", "it is not said whether it was approved", remedy)


def _unlike(output: JsonValue) -> str:
    return f"which {kind_of(output)} like this does not"

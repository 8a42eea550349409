"""What is wrong with a control task: with the fields beside its config, the lists of tasks in it, and its config.

What its expressions read is judged as everywhere (`references`), but by field: some read more than the task may.
"""

from dataclasses import replace

from millrace.core.controls import APPROVAL, TASKS
from millrace.core.values import JsonObject, JsonValue
from millrace.definition import configs, inputs, references, rough
from millrace.definition.controls.first_check import absent_at_first
from millrace.definition.controls.kinds import (
    CONDITION,
    DECIDES,
    KINDS,
    OF_WORKERS,
    PARALLEL,
    ControlKind,
    decided_beside,
    takers_of,
    with_article,
)
from millrace.definition.expectations import fields_of
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.templates import has_expressions, whole_source
from millrace.definition.faults import FaultList, at
from millrace.definition.fields import LONGEST_NAME
from millrace.definition.model import CASES, NESTED, Task
from millrace.definition.readers import Reader

ITEMS = "items"
"""A list may stand there as well as an expression that gives one."""


def check_blocks(task_type: str, part: JsonObject, path: str, faults: FaultList) -> None:
    """The lists of tasks in a task of any type: whether it takes them. `part` is the task as it is written."""
    kind = KINDS.get(task_type)
    takes = kind.blocks if kind is not None else ()
    for field in NESTED:
        if part.get(field) is not None and field not in takes:
            message = f"{with_article(task_type)} takes no `{field}`, which is of {', '.join(takers_of(field))}"
            remedy = f"take {field} out, or write one of these types"
            if kind is not None and field in fields_of(kind.config) and not isinstance(part[field], list):
                remedy = f"write it into config: {{{field}: …}}"
            elif takes:
                remedy = f"its tasks stand under {' and '.join(f'`{name}`' for name in takes)}"
            faults.add(at(path, field), "unknown_field", message, remedy)
    if kind is not None and kind.needed:
        _check_there_are_tasks(task_type, kind, part, path, faults)
    cases = part.get(CASES)
    for name in cases if isinstance(cases, dict) else ():
        if len(name) > LONGEST_NAME:
            message = f"the name of a case must have at most {LONGEST_NAME} characters"
            faults.add(at(at(path, CASES), name), "value", message, "compare with something shorter")


def _check_there_are_tasks(task_type: str, kind: ControlKind, part: JsonObject, path: str, faults: FaultList) -> None:
    first = kind.blocks[0]
    if first in (TASKS, CASES):
        if part.get(first) is None:
            message, example = f"{first} is missing", "{id: …, type: …}"
            shown = f"{first}: [{example}]" if first == TASKS else f"{first}: {{eu: [{example}]}}"
            faults.add(at(path, first), "missing", message, f"write {shown}")
        elif part[first] in ([], {}):
            faults.add(at(path, first), "value", f"{first} must not be empty", f"{with_article(task_type)} needs some")
    elif not any(part.get(field) for field in kind.blocks):
        message = (
            f"{with_article(task_type)} needs tasks: {' and '.join(f'`{name}`' for name in kind.blocks)} are empty"
        )
        faults.add(at(path, first), "missing", message, "write those that it decides about, into one of them or both")


def check_control(task: Task, part: JsonObject, reader: Reader, names: references.Names, faults: FaultList) -> None:
    """Everything else that is wrong with a control task. `reader` is its config, `part` the task as it is written."""
    kind = KINDS[task.type]
    config = rough.mapping(task.config)
    path = reader.path.rpartition(".")[0]
    _check_common_fields(task.type, kind, part, path, faults)
    sound = _check_expressions(kind, config, reader, faults)
    for field, value in config.items():
        if field in sound:
            sees = (kind.sees or {}).get(field)
            references.check_value(value, replace(reader, path=at(reader.path, field), sees=sees), names, faults)
    if task.type == "while" and "condition" in sound:
        _check_first_time(config.get("condition"), reader, names, faults)
    if isinstance(task.config, dict):
        given = _without_those_of_workers(task.type, kind, config, reader.path, faults)
        given = _with_if(task.type, given, part, reader.path, faults)
        configs.check_config(given, kind.config, reader.path, faults, owner=Task, part=part)
        if task.type == APPROVAL:
            _check_approval(config, part, reader.path, faults)


def _check_first_time(condition: JsonValue, reader: Reader, names: references.Names, faults: FaultList) -> None:
    """A condition that needs what no iteration has left yet would fail the loop before it begins."""
    if not isinstance(condition, str) or not condition:  # told by the shape of the config
        return
    try:
        source = whole_source(condition)
        absent = absent_at_first(source, names.within(reader.task))
    except ExpressionFault:  # told where it is read
        return
    if absent is not None:
        when = "when this is asked before the first iteration"
        message = f"in {{{{ {references.shortened(source)} }}}}: there is no {absent} {when}"
        remedy = f"write default({absent}, …) with what holds then, or index == 0 || … before it"
        faults.add(at(reader.path, "condition"), "absent", message, remedy)


def _check_common_fields(task_type: str, kind: ControlKind, part: JsonObject, path: str, faults: FaultList) -> None:
    for field in OF_WORKERS:
        if part.get(field) is not None:
            _tell_of_workers(task_type, kind, field, at(path, field), faults)


def _tell_of_workers(task_type: str, kind: ControlKind, field: str, path: str, faults: FaultList) -> None:
    if field in fields_of(kind.config):
        remedy = f"write it into config: {{{field}: …}}"
    elif field == "total_timeout":
        remedy = "write `timeout`, which limits all that it does"
    elif kind.blocks:
        remedy = f"put `{field}` on the tasks in it"
    else:
        remedy = f"take {field} out"
    if (task_type, field) == (PARALLEL, "concurrency"):
        remedy = (
            "all of its tasks run at once: write depends_on for those that are to wait, or take a foreach, whose "
            "config has concurrency"
        )
    message = f"{with_article(task_type)} is run by the engine, not by a worker, and takes no `{field}`"
    faults.add(path, "unknown_field", message, remedy)


def _without_those_of_workers(
    task_type: str, kind: ControlKind, config: JsonObject, path: str, faults: FaultList
) -> JsonObject:
    """The config without fields that a task of a worker has beside it, and that this one has nowhere."""
    wrong = [field for field in OF_WORKERS if field in config and field not in fields_of(kind.config)]
    for field in wrong:
        _tell_of_workers(task_type, kind, field, at(path, field), faults)
    return {field: value for field, value in config.items() if field not in wrong}


def _check_expressions(kind: ControlKind, config: JsonObject, reader: Reader, faults: FaultList) -> frozenset[str]:
    """Fields that are one expression each, and those that cannot be one. Answers the fields that are sound."""
    wrong = set()
    for field in kind.expressions:
        text = config.get(field)
        path = at(reader.path, field)
        told_elsewhere = not text or (field == ITEMS and not has_expressions(text))
        if isinstance(text, str) and not told_elsewhere and not references.is_one_expression(text, path, faults, field):
            wrong.add(field)
    for field in kind.fixed:
        if has_expressions(config.get(field)):
            message = "this is read when the definition is saved; an expression in it is not replaced"
            faults.add(at(reader.path, field), "expression", message, "write the value itself")
            wrong.add(field)
    return frozenset(config.keys() - wrong)


def _with_if(task_type: str, config: JsonObject, part: JsonObject, path: str, faults: FaultList) -> JsonObject:
    """The config; that of a condition whose `if` stands beside it is told about, and counts as complete."""
    if task_type != CONDITION or DECIDES in config:
        return config
    if decided_beside(part) is None:  # otherwise it was told as a field that there is not
        if part.get("if") is None:
            return config
        message = "`if` beside config says whether the task is run at all; what a condition decides by stands in config"
        faults.add(at(path, DECIDES), "missing", message, "write config: {if: …}")
    return {**config, DECIDES: True}


def _check_approval(config: JsonObject, part: JsonObject, path: str, faults: FaultList) -> None:
    form = config.get("form")
    if isinstance(form, dict) and not has_expressions(form):
        inputs.check_schema(form, at(path, "form"), faults)
    default = config.get("default")
    if (default in ("approve", "reject") or has_expressions(default)) and part.get("timeout") is None:
        message = "`default` is what is decided when `timeout` is over, and this task has no timeout"
        faults.add(at(path, "default"), "value", message, "write timeout beside config, or take default out")

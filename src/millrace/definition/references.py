"""What expressions refer to: does every name exist, and can it have a value by the time it is read?

a task's `config` and `if`   input, variables, run, trigger, and tasks that have finished before it starts;
                             `secrets` in the `config` of what a worker runs alone
a handler's                  the same, and every task of the parts of the run that went before
in a loop                    the same, `item`, `index` or `previous`, the tasks of the same iteration, and of a loop
                             further out its `item`, … as `tasks.LOOP.item`
in a wait                    the same, and the output of the wait: what came
the output mapping           tasks of the main part

Nobody reads into a loop from outside: a task in it has as many results as there were iterations.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.controls.kinds import KINDS, Sees
from millrace.definition.expressions.check import CheckedExpression, check_expression, check_templates
from millrace.definition.expressions.faults import ExpressionFault, UnknownName
from millrace.definition.expressions.paths import PathRead
from millrace.definition.expressions.templates import parse_template
from millrace.definition.faults import FaultList
from millrace.definition.places import TaskPlace
from millrace.definition.readers import Reader, When, results_of
from millrace.definition.words import hint

TASK_FIELDS = ("output", "status", "error")
RUN_FIELDS = ("id", "status", "workflow", "correlation_id", "created_at", "started_at", "error")
LITERAL_ROOTS = frozenset({"input", "variables", "tasks", "run", "trigger", "secrets", "item", "index", "previous"})

DATA_REMEDY = 'hand the value over in `env` and write "$NAME", in `stdin`, or make the command a list'
PATH = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[([0-9]{1,9})\].*")
"""A path of task runs, such as `load[3].insert`."""
_BEGINS_WITH_DATA = re.compile(r"(?:input|variables|tasks|run|trigger|secrets|item|previous)\s*[.\[]")
"""`index .Labels` is a function of another template language (Go's, as in `docker ps --format`)."""

LITERAL_REMEDIES = {
    "sql": "use `parameters` and write :name in the SQL",
    "source": "hand the value over in `input` or `env`",
}


@dataclass(frozen=True, slots=True)
class Names:
    """What a definition declares."""

    variables: frozenset[str] | None
    """`None` if it cannot be told which there are."""
    inputs: frozenset[str] | None
    """Names of the input, if its schema allows no others."""
    tasks: Mapping[str, TaskPlace]
    """All tasks by their ids."""
    twice: frozenset[str] = frozenset()
    """Ids that several tasks have, so that it is not known which of them is meant."""

    def within(self, task: TaskPlace | None) -> frozenset[str]:
        """The ids of the tasks that stand in a task, at whatever depth."""
        found = (task_id for task_id, place in self.tasks.items() if any(outer is task for outer in place.around()))
        return frozenset(found) - self.twice


def check_value(value: JsonValue, reader: Reader, names: Names, faults: FaultList) -> None:
    """Check every expression in the strings of `value`."""
    for place, found in check_templates(value):
        if faults.full:
            return
        path = f"{reader.path}.{place}" if place and not place.startswith("[") else f"{reader.path}{place}"
        if isinstance(found, UnknownName) and found.name in names.tasks:
            faults.add(path, "expression", found.placed, f"{found.name} is a task: write tasks.{found.name}.output")
        elif isinstance(found, UnknownName):
            tell(found.but(reader.unreadable()), path, faults)
        elif isinstance(found, ExpressionFault):
            tell(found, path, faults)
        else:
            check_reads(found, path, reader, names, faults)


def check_syntax(value: JsonValue, path: str, faults: FaultList) -> None:
    """Check that every expression in the strings of `value` is well-formed; what it reads is not looked at."""
    for place, found in check_templates(value):
        if isinstance(found, ExpressionFault):
            tell(found, f"{path}.{place}", faults)


def tell(found: ExpressionFault, path: str, faults: FaultList) -> None:
    faults.add(path, "expression", found.placed, found.remedy)


def is_one_expression(text: str, path: str, faults: FaultList, field: str = "if") -> bool:
    """Whether a text is what a condition must be; adds the fault if it is not."""
    try:
        whole = parse_template(text).whole
    except ExpressionFault as fault:
        faults.add(path, "expression", fault.message, fault.remedy)
        return False
    if whole is None:
        what = "a condition" if field in ("if", "condition") else field
        message = f"{what} is one expression in braces and nothing else"
        faults.add(path, "condition", message, f'write {field}: "{{{{ … }}}}"')
    return whole is not None


def check_reads(found: CheckedExpression, path: str, reader: Reader, names: Names, faults: FaultList) -> None:
    for read in found.reads:
        fault = _fault_of(read, reader, names)
        if fault is not None:
            message, remedy = fault
            faults.add(path, "unknown_name", f"in {{{{ {shortened(found.source)} }}}}: {message}", remedy)


def check_literals(config: JsonObject, literal: Iterable[str], path: str, faults: FaultList) -> None:
    """Text that goes to an interpreter is never a template: an expression in it would let data become code."""
    for name in literal:
        text = config.get(name)
        if not isinstance(text, str) or "{{" not in text:
            continue
        for source in _meant_as_expressions(text):
            message = f"{name} is handed over as it is written; {{{{ {shortened(source)} }}}} is not replaced"
            faults.add(f"{path}.{name}", "literal_text", message, LITERAL_REMEDIES.get(name, DATA_REMEDY))


def _meant_as_expressions(text: str) -> Iterator[str]:
    """What stands between braces and names our data, be it well-formed (`input.day`) or not (`input.day | upper`)."""
    position = 0
    while (closing := text.find("}}", position)) >= 0:
        opening = text.rfind("{{", position, closing)
        source = text[opening + 2 : closing].strip()
        position = closing + 2
        if opening < 0 or text[opening - 1 : opening] == "{":
            continue
        try:
            found = bool(check_expression(source).roots & LITERAL_ROOTS)
        except ExpressionFault:
            found = _BEGINS_WITH_DATA.match(source) is not None
        if found:
            yield source


def _fault_of(read: PathRead, reader: Reader, names: Names) -> tuple[str, str] | None:
    match read.root:
        case "tasks":
            return _task_fault(read, reader, names)
        case "variables" if names.variables is not None:
            return _declared(read, names.variables, "variable", "declare it under `variables` (null if a run gives it)")
        case "input" if names.inputs is not None:
            return _declared(read, names.inputs, "input", "declare it under `input.properties`")
        case "run" if reader.when is When.BEFORE_START:
            return "run has no value before the run starts", "use input, variables or trigger"
        case "run":
            return _declared(read, frozenset(RUN_FIELDS), "field of run", f"the fields are {', '.join(RUN_FIELDS)}")
        case "secrets":
            return _secret_fault(read, reader)
        case "item" | "index" | "previous":
            return reader.local_fault(read.root)
        case "event" if reader.sees is not Sees.EVENT:
            message = "event has a value in the `filter` of a task that waits for one only"
            return message, "write trigger.event for what started the run, tasks.ID.output for what a task waited for"
        case _:
            return None


def _secret_fault(read: PathRead, reader: Reader) -> tuple[str, str] | None:
    if reader.by_engine:
        return "the engine, which renders this config, knows no secrets", "read it in the task that needs it"
    if not reader.secrets:
        return "secrets can be read in the `config` of tasks only", "move it there"
    if not read.keys or not isinstance(read.keys[0], str):
        return "a secret is read by its name", "write secrets.NAME"
    if read.computed:
        return (
            f"what is computed of the secret {read.keys[0][:100]!r} would be masked nowhere",
            "hand it over whole, or joined to other text by +; keep what you need of it as a secret of its own",
        )
    return None


def _declared(read: PathRead, known: frozenset[str], what: str, remedy: str) -> tuple[str, str] | None:
    if read.optional or not read.keys or not isinstance(read.keys[0], str) or read.keys[0] in known:
        return None
    return f"there is no {what} {read.keys[0]!r}{hint(read.keys[0], sorted(known))}", remedy


def _task_fault(read: PathRead, reader: Reader, names: Names) -> tuple[str, str] | None:
    if not read.keys:
        return None
    task_id = read.keys[0]
    if not isinstance(task_id, str):
        return "a task is read by its id, not by a number", "write tasks.ID.output"
    other = names.tasks.get(task_id)
    if other is None:
        return _no_task(task_id, names)
    if len(read.keys) > 1 and isinstance(read.keys[1], int):
        return _position_fault(other, read.keys[1])
    field = str(read.keys[1]) if len(read.keys) > 1 else None
    if field is not None and field not in TASK_FIELDS:
        fault_of_field = _field_fault(field, task_id, other, reader)
        if fault_of_field is not None:
            return fault_of_field
    if task_id in names.twice:
        return None
    fault = reader.task_fault(other, field)
    if fault is None or (read.optional and fault.may_be_absent):
        return None
    return f"tasks.{task_id} cannot have a value here: {fault.reason}", fault.remedy


def _no_task(task_id: str, names: Names) -> tuple[str, str]:
    path = PATH.fullmatch(task_id)
    loop = names.tasks.get(path[1]) if path is not None else None
    if path is not None and loop is not None and loop.is_loop:
        return _position_fault(loop, int(path[2]))
    return f"there is no task {task_id!r}{hint(task_id, names.tasks)}", "name a task of this definition"


def _position_fault(task: TaskPlace, number: int) -> tuple[str, str]:
    """The path of a task run is no expression: nobody reads into a loop."""
    if not task.is_loop:
        return "a task is read by output, status or error, not by a number", f"write tasks.{task.key}.output[{number}]"
    return f"what ran in {task.key} is not read by the number of its iteration", results_of(task, f"[{number}]")


def _field_fault(field: str, task_id: str, other: TaskPlace, reader: Reader) -> tuple[str, str] | None:
    """Why there is no such field; a loop has some more for the tasks that stand in it."""
    names = KINDS[other.type].names if other.is_loop else ()
    if not reader.stands_in(other) and field in names:
        message = f"{field} of {task_id} has a value in the tasks of that loop only"
        return message, f"read tasks.{task_id}.output: what its iterations came to"
    known = (*TASK_FIELDS, *names) if reader.stands_in(other) else TASK_FIELDS
    if field in known:
        return None
    return (
        f"a task has no {field!r}{hint(field, known)}",
        f"write tasks.{task_id}.output.{field}, or .status or .error",
    )


def shortened(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= 60 else f"{line[:60]}…"

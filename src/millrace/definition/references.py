"""What expressions refer to: does every name exist, and can it have a value by the time it is read?

a task's `config` and `if`   input, variables, run, trigger, and tasks that have finished before it starts;
                             `secrets` in `config` alone
a handler's                  the same, and every task of the parts of the run that went before
the output mapping           tasks of the main part
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.expressions.check import CheckedExpression, check_expression, check_templates
from millrace.definition.expressions.faults import ExpressionFault, UnknownName
from millrace.definition.expressions.paths import PathRead
from millrace.definition.expressions.templates import parse_template
from millrace.definition.faults import FaultList
from millrace.definition.graph import Ancestors
from millrace.definition.words import hint

TASK_FIELDS = ("output", "status", "error")
RUN_FIELDS = ("id", "status", "workflow", "correlation_id", "created_at", "started_at", "error")
LITERAL_ROOTS = frozenset({"input", "variables", "tasks", "run", "trigger", "secrets", "item", "index"})

ORDER = ("tasks", "on_failure", "on_rollback", "finally")

BEFORE_START = "start"
"""Where limits are: their keys are known before any task has run."""

DATA_REMEDY = 'hand the value over in `env` and write "$NAME", in `stdin`, or make the command a list'
_BEGINS_WITH_DATA = re.compile(r"(?:input|variables|tasks|run|trigger|secrets|item)\s*[.\[]")
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
    tasks: Mapping[str, str]
    """Ids of all tasks and the lists they stand in."""
    twice: frozenset[str] = frozenset()
    """Ids that several tasks have, so that it is not known which of them is meant."""
    unread: frozenset[str] = frozenset()
    """Ids of tasks in parts of the definition that are not looked at."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A place where expressions stand, and what they may read there."""

    path: str
    list_name: str | None
    """The list of the task that reads; `None` for the output mapping."""
    task_id: str | None = None
    ancestors: Ancestors | None = None
    secrets: bool = False

    def may_read(self, task_id: str, list_name: str) -> str | None:
        """`None` if it may; otherwise why it cannot have a value, and what to do."""
        if self.list_name == BEFORE_START:
            return "it is read before the run starts"
        if self.list_name is None:
            other = part_of(list_name)
            return None if other == "tasks" else f"it runs in `{other}`, after the output was made"
        if list_name != self.list_name:
            mine, other = part_of(self.list_name), part_of(list_name)
            if mine == other:
                return "it undoes another task"
            return None if ORDER.index(other) < ORDER.index(mine) else f"it runs in `{other}`, later than this"
        if task_id == self.task_id:
            return "a task cannot read its own result"
        assert self.task_id is not None, "a reader in a list is a task"  # noqa: S101
        if self.ancestors is not None and not self.ancestors.has(self.task_id, task_id):
            return f"{self.task_id} does not wait for it"
        return None


def part_of(list_name: str) -> str:
    """The part of a run that a list of tasks belongs to: `tasks[3].on_rollback` to the rollback."""
    return list_name.rpartition("].")[2]


def check_value(value: JsonValue, reader: Reader, names: Names, faults: FaultList) -> None:
    """Check every expression in the strings of `value`."""
    for place, found in check_templates(value):
        if faults.full:
            return
        path = f"{reader.path}.{place}" if place and not place.startswith("[") else f"{reader.path}{place}"
        if isinstance(found, UnknownName) and found.name in names.tasks:
            faults.add(path, "expression", found.placed, f"{found.name} is a task: write tasks.{found.name}.output")
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


def is_one_expression(text: str, path: str, faults: FaultList) -> bool:
    """Whether a condition is what it must be; adds the fault if it is not."""
    try:
        whole = parse_template(text).whole
    except ExpressionFault as fault:
        faults.add(path, "expression", fault.message, fault.remedy)
        return False
    if whole is None:
        faults.add(path, "condition", "a condition is one expression in braces and nothing else", 'write if: "{{ … }}"')
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
        case "run" if reader.list_name == BEFORE_START:
            return "run has no value before the run starts", "use input, variables or trigger"
        case "run":
            return _declared(read, frozenset(RUN_FIELDS), "field of run", f"the fields are {', '.join(RUN_FIELDS)}")
        case "secrets" if not reader.secrets:
            return "secrets can be read in the `config` of tasks only", "move it there"
        case "secrets" if not read.keys or not isinstance(read.keys[0], str):
            return "a secret is read by its name", "write secrets.NAME"
        case "item" | "index":
            return f"{read.root} has a value inside a loop only", "loops are not supported yet"
        case _:
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
    list_name = names.tasks.get(task_id)
    if list_name is None and task_id in names.unread:
        return None
    if list_name is None:
        return f"there is no task {task_id!r}{hint(task_id, names.tasks)}", "name a task of this definition"
    if len(read.keys) > 1 and read.keys[1] not in TASK_FIELDS:
        field = str(read.keys[1])
        message = f"a task has no {field!r}{hint(field, TASK_FIELDS)}"
        return message, f"write tasks.{task_id}.output.{field}, or .status or .error"
    if read.optional or task_id in names.twice:
        return None
    reason = reader.may_read(task_id, list_name)
    if reason is None:
        return None
    remedy = f"add {task_id} to depends_on, or read it with default(…)" if "wait" in reason else "read another task"
    return f"tasks.{task_id} cannot have a value here: {reason}", remedy


def shortened(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= 60 else f"{line[:60]}…"

"""The values of `input_mapping`: CEL without braces over `input` and `steps.ID.output`, made templates over `tasks`.

What is rewritten is found in the syntax tree, never in the text: `'steps.a'` in quotes stays, and so does the variable
of a loop that somebody calls `steps`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from millrace.core.values import JsonValue
from millrace.definition.expressions.building import static_key
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.loops import LOOPS
from millrace.definition.expressions.parsing import parse
from millrace.definition.expressions.paths import path_text
from millrace.definition.expressions.syntax import Call, Index, Literal, Name, Node, Select, children
from millrace.definition.words import hint

STEPS, TASKS = "steps", "tasks"

REMEDY = "write steps.ID.output, with the id of a step that has run before"

_QUOTED = re.compile(r"'([^'\\\n]*)'|\"([^\"\\\n]*)\"")

Edit: TypeAlias = tuple[int, int, str]
"""Where a part of the source begins and ends, and what stands there instead."""


class UnknownStep(ExpressionFault):
    """An expression reads a step that there is not, or that has no output yet."""


@dataclass(frozen=True, slots=True)
class StepNames:
    """The ids that tasks have been given, by the id of the step, and which steps have run before the one that reads."""

    ids: Mapping[str, str]
    before: Sequence[str]
    own: str


def value_of(mapped: JsonValue, names: StepNames) -> JsonValue:
    """What stands in a canonical config for a value of `input_mapping`. Raises `ExpressionFault`."""
    if not isinstance(mapped, str):
        return literal(mapped)
    node = _parsed(mapped)
    quoted = _QUOTED.fullmatch(mapped.strip()) if isinstance(node, Literal) else None
    if quoted is not None:
        return literal(quoted[1] or quoted[2] or "")
    return f"{{{{ {_edited(mapped, _edits(node, frozenset(), names))} }}}}"


def literal(value: JsonValue) -> JsonValue:
    """A value that no template in it changes."""
    match value:
        case str():
            return value.replace("{{", "{{{{")
        case list():
            return [literal(item) for item in value]
        case dict():
            return {key: literal(item) for key, item in value.items()}
    return value


def _parsed(source: str) -> Node:
    try:
        return parse(source)
    except ExpressionFault:
        if "{{" not in source:
            raise
    raise ExpressionFault(
        "an expression stands here without braces", source.find("{{"), "write it without braces: input.name"
    )


def _edits(node: Node, bound: frozenset[str], names: StepNames) -> Iterator[Edit]:
    match node:
        case Select(base=Name(name="steps")) | Index(base=Name(name="steps")) if STEPS not in bound:
            key = node.field if isinstance(node, Select) else static_key(node.key)
            if not isinstance(key, str):
                raise ExpressionFault("a step is read by its id", node.start, REMEDY)
            yield node.start, node.end, path_text(TASKS, (_task_id(key, node, names),))
        case Name(name="steps" | "tasks") if node.name not in bound:
            raise ExpressionFault(f"{node.name} has no value of its own here", node.start, REMEDY)
        case Call() if node.target is not None and node.function in LOOPS and node.arguments:
            variable = node.arguments[0]
            inner = bound | {variable.name} if isinstance(variable, Name) else bound
            yield from _edits(node.target, bound, names)
            for part in node.arguments[1:]:
                yield from _edits(part, inner, names)
        case _:
            for part in children(node):
                yield from _edits(part, bound, names)


def _task_id(step: str, node: Node, names: StepNames) -> str:
    if step not in names.ids:
        message = f"there is no step {step!r}{hint(step, names.ids)}"
        raise UnknownStep(message, node.start, "name a step of this definition")
    if step == names.own:
        raise UnknownStep("a step cannot read its own result", node.start, REMEDY)
    if step not in names.before:
        message = f"the step {step} has no output yet: it does not run before {names.own}"
        raise UnknownStep(message, node.start, REMEDY)
    return names.ids[step]


def _edited(source: str, edits: Iterator[Edit]) -> str:
    parts, position = [], 0
    for start, end, text in sorted(edits):
        parts += [source[position:start], text]
        position = end
    return "".join([*parts, source[position:]]).strip()

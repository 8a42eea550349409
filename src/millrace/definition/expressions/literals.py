"""Arguments that stand in the source: a zone, a pattern or an amount that no run could read is a fault of the text.

Only when a definition is checked: a run judges the values it gets with the same functions, where it comes by them.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from . import dates
from .building import static_key
from .faults import ExpressionFault, Unevaluable
from .functions import parse_json, replace, split
from .operators import constant, matches
from .patterns import check_pattern
from .syntax import Call, Literal, Node, children


def _search(pattern: str) -> None:
    check_pattern(pattern)
    matches("", pattern)


JUDGES: Mapping[str, Mapping[int, Callable[[str], object]]] = {
    "format_date": {0: dates.moment_of, 2: dates.zone_written},
    "parse_date": {1: dates.fields_of},
    "add_time": {0: dates.moment_of, 1: dates.length_of},
    "split": {1: lambda separator: split("", separator)},
    "replace": {1: lambda old: replace("", old, "")},
    "json": {0: parse_json},
    "matches": {1: _search},
}
"""By function and argument: what raises `Unevaluable` for a text that cannot be meant."""

READERS = {
    "timestamp": "write for example timestamp('2026-11-21T09:30:00Z')",
    "duration": "write for example duration('1h30m')",
    "int": "write a whole number",
    "double": "write a number",
}
"""Functions of the library that read a text, and what they would read."""


def check_literals(node: Node) -> None:
    """Raises `ExpressionFault` at the first argument that its function cannot take."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        waiting.extend(children(found))
        if isinstance(found, Call):
            for place, judge in _judged(found):
                try:
                    judge()
                except Unevaluable as error:
                    message, remedy = error.words()
                    remedy = remedy or READERS.get(found.function, "") or "see the table of functions"
                    raise ExpressionFault(message, place, remedy) from None


def _judged(call: Call) -> Iterator[tuple[int, Callable[[], object]]]:
    arguments = call.arguments if call.target is None else (call.target, *call.arguments)
    judges = JUDGES.get(call.function, {})
    for position, argument in enumerate(arguments):
        if not isinstance(argument, Literal) or argument.kind != "string":
            continue
        if call.function in READERS and len(arguments) == 1:
            yield argument.start, partial(constant, f"{call.function}({argument.text})")
        elif position in judges:
            yield argument.start, partial(judges[position], _text(argument))


def _text(literal: Literal) -> str:
    plain = static_key(literal)
    return plain if isinstance(plain, str) else str(constant(literal.text))

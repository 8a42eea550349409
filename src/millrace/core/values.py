"""The plain values every layer shares: JSON values, instants, durations, and the one check for values from outside.

Every value that enters Millrace (run input, variables, trigger data, a task's outcome) passes
`check_value` once, before it becomes an event or a row; behind that line the rest of the code
may rely on it: it is JSON, it is finite, a database can store it, and it is not absurdly deep.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

Instant: TypeAlias = int
"""A point in time: microseconds since the Unix epoch, UTC."""

Duration: TypeAlias = int
"""A length of time in microseconds."""

SECOND: Duration = 1_000_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_iso(instant: Instant) -> str:
    """`2026-03-29T01:00:00.000000Z`: sortable, and the form in which instants leave Millrace."""
    return (EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds").replace("+00:00", "Z")


PLAIN_VALUES = "write values that JSON has: text, numbers of at most 64 bits, lists and mappings, not too deep"
"""The remedy for what `check_value` refuses."""

MAX_DEPTH = 64
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1


class InvalidValue(ValueError):
    """A value from outside cannot be stored; `path` says where in it (`a.b[2]`), `reason` what and what would do."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


def check_value(value: object, *, path: str = "") -> None:
    """Raise `InvalidValue` unless `value` is JSON that every part of Millrace can store and show.

    Refused: types other than JSON's, NaN and infinities, integers beyond 64 bits, NUL characters and
    lone surrogates (PostgreSQL stores neither), keys that are not text, nesting deeper than `MAX_DEPTH`.
    """
    fault = _fault(value, 0)
    if fault is not None:
        keys, reason = fault
        for key in reversed(keys):
            path = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}" if path else key
        raise InvalidValue(path, reason)


Fault: TypeAlias = tuple[list[str | int], str]
"""The keys that lead to a bad value, the innermost first, and what is wrong with it."""


def _fault(value: object, depth: int) -> Fault | None:
    """The first bad value. Its path is put together on the way back, so that good values cost no text."""
    if value is None or value is True or value is False:
        return None
    reason = None
    # Tuples of types and the types of JSON first: unions and abstract types take several times as long to ask for.
    if isinstance(value, dict):
        return _fault_of_mapping(value, depth)
    if isinstance(value, (list, tuple)):
        return _fault_in(enumerate(value), depth)
    if isinstance(value, str):
        reason = _text_fault(value)
    elif isinstance(value, (int, float)):
        reason = _number_fault(value)
    elif isinstance(value, Mapping):
        return _fault_of_mapping(value, depth)
    else:
        reason = f"{type(value).__name__} is not a JSON value"
    return None if reason is None else ([], reason)


def _fault_of_mapping(value: Mapping[str, object], depth: int) -> Fault | None:
    for key in value:
        if type(key) is not str and not isinstance(key, str):
            return [], f"keys must be text, not {type(key).__name__}"
        if not (key.isascii() and "\0" not in key) and (reason := _text_fault(key)):
            return [], reason
    return _fault_in(value.items(), depth)


def _fault_in(items: Iterable[tuple[str | int, object]], depth: int) -> Fault | None:
    if depth >= MAX_DEPTH:
        return [], f"nested deeper than {MAX_DEPTH} levels"
    for key, item in items:
        # The usual small values, without a call: a body of a megabyte may hold half a million of them.
        kind = type(item)
        if kind is int and MIN_INTEGER <= item <= MAX_INTEGER:  # type: ignore[operator]
            continue
        if kind is str and item.isascii() and "\0" not in item:  # type: ignore[attr-defined, operator]
            continue
        fault = _fault_of_mapping(item, depth + 1) if kind is dict else _fault(item, depth + 1)  # type: ignore[arg-type]
        if fault is not None:
            fault[0].append(key)
            return fault
    return None


def _text_fault(text: str) -> str | None:
    if text.isascii() and "\0" not in text:
        return None
    if "\0" in text:
        return "text must not contain the NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"text must be valid Unicode; a lone surrogate stands at {error.start}"
    return None


def _number_fault(number: int | float) -> str | None:
    if isinstance(number, int):
        if not MIN_INTEGER <= number <= MAX_INTEGER:
            return "integers must fit in 64 bits; write larger ones as text"
    elif not math.isfinite(number):
        return "numbers must be finite; NaN and Infinity are not JSON"
    return None

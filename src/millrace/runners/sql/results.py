"""Rows on their way out: counted, measured and made JSON one by one, so a huge result never is in memory as a whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

import orjson

from millrace.core.failures import FailureKind
from millrace.core.values import MAX_INTEGER, MIN_INTEGER, InvalidValue, JsonObject, JsonValue, check_value
from millrace.runners.sql.faults import SqlFault
from millrace.runners.sql.spool import Spool

LARGEST_RESULT = 4 * 1024 * 1024
"""Bytes of rows as JSON: what a task's output may have."""

LONGEST_INTEGER = len(str(MIN_INTEGER))


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wanted of a script's last rows."""

    rows: int | None
    """How many rows may be kept; one more is a failure, unless `first_only`. `None` is any number."""
    first_only: bool = False
    none: bool = False
    spool: Spool | None = None
    """Where rows go instead of into the output."""


@dataclass(slots=True)
class Rows:
    """The rows of one statement. `add` says whether more are wanted; trouble is kept, as a later statement may win."""

    demand: Demand
    names: tuple[str, ...]
    types: list[str]
    rows: list[JsonValue] = field(default_factory=list)
    count: int = 0
    trouble: SqlFault | None = None
    _bytes: int = 0

    def add(self, values: Sequence[JsonValue]) -> bool:
        if self.demand.first_only and self.count:
            return False
        if self.count == self.demand.rows:
            self.trouble = _too_much(
                f"the result has more than {self.demand.rows} rows (`row_limit`, which can be raised)"
            )
            return False
        row = dict(zip(self.names, values, strict=True))
        try:
            check_value(row, path=f"row {self.count + 1}")
        except InvalidValue as error:
            self.trouble = SqlFault(f"the result cannot be stored: {error}", FailureKind.INVALID_OUTPUT)
            return False
        try:
            self._keep(row)
        except SqlFault as fault:
            self.trouble = fault
            return False
        self.count += 1
        return not self.demand.first_only

    def _keep(self, row: JsonObject) -> None:
        if self.demand.spool is not None:
            self.demand.spool.add(row)
            return
        self._bytes += len(orjson.dumps(row)) + 1
        if self._bytes > LARGEST_RESULT:
            raise _too_much(f"the rows have more than {LARGEST_RESULT} bytes as JSON")
        self.rows.append(row)


class Results:
    """What a script gives: the rows of its last statement that has any, or the number of rows it changed."""

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self._last: Rows | None = None
        self._changed = 0

    def begin_rows(self, names: Sequence[str], types: Sequence[str]) -> Rows:
        self._last = Rows(self.demand, distinct(names), list(types))
        if self.demand.spool is not None:
            self.demand.spool.begin(self._last.names)
        return self._last

    def changed(self, count: int) -> None:
        self._changed += max(0, count)

    def check(self) -> None:
        """Raise if the rows that will be the output are too many; to be called before the commit."""
        if self._last is not None and self._last.trouble is not None:
            raise self._last.trouble
        if self.demand.spool is not None:
            self.demand.spool.flush()

    def output(self) -> JsonObject:
        last = self._last
        if last is None or self.demand.none:
            return {"rows": [], "row_count": self._changed, "columns": []}
        columns: list[JsonValue] = [
            {"name": name, "type": kind} for name, kind in zip(last.names, last.types, strict=True)
        ]
        return {"rows": last.rows, "row_count": last.count, "columns": columns}


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Column names without doubles: the second `id` is `id_2`."""
    taken: set[str] = set()
    reserved = set(names)
    result = []
    for name in names:
        number = 2
        free = name
        while free in taken or (free != name and free in reserved):
            free = f"{name}_{number}"
            number += 1
        taken.add(free)
        result.append(free)
    return tuple(result)


def whole(number: int) -> JsonValue:
    """An integer; as text where JSON could not hold it."""
    return number if MIN_INTEGER <= number <= MAX_INTEGER else str(number)


def real(number: float) -> JsonValue:
    if isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def json_document(text: str | bytes) -> JsonValue:
    """A json column's value. Numbers that JSON readers would round or refuse become text, as in other columns."""
    try:
        document: JsonValue = json.loads(text, parse_int=_json_integer, parse_float=_json_real)
    except (ValueError, RecursionError) as error:
        raise SqlFault(f"a json value cannot be read: {error}", FailureKind.INVALID_OUTPUT) from None
    return document


def _json_integer(text: str) -> JsonValue:
    return whole(int(text)) if len(text) <= LONGEST_INTEGER else text


def _json_real(text: str) -> JsonValue:
    number = float(text)
    return number if isfinite(number) else text


def written(value: JsonValue) -> str:
    """A parameter as text for a database that reads it as its own type: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _too_much(what: str) -> SqlFault:
    return SqlFault(
        f"{what}; filter or aggregate in SQL, or take them as a file (`fetch: artifact`)", FailureKind.INVALID_OUTPUT
    )

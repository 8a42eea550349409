"""The functions of the expression language: the ones we add, and the ones of the CEL library that may be called.

All are pure. Ours run in Python on values that are already there, so each can refuse to make a large one.
`FUNCTIONS` is the documentation: the table in the docs is printed from it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from millrace.core.values import InvalidValue, check_value

from . import dates
from .faults import Exhausted, Unevaluable
from .limits import MAX_PARTS, MAX_RESULT, MAX_STEPS, too_large, weigh
from .paths import type_name


@dataclass(frozen=True, slots=True)
class FunctionDoc:
    """One row of the documentation; `example` is an expression and `gives` its value, proved by a test."""

    name: str
    form: str
    text: str
    example: str
    gives: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours: how many arguments it takes, counting the target of `x.f()` as the first."""

    call: Callable[..., object]
    fewest: int
    most: int


def size(value: object) -> int:
    """Characters of a text, items of a list, entries of a map."""
    if isinstance(value, str | bytes | list) or type_name(value) == "map":
        return len(value)  # type: ignore[arg-type]
    _wrong("size", "text, a list or a map", value)


def upper(text: object) -> str:
    return _bounded(_text("upper", text).upper())


def lower(text: object) -> str:
    return _bounded(_text("lower", text).lower())


def trim(text: object) -> str:
    return _text("trim", text).strip()


def replace(text: object, old: object, new: object) -> str:
    whole, before, after = _text("replace", text), _text("replace", old), _text("replace", new)
    if not before:
        raise Unevaluable("replace() cannot search for an empty text", "give the text to replace")
    if len(whole) + whole.count(before) * (len(after) - len(before)) > MAX_RESULT:
        raise too_large()
    return _bounded(whole.replace(before, after))


def split(text: object, separator: object) -> list[str]:
    whole, mark = _text("split", text), _text("split", separator)
    if not mark:
        raise Unevaluable("split() needs a separator that is not empty", "write for example split(text, ',')")
    if whole.count(mark) >= MAX_PARTS:
        raise Exhausted(f"split() would make more than {MAX_PARTS} parts", "split it in a script task")
    return whole.split(mark)


def join(items: object, separator: object = "") -> str:
    mark = _text("join", separator)
    if not isinstance(items, list):
        _wrong("join", "a list", items)
    if len(items) > MAX_STEPS:
        raise too_large()
    texts = [item if isinstance(item, str) else _wrong("join", "a list of text", item) for item in items]
    if sum(map(len, texts)) + len(mark) * len(texts) > MAX_RESULT:
        raise too_large()
    return _bounded(mark.join(texts))


def parse_json(text: object) -> object:
    whole = _text("json", text)
    if len(whole) > MAX_RESULT:
        raise too_large()
    if whole.count(",") + whole.count("[") + whole.count("{") > MAX_PARTS:
        raise Exhausted(
            f"the text given to json() may hold more than {MAX_PARTS} values",
            "let the task that makes it return JSON instead of text",
        )
    try:
        value = json.loads(whole)
        check_value(value)
    except InvalidValue as fault:
        raise Unevaluable(f"the text given to json() holds a value that cannot be used: {fault.reason}") from None
    except (ValueError, RecursionError):
        raise Unevaluable("the text given to json() is not JSON") from None
    return value


def to_json(value: object) -> str:
    weigh(value)
    return _bounded(json_text(value))


def json_text(value: object) -> str:
    """JSON as it is put into a text: compact, Unicode as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_dict)


def to_string(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value).removesuffix(".0")
        case datetime():
            return dates.iso_text(value)
        case timedelta():
            return dates.duration_text(value)
        case _:
            _wrong("string", "a scalar (use to_json() for lists and maps, default() for null)", value)


def format_date(text: object, pattern: object, zone: object = "UTC") -> str:
    name = "format_date"
    return _bounded(dates.format_date(_instant(name, text), _text(name, pattern), _text(name, zone)))


def parse_date(text: object, pattern: object) -> str:
    return dates.parse_date(_text("parse_date", text), _text("parse_date", pattern))


def add_time(text: object, amount: object) -> str:
    return dates.add_time(_instant("add_time", text), _text("add_time", amount))


def _text(function: str, value: object) -> str:
    return value if isinstance(value, str) else _wrong(function, "text", value)


def _instant(function: str, value: object) -> str:
    return dates.iso_text(value) if isinstance(value, datetime) else _text(function, value)


def _wrong(function: str, wanted: str, value: object) -> NoReturn:
    raise Unevaluable(f"{function}() takes {wanted}, not {type_name(value)}")


def _bounded(text: str) -> str:
    weigh(text)
    return text


def _as_dict(value: object) -> object:
    """Mappings that are no dicts (a scope's `tasks`), and CEL's own scalars, for the JSON writer."""
    return dict(value) if type_name(value) == "map" else to_string(value)  # type: ignore[call-overload]


OURS: dict[str, Function] = {
    "size": Function(size, 1, 1),
    "upper": Function(upper, 1, 1),
    "lower": Function(lower, 1, 1),
    "trim": Function(trim, 1, 1),
    "replace": Function(replace, 3, 3),
    "split": Function(split, 2, 2),
    "join": Function(join, 1, 2),
    "json": Function(parse_json, 1, 1),
    "to_json": Function(to_json, 1, 1),
    "string": Function(to_string, 1, 1),
    "format_date": Function(format_date, 2, 3),
    "parse_date": Function(parse_date, 2, 2),
    "add_time": Function(add_time, 2, 2),
}

LIBRARY_FUNCTIONS = frozenset({"int", "uint", "double", "bytes", "type", "timestamp", "duration"})
LIBRARY_METHODS = frozenset(
    [
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)
TYPE_NAMES = frozenset(["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"])

FUNCTIONS: tuple[FunctionDoc, ...] = (
    FunctionDoc("has", "has(PATH)", "Whether PATH is there (null counts as there).", "has(input.day)", "true"),
    FunctionDoc(
        "default", "default(PATH, value)", "PATH, or the value where it is absent or null.", "default(input.x, 5)", "5"
    ),
    FunctionDoc("size", "size(x)", "Characters, items or entries.", "size([1, 2])", "2"),
    FunctionDoc("in", "x in list", "Whether a list has an item, or a map a key.", "2 in [1, 2]", "true"),
    FunctionDoc("filter", "list.filter(x, E)", "Items for which E is true.", "[1, 2].filter(x, x > 1)", "[2]"),
    FunctionDoc("map", "list.map(x, E)", "E of each item.", "[1, 2].map(x, x * 10)", "[10,20]"),
    FunctionDoc("all", "list.all(x, E)", "Whether E is true for every item.", "[1, 2].all(x, x > 1)", "false"),
    FunctionDoc("exists", "list.exists(x, E)", "Whether E is true for any item.", "[1, 2].exists(x, x > 1)", "true"),
    FunctionDoc(
        "exists_one", "list.exists_one(x, E)", "Whether for exactly one.", "[1, 2].exists_one(x, x > 1)", "true"
    ),
    FunctionDoc("upper", "upper(text)", "In capital letters.", "upper('ab')", '"AB"'),
    FunctionDoc("lower", "lower(text)", "In small letters.", "lower('AB')", '"ab"'),
    FunctionDoc("trim", "trim(text)", "Without blanks at both ends.", "trim(' a ')", '"a"'),
    FunctionDoc("replace", "replace(text, old, new)", "Every `old` replaced.", "replace('a-b', '-', '+')", '"a+b"'),
    FunctionDoc("split", "split(text, separator)", "The parts, as a list.", "split('a,b', ',')", '["a","b"]'),
    FunctionDoc("join", "join(list, separator)", "The texts of a list as one.", "join(['a', 'b'], '-')", '"a-b"'),
    FunctionDoc("contains", "text.contains(part)", "Whether a part occurs.", "'abc'.contains('b')", "true"),
    FunctionDoc("startsWith", "text.startsWith(part)", "Whether it begins so.", "'abc'.startsWith('a')", "true"),
    FunctionDoc("endsWith", "text.endsWith(part)", "Whether it ends so.", "'abc'.endsWith('c')", "true"),
    FunctionDoc(
        "matches",
        "text.matches(pattern)",
        "Whether a regular expression is found in it.",
        "'a1'.matches('[0-9]')",
        "true",
    ),
    FunctionDoc("json", "json(text)", "The value that a JSON text holds.", "json('[1]')", "[1]"),
    FunctionDoc("to_json", "to_json(value)", "The value as JSON text.", "to_json([1])", '"[1]"'),
    FunctionDoc("string", "string(x)", "A number, truth value, timestamp or duration as text.", "string(1)", '"1"'),
    FunctionDoc("int", "int(x)", "A text, double or uint as int; decimals are cut off.", "int('12')", "12"),
    FunctionDoc("double", "double(x)", "A text or int as double, for sums with doubles.", "double(3) * 0.5", "1.5"),
    FunctionDoc("type", "type(x)", "The type: int, double, bool, string, list, map …", "type(1) == int", "true"),
    FunctionDoc(
        "format_date",
        "format_date(date, pattern[, zone])",
        "A date or instant by a pattern of YYYY MM DD HH mm ss; an instant is shown in the zone (UTC).",
        "format_date('2026-11-21T23:30:00Z', 'DD.MM.YYYY HH:mm', 'Europe/Berlin')",
        '"22.11.2026 00:30"',
    ),
    FunctionDoc(
        "parse_date",
        "parse_date(text, pattern)",
        "The ISO date (or instant in UTC, if the pattern has a time) of a text.",
        "parse_date('21.11.2026', 'DD.MM.YYYY')",
        '"2026-11-21"',
    ),
    FunctionDoc(
        "add_time",
        "add_time(date, amount)",
        "A date or instant moved by an amount of w d h m s.",
        "add_time('2026-11-21', '-1d')",
        '"2026-11-20"',
    ),
    FunctionDoc(
        "timestamp",
        "timestamp(text)",
        "An instant to compare and to count with; getFullYear(), getMonth() (from 0) … read its parts in UTC.",
        "timestamp('2026-11-21T00:00:00Z') - duration('1h')",
        '"2026-11-20T23:00:00Z"',
    ),
    FunctionDoc("duration", "duration(text)", "A length of time; as JSON its seconds.", "duration('1m30s')", '"90s"'),
)

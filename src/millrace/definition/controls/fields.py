"""What single fields in the configs of control tasks take, with the faults of what is none.

A config is checked when its definition is saved, where an expression may stand for a value, and again when the
expressions have their values. Messages name no value: it may be one that nobody may see.
"""

from datetime import datetime
from typing import Annotated, Any, Final, LiteralString, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from millrace.core.durations import REMEDY, UNITS, parse_duration
from millrace.core.values import EPOCH, SECOND, Duration, Instant

MOST_ITEMS: Final = 100_000
LONGEST_SLEEP: Final[Duration] = 3653 * UNITS["d"]
LONGEST_TEXT: Final = 255

TIME_REMEDY = "write a time with its zone, such as 2026-11-02T08:00:00Z or 2026-11-02T08:00:00+01:00"
LINE_REMEDY = f"write one line of at most {LONGEST_TEXT} characters"
_TEXT_OF_A_TIME = 40


def _told(kind: LiteralString, reason: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "remedy": remedy})


def sleep_length(value: object) -> Duration:
    """Microseconds. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a duration is text or a number")
    if isinstance(value, str):
        try:
            return parse_duration(value, longest=LONGEST_SLEEP)
        except ValueError:
            raise ValueError("this is no duration of at most 10 years") from None
    if not 0 <= value <= LONGEST_SLEEP / SECOND:
        raise ValueError("this number of seconds is not between 0 and those of 10 years")
    return round(value * SECOND)


def instant_of(text: str) -> Instant:
    """Raises `ValueError`."""
    try:
        moment = datetime.fromisoformat(text[: _TEXT_OF_A_TIME + 1])
    except ValueError:
        raise ValueError("this is no time") from None
    if moment.tzinfo is None:
        raise ValueError("this time has no zone, so it is another one in each part of the world")
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _duration(value: object) -> object:
    try:
        sleep_length(value)
    except ValueError as error:
        raise _told("duration", str(error), REMEDY) from None
    return value


def _time(text: str) -> str:
    try:
        instant_of(text)
    except ValueError as error:
        raise _told("time", str(error), TIME_REMEDY) from None
    return text


def _decision(value: object) -> object:
    if isinstance(value, bool | str):
        return value
    remedy = 'write an expression in braces, such as if: "{{ input.day != null }}"'
    raise _told("condition", "a condition is text or true or false", remedy)


def _choice(value: object) -> object:
    if isinstance(value, bool | str | int | float):
        return value
    remedy = 'write an expression whose value is text, a number or true or false, such as "{{ input.region }}"'
    raise _told("value", "what the names of the cases are compared with is text, a number or true or false", remedy)


def _items(value: object) -> object:
    if isinstance(value, list):
        if len(value) > MOST_ITEMS:
            message = f"a loop runs for at most {MOST_ITEMS} items, and these are {len(value)}"
            raise _told("items", message, "make several loops of it, or several runs")
        return value
    if isinstance(value, str) and "{{" in value:
        return value
    remedy = 'write a list, or one expression that gives one: items: "{{ tasks.ID.output }}"'
    raise _told("items", "a loop runs over a list", remedy)


def _key(value: object) -> object:
    if isinstance(value, str) and value and len(value) <= LONGEST_TEXT:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _told("key", "a key is text or a number, and not empty", LINE_REMEDY)


def _line(text: str) -> str:
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise _told("text", "this cannot hold a line break or another control character", LINE_REMEDY)
    return text


_EXPRESSION = {"type": "string", "pattern": r"^\s*\{\{"}

Sleep: TypeAlias = Annotated[
    Any,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "15m", "2d"]}),
]
Time: TypeAlias = Annotated[
    str,
    AfterValidator(_time),
    WithJsonSchema({"type": "string", "examples": ["2026-11-02T08:00:00Z", "2026-11-02T08:00:00+01:00"]}),
]
Decision: TypeAlias = Annotated[
    Any,
    AfterValidator(_decision),
    WithJsonSchema({"anyOf": [_EXPRESSION, {"type": "boolean"}], "examples": ["{{ size(input.orders) > 1000 }}"]}),
]
OneExpression: TypeAlias = Annotated[str, Field(min_length=1), WithJsonSchema(_EXPRESSION)]
Choice: TypeAlias = Annotated[
    Any,
    AfterValidator(_choice),
    WithJsonSchema({"type": ["string", "number", "boolean"], "examples": ["{{ input.region }}"]}),
]
Items: TypeAlias = Annotated[
    Any,
    AfterValidator(_items),
    WithJsonSchema(
        {
            "anyOf": [{"type": "array", "maxItems": MOST_ITEMS}, _EXPRESSION],
            "examples": ["{{ tasks.fetch.output.body.orders }}", ["eu", "us"]],
        }
    ),
]
EventKey: TypeAlias = Annotated[
    Any, AfterValidator(_key), WithJsonSchema({"type": ["string", "number"], "examples": ["{{ input.order_id }}"]})
]
Line: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(_line)]

"""The language of cron expressions: from text to the numbers it names. Knows no dates and no zones.

second (only with six fields)   0-59    minute 0-59    hour 0-23
day of month 1-31, L, ?         month 1-12, JAN-DEC    day of week 0-7 (0 and 7 are Sunday), SUN-SAT, 5L, ?
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.triggers.faults import InvalidSchedule

LONGEST_EXPRESSION = 1000

SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The most days that each month has."""

COMMANDS = "/.~$"
"""What a command begins with, and no field does."""

EXAMPLE = "write for example 0 2 * * * (every day at 02:00): minute, hour, day of month, month, day of week"

_NUMBER = re.compile(r"[0-9]{1,4}")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Field:
    """One place of an expression: its name, its numbers, and the names that may stand for them."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]
    largest: int
    """The largest number that may be written: 7 stands for Sunday as well."""
    days: bool = False
    """Whether `?` and `L` have a meaning."""


NO_NAMES: Mapping[str, int] = {}
SECOND = Field("second", 0, 59, NO_NAMES, 59)
MINUTE = Field("minute", 0, 59, NO_NAMES, 59)
HOUR = Field("hour", 0, 23, NO_NAMES, 23)
DAY_OF_MONTH = Field("day of month", 1, 31, NO_NAMES, 31, days=True)
MONTH = Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}, 12)
DAY_OF_WEEK = Field("day of week", 0, 6, {name: number for number, name in enumerate(WEEKDAYS)}, 7, days=True)


@dataclass(frozen=True, slots=True)
class Times:
    """What an expression names."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    last_day: bool
    """The last day of each month, besides `days`."""
    months: tuple[int, ...]
    weekdays: frozenset[int]
    last_weekdays: frozenset[int]
    """The last of each month of these, besides `weekdays`."""
    either_day: bool
    """Day of month and day of week are both restricted: a day that is in one of them is enough."""
    hour_is_fixed: bool
    """The hour is written as numbers: no `*`, no step."""


def read_expression(expression: str) -> Times:
    """Raises `InvalidSchedule` at the first thing wrong with it."""
    texts = _texts(expression)
    second, minute, hour, day, month, weekday = texts
    months = tuple(sorted(_numbers(month, MONTH)))
    days, last_day = _days(day)
    weekdays, last_weekdays = _weekdays(weekday)
    times = Times(
        seconds=tuple(sorted(_numbers(second, SECOND))),
        minutes=tuple(sorted(_numbers(minute, MINUTE))),
        hours=tuple(sorted(_numbers(hour, HOUR))),
        days=days,
        last_day=last_day,
        months=months,
        weekdays=weekdays,
        last_weekdays=last_weekdays,
        either_day=day[0] not in "*?" and weekday[0] not in "*?",
        hour_is_fixed="*" not in hour and "/" not in hour,
    )
    _refuse_never(times)
    return times


def _texts(expression: str) -> list[str]:
    """The six fields."""
    text = expression.strip(" \t")
    if not text:
        raise _fault("the expression is empty", EXAMPLE)
    if len(text) > LONGEST_EXPRESSION:
        raise _fault(f"the expression is longer than {LONGEST_EXPRESSION} characters", "split it over several triggers")
    if text.startswith("@"):
        text = _shorthand(text)
    found = _SPACES.split(text)
    if "=" in found[0]:
        raise _fault(f"{found[0][:40]} is a setting, not a part of the schedule", "write the zone as timezone: …")
    if len(found) not in (5, 6) or found[-1][0] in COMMANDS:
        raise _wrong_count(found)
    return found if len(found) == 6 else ["0", *found]


def _shorthand(text: str) -> str:
    name = text.lower()
    if name in SHORTHANDS:
        return SHORTHANDS[name]
    if name == "@reboot":
        raise _fault("@reboot is no time", "write when it shall run, or start the run from your start script")
    if name.startswith("@every"):
        raise _fault(
            "@every is not a schedule of wall-clock times",
            "use a step such as */5 * * * *, or a trigger of type interval with every: 5m",
        )
    raise _fault(f"there is no shorthand {text[:40]!r}", f"the shorthands are {', '.join(SHORTHANDS)}")


def _wrong_count(found: list[str]) -> InvalidSchedule:
    if found[-1][0] in COMMANDS:
        return _fault(f"{found[-1][:40]!r} is not a part of the schedule", "give the schedule only, without a command")
    if len(found) < 5:
        return _fault(f"the expression has {len(found)} of 5 fields", EXAMPLE)
    if len(found) == 7 and _is_year(found[6]):
        return _fault("the expression has a seventh field, which would be a year", "leave the year out")
    return _fault(
        f"the expression has {len(found)} parts, not 5 or 6 fields",
        "give the schedule only, without a user or a command",
    )


def _is_year(text: str) -> bool:
    return re.fullmatch(r"\*|[0-9]{4}([-,/][0-9]+)*", text) is not None


def _days(text: str) -> tuple[frozenset[int], bool]:
    parts = text.split(",")
    last = [part for part in parts if part.upper() == "L"]
    others = [part for part in parts if part.upper() != "L"]
    for part in others:
        if part.upper().startswith("L"):
            raise _fault(
                f"{DAY_OF_MONTH.name}: {part[:20]!r} is not supported", "write L for the last day of the month"
            )
    return (_numbers(",".join(others), DAY_OF_MONTH) if others else frozenset()), bool(last)


def _weekdays(text: str) -> tuple[frozenset[int], frozenset[int]]:
    days: set[int] = set()
    last: set[int] = set()
    for part in text.split(","):
        if part.upper() == "L":
            raise _fault(
                "day of week: L needs a day", "write 5L or FRIL for the last Friday of the month, 6 for Saturday"
            )
        if len(part) > 1 and part.upper().endswith("L"):
            last.add(_number(part[:-1], DAY_OF_WEEK) % 7)
        else:
            days |= {number % 7 for number in _part(part, DAY_OF_WEEK)}
    return frozenset(days), frozenset(last)


def _numbers(text: str, field: Field) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _part(part, field))


def _part(text: str, field: Field) -> range:
    """One part of a list: `*`, `5`, `1-5`, `*/15`, `1-31/2`, or `5/15`, which is 5-59/15."""
    if not text:
        raise _fault(f"{field.name}: a part of the list is empty", "write numbers with one comma between them: 1,15")
    base, slash, step = text.partition("/")
    if base == "?" and not field.days:
        raise _fault(f"{field.name}: ? has a meaning for days only", "write *")
    if base in ("*", "?"):
        low, high = field.low, field.high
    elif "-" in base:
        low, high = _range(base, field)
    else:
        low = _number(base, field)
        low = low % 7 if field is DAY_OF_WEEK and slash else low
        high = field.high if slash else low
    return range(low, high + 1, _step(text, step, low, high, field) if slash else 1)


def _range(text: str, field: Field) -> tuple[int, int]:
    first, _, last = text.partition("-")
    low, high = _number(first, field), _number(last, field)
    if field is DAY_OF_WEEK:
        low = 0 if low == 7 and high != 7 else low
        high = 7 if high == 0 and low > 0 else high
    if low > high:
        remedy = f"write {first}-{_name(field.high, field)},{_name(field.low, field)}-{last}"
        raise _fault(f"{field.name}: the range {text} runs backwards", remedy)
    return low, high


def _step(text: str, step: str, low: int, high: int, field: Field) -> int:
    if _NUMBER.fullmatch(step) is None:
        raise _fault(f"{field.name}: {step[:20]!r} is not a step", "write a number after the slash: */15")
    if int(step) == 0:
        raise _fault(f"{field.name}: a step of 0 never moves", "write a step of 1 or more")
    if int(step) > high - low:
        remedy = f"a step in {low}-{high} is at most {high - low}; for one time only, write {_name(low, field)}"
        raise _fault(f"{field.name}: the step of {text[:20]} leads out of {low}-{high} at once", remedy)
    return int(step)


def _number(text: str, field: Field) -> int:
    """The number that a text names, `_NUMBER` or a name of three letters."""
    if text.upper() in field.names:
        return field.names[text.upper()]
    if _NUMBER.fullmatch(text) is None:
        raise _no_number(text, field)
    number = int(text)
    if not field.low <= number <= field.largest:
        raise _fault(f"{field.name}: {number} is not between {field.low} and {field.largest}", _own(field))
    return number


def _no_number(text: str, field: Field) -> InvalidSchedule:
    shown = repr(text[:20])
    if text.upper()[:3] in field.names:
        return _fault(f"{field.name}: {shown} is not a name of three letters", f"write {text.upper()[:3]}")
    if not text:
        return _fault(f"{field.name}: a number is missing", _own(field))
    if text.upper() == "H":
        return _fault(f"{field.name}: H is not supported", "write a number, and spread the load with jitter: 10m")
    if field.days and ("#" in text or text.upper().endswith("W")):
        remedy = "write days such as 1-7, and let a condition (if) choose among them"
        return _fault(f"{field.name}: {shown} is not supported", remedy)
    if text.upper() == "L":
        return _fault(f"{field.name}: L stands for a last day only", "use it in day of month (L) or day of week (5L)")
    if any(other in text for other in "*?"):
        return _fault(f"{field.name}: {shown} cannot be read", "let * stand alone, or before a step: */15")
    return _fault(f"{field.name}: {shown} is not a number" + (" or a name" if field.names else ""), _own(field))


def _own(field: Field) -> str:
    names = f" or {next(iter(field.names))}-{list(field.names)[-1]}" if field.names else ""
    return f"write {field.low}-{field.largest}{names}, a list (1,3), a range (1-5), a step (*/2) or *"


def _name(number: int, field: Field) -> str:
    return next((name for name, known in field.names.items() if known == number), str(number))


def _refuse_never(times: Times) -> None:
    """Refuse days that no month has. A day of the week comes in every month."""
    if times.last_day or times.either_day:
        return
    longest = max(LENGTHS[month - 1] for month in times.months)
    if min(times.days) <= longest:
        return
    names = ", ".join(MONTHS[month - 1] for month in times.months)
    raise _fault(
        f"it never fires: {names} never {'has' if len(times.months) == 1 else 'have'} a day {min(times.days)}",
        f"name a day up to {longest}, or L for the last day of the month",
    )


def _fault(message: str, remedy: str) -> InvalidSchedule:
    return InvalidSchedule("expression", message, remedy)

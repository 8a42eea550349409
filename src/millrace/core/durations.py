"""Lengths of time as people write them: `30s`, `1h30m`, ISO 8601 (`PT5M`), or a number of seconds."""

import re

from millrace.core.values import SECOND, Duration

UNITS: dict[str, Duration] = {
    "ms": SECOND // 1000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86_400 * SECOND,
}

LONGEST: Duration = 366 * UNITS["d"]
LONGEST_PERIOD: Duration = 100 * LONGEST
"""Of the times that data is kept."""

LONGEST_TEXT = 60
"""Characters of a duration; a number of hundreds of digits is no float any more."""

NEVER = "never"
PERIOD_REMEDY = f"write how long, such as 12h, 30d or 400d, or {NEVER}"

REMEDY = "write a duration such as 500ms, 30s, 5m, 2h, 1d, PT5M, or a number of seconds"

_SHORT = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_ISO = re.compile(r"P(?:(\d+)W|(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?)", re.ASCII)
_ISO_UNITS = (7 * UNITS["d"], UNITS["d"], UNITS["h"], UNITS["m"], UNITS["s"])


def parse_duration(text: str, *, longest: Duration = LONGEST) -> Duration:
    """Microseconds. Raises `ValueError` with what would be right."""
    found = None
    if len(text) <= LONGEST_TEXT:
        found = _short(text) if _SHORT.fullmatch(text) else _iso(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a duration")
    if found > longest:
        raise ValueError(f"{text[:40]!r} is longer than {longest // UNITS['d']} days")
    return found


def parse_period(text: str) -> Duration | None:
    """How long data is kept after its end; `None` is for ever. Raises `ValueError` with what would be right."""
    if text == NEVER:
        return None
    period = parse_duration(text, longest=LONGEST_PERIOD)
    if period == 0:
        raise ValueError("what is kept for no time is gone before anybody sees it")
    return period


def duration_text(value: object) -> str:
    """The text of a duration that may also be given as a number of seconds. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a duration is text or a number")
    if isinstance(value, str):
        parse_duration(value)
        return value
    if not 0 <= value <= LONGEST / SECOND:
        raise ValueError(f"{repr(value)[:40]} seconds is not between 0 and {LONGEST // UNITS['d']} days")
    millis = round(value * 1000)
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def _short(text: str) -> Duration:
    return round(sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text)))


def _iso(text: str) -> Duration | None:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return round(sum(float(number or 0) * unit for number, unit in zip(match.groups(), _ISO_UNITS, strict=True)))

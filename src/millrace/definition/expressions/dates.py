"""Dates and instants of expressions, as ISO text in and out: `2026-11-21`, `2026-11-21T09:30:00Z`.

Pure: there is no `now`; the time of a run is data (`run`, `trigger.time`).
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from millrace.definition.words import hint

from .faults import Unevaluable

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_AMOUNT = re.compile(r"([+-]?)((?:\d{1,9}[wdhms])+)", re.ASCII)
_AMOUNT_PART = re.compile(r"(\d+)([wdhms])", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_FIELD = re.compile(r"YYYY|MM|DD|HH|mm|ss", re.ASCII)
_WIDTHS = {"YYYY": 4, "MM": 2, "DD": 2, "HH": 2, "mm": 2, "ss": 2}
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Entries of a zone folder that say something else on each machine, or nothing."""
_ISO = "write YYYY-MM-DD, or an instant such as 2026-11-21T09:30:00Z"
_RANGE = "the result lies outside the years 1 to 9999"


def format_date(text: str, pattern: str, zone: str = "UTC") -> str:
    """`text` written by `pattern`; an instant is shown in `zone`, a date stays the date it is."""
    moment, shown_in = moment_of(text), zone_named(zone)
    if isinstance(moment, datetime):
        try:
            moment = moment.astimezone(shown_in)
        except OverflowError:
            raise Unevaluable(_RANGE) from None
    else:
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    parts = {
        "YYYY": f"{moment.year:04}",
        "MM": f"{moment.month:02}",
        "DD": f"{moment.day:02}",
        "HH": f"{moment.hour:02}",
        "mm": f"{moment.minute:02}",
        "ss": f"{moment.second:02}",
    }
    return _FIELD.sub(lambda field: parts[field.group()], pattern)


def parse_date(text: str, pattern: str) -> str:
    """The ISO text of `text`, which is written by `pattern`: a date, or an instant in UTC if it has a time."""
    fields = fields_of(pattern)
    expected = _FIELD.sub(lambda field: f"(\\d{{{_WIDTHS[field.group()]}}})", re.escape(pattern))
    match = re.fullmatch(expected, text, re.ASCII)
    if match is None:
        raise Unevaluable("the text given to parse_date() is not written by its pattern")
    numbers = dict(zip(fields, map(int, match.groups()), strict=True))
    year, month, day, hour, minute, second = (numbers.get(name, 0) for name in _WIDTHS)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Unevaluable("the text given to parse_date() names a day or time that does not exist") from None
    has_time = not {"HH", "mm", "ss"}.isdisjoint(fields)
    return iso_text(moment) if has_time else moment.date().isoformat()


def fields_of(pattern: str) -> list[str]:
    """The fields of a pattern of parse_date(), in its order."""
    fields = _FIELD.findall(pattern)
    if len(set(fields)) != len(fields) or not {"YYYY", "MM", "DD"} <= set(fields):
        raise Unevaluable(
            "the pattern of parse_date() must name YYYY, MM and DD, each field once", "write for example DD.MM.YYYY"
        )
    return fields


def add_time(text: str, amount: str) -> str:
    """`text` moved by `amount` (`1d`, `-2h30m`); a date stays a date when it is moved by whole days."""
    delta, moment = length_of(amount), moment_of(text)
    try:
        if not isinstance(moment, datetime):
            if delta % timedelta(days=1) == timedelta():
                return (moment + delta).isoformat()
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        return iso_text(moment + delta)
    except OverflowError:
        raise Unevaluable(_RANGE) from None


def length_of(amount: str) -> timedelta:
    match = _AMOUNT.fullmatch(amount)
    if match is None:
        raise Unevaluable("the amount given to add_time() cannot be read", "write it like 1d, -2h30m or 1w")
    try:
        delta = sum(
            (timedelta(**{_UNITS[unit]: int(number)}) for number, unit in _AMOUNT_PART.findall(match[2])), timedelta()
        )
    except OverflowError:
        raise Unevaluable(_RANGE) from None
    return -delta if match[1] == "-" else delta


def iso_text(moment: datetime) -> str:
    """An instant as ISO 8601 in UTC; fractions of a second only where there are any."""
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise Unevaluable(_RANGE) from None


def duration_text(delta: timedelta) -> str:
    """A length of time as seconds, the way JSON writes CEL durations: `90s`, `0.5s`."""
    micros = delta // timedelta(microseconds=1)
    whole, fraction = divmod(abs(micros), 1_000_000)
    sign = "-" if micros < 0 else ""
    return f"{sign}{whole}" + (f".{fraction:06}".rstrip("0") if fraction else "") + "s"


def moment_of(text: str) -> date | datetime:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unevaluable("a text given as a date is none", _ISO) from None
    if moment.tzinfo is None:
        raise Unevaluable("an instant without a time zone has no meaning", _ISO)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Unevaluable(_RANGE) from None


def zone_named(name: str) -> ZoneInfo | timezone:
    if name == "UTC":
        return UTC
    try:
        if name in _NO_ZONES:
            raise KeyError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Unevaluable(
            "a time zone given to format_date() is not known", "use an IANA name such as Europe/Berlin"
        ) from None


def zone_written(name: str) -> ZoneInfo | timezone:
    """As `zone_named`, for a name that stands in the source: there it is worth looking for the one that was meant."""
    try:
        return zone_named(name)
    except Unevaluable as error:
        message, remedy = error.words()
        near = [zone for zone in _zone_names() if abs(len(zone) - len(name)) < 3 and zone[0] == name[:1]]
        raise Unevaluable(f"{message}{hint(name, near)}", remedy) from None


@cache
def _zone_names() -> tuple[str, ...]:
    """The zones of this machine; listing them means to walk through their folder."""
    return tuple(sorted(available_timezones() - _NO_ZONES))

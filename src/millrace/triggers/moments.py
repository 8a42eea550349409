"""A moment as a definition writes it: with its distance from UTC, or as the clocks of the trigger's zone show it."""

from datetime import datetime

from millrace.core.values import EPOCH, SECOND, Instant
from millrace.triggers.zones import DAY, EARLIEST, LATEST, Zone

REMEDY = "write a moment such as 2026-11-02T08:00:00Z, or without an offset what clocks in the trigger's zone show"

_START = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time has no zone


def parse_moment(text: str) -> datetime:
    """Raises `ValueError` with what is wrong."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a moment") from None
    if not 1800 <= moment.year < 2500:
        raise ValueError(f"{text[:40]!r} is not between the years 1800 and 2500")
    return moment


def instant_of(text: str, zone: Zone) -> Instant:
    """When it is. A time that no clock shows is the first instant after the gap; of two that look the same the first.

    Raises `ValueError` as `parse_moment`.
    """
    moment = parse_moment(text)
    if moment.tzinfo is not None:
        since = moment - EPOCH
        return (since.days * DAY + since.seconds) * SECOND + since.microseconds
    shown = moment - _START
    return _second_of(shown.days * DAY + shown.seconds, zone) * SECOND + shown.microseconds


def _second_of(wall: int, zone: Zone) -> int:
    around = {zone.stretch(min(max(second, EARLIEST), LATEST)).offset for second in (wall - DAY, wall, wall + DAY)}
    for offset in sorted(around, reverse=True):
        if zone.stretch(wall - offset).offset == offset:
            return wall - offset
    return zone.stretch(wall - min(around)).start

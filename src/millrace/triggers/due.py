"""Times at which a schedule is due, and what every schedule answers about them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from millrace.core import values
from millrace.core.values import Instant
from millrace.triggers.zones import EARLIEST, LATEST, Zone

Shift: TypeAlias = Literal["gap", "overlap"]

_START = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time has no zone
_LENGTH = len(_START.isoformat())


@dataclass(frozen=True, slots=True)
class Due:
    """A time at which a schedule is due."""

    at: Instant
    local: str
    """What the clocks of the zone show then, with their distance from UTC: `2026-03-29T03:00:00+02:00`."""
    shift: Shift | None
    """`gap`: the time that is named does not exist on this day. `overlap`: the clocks show this time twice."""

    @property
    def offset(self) -> str:
        """The distance from UTC: `+02:00`."""
        return self.local[_LENGTH:]


@dataclass(frozen=True, slots=True)
class ClockChange:
    """Clocks are set at `at`: when they would show `before`, they show `after`."""

    at: Instant
    before: str
    after: str


class Times(Protocol):
    """The due times of a schedule: a pure function of what it says."""

    @property
    def zone(self) -> Zone: ...

    def next_after(self, instant: Instant) -> Due | None:
        """The first due time after `instant`; `None` when there is none any more."""
        ...

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        """The first `limit` due times after `after`, up to and with `until`."""
        ...

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        """The last due time after `after`, up to and with `until`."""
        ...


def due_at(at: Instant, zone: Zone) -> Due:
    """A time that was not named by what clocks show, so that no change of them can shift it."""
    second = at // values.SECOND
    offset = zone.stretch(second).offset
    return Due(at, local_text(second + offset, offset), None)


def clock_changes(zone: Zone, after: Instant, until: Instant) -> list[ClockChange]:
    """How the clocks of the zone are set, later than `after` and not later than `until`."""
    changes = []
    stretch = zone.stretch(max(after // values.SECOND, EARLIEST))
    while stretch.end <= min(until // values.SECOND, LATEST):
        at, offset = stretch.end, stretch.offset
        stretch = zone.stretch(at)
        if stretch.offset != offset:
            shown = local_text(at + offset, offset), local_text(at + stretch.offset, stretch.offset)
            changes.append(ClockChange(at * values.SECOND, *shown))
    return changes


def local_text(wall: int, offset: int) -> str:
    """A wall-clock time, in seconds, as text with its distance from UTC."""
    return f"{(_START + timedelta(seconds=wall)).isoformat()}{offset_text(offset)}"


def offset_text(offset: int) -> str:
    """`+02:00`, and with seconds where a zone had them: `-00:44:30`."""
    minutes, seconds = divmod(abs(offset), 60)
    text = f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text

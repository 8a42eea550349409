"""A cron schedule: the instants at which the clocks of a zone show what an expression names.

Where the hour is written as numbers, each wall-clock time that is named is one appointment, and two rules say what
becomes of it when clocks are changed. `gap`: a time that no clock shows is kept at the first instant after the gap
(`shift`) or dropped (`skip`). `overlap`: a time that is shown twice is kept the `first` time, the `last`, or `both`
times. Where the hour has a `*` or a step, the schedule follows the clocks as they go: it fires whenever they show a
time that is named, twice if they show it twice, and never if they do not show it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias, get_args

from millrace.core import values
from millrace.core.values import Instant
from millrace.triggers.due import Due, local_text
from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.wall import WallClock, wall_clock
from millrace.triggers.zones import EARLIEST, LATEST, Stretch, Zone, zone_of

Gap: TypeAlias = Literal["shift", "skip"]
Overlap: TypeAlias = Literal["first", "last", "both"]

HORIZON = 100 * 366 * 86_400
"""Seconds that a firing is looked for."""

SHORTEST_LOOK_BACK = 60 * values.SECOND


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """An expression in a zone."""

    expression: str
    timezone: str
    gap: Gap
    overlap: Overlap
    zone: Zone
    _wall: WallClock

    @classmethod
    def parse(cls, expression: str, *, timezone: str, gap: Gap = "shift", overlap: Overlap = "first") -> "CronSchedule":
        """Raises `InvalidSchedule`, also for an expression that never fires."""
        if gap not in get_args(Gap):
            raise InvalidSchedule("gap", f"gap cannot be {gap!r}", f"write one of {', '.join(get_args(Gap))}")
        if overlap not in get_args(Overlap):
            raise InvalidSchedule(
                "overlap", f"overlap cannot be {overlap!r}", f"write one of {', '.join(get_args(Overlap))}"
            )
        return cls(expression, timezone, gap, overlap, zone_of(timezone), wall_clock(expression))

    @property
    def follows_the_clock(self) -> bool:
        """The hour has a `*` or a step, so that `gap` and `overlap` do not hold."""
        return not self._wall.hour_is_fixed

    def next_after(self, instant: Instant) -> Due | None:
        """The first time due that is later than `instant`; `None` if there is none before the year 2500."""
        second = max(instant // values.SECOND + 1, EARLIEST)
        last = min(second + HORIZON, LATEST)
        while second < last:
            stretch = self.zone.stretch(second)
            due = self._shown(stretch, second) if self.follows_the_clock else self._appointment(stretch, second)
            if due is not None:
                return due if due.at < LATEST * values.SECOND else None
            second = stretch.end
        return None

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        """The first `limit` times due that are later than `after` and not later than `until`."""
        return list(islice(self._following(after, until), limit))

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        """The last time due that is later than `after` and not later than `until`, found from the end."""
        span = SHORTEST_LOOK_BACK
        while True:
            start = max(after, until - span)
            found = deque(self._following(start, until), maxlen=1)
            if found or start == after:
                return found[0] if found else None
            span *= 4

    def _following(self, after: Instant, until: Instant) -> Iterator[Due]:
        due = self.next_after(after)
        while due is not None and due.at <= until:
            yield due
            due = self.next_after(due.at)

    def _shown(self, stretch: Stretch, second: int) -> Due | None:
        """The first firing within a stretch, from `second` on, where the clocks are followed as they go."""
        wall = self._wall.first_from(second + stretch.offset)
        return None if wall is None or wall >= stretch.end + stretch.offset else _due(wall, stretch)

    def _appointment(self, stretch: Stretch, second: int) -> Due | None:
        """The first firing within a stretch, from `second` on, where each time that is named is one appointment."""
        start, end, offset, before, after = stretch
        first, last = second + offset, end + offset
        if self.overlap == "first":
            first = max(first, start + before)
        elif self.overlap == "last":
            last = min(last, end + after)
        wall = self._wall.first_from(first)
        if second == start and before < offset and self.gap == "shift" and wall != start + offset:
            missed = self._wall.first_from(start + before)
            if missed is not None and missed < start + offset:
                return Due(start * values.SECOND, local_text(start + offset, offset), "gap")
        return None if wall is None or wall >= last else _due(wall, stretch)


def _due(wall: int, stretch: Stretch) -> Due:
    return Due(
        (wall - stretch.offset) * values.SECOND,
        local_text(wall, stretch.offset),
        "overlap" if stretch.shown_twice(wall) else None,
    )

"""What the clocks of a time zone show: the stretches of time in which it is ahead of UTC by the same amount.

`zoneinfo` answers what the offset is at an instant, not when it changes; the changes are searched once, kept for the
years that were asked about, and found by bisection afterwards. Nothing here knows about schedules.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from millrace.triggers.faults import InvalidSchedule

DAY = 86_400
EARLIEST = int(datetime(1800, 1, 1, tzinfo=UTC).timestamp())
LATEST = int(datetime(2500, 1, 1, tzinfo=UTC).timestamp())
"""Schedules are followed between these; what lies outside has no firings."""

PROBE = DAY
"""Distance of the probes for changes. No two changes of a zone are nearer than three days; a test looks at them all."""

MARGIN = 30 * DAY
"""What is known at least on both sides of an instant that is answered for; no clock was ever set by so much."""

AHEAD = 800 * DAY
"""How much more is searched at a time."""

NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Entries of a zone folder that name no zone: they say something else on each machine, or nothing."""


class Stretch(NamedTuple):
    """Time between two changes of a zone's offset. All numbers are seconds; `start` and `end` since the epoch, UTC."""

    start: int
    end: int
    """Where the next stretch begins. What is known may end here as well; `before` or `after` then equals `offset`."""
    offset: int
    before: int
    after: int
    """The offsets of the stretches next to this one."""

    def shown_twice(self, wall: int) -> bool:
        """Whether a wall-clock time within this stretch is also shown in the one before it or after it."""
        return wall < self.start + self.before or wall >= self.end + self.after


class Zone:
    """One time zone. Safe in threads: what is known is replaced as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._info = ZoneInfo(name)
        self._known = _Known(EARLIEST, EARLIEST, (), ())

    def stretch(self, second: int) -> Stretch:
        """The stretch that `second` lies in."""
        known = self._known
        if not known.first + MARGIN <= second < known.last - MARGIN:
            known = self._known = self._searched(known, second)
        index = bisect_right(known.changes, second)
        changes, offsets = known.changes, known.offsets
        return Stretch(
            changes[index - 1] if index else known.first,
            changes[index] if index < len(changes) else known.last - MARGIN,
            offsets[index],
            offsets[index - 1] if index else offsets[index],
            offsets[index + 1] if index < len(changes) else offsets[index],
        )

    def _searched(self, known: "_Known", second: int) -> "_Known":
        """More of the zone, so that `second` is within it."""
        if known.first == known.last:
            known = _Known(second, second, (), (self._offset(second),))
        first, last = known.first, known.last
        if second < first + MARGIN:
            first = second - AHEAD
        if second >= last - MARGIN:
            last = second + AHEAD
        earlier, later = self._changes(first, known.first), self._changes(known.last, last)
        changes = (*earlier, *known.changes, *later)
        return _Known(first, last, changes, (self._offset(first), *(self._offset(change) for change in changes)))

    def _changes(self, first: int, last: int) -> list[int]:
        """The instants after `first` and up to `last` at which the offset changes."""
        found: list[int] = []
        for start in range(first, last, PROBE):
            self._narrow(start, min(start + PROBE, last), found)
        return found

    def _narrow(self, low: int, high: int, found: list[int]) -> None:
        """Add the change in (low, high], if there is one."""
        offset = self._offset(low)
        if self._offset(high) == offset:
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        found.append(high)

    def _offset(self, second: int) -> int:
        offset = datetime.fromtimestamp(second, self._info).utcoffset()
        assert offset is not None, "a zone of zoneinfo always has one"  # noqa: S101
        return offset.days * DAY + offset.seconds


class _Known(NamedTuple):
    """The changes in (first, last], and the offsets before, between and after them: one more."""

    first: int
    last: int
    changes: tuple[int, ...]
    offsets: tuple[int, ...]


@cache
def zone_names() -> frozenset[str]:
    """The IANA zones of this installation."""
    return frozenset(available_timezones()) - NO_ZONES


@lru_cache(maxsize=1024)
def _zone(name: str) -> Zone:
    return Zone(name)


def zone_of(name: str) -> Zone:
    """The zone of an IANA name, made once. Raises `InvalidSchedule`."""
    if name not in zone_names():
        raise InvalidSchedule("timezone", f"there is no time zone {name[:60]!r}", _remedy(name))
    return _zone(name)


def _remedy(name: str) -> str:
    wanted = name.strip()[:60].replace(" ", "_").casefold()
    known = sorted(zone_names())
    same = [name for name in known if name.casefold() == wanted]
    city = [name for name in known if name.casefold().split("/")[-1] == wanted]
    near = same or city or get_close_matches(name[:60], known, n=1, cutoff=0.8)
    if near:
        return f"write {near[0]}"
    return "write an IANA name such as Europe/Berlin, America/New_York or UTC"

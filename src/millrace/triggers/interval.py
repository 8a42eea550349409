"""A schedule of equal steps from an anchor, in both directions. It counts real time: no change of clocks shifts it, and
nothing that keeps a firing waiting makes the next one later."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from millrace.core.values import SECOND, Duration, Instant
from millrace.triggers.due import Due, due_at
from millrace.triggers.zones import EARLIEST, LATEST, Zone


@dataclass(frozen=True, slots=True)
class IntervalTimes:
    """Meets `due.Times`. `every` is at least a second."""

    every: Duration
    anchor: Instant
    zone: Zone

    def next_after(self, instant: Instant) -> Due | None:
        earliest = max(instant, EARLIEST * SECOND)
        at = self.anchor + ((earliest - self.anchor) // self.every + 1) * self.every
        return due_at(at, self.zone) if at < LATEST * SECOND else None

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        return list(islice(self._following(after, until), limit))

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        at = self.anchor + (until - self.anchor) // self.every * self.every
        return due_at(at, self.zone) if at > after else None

    def _following(self, after: Instant, until: Instant) -> Iterator[Due]:
        due = self.next_after(after)
        while due is not None and due.at <= until:
            yield due
            due = self.next_after(due.at)

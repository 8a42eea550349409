"""A schedule that holds from one moment to another, both included. Outside of them nothing is due."""

from dataclasses import dataclass

from millrace.core.values import Instant
from millrace.triggers.due import Due, Times
from millrace.triggers.zones import Zone


@dataclass(frozen=True, slots=True)
class Bounded:
    """Meets `due.Times`."""

    times: Times
    start: Instant | None
    end: Instant | None

    @property
    def zone(self) -> Zone:
        return self.times.zone

    def next_after(self, instant: Instant) -> Due | None:
        due = self.times.next_after(self._from(instant))
        return None if due is None or (self.end is not None and due.at > self.end) else due

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        return self.times.due_between(self._from(after), self._until(until), limit)

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        after, until = self._from(after), self._until(until)
        return self.times.latest_between(after, until) if after < until else None

    def _from(self, after: Instant) -> Instant:
        return after if self.start is None else max(after, self.start - 1)

    def _until(self, until: Instant) -> Instant:
        return until if self.end is None else min(until, self.end)

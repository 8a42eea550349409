"""A schedule that counts from the end of the last run it started, so that two of its runs are never at work at once.

It is not a function of time alone: when it is due next is known when a run has ended, and not before.
"""

from dataclasses import dataclass

from millrace.core.values import SECOND, Duration, Instant
from millrace.triggers.due import Due, due_at
from millrace.triggers.zones import LATEST, Zone


@dataclass(frozen=True, slots=True)
class AfterEnd:
    """Meets `due.Times`, and says of no stretch of time what is due in it. `every` is at least a second."""

    every: Duration
    start: Instant | None
    end: Instant | None
    zone: Zone

    def first(self, instant: Instant) -> Due | None:
        """When it is due if nothing has kept it waiting up to `instant`."""
        at = instant if self.start is None else max(instant, self.start)
        over = at > self.end if self.end is not None else at >= LATEST * SECOND
        return None if over else due_at(at, self.zone)

    def next_after(self, instant: Instant) -> Due | None:
        """When it is due if its last run ended at `instant`."""
        return self.first(instant + self.every)

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        return []

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        return None

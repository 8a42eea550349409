"""A schedule of one moment."""

from dataclasses import dataclass

from millrace.core.values import Instant
from millrace.triggers.due import Due, due_at
from millrace.triggers.zones import Zone


@dataclass(frozen=True, slots=True)
class Once:
    """Meets `due.Times`."""

    at: Instant
    zone: Zone

    def next_after(self, instant: Instant) -> Due | None:
        return due_at(self.at, self.zone) if self.at > instant else None

    def due_between(self, after: Instant, until: Instant, limit: int) -> list[Due]:
        return [due_at(self.at, self.zone)][:limit] if after < self.at <= until else []

    def latest_between(self, after: Instant, until: Instant) -> Due | None:
        return due_at(self.at, self.zone) if after < self.at <= until else None

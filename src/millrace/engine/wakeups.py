"""Who is woken by what a commit wrote: services that would otherwise find it a second later, by polling."""

from typing import Protocol

from millrace.core.values import Instant
from millrace.engine.changes import Rows


class Alarm(Protocol):
    def expect(self, at: Instant) -> None:
        """Something becomes due at `at`."""
        ...


class WakableAlarm(Alarm, Protocol):
    def wake(self) -> None:
        """Something may be due now."""
        ...


class Wakeups:
    """Filled in by the composition root once the services exist; before that, polling alone finds everything."""

    def __init__(self) -> None:
        self.alarm: Alarm | None = None
        self.admission: WakableAlarm | None = None

    def after(self, rows: Rows, now: Instant, *, admission: bool, run_at: Instant | None = None) -> None:
        """A commit wrote `rows`; `admission` tells that the run is under a limit, `run_at` when it may start."""
        if self.alarm is not None:
            for attempt in rows.scheduled:
                if attempt.available_at > now:
                    self.alarm.expect(attempt.available_at)
                if attempt.queue_until is not None:
                    self.alarm.expect(attempt.queue_until)
            for _, fire_at in rows.timers:
                self.alarm.expect(fire_at)
        if admission and self.admission is not None:
            if run_at is not None and run_at > now:
                self.admission.expect(run_at)
            else:
                self.admission.wake()

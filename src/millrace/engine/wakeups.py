"""Who is woken by what a commit wrote: services that would otherwise find it a second later, by polling."""

from collections.abc import Callable
from typing import Protocol

from millrace.core.values import Instant
from millrace.engine.changes import Rows
from millrace.ports.dispatch import Hint, Hints


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
        self.inbox: Callable[[], None] | None = None
        self.orphans: Callable[[], None] | None = None
        self.child_wanted: Callable[[], None] | None = None
        self.run_ended: Callable[[], None] | None = None
        self.others: Hints | None = None
        """Other processes, if there may be any."""

    def after(self, rows: Rows, now: Instant, *, admission: bool, run_at: Instant | None = None) -> None:
        """A commit wrote `rows`; `admission` tells that the run is under a limit, `run_at` when it may start."""
        self._expect(rows, now)
        if rows.controls.told:
            self.inbox_waits()
            if self.others is not None:
                self.others.tell(Hint.INBOX)
        if rows.controls.child_wanted and self.child_wanted is not None:
            self.child_wanted()
        if admission and self.admission is not None:
            if run_at is not None and run_at > now:
                self.admission.expect(run_at)
            else:
                self.admission.wake()
        if rows.finished and self.run_ended is not None:
            self.run_ended()

    def _expect(self, rows: Rows, now: Instant) -> None:
        """Have what becomes due looked at then."""
        if self.alarm is None:
            return
        for attempt in rows.scheduled:
            if attempt.available_at > now:
                self.alarm.expect(attempt.available_at)
            if attempt.queue_until is not None:
                self.alarm.expect(attempt.queue_until)
        for _, fire_at in rows.timers:
            self.alarm.expect(fire_at)
        for wait in rows.controls.waits.values():
            if wait.fire_at is not None:
                self.alarm.expect(wait.fire_at)

    def inbox_waits(self) -> None:
        """Facts that were brought to a run are to be brought again."""
        if self.inbox is not None:
            self.inbox()

    def work_waits(self) -> None:
        """Attempts wait in the queue that this process does not claim."""
        if self.others is not None:
            self.others.tell(Hint.WORK)

    def worker_lost(self) -> None:
        """What it left behind is to be ended by whoever shares its host."""
        if self.orphans is not None:
            self.orphans()
        if self.others is not None:
            self.others.tell(Hint.LOST)

    def stop_elsewhere(self, run_id: str) -> None:
        """Attempts of this run are to be ended, and do not run in this process."""
        if self.others is not None:
            self.others.tell(Hint.STOP, run_id)


class AdmissionElsewhere:
    """Meets `WakableAlarm` where admission is the business of other processes. A later time they find by polling."""

    def __init__(self, others: Hints) -> None:
        self._others = others

    def wake(self) -> None:
        self._others.tell(Hint.ADMISSION)

    def expect(self, at: Instant) -> None:
        return None

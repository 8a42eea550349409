"""Sets schedules in motion again that count from the end of the last run they started: the commit of that start has
left them without a due time.

It is told when runs end, and it looks by itself from time to time, so that an ending that nobody was told of, or a run
that was deleted before it was looked at, silences no schedule for ever. Any number of processes may do so: the first
one sets the due time, and the row is not as the others have read it any more.
"""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from millrace.app.endings.listeners import EndedRun
from millrace.app.firing import repository
from millrace.app.firing.repository import Awaiting
from millrace.app.triggers.schedules import Schedules, UnusableSchedule
from millrace.core.values import Instant
from millrace.engine.service import Service
from millrace.ports.database import Database
from millrace.triggers.after_end import AfterEnd

BATCH = 500


class AwaitedRuns(Service):
    """Meets `endings.listeners.EndingListener`. Woken when a trigger has changed: its run may be over."""

    interval = 60.0

    def __init__(self, database: Database, schedules: Schedules) -> None:
        super().__init__()
        self._database = database
        self._schedules = schedules
        self.after_change: Callable[[], None] = _nobody
        """Told when a schedule has a due time again; the composition root lets it wake the scheduler."""

    def listens(self, connection: Connection) -> bool:
        return repository.anybody_awaits(connection)

    async def runs_ended(self, ended: Sequence[EndedRun]) -> None:
        trigger_ids = sorted({one.trigger_id for one in ended if one.trigger_id is not None})
        for first in range(0, len(trigger_ids), BATCH):
            read = partial(repository.awaiting, trigger_ids=trigger_ids[first : first + BATCH])
            await self._go_on(await self._database.read(read))

    async def run_once(self) -> float | None:
        after = ""
        while True:
            found = await self._database.read(partial(repository.awaiting_after, after=after, limit=BATCH))
            await self._go_on(found)
            if len(found) < BATCH:
                return None
            after = found[-1].trigger_id

    async def _go_on(self, found: Sequence[Awaiting]) -> None:
        due = [(one, at) for one in found if (at := self._next_due_at(one)) is not None]
        if due:
            await self._database.write(lambda connection: _set(connection, due))
            self.after_change()

    def _next_due_at(self, one: Awaiting) -> Instant | None:
        """`None` for what is not to go on: its run is at work, or its schedule is at an end."""
        ended_at = one.run_ended_at
        if ended_at is None:
            return None
        try:
            schedule = self._schedules.of("interval", one.config)
        except UnusableSchedule:
            return None
        if schedule is None or not isinstance(schedule.times, AfterEnd):
            return None
        # While it was silent nothing was due: what follows from a run that ended long ago is due when it began anew.
        due = schedule.times.first(max(ended_at + schedule.times.every, one.decided_until))
        return None if due is None else due.at


def _set(connection: Connection, due: Sequence[tuple[Awaiting, Instant]]) -> None:
    for one, at in due:
        repository.go_on(connection, one, at)


def _nobody() -> None:
    return None

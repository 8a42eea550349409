"""Starts the runs of backfills, so many at a time, and counts what became of them. Durable, and across restarts.

    what has become of the runs under way → how many may be started → the next due times, one after the other
      → how far that has come, in one row, if nobody else has written it meanwhile

Any number of processes may be at it. What makes a due time start one run is its start key: a start that was committed
and not counted, after a crash or because another process was faster, is found by the key and counted then.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import Connection

from millrace.app.backfills import repository
from millrace.app.backfills.repository import BackfillRow, Held
from millrace.app.backfills.times import KEY_LIFETIME, KEYS, key_again, schedule_text, start_key
from millrace.app.endings.listeners import EndedRun
from millrace.app.firing import names
from millrace.app.firing.occasions import Firer, Occasion
from millrace.app.runs.starting import Fired, FiringOutcome
from millrace.app.triggers import repository as trigger_rows
from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.schedules import Schedules, UnusableSchedule
from millrace.core.errors import Unavailable
from millrace.core.values import Instant
from millrace.engine.service import Service
from millrace.ports.database import Database
from millrace.ports.store import StartKey, StoreUnavailable
from millrace.triggers.due import Due

logger = logging.getLogger(__name__)

AT_A_TIME = 100
"""Due times that are looked at before it is noted how far the backfill has come."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is true of a backfill now."""

    now: Instant
    trigger: TriggerRow | None
    ends: Mapping[str, str | None]


class BackfillFiller(Service):
    """Meets `endings.listeners.EndingListener`: a run that has ended may make room for the next."""

    interval = 5.0
    busy_interval = 1.0
    """While a backfill is open."""

    def __init__(self, database: Database, schedules: Schedules, firer: Firer) -> None:
        super().__init__()
        self._database = database
        self._schedules = schedules
        self._firer = firer

    def listens(self, connection: Connection) -> bool:
        return repository.anybody_waits(connection)

    async def runs_ended(self, ended: Sequence[EndedRun]) -> None:
        if any(one.trigger_id is not None for one in ended):
            self.wake()

    async def run_once(self) -> float | None:
        open_ = await self._database.read(repository.open_ones)
        went_on = [await self._go_on(row) for row in open_]
        if any(went_on):
            return 0.0
        return self.busy_interval if open_ else None

    async def _go_on(self, row: BackfillRow) -> bool:
        """Whether there is more to do at once. What hinders one hinders no other."""
        try:
            return await self._fill(row)
        except StoreUnavailable:
            raise
        except Unavailable as error:
            logger.warning("backfill %s must wait: %s", row.id, error.message)
        except Exception:
            logger.exception("backfill %s is put off", row.id)
        return False

    async def _fill(self, row: BackfillRow) -> bool:
        seen = await self._database.read(lambda connection: _seen(connection, row))
        after = _counted(row, seen)
        trigger, failure = seen.trigger, _failure(after)
        if trigger is None:
            return await self._end(after, seen, "cancelled", "its trigger was removed")
        if schedule_text(trigger) != row.schedule:
            return await self._end(after, seen, "cancelled", "the schedule of its trigger was changed")
        if failure is not None:
            return await self._end(after, seen, "failed", failure)
        if row.status != "running" or not trigger.active:
            await self._save(row, after)
            return False
        times = self._times(trigger, after)
        if not times and after.under_way == "[]":
            return await self._end(after, seen, "completed", None)
        filled = await self._started(after, trigger, times, seen.now)
        more = bool(times) and _room(filled) > 0
        return await self._save(row, filled) and more and filled != row

    def _times(self, trigger: TriggerRow, row: BackfillRow) -> list[Due]:
        try:
            schedule = self._schedules.of(trigger.type, trigger.config)
        except UnusableSchedule as error:
            logger.warning("backfill %s has no due times any more: %s", row.id, error)
            return []
        return [] if schedule is None else schedule.times.due_between(row.decided_until, row.range_until, AT_A_TIME)

    async def _started(self, row: BackfillRow, trigger: TriggerRow, times: Sequence[Due], now: Instant) -> BackfillRow:
        """The backfill once it has dealt with these due times, as far as there is room for runs."""
        if not times or _room(row) == 0:
            return row
        keys = {due.at: key_again(row.id, due.at) if row.again else start_key(trigger, due.at) for due in times}
        held, fired = await self._database.read(lambda connection: _known(connection, row, keys))
        for due in times:
            if _room(row) == 0 or _failure(row) is not None:
                break
            key = keys[due.at]
            if key in held or due.at in fired:
                row = _found(row, due, held.get(key))
                continue
            outcome = await self._fire(row, trigger, due, key, now)
            decided = _decided(row, due, outcome)
            if decided is None:
                break
            row = decided
        return row

    async def _fire(self, row: BackfillRow, trigger: TriggerRow, due: Due, key: str, now: Instant) -> Fired:
        occasion = Occasion(
            names.scheduled(trigger, due, now, backfill=row.id),
            key,
            StartKey(KEYS, trigger.id, key, row.id, now + KEY_LIFETIME),
            keep_skips=False,
            due_at=due.at,
        )
        return await self._firer.fire(trigger, occasion)

    async def _save(self, before: BackfillRow, after: BackfillRow) -> bool:
        """Whether it is written, or nothing was to be."""
        if after == before:
            return True
        return await self._database.write(lambda connection: repository.save(connection, after))

    async def _end(self, row: BackfillRow, seen: Seen, status: str, reason: str | None) -> bool:
        over = replace(row, status=status, reason=reason, finished_at=seen.now)
        if await self._database.write(lambda connection: repository.save(connection, over)):
            logger.info("backfill %s is %s%s", row.id, status, f": {reason}" if reason else "")
        return False


def _seen(connection: Connection, row: BackfillRow) -> Seen:
    found = trigger_rows.find(connection, row.trigger_id)
    trigger = None if found is None else TriggerRow(**{name: found[name] for name in TriggerRow.__slots__})
    return Seen(trigger_rows.now(connection), trigger, repository.ends_of(connection, orjson.loads(row.under_way)))


def _known(
    connection: Connection, row: BackfillRow, keys: Mapping[Instant, str]
) -> tuple[Mapping[str, Held], set[Instant]]:
    """Runs that there are already: by start key, and of due times so long ago that their keys are gone."""
    held = repository.held(connection, KEYS, row.trigger_id, keys.values())
    return held, set() if row.again else repository.fired_long_ago(connection, row.trigger_id, list(keys))


def _counted(row: BackfillRow, seen: Seen) -> BackfillRow:
    """The backfill with the runs counted that have ended; one that was deleted had ended before."""
    run_ids: list[str] = orjson.loads(row.under_way)
    ends = [seen.ends.get(run_id, "completed") for run_id in run_ids]
    left = [run_id for run_id, end in zip(run_ids, ends, strict=True) if end is None]
    completed = ends.count("completed")
    return replace(
        row,
        under_way=_text(left),
        completed=row.completed + completed,
        failed=row.failed + len(run_ids) - len(left) - completed,
    )


def _failure(row: BackfillRow) -> str | None:
    """Why a backfill that is to stop at the first failure stops."""
    if not row.stop_on_failure:
        return None
    if row.refused:
        return "a run could not be started, and it was to stop then; the firings of the trigger say why"
    return "a run failed, and it was to stop then" if row.failed else None


def _room(row: BackfillRow) -> int:
    return max(0, row.at_once - len(orjson.loads(row.under_way)))


def _found(row: BackfillRow, due: Due, held: Held | None) -> BackfillRow:
    """A run of this due time is there already: of this backfill, started and not counted, or from before."""
    if held is None or held.backfill != row.id:
        return replace(row, decided_until=due.at, fired_before=row.fired_before + 1)
    return _with_run(row, due, held.run_id)


def _decided(row: BackfillRow, due: Due, fired: Fired) -> BackfillRow | None:
    """`None` when it is to be looked at anew: the trigger was changed, or somebody else was faster."""
    match fired.outcome:
        case FiringOutcome.STARTED:
            return _with_run(row, due, fired.run_id or "")
        case FiringOutcome.EXISTED | FiringOutcome.CHANGED:
            return None
        case FiringOutcome.SKIPPED | FiringOutcome.UNWANTED:
            return replace(row, decided_until=due.at, skipped=row.skipped + 1)
        case FiringOutcome.REFUSED | FiringOutcome.FAILED:
            return replace(row, decided_until=due.at, refused=row.refused + 1)


def _with_run(row: BackfillRow, due: Due, run_id: str) -> BackfillRow:
    under_way = _text([*orjson.loads(row.under_way), run_id])
    return replace(row, decided_until=due.at, started=row.started + 1, under_way=under_way)


def _text(run_ids: Sequence[str]) -> str:
    return orjson.dumps(run_ids).decode()

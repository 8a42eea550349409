"""Asking for backfills, and holding them up: nothing is started here, `filling` does that.

Of one trigger one backfill is open at a time, so a request that is sent twice begins one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from millrace.app.backfills import repository
from millrace.app.backfills.repository import BackfillFilter, BackfillRow
from millrace.app.backfills.times import KEYS, schedule_text, start_key
from millrace.app.backfills.views import View, backfill_view
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.triggers import repository as trigger_rows
from millrace.app.triggers.queries import unknown_trigger
from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.schedules import Schedules, UnusableSchedule
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.errors import Conflict, Fault, InvalidRequest, NotFound
from millrace.core.values import Instant, to_iso
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.due import Due

MOST = 10_000
"""Due times of one backfill."""
AT_A_TIME = 500
BECOMING = {
    "paused": Action.BACKFILL_PAUSE,
    "running": Action.BACKFILL_RESUME,
    "cancelled": Action.BACKFILL_CANCEL,
}


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    start: Instant
    until: Instant
    at_once: int
    again: bool
    stop_on_failure: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a backfill would be about."""

    row: TriggerRow
    now: Instant
    times: list[Due]
    fired_before: int


class BackfillCommands:
    def __init__(self, database: Database, schedules: Schedules, ids: Ids) -> None:
        self._database = database
        self._schedules = schedules
        self._ids = ids
        self.after_change: Callable[[], None] = _nobody
        """Told after each commit; the composition root lets it wake those who fill."""

    async def begin(self, trigger_id: str, request: BackfillRequest, *, by: str) -> View:
        """Have a run started for each due time of the range. Durable when it returns.

        Raises `NotFound`, `InvalidRequest` for a range without due times or with too many, and `Conflict` for a trigger
        that is silent, or of which another backfill is under way.
        """
        backfill_id = self._ids.new()
        await self._database.write(lambda connection: self._begun(connection, trigger_id, request, backfill_id, by))
        self.after_change()
        return await self.get(backfill_id)

    async def preview(self, trigger_id: str, request: BackfillRequest) -> View:
        """What would be begun. Raises as `begin` does."""
        found = await self._database.read(lambda connection: self._prepared(connection, trigger_id, request))
        return {
            "dry_run": True,
            "total": len(found.times),
            "fired_before": found.fired_before,
            "first": {"due_at": to_iso(found.times[0].at), "local": found.times[0].local},
            "last": {"due_at": to_iso(found.times[-1].at), "local": found.times[-1].local},
        }

    async def get(self, backfill_id: str) -> View:
        row = await self._database.read(lambda connection: repository.show(connection, backfill_id))
        if row is None:
            raise unknown_backfill(backfill_id)
        return backfill_view(row)

    async def list(self, narrow: BackfillFilter, *, cursor: str | None, limit: int) -> Page[View]:
        """Backfills, newest first."""
        read = partial(repository.list_backfills, narrow=narrow, before=decode_text(cursor), limit=limit + 1)
        rows = await self._database.read(read)
        shown = rows[:limit]
        more = encode_cursor(shown[-1]["id"]) if len(rows) > limit else None
        return Page([backfill_view(row) for row in shown], more)

    async def pause(self, backfill_id: str) -> View:
        """Start nothing more until it is resumed; runs that were started go on. Raises `NotFound`, `Conflict`."""
        return await self._become(backfill_id, "paused")

    async def resume(self, backfill_id: str) -> View:
        """Let it go on. Raises `NotFound`, and `Conflict` if it is over."""
        return await self._become(backfill_id, "running")

    async def cancel(self, backfill_id: str) -> View:
        """End it; runs that were started go on. Raises `NotFound`, and `Conflict` if it is over."""
        return await self._become(backfill_id, "cancelled")

    async def _become(self, backfill_id: str, status: str) -> View:
        await self._database.write(lambda connection: _changed(connection, backfill_id, status))
        self.after_change()
        return await self.get(backfill_id)

    def _begun(
        self, connection: Connection, trigger_id: str, request: BackfillRequest, backfill_id: str, by: str
    ) -> None:
        found = self._prepared(connection, trigger_id, request)
        other = repository.open_of(connection, trigger_id)
        if other is not None:
            remedy = "wait until it is done, or cancel it"
            raise Conflict("backfill_under_way", f"the backfill {other} of this trigger is under way; {remedy}")
        row = BackfillRow(
            id=backfill_id,
            trigger_id=trigger_id,
            workflow_id=found.row.workflow_id,
            schedule=schedule_text(found.row),
            range_from=request.start,
            range_until=request.until,
            at_once=request.at_once,
            again=request.again,
            stop_on_failure=request.stop_on_failure,
            status="running",
            reason=None,
            total=len(found.times),
            decided_until=request.start - 1,
            under_way="[]",
            fired_before=0,
            started=0,
            skipped=0,
            refused=0,
            completed=0,
            failed=0,
            revision=1,
            created_by=by,
            created_at=found.now,
            updated_at=found.now,
            finished_at=None,
        )
        repository.add(connection, row)
        told = {"trigger_id": trigger_id, "from": to_iso(request.start), "until": to_iso(request.until)}
        more = {"at_once": row.at_once, "again": row.again, "total": row.total}
        note(connection, Action.BACKFILL_BEGIN, backfill_id, found.row.name, after=told | more)

    def _prepared(self, connection: Connection, trigger_id: str, request: BackfillRequest) -> Prepared:
        shown = trigger_rows.find(connection, trigger_id)
        if shown is None:
            raise unknown_trigger(trigger_id)
        row = TriggerRow(**{name: shown[name] for name in TriggerRow.__slots__})
        now = trigger_rows.now(connection)
        times = times_of(row, request, now, self._schedules)
        if not row.active:
            remedy = "enable it, and see that its workflow is active and deployed"
            raise Conflict("trigger_silent", f"the trigger {row.name!r} is silent, so it starts no runs; {remedy}")
        fired = 0 if request.again else _fired_before(connection, row, times)
        return Prepared(row, now, times, fired)


def unknown_backfill(backfill_id: str) -> NotFound:
    return NotFound("backfill_not_found", f"there is no backfill with the id {backfill_id!r}")


def _changed(connection: Connection, backfill_id: str, status: str) -> None:
    row = repository.get(connection, backfill_id)
    if row is None:
        raise unknown_backfill(backfill_id)
    if row.finished_at is not None:
        raise Conflict("backfill_over", f"the backfill {backfill_id} is {row.status} already")
    over = status == "cancelled"
    finished_at = trigger_rows.now(connection) if over else None
    reason = "it was cancelled by a request" if over else None
    repository.save(connection, replace(row, status=status, reason=reason, finished_at=finished_at))
    note(connection, BECOMING[status], backfill_id, before={"status": row.status}, after={"status": status})


def _fired_before(connection: Connection, row: TriggerRow, times: list[Due]) -> int:
    count = 0
    for first in range(0, len(times), AT_A_TIME):
        part = [due.at for due in times[first : first + AT_A_TIME]]
        keys = {start_key(row, at): at for at in part}
        fired = repository.fired_long_ago(connection, row.id, part)
        fired |= {keys[key] for key in repository.held(connection, KEYS, row.id, keys)}
        count += len(fired)
    return count


def times_of(row: TriggerRow, request: BackfillRequest, now: Instant, schedules: Schedules) -> list[Due]:
    """The due times of the range. Raises `InvalidRequest` if there are none, or more than `MOST`."""
    if request.until < request.start:
        raise _fault("until", f"it is before `from` ({to_iso(request.start)})", "name a later moment")
    if request.until > now:
        raise _fault("until", "it is in the future", "a backfill is about the past: name a moment that is over")
    try:
        schedule = schedules.of(row.type, row.config)
    except UnusableSchedule as error:
        raise _fault("trigger", str(error), "correct the schedule and deploy the workflow") from None
    if schedule is None or isinstance(schedule.times, AfterEnd):
        told = "is counted from the end of its last run" if schedule else f"is of the type {row.type}"
        remedy = "name a trigger of the type cron, interval (with an anchor) or once"
        raise _fault("trigger", f"the trigger {row.name!r} {told}, so it had no due times in the past", remedy)
    times = schedule.times.due_between(request.start - 1, request.until, MOST + 1)
    if len(times) > MOST:
        last = times[MOST - 1]
        remedy = f"ask for less at a time: the {MOST:,}th is at {to_iso(last.at)}"
        raise _fault("until", f"there are more than {MOST:,} due times in this range", remedy)
    if not times:
        raise _fault("until", "no time of this range is due", "name a longer range; a preview shows what is due")
    return times


def _fault(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(
        "invalid_backfill", "there is nothing to fill", faults=[Fault(path, "value", message, remedy)]
    )


def _nobody() -> None:
    return None

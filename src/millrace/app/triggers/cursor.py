"""Where a trigger stands in time after a change: pure, from the row before and the row wanted.

Whatever makes a trigger begin anew (it is made, enabled, edited, its workflow is resumed or deployed again) puts its
cursor at that moment: nothing in the past fires. A change of the version alone leaves the cursor where it is.
"""

from dataclasses import replace

from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.schedules import Schedules, UnusableSchedule
from millrace.core.values import Instant
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.due import Due, Times


def begun(row: TriggerRow, schedules: Schedules, now: Instant) -> TriggerRow:
    """The row with its cursor at `now`. A schedule that says no time is told in `last_error`; it never fires."""
    row = replace(row, decided_until=now, next_due_at=None, last_error=None)
    try:
        schedule = schedules.of(row.type, row.config)
    except UnusableSchedule as error:
        return replace(row, last_error=str(error))
    if schedule is None:
        return row
    due = _first(schedule.times, row, now) if row.active else None
    return replace(row, next_due_at=None if due is None else due.at, jitter_us=schedule.jitter_of(row.id))


def _first(times: Times, row: TriggerRow, now: Instant) -> Due | None:
    """When it is due first. What counts from the end of its last run waits until that is known (`firing.awaiting`)."""
    if not isinstance(times, AfterEnd):
        return times.next_after(now)
    if row.last_run_id is not None:
        return None
    return times.first(now if row.last_fired_at is None else max(now, row.last_fired_at + times.every))


def changed(before: TriggerRow, after: TriggerRow, schedules: Schedules, now: Instant) -> TriggerRow:
    """`after`, with the cursor and the revision that follow from what is different; `before` when nothing is."""
    if after == before:
        return before
    after = replace(after, revision=before.revision + 1, updated_at=now)
    if _fires(after) != _fires(before) or (after.active and not before.active):
        return begun(after, schedules, now)
    return after if after.active else replace(after, next_due_at=None)


def _fires(row: TriggerRow) -> tuple[str | None, ...]:
    return row.type, row.config, row.condition, row.input

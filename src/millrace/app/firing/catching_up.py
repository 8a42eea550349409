"""What the scheduler does about a schedule whose time has come: pure, from the schedule, its cursor and the time.

A due time that is at most `GRACE` old is on time, whatever kept the scheduler busy: it fires. An older one means that
nobody was there, and the trigger's policy says what becomes of the due times since: `none` drops those that are older
than the grace, `latest` keeps the newest, `all` keeps the newest so many. What is dropped is recorded as missed, once.
"""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from millrace.app.triggers.schedules import Schedule
from millrace.core.values import SECOND, Duration, Instant
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.due import Due, due_at

GRACE: Duration = 10 * SECOND

MOST_COUNTED = 10_000
"""Missed due times are counted up to here; a schedule of seconds has as many in three hours."""

FIRST_LOOK_BACK: Duration = 60 * SECOND
FOUND_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Fire:
    """Start a run for this due time."""

    due: Due
    next_due_at: Instant | None
    next_without_run: Instant | None
    """The next due time if no run is started; the same, but where that depends on the run."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing is started for the due times from `first` to `last`."""

    first: Instant
    last: Instant
    count: int
    next_due_at: Instant | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due: the row expected something that the schedule does not say (any more)."""

    next_due_at: Instant | None


Step: TypeAlias = Fire | Miss | Wait


def next_step(schedule: Schedule, decided_until: Instant, horizon: Instant) -> Step:
    """The next thing to do about the due times after `decided_until` and up to `horizon`, the oldest first."""
    times = schedule.times
    oldest = times.next_after(decided_until)
    if oldest is None or oldest.at > horizon:
        return Wait(None if oldest is None else oldest.at)
    if horizon - oldest.at > GRACE:
        kept = _first_kept(schedule, oldest.at, horizon)
        if kept is None or kept > oldest.at:
            return _miss(schedule, oldest.at, kept, horizon)
    following = times.next_after(oldest.at)
    next_due_at = None if following is None else following.at
    return Fire(oldest, next_due_at, next_due_at)


def step_after_end(schedule: Schedule, times: AfterEnd, due: Instant, horizon: Instant) -> Step:
    """The same for what counts from the end of the last run, which has ended: one due time is known, and no other.

    The run that is started now decides about the next; without one that is `every` from now.
    """
    if due > horizon:
        return Wait(due)
    following = times.next_after(horizon)
    without_run = None if following is None else following.at
    if schedule.policy == "none" and horizon - due > GRACE:
        return Miss(due, due, 1, without_run)
    return Fire(due_at(due, times.zone), None, without_run)


def _first_kept(schedule: Schedule, oldest: Instant, horizon: Instant) -> Instant | None:
    """The oldest due time that the policy keeps; `None` when there is none, nor any in the future."""
    times = schedule.times
    match schedule.policy:
        case "none":
            due = times.next_after(horizon - GRACE - 1)
            return None if due is None else due.at
        case "latest":
            newest = times.latest_between(oldest, horizon)
            return oldest if newest is None else newest.at
        case "all":
            return _newest(schedule, oldest, horizon)


def _newest(schedule: Schedule, oldest: Instant, horizon: Instant) -> Instant:
    """The first of the newest `limit` due times; looked for from the end, in ever longer stretches."""
    span = FIRST_LOOK_BACK
    while True:
        start = max(oldest - 1, horizon - span)
        newest: deque[Due] = deque(maxlen=schedule.limit)
        after = start
        while found := schedule.times.due_between(after, horizon, FOUND_AT_ONCE):
            newest.extend(found)
            after = found[-1].at
        if len(newest) == schedule.limit or start < oldest:
            return newest[0].at
        span *= 4


def _miss(schedule: Schedule, oldest: Instant, kept: Instant | None, horizon: Instant) -> Miss:
    end = horizon if kept is None else kept - 1
    last = schedule.times.latest_between(oldest, end)
    count = len(schedule.times.due_between(oldest - 1, end, MOST_COUNTED))
    return Miss(oldest, oldest if last is None else last.at, count, kept)

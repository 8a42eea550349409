"""What the engine asks SQLite every second or two, while anything is written.

Made once: at rest, putting such a query together costs more than the database's answer.
"""

from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, func, select, union_all

from millrace.core.states import AttemptStatus
from millrace.storage.tables import attempts, inbox, incarnations, timers, waits

LIMIT: BindParameter[int] = bindparam("limit")
WAITS = attempts.c.status == AttemptStatus.SCHEDULED.value

INBOX = (
    select(inbox.c.id, inbox.c.run_id, inbox.c.kind, inbox.c.data).order_by(inbox.c.created_at, inbox.c.id).limit(LIMIT)
)

DUE_TIMERS = (
    select(timers.c.run_id, timers.c.kind)
    .where(timers.c.fire_at <= func.now_us())
    .order_by(timers.c.fire_at)
    .limit(LIMIT)
)


DUE_WAITS = (
    select(waits.c.run_id, waits.c.path)
    .where(waits.c.fire_at.is_not(None), waits.c.fire_at <= func.now_us())
    .order_by(waits.c.fire_at)
    .limit(LIMIT)
)


def _next_wake() -> Select[Any]:
    later = union_all(
        select(func.min(timers.c.fire_at).label("at")).where(timers.c.fire_at > func.now_us()),
        select(func.min(waits.c.fire_at)).where(waits.c.fire_at.is_not(None), waits.c.fire_at > func.now_us()),
        select(func.min(attempts.c.available_at)).where(WAITS, attempts.c.available_at > func.now_us()),
        select(func.min(attempts.c.queue_until)).where(WAITS, attempts.c.queue_until > func.now_us()),
    ).subquery()
    return select(func.min(later.c.at) - func.now_us())


NEXT_WAKE = _next_wake()

RUNNING = (
    select(attempts.c.run_id, attempts.c.path, attempts.c.number)
    .select_from(attempts)
    .outerjoin(incarnations, incarnations.c.id == attempts.c.incarnation_id)
    .where(attempts.c.status == AttemptStatus.RUNNING.value)
    .order_by(attempts.c.run_id, attempts.c.path)
    .limit(LIMIT)
)

LOST_ATTEMPTS = RUNNING.where(
    incarnations.c.id.is_(None) | incarnations.c.lost_at.is_not(None) | incarnations.c.retired_at.is_not(None)
)

OVERDUE_ATTEMPTS = RUNNING.where(
    incarnations.c.lost_at.is_(None),
    incarnations.c.retired_at.is_(None),
    attempts.c.deadline_at + bindparam("grace") < func.now_us(),
)

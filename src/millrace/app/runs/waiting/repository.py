"""Reading what runs and attempts that wait were to start by, and what stands in their way. SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import RowMapping

from millrace.core.states import RunStatus
from millrace.core.values import Instant
from millrace.storage.tables import attempts, incarnations, limits, runs, waits


def runs_that_wait(connection: Connection, run_ids: Sequence[str]) -> Sequence[RowMapping]:
    """What says how they were to start; by their ids."""
    names = ("id", "status", "run_at", "priority", "admission_key", "admission_limit", "rate_key", "rate_limit",
             "rate_period_us")  # fmt: skip
    query = select(*(runs.c[name] for name in names)).where(runs.c.id.in_(run_ids))
    return connection.execute(query).mappings().all()


def places_held(connection: Connection, keys: Sequence[str]) -> Mapping[str, int]:
    """How many runs hold a place under each of the keys, where any do."""
    held = (runs.c.admission_key.is_not(None), runs.c.admitted_at.is_not(None), runs.c.finished_at.is_(None))
    query = select(runs.c.admission_key, func.count()).where(runs.c.admission_key.in_(keys), *held)
    return {key: count for key, count in connection.execute(query.group_by(runs.c.admission_key))}


def next_free(connection: Connection, rate_keys: Sequence[str]) -> Mapping[str, Instant]:
    query = select(limits.c.key, limits.c.next_free_at).where(limits.c.key.in_(rate_keys))
    return {key: at or 0 for key, at in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Line:
    """Where a run stands that waits to be admitted."""

    running: int
    """Runs that hold a place under its key."""
    ahead: int
    """Runs that wait and go before it."""
    first_limit: int | None
    """The limit of the first of them that is kept waiting by it; nobody passes that one."""


def line_before(connection: Connection, row: RowMapping, now: Instant) -> Line:
    mine = (
        runs.c.admission_key == row["admission_key"], runs.c.admission_key.is_not(None), runs.c.finished_at.is_(None)
    )  # fmt: skip
    held = select(func.count()).where(*mine, runs.c.admitted_at.is_not(None))
    running = connection.execute(held).scalar_one()
    before = (runs.c.priority > row["priority"]) | ((runs.c.priority == row["priority"]) & (runs.c.id < row["id"]))
    due = runs.c.run_at.is_(None) | (runs.c.run_at <= now)
    waiting = (*mine, runs.c.admitted_at.is_(None), runs.c.status == RunStatus.PENDING, due, before)
    # Runs that wait for a rate of their own are passed by others.
    step = runs.c.rate_period_us // runs.c.rate_limit
    has_turn = runs.c.rate_key.is_(None) | (
        func.coalesce(limits.c.next_free_at, 0) + step <= now + runs.c.rate_period_us
    )
    in_line = runs.outerjoin(limits, limits.c.key == runs.c.rate_key)
    count = select(func.count()).select_from(in_line).where(*waiting, has_turn | (runs.c.rate_key == row["rate_key"]))
    first = (
        select(runs.c.admission_limit)
        .select_from(in_line)
        .where(*waiting, has_turn, runs.c.admission_limit <= running)
        .order_by(runs.c.priority.desc(), runs.c.id)
        .limit(1)
    )
    return Line(running, connection.execute(count).scalar_one(), connection.execute(first).scalar())


def rate_has_room_at(connection: Connection, row: RowMapping, now: Instant) -> Instant:
    """The earliest time at which the rate of a run that waits lets it begin, after those of the rate before it."""
    before = (runs.c.priority > row["priority"]) | ((runs.c.priority == row["priority"]) & (runs.c.id < row["id"]))
    ahead = select(func.count()).where(
        runs.c.admission_key == row["admission_key"], runs.c.admission_key.is_not(None), runs.c.finished_at.is_(None),
        runs.c.admitted_at.is_(None), runs.c.rate_key == row["rate_key"], runs.c.status == RunStatus.PENDING,
        runs.c.run_at.is_(None) | (runs.c.run_at <= now), before,
    )  # fmt: skip
    next_free = connection.execute(select(limits.c.next_free_at).where(limits.c.key == row["rate_key"])).scalar()
    step = row["rate_period_us"] // row["rate_limit"]
    before_it: int = connection.execute(ahead).scalar_one()
    begins: Instant = (next_free or 0) - row["rate_period_us"] + step * (before_it + 1)
    return begins


_SCHEDULED = (attempts.c.finished_at.is_(None), attempts.c.status == "scheduled")
_OF_ATTEMPT = [
    attempts.c[name]
    for name in ("run_id", "path", "number", "queue", "available_at", "limit_key", "limit_size", "type_key")
]


def scheduled_attempts(connection: Connection, run_id: str, limit: int) -> Sequence[RowMapping]:
    query = select(*_OF_ATTEMPT).where(attempts.c.run_id == run_id, *_SCHEDULED)
    return connection.execute(query.order_by(attempts.c.path).limit(limit)).mappings().all()


def first_scheduled(connection: Connection, run_ids: Sequence[str]) -> Sequence[RowMapping]:
    """Of each run that has any, the first attempt by its path that waits for a worker."""
    paths = select(attempts.c.run_id, func.min(attempts.c.path).label("path"))
    first = paths.where(attempts.c.run_id.in_(run_ids), *_SCHEDULED).group_by(attempts.c.run_id).subquery()
    same = (attempts.c.run_id == first.c.run_id) & (attempts.c.path == first.c.path)
    return connection.execute(select(*_OF_ATTEMPT).join(first, same).where(*_SCHEDULED)).mappings().all()


_OF_WAIT = [
    waits.c[name] for name in ("run_id", "path", "kind", "request", "child_run_id", "wanted", "fire_at")
]  # fmt: skip
_NAMED = waits.c.kind.is_not(None)
"""Without it only the time limit of a task is looked at, which does not wait."""


def waits_of(connection: Connection, run_id: str, limit: int) -> Sequence[RowMapping]:
    query = select(*_OF_WAIT).where(waits.c.run_id == run_id, _NAMED).order_by(waits.c.path)
    return connection.execute(query.limit(limit)).mappings().all()


def first_waits(connection: Connection, run_ids: Sequence[str]) -> Sequence[RowMapping]:
    """Of each run that has any, the first wait by its path."""
    paths = select(waits.c.run_id, func.min(waits.c.path).label("path"))
    first = paths.where(waits.c.run_id.in_(run_ids), _NAMED).group_by(waits.c.run_id).subquery()
    same = (waits.c.run_id == first.c.run_id) & (waits.c.path == first.c.path)
    return connection.execute(select(*_OF_WAIT).join(first, same)).mappings().all()


def running_under(connection: Connection, column: str, keys: Sequence[str]) -> Mapping[str, int]:
    """How many attempts run that have each of the keys in `column` (`limit_key` or `type_key`), where any do."""
    key = attempts.c[column]
    running = (key.is_not(None), attempts.c.finished_at.is_(None), attempts.c.status == "running")
    return {found: count for found, count in connection.execute(
        select(key, func.count()).where(key.in_(keys), *running).group_by(key))}  # fmt: skip


def served_queues(connection: Connection) -> frozenset[str]:
    query = select(incarnations.c.queues).where(incarnations.c.lost_at.is_(None), incarnations.c.retired_at.is_(None))
    return frozenset(queue for text in connection.execute(query).scalars() for queue in orjson.loads(text))

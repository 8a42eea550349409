"""Admission on SQLite: which waiting runs may start, by (priority, age), and what becomes of those in their way.

Occupancy is counted from live rows. A rate limit is kept as the theoretical arrival time of its next run (GCRA).
"""

import sqlite3
import uuid
from typing import NamedTuple

from millrace.core.states import RunStatus
from millrace.core.values import Duration, Instant
from millrace.ports.store import WhenFull
from millrace.storage import mapping, statements


class Waiting(NamedTuple):
    run_id: str
    room: int
    when_full: str | None
    rate_key: str | None
    rate_limit: int | None
    rate_period: Duration | None


def admit_waiting(raw: sqlite3.Connection, limit: int) -> list[str]:
    """Part of a transaction. Each run admitted gets a fact that takes the run's id as its own: it happens once."""
    admitted: list[str] = []
    for (key,) in raw.execute(statements.WAITING_KEYS).fetchall():
        admitted += _admit(raw, key, limit - len(admitted))
    return admitted


def _admit(raw: sqlite3.Connection, key: str, limit: int) -> list[str]:
    (occupied,) = raw.execute(statements.OCCUPIED, (key,)).fetchone()
    admitted: list[str] = []
    # Rate keys without room: those who wait for one must not hide the others from a call with a small limit.
    spent: set[str] = set()
    while len(admitted) < limit:
        values = (key, mapping.to_text([*sorted(spent)]), limit - len(admitted))
        found = [Waiting(*row) for row in raw.execute(statements.WAITING_RUNS, values).fetchall()]
        known = len(spent)
        for waiting in found:
            if waiting.rate_key in spent:
                continue
            rate = _rate(raw, waiting)
            if rate is not None and not rate.free:
                spent.add(rate.key)
                continue
            if occupied + len(admitted) >= waiting.room:
                _make_way(raw, key, waiting)
                return admitted
            if rate is not None:
                raw.execute(statements.TAKE_RATE, (rate.key, rate.after))
            raw.execute(statements.ADMIT, (waiting.run_id,))
            raw.execute(statements.POST, (waiting.run_id, waiting.run_id, "admitted", "{}"))
            admitted.append(waiting.run_id)
        if len(spent) == known:
            break
    return admitted


class Rate(NamedTuple):
    key: str
    after: Instant
    """Its next arrival time once one more run is admitted."""
    free: bool


def _rate(raw: sqlite3.Connection, waiting: Waiting) -> Rate | None:
    if waiting.rate_key is None or not waiting.rate_limit or not waiting.rate_period:
        return None
    next_free, now = raw.execute(statements.NEXT_FREE, (waiting.rate_key,)).fetchone()
    after = max(next_free or 0, now) + waiting.rate_period // waiting.rate_limit
    return Rate(waiting.rate_key, after, free=after - now <= waiting.rate_period)


def _make_way(raw: sqlite3.Connection, key: str, waiting: Waiting) -> None:
    """Ask for the end of the runs in the way, if the workflow says so. They keep their places until they have ended."""
    match waiting.when_full:
        case WhenFull.CANCEL_OLDEST:
            live = raw.execute(statements.LIVE_RUNS, (key, key)).fetchall()
            victims = [run_id for run_id, status in live[: -waiting.room] if status != RunStatus.CANCELLING]
        case WhenFull.CANCEL_NEWEST:
            (queued,) = raw.execute(statements.QUEUED_RUNS, (key,)).fetchone()
            admitted = raw.execute(statements.ADMITTED_RUNS, (key,)).fetchall()
            ending = sum(status == RunStatus.CANCELLING for _, status in admitted)
            others = [run_id for run_id, status in admitted if status != RunStatus.CANCELLING]
            victims = others[: max(queued - ending, 0)]
        case _:
            return
    reason = f"when_full: {waiting.when_full}, replaced by run {waiting.run_id}"
    data = mapping.to_text({"reason": reason})
    for victim in victims:
        # One wish a victim, however often it is seen in the way before it has been told.
        raw.execute(statements.POST, (str(uuid.uuid5(uuid.UUID(victim), "replaced")), victim, "cancel", data))

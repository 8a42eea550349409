"""Admission on SQLite: which waiting runs may start, by (priority, age), and what becomes of those in their way.

Occupancy is counted from live rows. A rate limit is kept as the theoretical arrival time of its next run (GCRA).
"""

import heapq
import sqlite3
import uuid
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from millrace.core.states import RunStatus
from millrace.core.values import Duration, Instant
from millrace.ports.store import WhenFull
from millrace.storage import mapping, statements


class Waiting(NamedTuple):
    run_id: str
    priority: int
    room: int
    when_full: str | None
    rate_key: str | None
    rate_limit: int
    rate_period: Duration

    @property
    def turn(self) -> tuple[int, str]:
        """Sorts those first that may start first."""
        return -self.priority, self.run_id


def admit_waiting(raw: sqlite3.Connection, limit: int) -> list[str]:
    """Part of a transaction. Each run admitted gets a fact that takes the run's id as its own: it happens once."""
    admitted: list[str] = []
    for (key,) in raw.execute(statements.WAITING_KEYS).fetchall():
        if len(admitted) == limit:
            break
        admitted += _admit(raw, key, limit - len(admitted))
    return admitted


def _admit(raw: sqlite3.Connection, key: str, limit: int) -> list[str]:
    (occupied,) = raw.execute(statements.OCCUPIED, (key,)).fetchone()
    admitted: list[str] = []
    for waiting in islice(_in_turn(raw, key, limit), limit):
        if occupied + len(admitted) >= waiting.room:
            _make_way(raw, key, waiting)
            break
        if waiting.rate_key is not None:
            _take_rate(raw, waiting)
        raw.execute(statements.ADMIT, (waiting.run_id,))
        raw.execute(statements.POST, (waiting.run_id, waiting.run_id, "admitted", "{}"))
        admitted.append(waiting.run_id)
    return admitted


def _in_turn(raw: sqlite3.Connection, key: str, limit: int) -> Iterator[Waiting]:
    """The runs that wait and whose rate has room. One of a rate must have been admitted before the next is asked for.

    Those without room are not looked at one by one: there may be many, and they must not hide the others.
    """
    unrated = (Waiting(*row) for row in raw.execute(statements.WAITING_RUNS, (key, limit)).fetchall())
    heads = [Waiting(*row) for row in raw.execute(statements.FREE_OF_RATES, (key,)).fetchall()]
    queues = [unrated, *(_of_rate(raw, key, head) for head in heads)]
    return heapq.merge(*queues, key=attrgetter("turn"))


def _of_rate(raw: sqlite3.Connection, key: str, head: Waiting) -> Iterator[Waiting]:
    waiting = head
    while _rate(raw, waiting).free:
        yield waiting
        row = raw.execute(statements.NEXT_OF_RATE, (key, waiting.rate_key)).fetchone()
        if row is None:
            return
        waiting = Waiting(*row)


class Rate(NamedTuple):
    after: Instant
    """Its next arrival time once one more run is admitted."""
    free: bool


def _rate(raw: sqlite3.Connection, waiting: Waiting) -> Rate:
    next_free, now = raw.execute(statements.NEXT_FREE, (waiting.rate_key,)).fetchone()
    after = max(next_free or 0, now) + waiting.rate_period // waiting.rate_limit
    return Rate(after, free=after - now <= waiting.rate_period)


def _take_rate(raw: sqlite3.Connection, waiting: Waiting) -> None:
    raw.execute(statements.TAKE_RATE, (waiting.rate_key, _rate(raw, waiting).after))


def _make_way(raw: sqlite3.Connection, key: str, waiting: Waiting) -> None:
    """Ask for the end of the runs in the way, if the workflow says so. They keep their places until they have ended."""
    match waiting.when_full:
        case WhenFull.CANCEL_OLDEST:
            live = raw.execute(statements.LIVE_RUNS, (key, key)).fetchall()
            victims = [run_id for run_id, status in live[: -waiting.room] if status != RunStatus.CANCELLING]
        case WhenFull.CANCEL_NEWEST:
            (queued,) = raw.execute(statements.QUEUED_RUNS, (key,)).fetchone()
            queued += len(raw.execute(statements.FREE_OF_RATES, (key,)).fetchall())
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

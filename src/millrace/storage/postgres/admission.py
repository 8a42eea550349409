"""Admission on PostgreSQL: key by key, each in a transaction of its own that holds the key's row in `limits`.

Runs that a commit holds at this moment are passed over; the next round sees them. So admission, which comes from the
limits, never waits for a commit, which may come from its runs to the limits.
"""

import heapq
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
import orjson

from millrace.core.states import RunStatus
from millrace.core.values import Duration, Instant, JsonObject
from millrace.ports.store import WhenFull
from millrace.storage import mapping
from millrace.storage.postgres import queries
from millrace.storage.postgres.kept import KeptConnections

Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    turn: tuple[int, str]
    """Sorts those first that may start first."""
    run_id: str = field(compare=False)
    room: int = field(compare=False)
    when_full: str | None = field(compare=False)
    rate_key: str | None = field(compare=False)
    share: Duration = field(compare=False)
    """What one run takes of its rate's period."""
    period: Duration = field(compare=False)


async def admit_waiting(pool: KeptConnections, limit: int) -> list[str]:
    """Each run admitted gets a fact that takes the run's id as its own: it happens once."""
    admitted: list[str] = []
    for (key,) in await pool.fetch(queries.WAITING_KEYS):
        if len(admitted) == limit:
            break
        async with pool.acquire() as connection, connection.transaction():
            admitted += await _KeyRound(connection, key, limit - len(admitted)).admit()
    return admitted


class _KeyRound:
    """One key's turn: what waits for it is read once, what becomes of it is written once."""

    def __init__(self, connection: Connection, key: str, limit: int) -> None:
        self._connection = connection
        self._key = key
        self._limit = limit
        self._admitted: list[str] = []
        self._next_free: dict[str, Instant] = {}
        self._now: Instant = 0

    async def admit(self) -> list[str]:
        await self._connection.execute("select lock_limits($1)", [self._key])
        ((occupied, self._now),) = await self._connection.fetch("select occupied($1), now_us()", self._key)
        queue = await self._waiting()
        while queue and len(self._admitted) < self._limit:
            waiting = queue[0]
            if occupied + len(self._admitted) >= waiting.room:
                await self._make_way(waiting)
                break
            heapq.heappop(queue)
            self._admitted.append(waiting.run_id)
            if waiting.rate_key is not None:
                self._next_free[waiting.rate_key] = self._after(waiting)
                await self._add_next_of_rate(queue, waiting.rate_key)
        await self._write()
        return self._admitted

    async def _waiting(self) -> list[Waiting]:
        """The runs that may be admitted now; of each rate only the first, and only if the rate has room.

        Those without room are not looked at one by one: there may be many, and they must not hide the others.
        """
        unrated = await self._connection.fetch(queries.WAITING_RUNS, self._key, self._limit)
        heads = await self._connection.fetch(queries.FREE_OF_RATES, self._key, self._limit)
        await self._hold_rates([row["rate_key"] for row in heads])
        found = [_waiting(row) for row in (*unrated, *heads)]
        queue = [one for one in found if self._has_room(one)]
        heapq.heapify(queue)
        return queue

    async def _hold_rates(self, keys: Sequence[str]) -> None:
        if keys:
            await self._connection.execute("select lock_limits($1)", list(keys))
            rows = await self._connection.fetch(queries.NEXT_FREE, list(keys))
            self._next_free = {row["key"]: row["next_free_at"] or 0 for row in rows}

    def _after(self, waiting: Waiting) -> Instant:
        """The next arrival time of its rate once it is admitted."""
        assert waiting.rate_key is not None  # noqa: S101 - asked for rated runs alone
        return max(self._next_free.get(waiting.rate_key, 0), self._now) + waiting.share

    def _has_room(self, waiting: Waiting) -> bool:
        return waiting.rate_key is None or self._after(waiting) - self._now <= waiting.period

    async def _add_next_of_rate(self, queue: list[Waiting], rate_key: str) -> None:
        row = await self._connection.fetchrow(queries.NEXT_OF_RATE, self._key, rate_key, self._admitted)
        if row is not None and self._has_room(following := _waiting(row)):
            heapq.heappush(queue, following)

    async def _make_way(self, waiting: Waiting) -> None:
        """Ask for the end of the runs in the way, if the workflow says so. They keep their places until they ended."""
        match waiting.when_full:
            case WhenFull.CANCEL_OLDEST:
                live = await self._connection.fetch(queries.LIVE_RUNS, self._key)
                victims = [row["id"] for row in live[: -waiting.room] if row["status"] != RunStatus.CANCELLING]
            case WhenFull.CANCEL_NEWEST:
                waits = await self._connection.fetchval("select queued($1)", self._key)
                waits += len(await self._connection.fetch(queries.FREE_OF_RATES, self._key, self._limit))
                live = await self._connection.fetch(queries.ADMITTED_RUNS, self._key)
                ending = sum(row["status"] == RunStatus.CANCELLING for row in live)
                others = [row["id"] for row in live if row["status"] != RunStatus.CANCELLING]
                victims = others[: max(waits - ending, 0)]
            case _:
                return
        data = mapping.to_text({"reason": f"when_full: {waiting.when_full}, replaced by run {waiting.run_id}"})
        victims = [row["id"] for row in await self._connection.fetch(queries.REPLACEABLE, victims)]
        # One wish a victim, however often it is seen in the way before it has been told.
        await self._post(
            [_fact(str(uuid.uuid5(uuid.UUID(victim), "replaced")), victim, "cancel", data) for victim in victims]
        )

    async def _write(self) -> None:
        if not self._admitted:
            return
        await self._connection.execute(queries.ADMIT, self._admitted)
        await self._post([_fact(run_id, run_id, "admitted", "{}") for run_id in self._admitted])
        if self._next_free:
            keys = sorted(self._next_free)
            await self._connection.execute(queries.TAKE_RATES, keys, [self._next_free[key] for key in keys])

    async def _post(self, facts: list[JsonObject]) -> None:
        if facts:
            await self._connection.fetch(queries.POST, orjson.dumps(facts).decode())


def _waiting(row: Any) -> Waiting:
    return Waiting(
        turn=(-row["priority"], row["id"]),
        run_id=row["id"],
        room=row["admission_limit"],
        when_full=row["when_full"],
        rate_key=row["rate_key"],
        share=0 if row["rate_key"] is None else row["rate_period_us"] // row["rate_limit"],
        period=row["rate_period_us"] or 0,
    )


def _fact(fact_id: str, run_id: str, kind: str, data: str) -> JsonObject:
    return {"id": fact_id, "run_id": run_id, "kind": kind, "data": data}

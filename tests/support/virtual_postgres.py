"""PostgreSQL in virtual time: the server is outside the loop, so time stands still while it works, and its clock tells
the time of the loop."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from millrace.storage.postgres.database import PostgresDatabase
from tests.support.postgres import DatabaseClock, fresh_database
from tests.support.virtual_time import virtual_loop

T = TypeVar("T")


class WatchedPool:
    """The part of a pool that the store uses."""

    def __init__(self, pool: asyncpg.Pool, clock: DatabaseClock) -> None:
        self._pool = pool
        self._clock = clock

    async def fetch(self, query: str, *arguments: Any) -> Any:
        with outside(self._clock):
            return await self._pool.fetch(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        with outside(self._clock):
            return await self._pool.fetchval(query, *arguments)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        with outside(self._clock):
            async with self._pool.acquire() as connection:
                yield connection

    async def close(self) -> None:
        await self._pool.close()


class WatchedPostgres(PostgresDatabase):
    clock: DatabaseClock

    async def once(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        with outside(self.clock):
            return await super().once(engine, work)


@contextmanager
def outside(clock: DatabaseClock) -> Any:
    loop = virtual_loop()
    with loop.outside():
        behind = loop.clock.now() - clock.now()
        if behind:
            clock.jump(behind)
        yield


@asynccontextmanager
async def opened() -> AsyncIterator[WatchedPostgres]:
    """A database with nothing in it, for as long as the test takes."""
    loop = virtual_loop()
    fresh = fresh_database()
    with loop.outside():
        url = await fresh.__aenter__()
        clock = DatabaseClock(url, loop.clock.now())
        database = await WatchedPostgres.open(url)
        database.clock = clock
        database.engine_pool = WatchedPool(database.engine_pool, clock)  # type: ignore[assignment]
    try:
        yield database
    finally:
        with loop.outside():
            await database.close()
            clock.close()
            await fresh.__aexit__(None, None, None)

"""Connections of a pool that stay taken between statements: to take one each time costs a tenth of a small commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

KEPT = 2
"""As many as commits may be under way at once."""


class KeptConnections:
    """The part of `asyncpg.Pool` that the engine uses. None is kept while anybody waits for one."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._idle: list[PoolConnectionProxy] = []
        self._most_idle = KEPT
        self._waiting = 0

    @asynccontextmanager
    async def acquire(self) -> "AsyncIterator[PoolConnectionProxy]":
        """A connection of one's own, for several statements."""
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        return await self._say("fetch", query, arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._say("fetchval", query, arguments)

    async def close(self) -> None:
        """Waits for what is under way. If it is cancelled, all connections are ended at once."""
        self._most_idle = 0
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._pool.release(connection)
        await self._pool.close()

    async def _say(self, method: str, query: str, arguments: tuple[Any, ...]) -> Any:
        connection = await self._take()
        try:
            found = await getattr(connection, method)(query, *arguments)
        except BaseException:
            # The pool knows what a statement that failed, or was given up, needs before the next.
            await self._pool.release(connection)
            raise
        if len(self._idle) < self._most_idle and not self._waiting:
            self._idle.append(connection)
        else:
            await self._pool.release(connection)
        return found

    async def _take(self) -> "PoolConnectionProxy":
        while self._idle:
            connection = self._idle.pop()
            if _is_open(connection):
                return connection
            # One that the driver has given up has not left its place in the pool yet.
            await self._pool.release(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire()
        finally:
            self._waiting -= 1


def _is_open(connection: "PoolConnectionProxy") -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        # It was lost, so that the pool has taken it back.
        return False

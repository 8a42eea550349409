"""Turns among the processes on one PostgreSQL database: advisory locks, which a process loses with its connection."""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from millrace.dispatch.postgres import ANSWERS_WITHIN, LOST
from millrace.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

OURS = 0x6D696C6C
"""Tells these locks from those of others; the number means nothing."""
LOOK_AGAIN_SECONDS = 0.05

PRESENCE = "here"
"""A lock that every process shares as long as it runs, so that they can be counted."""
JOIN = "select 1 from pg_advisory_lock_shared($1, $2)"
PRESENT = """
select count(*) from pg_locks
where locktype = 'advisory' and classid::bigint = $1 and objid::bigint = $2
  and database = (select oid from pg_database where datname = current_database())"""


class PostgresTurns:
    """Meets `ports.dispatch.Turns`. Nobody holds a turn for ever: the server gives it on when its process is gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._joined = False
        self._held: set[str] = set()
        """The server lets a connection take a lock twice; a process has a turn once."""

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[bool]:
        if name in self._held or not await self._asked("select pg_try_advisory_lock($1, $2)", name):
            yield False
            return
        self._held.add(name)
        try:
            yield True
        finally:
            self._held.discard(name)
            await self._given_back(name)

    @asynccontextmanager
    async def waited_turn(self, name: str) -> AsyncIterator[None]:
        while True:
            async with self.turn(name) as mine:
                if mine:
                    yield
                    return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _given_back(self, name: str) -> None:
        try:
            await self._asked("select pg_advisory_unlock($1, $2)", name)
        except StoreUnavailable as error:
            logger.info("the turn %r went with the connection that held it: %s", name, error)

    async def join(self) -> None:
        self._joined = True
        await self._fetched(JOIN, OURS, _number(PRESENCE))

    async def others(self) -> bool:
        return await self._fetched(PRESENT, OURS, _number(PRESENCE) & 0xFFFFFFFF) > int(self._joined)

    async def _asked(self, question: str, name: str) -> bool:
        return bool(await self._fetched(question, OURS, _number(name)))

    async def _fetched(self, question: str, *arguments: int) -> int:
        async with self._one_at_a_time:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                return int(await self._connection.fetchval(question, *arguments) or 0)
            except LOST as error:
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                raise StoreUnavailable(str(error) or type(error).__name__) from error

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self._url,
            timeout=ANSWERS_WITHIN,
            command_timeout=ANSWERS_WITHIN,
            server_settings={"application_name": "millrace turns"},
        )
        try:
            if self._joined:
                await connection.fetchval(JOIN, OURS, _number(PRESENCE))
        except BaseException:
            connection.terminate()
            raise
        return connection


def _number(name: str) -> int:
    """32 bits with a sign, as the server takes them."""
    return zlib.crc32(name.encode()) - (1 << 31)

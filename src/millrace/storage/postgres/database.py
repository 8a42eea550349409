"""PostgreSQL for plain CRUD, and the pools of connections that everything shares.

Repositories are written for a connection of SQLAlchemy that answers at once; here they run on asyncpg, in a greenlet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from millrace.core.values import Instant
from millrace.ports.database import Trouble
from millrace.storage.postgres.connecting import (
    CRUD_SETTINGS,
    LOST,
    READ_ONLY,
    TAKEN,
    TRANSIENT,
    WRITER_SETTINGS,
    patiently,
    persistently,
)
from millrace.storage.postgres.kept import KeptConnections
from millrace.storage.postgres.schema import bring_up_to_date
from millrace.storage.postgres.writable import Writability, try_to_write

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy
    from sqlalchemy import Connection, Select
    from sqlalchemy.engine.interfaces import IsolationLevel

T = TypeVar("T")

DIALECT = dialect()  # type: ignore[no-untyped-call]

ENGINE_CONNECTIONS = 4
LOOKS = 2
"""Of those, as many as may be reading."""
READERS = 4
ENGINE_READERS = 2
WRITERS = 4
ANSWERS_WITHIN = 60.0
CLOSE_WITHIN = 5.0
"""Seconds."""


class PostgresDatabase:
    """Meets `ports.database.Database`."""

    is_shared = True
    written = None

    def __init__(self, engine_pool: asyncpg.Pool, dsn: str) -> None:
        self.engine_pool = KeptConnections(engine_pool)
        self._readers = _engine(dsn, READERS, CRUD_SETTINGS | READ_ONLY, "REPEATABLE READ")
        self._looking = asyncio.Semaphore(LOOKS)
        self._engine_readers = _engine(dsn, ENGINE_READERS, WRITER_SETTINGS | READ_ONLY, "REPEATABLE READ")
        self._writers = _engine(dsn, WRITERS, CRUD_SETTINGS, "SERIALIZABLE")
        self._writability = Writability(lambda: self._run(self._writers, try_to_write, TRANSIENT))

    @classmethod
    async def open(cls, url: str) -> "PostgresDatabase":
        address = make_url(url)
        await persistently(lambda: bring_up_to_date(address.set(drivername="postgresql+asyncpg")))
        # As the driver takes it, so that what it knows (`sslmode`, several hosts) may be said in the URL.
        dsn = address.set(drivername="postgresql").render_as_string(hide_password=False)
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=ENGINE_CONNECTIONS,
            server_settings=WRITER_SETTINGS,
            command_timeout=ANSWERS_WITHIN,
            reset=_leave_as_it_is,
        )
        return cls(pool, dsn)

    async def close(self) -> None:
        """Waits a little for what is under way, and then ends it."""
        await self._writability.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN):
                await self.engine_pool.close()
        for engine in (self._readers, self._engine_readers, self._writers):
            await engine.dispose()

    async def read(self, work: "Callable[[Connection], T]") -> T:
        return await self._run(self._readers, work, TRANSIENT | LOST)

    async def read_for_engine(self, work: "Callable[[Connection], T]") -> T:
        return await patiently(lambda: self.once(self._engine_readers, work), TRANSIENT | LOST)

    async def ask(self, question: "Select[Any]", values: Mapping[str, object]) -> "Sequence[asyncpg.Record]":
        words, names, constants = _in_words(question)
        given = {**constants, **values}
        return await self.look(words, *[given[name] for name in names])

    look_up = ask

    async def look(self, words: str, *arguments: Any) -> "Sequence[asyncpg.Record]":
        """What a statement that only reads finds. Commits find connections free however many ask."""
        async with self._looking:
            found: Sequence[asyncpg.Record] = await patiently(
                lambda: self.engine_pool.fetch(words, *arguments), TRANSIENT | LOST
            )
        return found

    async def write(self, work: "Callable[[Connection], T]") -> T:
        with self._writability.noted():
            return await self._run(self._writers, work, TRANSIENT | TAKEN)

    async def write_for_engine(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` on the engine's own connections, again when the database rolled it back."""
        with self._writability.noted():
            return await patiently(work)

    async def server_time(self) -> Instant:
        return int(await persistently(lambda: self.engine_pool.fetchval("select now_us()"), TRANSIENT | LOST))

    @property
    def trouble(self) -> Trouble | None:
        return self._writability.trouble

    async def _run(self, engine: AsyncEngine, work: "Callable[[Connection], T]", again: Mapping[str, int]) -> T:
        return await persistently(lambda: self.once(engine, work), again)

    async def once(self, engine: AsyncEngine, work: "Callable[[Connection], T]") -> T:
        """One transaction, whatever becomes of it."""
        async with engine.begin() as connection:
            return await connection.run_sync(work)


@cache
def _in_words(question: "Select[Any]") -> tuple[str, Sequence[str], Mapping[str, object]]:
    """What the driver is to say, the names of its parameters in their order, and the values of those it has itself."""
    compiled = question.compile(dialect=DIALECT)
    constants = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
    return str(compiled), compiled.positiontup or (), constants


async def _leave_as_it_is(connection: "PoolConnectionProxy | asyncpg.Connection") -> None:
    """The engine sets nothing in its sessions, and to clear them would cost a second round trip each time."""
    if connection.is_in_transaction():
        await connection.reset()


def _engine(dsn: str, connections: int, settings: Mapping[str, str], isolation: "IsolationLevel") -> AsyncEngine:
    """Reads see one snapshot throughout; writes are as if one came after the other, or they fail and come again."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, server_settings=dict(settings)),
        pool_size=connections,
        max_overflow=0,
        isolation_level=isolation,
    )
    event.listen(engine.sync_engine, "checkout", _pass_over_lost)
    return engine


def _pass_over_lost(connection: Any, _record: object, _proxy: object) -> None:
    """Those that the driver knows to have been ended; to ask the server each time would cost a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError

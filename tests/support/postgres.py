"""Fresh databases on the PostgreSQL server that tests use, and a clock for them that a test can set."""

import asyncio
import atexit
import os
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

import asyncpg
from sqlalchemy import make_url

from millrace.core.values import Duration, Instant
from millrace.storage.postgres.schema import bring_up_to_date
from tests.conftest import service_url
from tests.support.clock import START, FakeClock

EMPTY = """
do $$
declare
  name text;
begin
  set session_replication_role = replica;
  for name in select quote_ident(tablename) from pg_tables
    where schemaname = 'public' and tablename <> 'alembic_version'
  loop
    execute 'delete from ' || name;
  end loop;
end $$
"""
"""Without a look at foreign keys, whatever the order."""

MOVED_BY_HAND = """
create table test_clock (at bigint not null);
create or replace function now_us() returns bigint language sql stable as 'select at from test_clock'
"""


@asynccontextmanager
async def fresh_database(*, clock: bool = True) -> AsyncIterator[str]:
    """The address of a database with Millrace's schema and nothing in it; `clock`: its time is a `DatabaseClock`'s."""
    unused = _unused[clock]
    name = unused.pop() if unused else await _make(clock=clock)
    yield _address(name)
    await _tell(EMPTY, name)
    unused.append(name)


@asynccontextmanager
async def bare_database() -> AsyncIterator[str]:
    """The address of a database without any schema, for this use alone."""
    name = f"millrace_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    await _tell(f"create database {name}")
    try:
        yield _address(name)
    finally:
        await _tell(f"drop database if exists {name} with (force)")


class DatabaseClock(FakeClock):
    """The time of a database whose clock a test moves; it has moved when the call returns."""

    def __init__(self, url: str, now: Instant = START) -> None:
        super().__init__(now)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection = self._wait(asyncpg.connect(url))
        self._wait(self._connection.execute("insert into test_clock values ($1)", now))

    def advance(self, by: Duration) -> None:
        super().advance(by)
        self._write()

    def jump(self, by: Duration) -> None:
        super().jump(by)
        self._write()

    def close(self) -> None:
        self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _write(self) -> None:
        self._wait(self._connection.execute("update test_clock set at = $1", self.now()))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


_unused: dict[bool, list[str]] = {False: [], True: []}
"""Made by this process, with and without such a clock. To empty one takes a hundredth of the time of a new one."""


async def _make(*, clock: bool) -> str:
    name = f"millrace_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    await _tell(f"create database {name}")
    atexit.register(lambda: asyncio.run(_tell(f"drop database if exists {name} with (force)")))
    await _tell(f"alter database {name} set synchronous_commit = off")
    await bring_up_to_date(make_url(_address(name)).set(drivername="postgresql+asyncpg"))
    if clock:
        await _tell(MOVED_BY_HAND, name)
    return name


async def _tell(statement: str, database: str | None = None) -> None:
    connection = await asyncpg.connect(service_url("postgres") if database is None else _address(database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _address(name: str) -> str:
    return make_url(service_url("postgres")).set(database=name).render_as_string(hide_password=False)

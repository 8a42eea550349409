import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from millrace.dispatch.postgres import PostgresHints
from tests.support.postgres import fresh_database

PATIENCE = 60.0


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with fresh_database(clock=False) as address:
        yield address


@asynccontextmanager
async def connected(url: str, others: Callable[[], Awaitable[bool]] | None = None) -> AsyncIterator[PostgresHints]:
    """The hints of a process of its own."""
    hints = PostgresHints(url, others)
    running = asyncio.create_task(hints.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await hints.connected.wait()
        yield hints
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.005)


async def cut(url: str, application: str) -> None:
    """Have the server end the connections with this name."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and application_name = $1",
            application,
        )
    finally:
        await connection.close()

"""Connections to PostgreSQL: what a URL may say of them, and what happens when they are cut."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy import make_url, text

from millrace.ports.store import ClaimRequest, StoreUnavailable
from millrace.storage.postgres.database import ENGINE_CONNECTIONS, ENGINE_READERS, PostgresDatabase
from millrace.storage.postgres.kept import KEPT
from millrace.storage.postgres.store import PostgresStore
from tests.conformance.builders import Owner
from tests.conftest import service_url
from tests.support.clock import FakeClock
from tests.support.postgres import bare_database, fresh_database

pytestmark = pytest.mark.service("postgres")

ONE = text("select 1")
OTHERS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
SLEEPING = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')"""


@pytest.mark.parametrize("words", ["?sslmode=disable", "?sslmode=prefer&application_name=ours"])
async def test_a_url_may_say_what_the_driver_knows(words: str) -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url + words)
        assert await database.read(lambda connection: connection.execute(ONE).scalar()) == 1
        assert await database.write(lambda connection: connection.execute(ONE).scalar()) == 1
        await database.close()


async def test_nobody_notices_that_idle_connections_were_cut() -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        asked = (database.read, database.read_for_engine, database.write)
        for ask in asked:
            await ask(lambda connection: connection.execute(ONE).scalar())
        assert await database.engine_pool.fetchval("select 1") == 1
        server = await asyncpg.connect(url)
        await server.fetch(f"select pg_terminate_backend(pid, 10000) from ({OTHERS}) others")  # noqa: S608

        for ask in asked:
            assert await ask(lambda connection: connection.execute(ONE).scalar()) == 1
        assert await database.engine_pool.fetchval("select 1") == 1
        await server.close()
        await database.close()


async def test_who_gets_no_connection_in_time_may_ask_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that could not be read because a machine was overloaded must not fail for it."""
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        monkeypatch.setattr(database._engine_readers.sync_engine.pool, "_timeout", 0.05)
        async with AsyncExitStack() as held:
            for _ in range(ENGINE_READERS):
                await held.enter_async_context(database._engine_readers.connect())
            with pytest.raises(StoreUnavailable):
                await database.read_for_engine(lambda connection: connection.execute(ONE).scalar())
        assert await database.read_for_engine(lambda connection: connection.execute(ONE).scalar()) == 1
        await database.close()


async def test_statements_leave_connections_to_those_who_need_one_for_several() -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        pool = database.engine_pool
        async with asyncio.timeout(20):
            for _ in range(2):
                assert await asyncio.gather(*(pool.fetchval("select 1") for _ in range(20))) == [1] * 20
                async with AsyncExitStack() as held:
                    for _ in range(ENGINE_CONNECTIONS - KEPT):
                        await held.enter_async_context(pool.acquire())
                    assert await pool.fetchval("select 2") == 2
        await database.close()


async def test_none_is_kept_while_a_statement_waits_for_one() -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        pool = database.engine_pool
        async with AsyncExitStack() as held, asyncio.timeout(20):
            for _ in range(ENGINE_CONNECTIONS - KEPT):
                await held.enter_async_context(pool.acquire())
            for _ in range(2):
                assert await asyncio.gather(*(pool.fetchval("select 1") for _ in range(9))) == [1] * 9
        await database.close()


async def test_connections_that_the_driver_gave_up_leave_their_places_to_others() -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        async with asyncio.timeout(20):
            for _ in range(2 * ENGINE_CONNECTIONS):
                assert await database.engine_pool.fetchval("select 1") == 1
                database.engine_pool._idle[-1]._con._protocol.abort()
        await database.close()


async def test_a_connection_serves_again_after_a_statement_that_failed_or_was_given_up() -> None:
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        pool = database.engine_pool
        async with asyncio.timeout(20):
            for _ in range(ENGINE_CONNECTIONS + 1):
                with pytest.raises(asyncpg.DivisionByZeroError):
                    await pool.fetchval("select 1 / 0")
                given_up = asyncio.ensure_future(pool.fetchval("select pg_sleep(60)"))
                await until_sleeping(url)
                given_up.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await given_up
            assert await pool.fetchval("select 3") == 3
        await database.close()


async def until_sleeping(url: str) -> None:
    server = await asyncpg.connect(url)
    while not await server.fetchval(SLEEPING):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)
    await server.close()


async def test_what_is_said_of_a_failure_holds_no_values() -> None:
    """Logs have it, and answers; a statement may have been given anything."""
    failing = text("select pg_terminate_backend(pg_backend_pid()), :value as value")
    async with fresh_database() as url:
        database = await PostgresDatabase.open(url)
        with pytest.raises(StoreUnavailable) as raised:
            await database.write(lambda connection: connection.execute(failing, {"value": "confidential"}))
        await database.close()
    assert "confidential" not in str(raised.value)
    assert "select" not in str(raised.value)


async def test_a_database_that_lets_nobody_in_refuses_no_run() -> None:
    """It is away: what was done is kept, and told again when it is back."""
    async with bare_database() as url:
        database = await PostgresDatabase.open(url)
        store, name = PostgresStore(database), make_url(url).database
        change = Owner(store, FakeClock()).starts()
        server = await asyncpg.connect(service_url("postgres"))
        await server.execute(f"alter database {name} allow_connections false")
        await server.fetch("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1", name)

        for ask in (
            store.commit([change]),
            store.commit([], ClaimRequest("worker", ("*",), 1)),
            store.load(change.run.id),
            store.reap(),
        ):
            with pytest.raises(StoreUnavailable):
                await ask
        assert database.trouble is not None
        assert database.trouble.code == "database_unusable"

        await server.execute(f"alter database {name} allow_connections true")
        await server.close()
        assert type((await store.commit([change])).changes[0]).__name__ == "Committed"
        await database.close()

"""The line of changes on PostgreSQL: its beginning, another server's transactions, and what holds it up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest

from millrace.app.histories.following import Followers
from millrace.app.histories.repository import Position
from millrace.core.errors import Conflict
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.line import held_up
from tests.support.api import create, definition, start
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation
from tests.support.postgres import bare_database

URL = "/api/v1"
ECHO = definition("echoing", {"id": "a", "type": "echo", "config": {"value": 1}})

pytestmark = ON_POSTGRES


async def ask(url: str, query: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def reopen(url: str) -> None:
    """As another process does at its start."""
    await (await PostgresDatabase.open(url)).close()


async def next_run(followers: Followers, position: Position) -> str:
    """The run of the first record that is told from a position on."""
    async with asyncio.timeout(60):
        async for batch in followers.changes(None, position=position):
            if batch.items:
                return str(batch.items[0][1]["run_id"])
    raise AssertionError("it does not end")


async def test_who_follows_from_an_empty_line_is_told_the_first_change(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    followers = millrace.container.followers
    place = await followers.place(await followers.here())
    await create(api, ECHO)
    run = await start(api, "echoing", wait=True)

    assert await next_run(followers, place) == run["id"]
    assert await next_run(followers, await followers.place(str(place.change - 1))) == run["id"]


async def test_a_database_from_a_server_that_is_ahead_goes_on_beyond_all_its_positions(
    millrace: Installation, api: httpx2.AsyncClient, database_url: str
) -> None:
    await create(api, ECHO)
    old = await start(api, "echoing", wait=True)
    # As if that server had come so much further with its transactions, and gone on after the backup.
    await ask(database_url, "update changes set position = position + (1000000::bigint << 16)")
    newest = await ask(database_url, "select max(position) from changes")
    unknown = newest + (5 << 16)
    await reopen(database_url)
    new = await start(api, "echoing", wait=True)

    followers = millrace.container.followers
    assert await ask(database_url, "select min(position) from changes where run_id = $1", new["id"]) > unknown
    assert await next_run(followers, Position(0, 0)) == old["id"], "what it had told is in the line as before"
    assert await next_run(followers, await followers.place(str(newest))) == new["id"]
    assert await next_run(followers, await followers.place(str(unknown))) == new["id"]


async def test_a_start_leaves_a_line_that_is_in_order_as_it_is(
    millrace: Installation, api: httpx2.AsyncClient, database_url: str
) -> None:
    await create(api, ECHO)
    await start(api, "echoing", wait=True)
    kept = "select array_agg(position order by position) || (select last_value from line_start) from changes"
    before = await ask(database_url, kept)

    await reopen(database_url)

    assert await ask(database_url, kept) == before


@asynccontextmanager
async def transaction_elsewhere() -> AsyncIterator[int]:
    """One that writes to another database of the server; answers the process of the server that it has."""
    async with bare_database() as url:
        elsewhere = await asyncpg.connect(url, server_settings={"application_name": "nightly load"})
        try:
            async with elsewhere.transaction():
                await elsewhere.execute("create table loaded (id integer)")
                yield elsewhere.get_server_pid()
        finally:
            await elsewhere.close()


async def test_the_doctor_names_a_transaction_of_another_database_that_holds_the_line_up(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    def look(longer_than: int) -> Any:
        return millrace.database.read(lambda connection: held_up(connection, longer_than=longer_than))

    followers = millrace.container.followers
    await create(api, ECHO)
    async with transaction_elsewhere() as process:
        here = await followers.here()
        await start(api, "echoing", wait=True)
        assert await followers.here() == here, "what is new is not told yet"
        told = [line for line in await look(0) if f"process {process} (nightly load, " in line]
        assert len(told) == 1
        assert not [line for line in await look(3600 * 1_000_000) if f"process {process} " in line]


async def test_a_position_that_was_never_given_is_refused(millrace: Installation) -> None:
    followers = millrace.container.followers
    beyond = int(await followers.here()) + (1000 << 16)
    with pytest.raises(Conflict):
        await followers.place(str(beyond))


async def test_a_start_beside_those_who_write_leaves_the_line_where_it_is(database_url: str) -> None:
    async def write(number: int) -> None:
        connection = await asyncpg.connect(database_url)
        for turn in range(60):
            await connection.execute(
                "insert into changes (position, run_id, first_seq, last_seq) values (last_position() + 1, $1, 1, 1)",
                f"{number}/{turn}",
            )
        await connection.close()

    async def begin() -> None:
        connection = await asyncpg.connect(database_url)
        for _ in range(60):
            await connection.execute("select continue_line()")
        await connection.close()

    start = "select last_value from line_start"
    before = await ask(database_url, start)
    await asyncio.gather(*(write(number) for number in range(4)), *(begin() for _ in range(2)))
    assert await ask(database_url, start) == before

"""Histories and logs lie in partitions by the month of their run, made ahead and dropped when they are empty."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import make_url

from millrace.app.housekeeping import Partitions
from millrace.core.values import SECOND
from millrace.storage.postgres.partitions import keep_partitions
from millrace.storage.postgres.schema import bring_up_to_date
from tests.support.planting import Planted
from tests.support.postgres import bare_database

pytestmark = pytest.mark.service("postgres")

ROW = "insert into records (run_id, seq, type, at) values ($1, $2, 'run.started', 1)"
TOLD = """
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = $1::regclass order by 1"""


@pytest.fixture
async def pool() -> AsyncIterator[asyncpg.Pool]:
    """A database in which it is the middle of June 2027."""
    async with bare_database() as url:
        await bring_up_to_date(make_url(url).set(drivername="postgresql+asyncpg"))
        async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
            for parent in ("records", "logs"):
                for part in await parts(pool, parent):
                    await pool.execute(f"drop table {parent}_{part}" if part != "other" else "select 1")
            await set_time(pool, 2027, 6)
            yield pool


async def set_time(pool: asyncpg.Pool, year: int, month: int) -> None:
    moment = at(year, month)
    body = f"create or replace function now_us() returns bigint language sql stable as 'select {moment}'"
    await pool.execute(body)


def at(year: int, month: int, day: int = 15) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * SECOND


def run_of(year: int, month: int, day: int = 15, number: int = 0) -> str:
    return Planted(at(year, month, day), number).id


async def parts(pool: asyncpg.Pool, parent: str = "records") -> list[str]:
    return [row["relname"].removeprefix(f"{parent}_") for row in await pool.fetch(TOLD, parent)]


async def part_of(pool: asyncpg.Pool, run_id: str) -> set[str]:
    found = await pool.fetch("select tableoid::regclass::text from records where run_id = $1", run_id)
    return {row[0].removeprefix("records_") for row in found}


async def see_to(pool: asyncpg.Pool) -> float | None:
    return await Partitions(lambda: keep_partitions(pool)).run_once()


async def test_a_new_database_has_this_month_and_the_next_two() -> None:
    async with bare_database() as url:
        await bring_up_to_date(make_url(url).set(drivername="postgresql+asyncpg"))
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            now = datetime.now(UTC)
            months = [now.year * 12 + now.month - 1 + ahead for ahead in range(3)]
            expected = [f"{month // 12}_{month % 12 + 1:02}" for month in months]
            assert await parts(pool) == await parts(pool, "logs") == [*expected, "other"]


async def test_months_are_made_ahead_and_take_the_runs_made_in_them(pool: asyncpg.Pool) -> None:
    assert await see_to(pool) is None
    assert await parts(pool) == await parts(pool, "logs") == ["2027_06", "2027_07", "2027_08", "other"]
    for run_id, part in (
        (run_of(2027, 6, 1), "2027_06"),
        (run_of(2027, 6, 30, number=(1 << 48) - 1), "2027_06"),
        (run_of(2027, 7, 1), "2027_07"),
        (run_of(2027, 5, 31), "other"),
        (run_of(2027, 9, 1), "other"),
    ):
        await pool.executemany(ROW, [(run_id, 1), (run_id, 2)])
        assert await part_of(pool, run_id) == {part}
    assert await see_to(pool) is None
    assert await parts(pool) == ["2027_06", "2027_07", "2027_08", "other"]


async def test_any_number_of_processes_may_do_it_at_once(pool: asyncpg.Pool) -> None:
    assert await asyncio.gather(*(see_to(pool) for _ in range(8))) == [None] * 8
    assert await parts(pool) == ["2027_06", "2027_07", "2027_08", "other"]


async def test_what_went_to_the_other_partition_meanwhile_comes_along(pool: asyncpg.Pool) -> None:
    run_id, of_no_month = run_of(2027, 7), run_of(2030, 1)
    await pool.executemany(ROW, [(run_id, 1), (run_id, 2), (of_no_month, 1)])
    await see_to(pool)
    assert await part_of(pool, run_id) == {"2027_07"}
    assert await part_of(pool, of_no_month) == {"other"}
    await pool.execute(ROW, run_id, 3)
    assert await part_of(pool, run_id) == {"2027_07"}


async def test_what_is_too_much_to_move_stays_there_whole(pool: asyncpg.Pool) -> None:
    run_id = run_of(2027, 6)
    await pool.executemany(ROW, [(run_id, seq) for seq in range(1, 4)])
    await pool.fetchval("select keep_partitions(2, most_moved => 2)")
    assert await parts(pool) == ["2027_07", "2027_08", "other"]
    assert await part_of(pool, run_id) == {"other"}
    assert await parts(pool, "logs") == ["2027_06", "2027_07", "2027_08", "other"]


async def test_nobody_waits_for_it_while_others_read_for_long(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetch("select * from records_other")
        async with asyncio.timeout(60):
            assert await see_to(pool) == 60.0, "it tries again"
    assert await parts(pool) == ["other"]
    assert await see_to(pool) is None
    assert "2027_06" in await parts(pool)


async def test_a_past_month_goes_when_nothing_is_left_in_it(pool: asyncpg.Pool) -> None:
    await see_to(pool)
    run_id = run_of(2027, 6)
    await pool.execute(ROW, run_id, 1)
    await set_time(pool, 2027, 9)
    await see_to(pool)
    assert await parts(pool) == ["2027_06", "2027_08", "2027_09", "2027_10", "2027_11", "other"]
    assert "2027_06" not in await parts(pool, "logs"), "there was nothing in it"
    await pool.execute("delete from records where run_id = $1", run_id)
    await see_to(pool)
    assert await parts(pool) == ["2027_08", "2027_09", "2027_10", "2027_11", "other"], "the last month stays a while"


async def test_an_old_snapshot_is_no_ground_to_drop_anything(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.RaiseError, match="snapshot"):
            await connection.fetchval("select keep_partitions(2)")

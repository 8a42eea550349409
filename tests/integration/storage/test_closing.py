"""Closing: what was asked before is answered, what comes afterwards is refused, and the file stands alone."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from millrace.ports.store import StoreUnavailable
from millrace.storage.database import SqliteDatabase
from millrace.system import SystemClock


async def opened(place: Path) -> SqliteDatabase:
    return await SqliteDatabase.open(place, clock=SystemClock(), synchronous="off")


async def test_jobs_that_wait_are_done_before_the_database_closes(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    database = await opened(place)
    waiting = [
        asyncio.ensure_future(
            database.submit(lambda raw, key=key: raw.execute("insert into limits (key) values (?)", (key,)))
        )
        for key in map(str, range(200))
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert not (tmp_path / "millrace.db-wal").exists()
    with closing(sqlite3.connect(place)) as raw:
        assert raw.execute("select count(*) from limits").fetchone() == (200,)


async def test_whoever_comes_after_the_end_is_refused_at_once(tmp_path: Path) -> None:
    database = await opened(tmp_path / "millrace.db")
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(database.submit(lambda raw: raw.total_changes), 60)
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(database.write(lambda connection: connection.exec_driver_sql("select 1").scalar()), 60)
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(database.read(lambda connection: connection.exec_driver_sql("select 1").scalar()), 60)


async def test_a_closed_database_can_be_opened_again_by_the_same_process(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    await (await opened(place)).close()
    await (await opened(place)).close()


async def test_an_answer_that_nobody_waits_for_any_more_hinders_nothing(tmp_path: Path) -> None:
    """A request was cancelled while its job was in the writer's queue: the job is done all the same."""
    database = await opened(tmp_path / "millrace.db")
    try:
        given_up = asyncio.ensure_future(
            database.submit(lambda raw: raw.execute("insert into limits (key) values ('a')"))
        )
        failing = asyncio.ensure_future(database.submit(lambda raw: raw.execute("no statement")))
        await asyncio.sleep(0)
        given_up.cancel()
        failing.cancel()
        await asyncio.gather(given_up, failing, return_exceptions=True)
        found = await database.submit(lambda raw: raw.execute("select key from limits").fetchall())
        assert found == [("a",)]
    finally:
        await database.close()

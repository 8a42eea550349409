"""The SQLite file: its lock, its log, what survives a killed process, and what happens when the disk is full."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from millrace.ports.store import StoreUnavailable
from millrace.storage.database import LOG_BYTES, SqliteDatabase
from millrace.storage.lock import DatabaseInUse
from millrace.system import SystemClock

HOLDER = """
    import asyncio, sys
    from pathlib import Path
    from millrace.storage.database import SqliteDatabase
    from millrace.system import SystemClock

    async def main() -> None:
        database = await SqliteDatabase.open(Path(sys.argv[1]), clock=SystemClock())
        for number in range(int(sys.argv[2])):
            insert = "insert into limits (key) values (?)"
            await database.submit(lambda raw: raw.execute(insert, (f"k{number}",)).rowcount)
        print("committed", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def holder(place: Path, rows: int = 0) -> "subprocess.Popen[str]":
    """A process that holds the database and has committed so many rows."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(place), str(rows)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "committed\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()


async def open_database(place: Path) -> SqliteDatabase:
    return await SqliteDatabase.open(place, clock=SystemClock())


def keys(raw: sqlite3.Connection) -> int:
    count: int = raw.execute("select count(*) from limits").fetchone()[0]
    return count


async def test_a_second_process_is_told_who_holds_the_database_and_a_killed_holder_holds_nothing(
    tmp_path: Path,
) -> None:
    place = tmp_path / "millrace.db"
    process = await asyncio.to_thread(holder, place)
    with pytest.raises(DatabaseInUse, match=str(process.pid)):
        await open_database(place)
    kill(process)
    await (await open_database(place)).close()


async def test_what_a_killed_process_committed_is_there(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    process = await asyncio.to_thread(holder, place, 100)
    kill(process)
    database = await open_database(place)
    try:
        assert await database.submit(keys) == 100
    finally:
        await database.close()


async def test_the_log_has_its_size_from_the_beginning_and_keeps_it(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    log = tmp_path / "millrace.db-wal"
    database = await open_database(place)
    try:
        assert log.stat().st_size == LOG_BYTES
        text = "x" * 2_000
        for number in range(LOG_BYTES // 20_000):
            key = f"{number}-{text}"
            await database.submit(
                lambda raw, key=key: raw.execute("insert into limits (key) values (?)", (key,)).rowcount
            )  # type: ignore[misc]
        assert log.stat().st_size <= LOG_BYTES * 1.1
    finally:
        await database.close()
    assert not log.exists()


async def test_readers_cannot_write_and_see_what_was_committed_before(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "millrace.db")
    try:
        await database.submit(lambda raw: raw.execute("insert into limits (key) values ('a')").rowcount)
        assert await database.read(lambda connection: connection.exec_driver_sql("select key from limits").all()) == [
            ("a",)
        ]
        with pytest.raises(Exception, match="readonly"):
            await database.read(lambda connection: connection.exec_driver_sql("delete from limits"))
        assert await database.submit(keys) == 1
    finally:
        await database.close()


async def test_a_job_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "millrace.db")

    def fail(raw: sqlite3.Connection) -> None:
        raw.execute("begin immediate")
        raw.execute("insert into limits (key) values ('half')")
        raise ValueError("in the middle")

    try:
        with pytest.raises(ValueError, match="in the middle"):
            await database.submit(fail)
        assert await database.submit(keys) == 0
    finally:
        await database.close()


async def test_a_full_disk_is_told_as_such_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "millrace.db")

    def fill(raw: sqlite3.Connection) -> int:
        pages: int = raw.execute("pragma page_count").fetchone()[0]
        raw.execute(f"pragma max_page_count = {pages + 2}")
        return pages

    def insert(raw: sqlite3.Connection) -> int:
        raw.execute("begin immediate")
        for number in range(200):
            raw.execute("insert into limits (key) values (?)", (f"{number}" + "x" * 1_000,))
        raw.execute("commit")
        return 200

    try:
        await database.submit(fill)
        with pytest.raises(StoreUnavailable, match="full"):
            await database.submit(insert)
        assert await database.submit(keys) == 0, "nothing of what was refused is there"
        await database.submit(lambda raw: raw.execute("pragma max_page_count = 1000000").fetchone())
        await database.submit(insert)
        assert await database.submit(keys) == 200
    finally:
        await database.close()


async def test_a_backup_taken_while_it_runs_is_a_whole_database(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "millrace.db")
    try:
        await database.submit(lambda raw: raw.execute("insert into limits (key) values ('a')").rowcount)

        def copy() -> None:
            source, target = sqlite3.connect(tmp_path / "millrace.db"), sqlite3.connect(tmp_path / "copy.db")
            with closing(source), closing(target):
                source.execute("pragma query_only = on")
                source.backup(target)

        await asyncio.to_thread(copy)
    finally:
        await database.close()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as raw:
        assert keys(raw) == 1
        assert raw.execute("pragma integrity_check").fetchone() == ("ok",)

"""Opening a file whose last process was killed: what its log holds is never thrown away, whatever stands in the way."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

from millrace.storage.database import SqliteDatabase
from millrace.system import SystemClock

ROWS = 2_000
ROOM = 400 * 1024
"""Enough to open the file, too little for what is in the log."""

WRITER = """
    import asyncio, sys
    from pathlib import Path
    from millrace.storage.database import SqliteDatabase
    from millrace.system import SystemClock

    def insert(raw):
        raw.execute("begin immediate")
        rows = [(f"{n:05}" + "x" * 200,) for n in range(int(sys.argv[2]))]
        raw.executemany("insert into limits (key) values (?)", rows)
        raw.execute("commit")

    async def main() -> None:
        database = await SqliteDatabase.open(Path(sys.argv[1]), clock=SystemClock())
        await database.submit(insert)
        print("committed", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""
STARTER_WITHOUT_SPACE = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    from millrace.storage.database import SqliteDatabase
    from millrace.system import SystemClock

    async def main() -> None:
        database = await SqliteDatabase.open(Path(sys.argv[1]), clock=SystemClock())
        await database.close()

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    largest = Path(sys.argv[1]).stat().st_size + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    asyncio.run(main())
"""


def run(source: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_and_be_killed(place: Path) -> None:
    """A process commits rows, which then stand in the log alone, and dies."""
    with run(WRITER, place, ROWS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "committed\n"
        process.send_signal(signal.SIGKILL)


def count(raw: sqlite3.Connection) -> int:
    (rows,) = raw.execute("select count(*) from limits").fetchone()
    return int(rows)


async def rows_after_opening(place: Path) -> int:
    database = await SqliteDatabase.open(place, clock=SystemClock())
    try:
        return await database.submit(count)
    finally:
        await database.close()


async def test_a_reader_that_hinders_the_checkpoint_at_start_costs_nothing(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    await asyncio.to_thread(write_and_be_killed, place)
    with closing(sqlite3.connect(place, isolation_level=None)) as reader:
        reader.execute("begin")
        assert count(reader) == ROWS
        database = await SqliteDatabase.open(place, clock=SystemClock())
        assert count(reader) == ROWS
    try:
        assert await database.submit(count) == ROWS
        await database.submit(lambda raw: raw.execute("insert into limits (key) values ('one more')").rowcount)
    finally:
        await database.close()
    assert await rows_after_opening(place) == ROWS + 1


async def test_a_start_without_room_on_the_disk_costs_nothing(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    await asyncio.to_thread(write_and_be_killed, place)
    with await asyncio.to_thread(run, STARTER_WITHOUT_SPACE, place, ROOM) as starter:
        _, said = await asyncio.to_thread(starter.communicate)
    assert "could not be checkpointed: disk I/O error" in said, "the test hinders nothing"
    assert await rows_after_opening(place) == ROWS

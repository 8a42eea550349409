"""Reading that nobody waits for any more: it ends, instead of keeping a thread and a processor busy to its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from millrace.storage import doctor
from millrace.storage.database import READERS, SqliteDatabase
from millrace.storage.doctor import Doctor
from millrace.storage.run_checks import Check
from millrace.system import SystemClock

ENDLESS = "with recursive numbers (n) as (select 1 union all select n + 1 from numbers) select {} from numbers"
WITHIN = 20.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "millrace.db", clock=SystemClock(), synchronous="off")
    yield opened
    await opened.close()


class Reading:
    """Reads for ever, unless it is ended."""

    def __init__(self) -> None:
        self.begun, self.ended = Event(), Event()

    def __call__(self, connection: Any) -> None:
        self.begun.set()
        try:
            connection.exec_driver_sql(ENDLESS.format("count(*)")).all()
        finally:
            self.ended.set()


async def test_a_read_ends_when_its_caller_is_cancelled(database: SqliteDatabase) -> None:
    for _ in range(2 * READERS):
        reading = Reading()
        caller = asyncio.create_task(database.read(reading))
        assert await asyncio.to_thread(reading.begun.wait, WITHIN)
        caller.cancel()
        assert await asyncio.to_thread(reading.ended.wait, WITHIN)
        with pytest.raises(asyncio.CancelledError):
            await caller
    found = await asyncio.gather(
        *(database.read(lambda connection: connection.exec_driver_sql("select 1").scalar()) for _ in range(READERS))
    )
    assert found == [1] * READERS, "the connections are as good as before"


async def test_the_doctor_ends_in_the_middle_of_a_check(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Check("endless", ENDLESS.format("null as run_id, n as detail") + " where n < 0", "", "")
    monkeypatch.setattr(doctor, "CHECKS", (endless,))
    begun = asyncio.Event()
    caller = asyncio.create_task(
        Doctor(database).examine(lambda step: begun.set() if step.check == "endless" else None)
    )
    await asyncio.wait_for(begun.wait(), WITHIN)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(database.close(), WITHIN)

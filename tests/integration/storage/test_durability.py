"""What `Store.commit` answered survives `kill -9`, and what it refused for want of room is not half there."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.ports.store import ClaimRequest, Committed, Rejected, StoreUnavailable
from millrace.storage import tables
from millrace.storage.database import SqliteDatabase
from millrace.storage.sqlite import SqliteStore
from tests.conformance.builders import CHAIN, IDS, Owner, inbox_item, log_line, registered
from tests.conformance.kits import Kit
from tests.support.clock import FakeClock

ANSWERS = 30
COMMITTER = """
    import asyncio, sys
    from pathlib import Path
    from millrace.storage.database import SqliteDatabase
    from millrace.storage.sqlite import SqliteStore
    from tests.conformance.builders import CHAIN, Owner, registered
    from tests.support.clock import FakeClock

    async def main() -> None:
        clock = FakeClock()
        store = SqliteStore(await SqliteDatabase.open(Path(sys.argv[1]), clock=clock))
        worker = await registered(store, sole=True)
        while True:
            run = await Owner(store, clock, CHAIN).start(claimed_by=worker)
            print(run.run_id, flush=True)
            await run.fold(run.completes("a", output={"text": "x" * 5_000}), claimed_by=worker)
            print(run.run_id, flush=True)

    asyncio.run(main())
"""


@asynccontextmanager
async def opened(place: Path) -> AsyncIterator[Kit]:
    clock = FakeClock()
    database = await SqliteDatabase.open(place, clock=clock)
    try:
        yield Kit(SqliteStore(database), database, clock)
    finally:
        await database.close()


def commit_until_killed(place: Path) -> Counter[str]:
    """How many changes of each run were answered as committed by a process that was killed amid the next."""
    command = [sys.executable, "-c", textwrap.dedent(COMMITTER), str(place)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(ANSWERS)]
        process.send_signal(signal.SIGKILL)
        answered += process.stdout.readlines()
    return Counter(line.strip() for line in answered if line.endswith("\n"))


async def test_every_change_that_was_answered_is_there_whole_after_a_kill(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    answered = await asyncio.to_thread(commit_until_killed, place)
    assert answered.total() >= ANSWERS
    async with opened(place) as kit:
        revisions = {row["id"]: row["revision"] for row in await kit.rows(tables.runs)}
        assert all(revisions[run_id] >= count for run_id, count in answered.items())
        assert revisions.keys() - answered.keys() <= set(list(revisions)[-1:]), "only the last commit may be untold"
        for run_id, revision in revisions.items():
            tasks = {row["path"]: row["status"] for row in await kit.rows(tables.task_runs, run_id=run_id)}
            attempts = [(row["path"], row["status"]) for row in await kit.rows(tables.attempts, run_id=run_id)]
            records = [row["seq"] for row in await kit.rows(tables.records, run_id=run_id)]
            if revision == 1:
                assert tasks == {"a": "running", "b": "pending", "c": "pending"}
                assert attempts == [("a", "running")]
            else:
                assert tasks == {"a": "completed", "b": "running", "c": "pending"}
                assert attempts == [("a", "completed"), ("b", "running")]
            assert records == list(range(1, 4 if revision == 1 else 6))


async def everything(kit: Kit) -> dict[str, list[dict[str, object]]]:
    return {table.name: await kit.rows(table) for table in tables.metadata.sorted_tables}


async def limit_pages(database: SqliteDatabase, more: int) -> None:
    """The file may grow by so many pages: SQLite answers as it does on a full disk."""

    def limit(raw: sqlite3.Connection) -> None:
        (pages,) = raw.execute("pragma page_count").fetchone()
        raw.execute(f"pragma max_page_count = {pages + more}").fetchone()

    await database.submit(limit)


@pytest.mark.parametrize("batch", ["as it is", "with a change to reject", "claims alone"])
async def test_a_commit_without_room_is_unavailable_changes_nothing_and_can_be_repeated(
    tmp_path: Path, batch: str
) -> None:
    clock = FakeClock()
    database = await SqliteDatabase.open(tmp_path / "millrace.db", clock=clock)
    store = SqliteStore(database)
    kit = Kit(store, database, clock)
    try:
        worker = await registered(store)
        runs = [await Owner(store, clock, CHAIN, input={"text": "x" * 3_000}).start() for _ in range(40)]
        changes = [run.folds(run.completes("a", output={"text": "x" * 3_000})) for run in runs]
        if batch == "with a change to reject":
            changes[20] = replace(changes[20], ended=[replace(changes[20].ended[0], token=IDS.new())])
        elif batch == "claims alone":
            changes = []
        before = await everything(kit)
        await limit_pages(database, 0)

        with pytest.raises(StoreUnavailable, match="full"):
            await store.commit(changes, ClaimRequest(worker, ("default",), 100))

        assert await everything(kit) == before
        await limit_pages(database, 100_000)
        reply = await store.commit(changes, ClaimRequest(worker, ("default",), 100))
        kinds = Counter(type(answer) for answer in reply.changes)
        rejected = int(batch == "with a change to reject")
        assert kinds == Counter({Committed: len(changes) - rejected, Rejected: rejected})
        assert len(reply.claimed) == 40
    finally:
        await database.close()


async def test_every_other_write_without_room_is_unavailable_too_and_reading_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    database = await SqliteDatabase.open(tmp_path / "millrace.db", clock=clock)
    store = SqliteStore(database)
    kit = Kit(store, database, clock)
    try:
        run = await Owner(store, clock).start()
        await registered(store)
        before = await everything(kit)
        await limit_pages(database, 0)
        long = "x" * 50_000

        with pytest.raises(StoreUnavailable):
            await store.post([inbox_item(run.run_id, by=long)])
        with pytest.raises(StoreUnavailable):
            await store.append_logs([log_line(run.run_id, long)])
        with pytest.raises(StoreUnavailable):
            await registered(store, queues=(long,), sole=True)

        assert await everything(kit) == before
        assert await store.load_outputs(run.run_id) == {}
    finally:
        await database.close()

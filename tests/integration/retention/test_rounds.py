"""How a round works: by index, a little at a time, going on where one was cut short, and leaving a smaller file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from millrace.app.retention import repository
from millrace.app.retention.cleaning import FREE_PAGES_KEPT, Retention
from millrace.app.retention.policy import Policy
from millrace.core.values import SECOND
from millrace.ports.store import StoreUnavailable
from millrace.storage import tables
from millrace.storage.doctor import Doctor
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import create, definition
from tests.support.databases import ON_SQLITE
from tests.support.installation import Installation, archiver_of
from tests.support.planting import DAY, Planted, plant, rows_by_table

OLD = int(time.time() * SECOND) - 100 * DAY
CONTENT = ("task_runs", "attempts", "records", "logs", "artifacts")


class Watched:
    """A database that counts the rows each write changes, and is unavailable at the write that it is told."""

    def __init__(self, millrace: Installation, fails_at: int | None = None) -> None:
        self._database = millrace.database
        self._fails_at = fails_at
        self.changed: list[int] = []

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        return await self._database.read(work)

    read_for_engine = read

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        changed: list[int] = []

        def counted(connection: Connection) -> Any:
            def note(_connection: Any, cursor: Any, _statement: str, _values: Any, _context: Any, _many: bool) -> None:
                changed.append(max(0, cursor.rowcount))

            changed.clear()
            event.listen(connection, "after_cursor_execute", note)
            return work(connection)

        if self._fails_at is not None and len(self.changed) == self._fails_at:
            self._fails_at = None
            raise StoreUnavailable("the disk is full")
        result = await self._database.write(counted)
        self.changed.append(sum(changed))
        return result


def retention(millrace: Installation, watched: Watched, runs: str = "90d") -> Retention:
    policy, archiver = Policy("30d", runs), archiver_of(millrace)
    return Retention(watched, millrace.file, SystemClock(), Uuid7Ids(), policy, archiver)


async def plant_many(millrace: Installation, *planted: Planted) -> None:
    async with millrace.client() as api:
        found = await api.get("/api/v1/workflows/old")
        of = found.json() if found.status_code == 200 else await create(api, definition("old"))

    def work(connection: Connection) -> None:
        versions = tables.workflow_versions.c
        version_id = connection.execute(select(versions.id).where(versions.workflow_id == of["id"])).scalar_one()
        for one in planted:
            plant(connection, of, version_id, one)
            if "trigger_id" in one.run:
                connection.execute(insert(tables.firings), {**firing_of(one), "workflow_id": of["id"]})

    await millrace.database.write(work)


FIRED = {"trigger_type": "cron", "trigger_id": "t"}


def firing_of(planted: Planted) -> dict[str, object]:
    """The firing that started a run: its id was made right before that of the run."""
    before = Planted(planted.at - 1000, planted.number).id
    key = f"cron:{planted.number}"
    return {
        "id": before, "trigger_id": planted.run["trigger_id"], "start_key": key, "decision": "started",
        "run_id": planted.id, "at": planted.at,
    }  # fmt: skip


async def counts(millrace: Installation) -> dict[str, int]:
    def work(connection: Connection) -> dict[str, int]:
        names = ("runs", *CONTENT, "deletions")
        return {
            name: connection.exec_driver_sql(f"select count(*) from {name}").scalar_one()  # noqa: S608
            for name in names
        }

    return await millrace.database.read(work)


async def test_a_round_that_is_cut_short_anywhere_is_ended_by_the_next(millrace: Installation) -> None:
    fails_at, ended = 0, False
    while not ended:
        first = fails_at * 10
        runs = [Planted(OLD + number * 1000, first + number, run=FIRED) for number in range(3)]
        large = Planted(OLD + 9000, first + 9, records=700, logs=900)
        stripped = Planted(OLD + 50 * DAY, first + 8)
        await plant_many(millrace, *runs, large, stripped)
        watched = Watched(millrace, fails_at)
        service = retention(millrace, watched)
        service.request()
        try:
            await service.run_once()
            ended = True
        except StoreUnavailable:
            assert (await Doctor(millrace.database).examine())["problems"] == [], f"cut short at write {fails_at}"
            service.request()
            await service.run_once()
        left = await counts(millrace)
        kept = fails_at + 1
        assert left == {
            "runs": kept, "task_runs": kept, "attempts": kept, "records": 5 * kept, "artifacts": kept, "logs": 0,
            "deletions": 0,
        }, f"cut short at write {fails_at}"  # fmt: skip
        fails_at += 1
    assert fails_at > 8, "a round is not one transaction"
    outputs = await millrace.database.read(
        lambda connection: connection.execute(select(tables.task_runs.c.input, tables.task_runs.c.output)).all()
    )
    assert set(map(tuple, outputs)) == {(None, None)}


@pytest.mark.parametrize("runs", ["90d", "never"])
async def test_no_write_is_large_however_large_a_run_is(millrace: Installation, runs: str) -> None:
    await plant_many(millrace, Planted(OLD, records=20_000, logs=20_000), *(Planted(OLD, n) for n in range(1, 300)))
    watched = Watched(millrace)
    service = retention(millrace, watched, runs)
    service.request()
    await service.run_once()
    left = await counts(millrace)
    assert (left["logs"], left["deletions"]) == (0, 0)
    assert left["runs"] == (300 if runs == "never" else 0)
    assert max(watched.changed) <= 6_000
    assert len(watched.changed) > 10


@ON_SQLITE
async def test_what_is_due_is_found_by_indexes(millrace: Installation) -> None:
    values = {
        "workflow": "w", "after": "a", "bound": "b", "cutoff": 1, "limit": 10, "run": "r", "path": "p", "number": 1,
        "fired": '[["r", "t", "e"]]',
    }  # fmt: skip
    statements = {
        "families": (repository.WINDOW[False], {"ix_runs_workflow_id_id", "ix_runs_root_run_id"}),
        "payloads": (repository.WINDOW[True], {"ix_runs_workflow_id_id", "ix_runs_root_run_id"}),
        "firings": (repository.OLD_FIRINGS, {"ix_firings_workflow_id_id"}),
        "events": (repository.OLD_EVENTS, set()),
        "firings of runs": (repository.FIRINGS_OF_RUNS, {"ix_firings_trigger_id_id (trigger_id=? AND id>? AND id<?)"}),
        "attempts": (repository.ATTEMPTS_FROM, {"PRIMARY KEY ((run_id,path,number)>(?,?,?) AND run_id<?)"}),
        "witness": (repository.ITS_INCARNATION, {"PRIMARY KEY (run_id=? AND path=? AND number=?)"}),
    }  # fmt: skip

    def plans(connection: Connection) -> dict[str, list[str]]:
        found = {}
        for name, (statement, _) in statements.items():
            compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
            given = {**compiled.params, **{key: value for key, value in values.items() if key in compiled.params}}
            bound = tuple(given[key] for key in compiled.positiontup or ())
            rows = connection.exec_driver_sql(f"explain query plan {compiled}", bound)
            found[name] = [row[3] for row in rows]
        return found

    for name, plan in (await millrace.database.read(plans)).items():
        text = "\n".join(plan)
        for table in tables.metadata.tables:
            assert f"SCAN {table}" not in text, f"{name}: {text}"
        assert name in ("families", "payloads") or "TEMP B-TREE" not in text, f"{name}: {text}"
        assert all(index in text for index in statements[name][1]), f"{name}: {text}"


async def test_a_second_look_begins_where_the_payloads_are_still_there(millrace: Installation) -> None:
    paused = Planted(OLD + 20 * DAY, 2, finished=False, run={"status": "paused"})
    await plant_many(millrace, Planted(OLD, 1), paused, Planted(OLD + 40 * DAY, 3))
    service = retention(millrace, Watched(millrace), "never")
    for ended in (False, True):
        if ended:
            end = tables.runs.update().where(tables.runs.c.id == paused.id)
            await millrace.database.write(
                lambda connection, end=end: connection.execute(end.values(status="failed", finished_at=paused.at + 1))
            )
        service.request()
        await service.run_once()
        rows = await millrace.database.read(lambda connection: rows_by_table(connection, paused.id))
        assert rows.get("logs", 0) == (0 if ended else 2)
    assert (await counts(millrace))["logs"] == 0


@ON_SQLITE
async def test_the_file_gets_smaller_again_and_its_log_stays_small(millrace: Installation, tmp_path: Path) -> None:
    file = tmp_path / "home" / "millrace.db"
    await plant_many(millrace, *(Planted(OLD + number, number, logs=200) for number in range(600)))
    await millrace.database.submit(lambda raw: raw.execute("pragma wal_checkpoint(passive)").fetchall())
    before = file.stat().st_size
    assert before > 6_000_000

    service = retention(millrace, Watched(millrace))
    service.request()
    await service.run_once()
    await millrace.database.submit(lambda raw: raw.execute("pragma wal_checkpoint(passive)").fetchall())

    assert file.stat().st_size < before / 4
    assert await millrace.database.free_pages() <= FREE_PAGES_KEPT
    assert file.with_name("millrace.db-wal").stat().st_size <= 17 * 1024 * 1024
    check = await millrace.database.read(
        lambda connection: connection.exec_driver_sql("pragma integrity_check").scalars().all()
    )
    assert check == ["ok"]


@ON_SQLITE
async def test_space_is_given_back_many_pages_at_a_time(millrace: Installation) -> None:
    for statement in ("create table ballast (x)", "insert into ballast values (zeroblob(819200))"):
        await millrace.database.submit(lambda raw, statement=statement: raw.execute(statement).rowcount)
    await millrace.database.submit(lambda raw: raw.execute("drop table ballast").rowcount)
    before = await millrace.database.free_pages()
    assert before >= 200
    await millrace.database.give_back(50)
    assert await millrace.database.free_pages() == before - 50


async def test_a_round_begins_by_itself_a_while_after_the_start(millrace: Installation) -> None:
    await plant_many(millrace, Planted(OLD))
    service = retention(millrace, Watched(millrace))
    pause = await service.run_once()
    assert pause is not None
    assert 50 < pause <= 60
    assert (await counts(millrace))["runs"] == 1


async def test_a_round_asked_for_at_one_process_is_done_by_another_under_its_settings(millrace: Installation) -> None:
    await plant_many(millrace, Planted(OLD))
    asked_at, done_at = retention(millrace, Watched(millrace), "1d"), retention(millrace, Watched(millrace), "never")
    told: list[None] = []
    asked_at.after_ask = lambda: told.append(None)

    asked = await asked_at.ask()

    assert (await asked_at.ask()).id == asked.id, "one that waits is enough"
    assert len(told) == 2
    async with millrace.client() as api:
        shown = (await api.get("/api/v1/retention")).json()
        assert (shown["current_round"]["id"], shown["last_round"]) == (asked.id, None)
        await done_at.run_once()
        shown = (await api.get("/api/v1/retention")).json()
        assert (shown["current_round"], shown["last_round"]["id"]) == (None, asked.id)
        assert (shown["last_round"]["cause"], shown["last_round"]["runs"]) == ("request", 0)
    assert (await counts(millrace))["runs"] == 1
    assert await done_at.run_once() is not None, "it is done once"

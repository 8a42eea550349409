"""What a task may do with SQLite: files under allowed folders, never Millrace's own, and no file but the named one."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from millrace.core.failures import Failure
from millrace.ports.confinement import SystemUser
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.runners.database import DatabaseConfig, DatabaseRunner
from millrace.runners.sql.faults import SqlFault
from millrace.runners.sql.sqlite import LOCK_WAIT, waits_for_lock
from millrace.runners.sql.sqlite_files import allowed_file

Run = Callable[..., Awaitable[dict[str, Any] | Failure]]


class NoNetwork:
    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        raise AssertionError(f"SQLite needs no host, yet {host}:{port} was asked for")


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


@pytest.fixture
def own(allowed: Path) -> Path:
    """Millrace's own database, even inside an allowed folder."""
    path = allowed / "millrace.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table runs (id)")
    for companion in ("-wal", "-shm", "-journal", ".lock"):
        Path(f"{path}{companion}").touch()
    return path


@pytest.fixture
async def runner(allowed: Path, own: Path) -> Any:
    services = RunnerServices(
        http=None,  # type: ignore[arg-type]
        addresses=NoNetwork(),
        sqlite_allowed_dirs=(allowed,),
        own_database=own,
    )
    runner = DatabaseRunner(services)
    yield runner
    await runner.close()


@pytest.fixture
def run(runner: DatabaseRunner, allowed: Path) -> Run:
    async def run(sql: str, path: Path | str = "", parameters: Any = None, **config: Any) -> dict[str, Any] | Failure:
        context = RunnerContext("run", "task", 1, lambda *_, **__: None)
        checked = DatabaseConfig(
            connection_string=f"sqlite:///{path or allowed / 'a.db'}", sql=sql, parameters=parameters, **config
        )
        outcome = await runner.run(checked, context)
        if isinstance(outcome, Failed):
            return outcome.failure
        assert isinstance(outcome, Completed)
        assert isinstance(outcome.output, dict)
        return outcome.output

    return run


def refusal(found: dict[str, Any] | Failure) -> str:
    assert isinstance(found, Failure), found
    assert found.kind == "refused", found
    return found.message


async def test_a_file_outside_the_allowed_folders_is_refused_and_not_made(run: Run, tmp_path: Path) -> None:
    assert "MILLRACE_SQLITE_ALLOWED_DIRS" in refusal(await run("select 1", tmp_path / "b.db"))
    assert not (tmp_path / "b.db").exists()


async def test_a_folder_whose_name_begins_like_an_allowed_one_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "allowed2").mkdir()
    refusal(await run("select 1", tmp_path / "allowed2" / "b.db"))


async def test_dots_and_links_do_not_lead_out_of_the_allowed_folders(run: Run, allowed: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "secret.db")) as connection:
        connection.execute("create table t (a)")
    (allowed / "link.db").symlink_to(tmp_path / "secret.db")
    (allowed / "folder").symlink_to(tmp_path)

    for path in ("../secret.db", "link.db", "folder/secret.db", "%2e%2e/secret.db"):
        refusal(await run("select * from t", f"{allowed}/{path}"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock"])
async def test_millraces_own_database_is_refused_under_every_name(
    run: Run, allowed: Path, own: Path, suffix: str
) -> None:
    real = Path(f"{own}{suffix}")
    (allowed / "soft.db").symlink_to(real)
    os.link(real, allowed / "hard.db")

    for path in (real, allowed / "soft.db", allowed / "hard.db", f"{allowed}//./{real.name}", f"/{real}"):
        assert "own database" in refusal(await run("select 1", path))


async def test_a_file_whose_journal_would_be_the_own_database_is_refused(allowed: Path) -> None:
    services = RunnerServices(
        http=None,  # type: ignore[arg-type]
        addresses=NoNetwork(),
        sqlite_allowed_dirs=(allowed,),
        own_database=allowed / "odd-wal",
    )
    config = DatabaseConfig(connection_string=f"sqlite:///{allowed}/odd", sql="select 1")
    outcome = await DatabaseRunner(services).run(config, RunnerContext("r", "t", 1, lambda *_, **__: None))
    assert isinstance(outcome, Failed)
    assert "own database" in outcome.failure.message


@pytest.mark.parametrize(
    "sql",
    [
        "attach '{}' as other",
        "attach database '{}' as other",
        "attach 'fi' || 'le:{}' as other",
        "vacuum into '{}'",
        "vacuum main into '{}'",
    ],
)
async def test_no_statement_reaches_another_file(run: Run, allowed: Path, sql: str) -> None:
    target = allowed / "other.db"
    assert "attach" in refusal(await run(sql.format(target), transaction=False))
    assert not target.exists()


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("pragma writable_schema = 1", "writable_schema"),
        ("pragma temp_store_directory = '/tmp'", "temp_store_directory"),
        ("pragma hard_heap_limit = 1", "hard_heap_limit"),
        ("pragma Schema_Version = 7", "Schema_Version"),
        ("select load_extension('/tmp/x.so')", "load_extension"),
    ],
)
async def test_what_would_reach_into_the_process_is_refused_by_name(run: Run, sql: str, named: str) -> None:
    assert named in refusal(await run(sql))


async def test_ordinary_maintenance_is_allowed(run: Run) -> None:
    await run("create table t (a)")
    assert isinstance(await run("vacuum", transaction=False), dict)
    assert isinstance(await run("pragma journal_mode = wal", transaction=False), dict)
    found = await run("pragma table_info(t)")
    assert isinstance(found, dict)
    assert found["rows"][0]["name"] == "a"
    found = await run("select name from pragma_table_info('t')")
    assert isinstance(found, dict)
    assert found["rows"] == [{"name": "a"}]


async def test_read_only_refuses_every_change_and_makes_no_file(run: Run, allowed: Path) -> None:
    await run("create table t (a)")
    found = await run("insert into t values (1)", read_only=True)
    assert isinstance(found, Failure)
    assert "readonly" in found.message
    assert isinstance(await run("select * from t", read_only=True), dict)
    assert isinstance(await run("select 1", allowed / "none.db", read_only=True), Failure)
    assert not (allowed / "none.db").exists()


async def test_a_cancelled_statement_ends_and_leaves_no_lock(run: Run, runner: DatabaseRunner) -> None:
    endless = "insert into t with recursive c(n) as (select 1 union all select n + 1 from c) select n from c"
    await run("create table t (a)")
    task = asyncio.ensure_future(run(endless))
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await run("insert into t values (1); select count(*) as n from t")
    assert isinstance(found, dict)
    assert found["rows"] == [{"n": 1}]


async def test_a_statement_that_waits_for_a_lock_can_be_cancelled_at_once(run: Run, allowed: Path) -> None:
    await run("create table t (a)")
    with closing(sqlite3.connect(allowed / "a.db", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        task = asyncio.ensure_future(run("insert into t values (1)"))
        done, _ = await asyncio.wait([task], timeout=0.3)
        assert not done
        before = monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert monotonic() - before < LOCK_WAIT / 2


async def test_a_statement_that_waits_for_a_lock_goes_on_when_it_is_free(run: Run, allowed: Path) -> None:
    await run("create table t (a)")
    with closing(sqlite3.connect(allowed / "a.db", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        task = asyncio.ensure_future(run("insert into t values (1)"))
        await asyncio.wait([task], timeout=0.2)
        holder.execute("commit")
        assert isinstance(await task, dict)


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False),
        (sqlite3.SQLITE_IOERR_LOCK, False),
        (sqlite3.SQLITE_CANTOPEN, False),
    ],
)
def test_a_lock_is_waited_for_also_while_the_log_is_recovered(code: int, waits: bool) -> None:
    assert waits_for_lock(code) is waits


async def test_many_tasks_that_read_and_then_write_one_file_wait_for_each_other(run: Run) -> None:
    await run("pragma journal_mode = wal", transaction=False)
    await run("create table t (a integer); insert into t values (0)")
    add = "select a from t; update t set a = a + 1"
    found = await asyncio.gather(*[run(add) for _ in range(30)])
    assert [other for other in found if not isinstance(other, dict)] == []
    found = await run("select a from t")
    assert isinstance(found, dict)
    assert found["rows"] == [{"a": 30}]


# --- what others put in its place -------------------------------------------------------------------------------------


async def test_a_link_that_comes_after_the_look_is_not_followed(
    run: Run, allowed: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of tasks run beside it, and some may write where it looks."""
    await run("create table t (id)")

    def looked_at(*where: Any) -> str:
        real = allowed_file(*where)
        os.rename(real, f"{real}.away")
        os.symlink(own, real)
        return real

    monkeypatch.setattr("millrace.runners.sql.sqlite.allowed_file", looked_at)
    assert "a link took the place of the file" in refusal(await run("select * from runs"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs commands as somebody else")
def test_no_file_within_a_folder_that_others_could_move() -> None:
    nobody = SystemUser("nobody", 65_534, 65_534)
    with tempfile.TemporaryDirectory() as name:
        place = Path(os.path.realpath(name))
        for folder in ("ours/within", "his/within"):
            (place / folder).mkdir(parents=True)
        os.chown(place / "his", nobody.uid, nobody.gid)
        for file in ("a.db", "ours/a.db", "ours/within/a.db", "his/a.db"):
            assert allowed_file(str(place / file), (place,), None, nobody) == str(place / file)
        with pytest.raises(SqlFault, match=f"could put another folder in the place of {place}/his/within"):
            allowed_file(str(place / "his/within/a.db"), (place,), None, nobody)
        place.chmod(0o1777)
        assert allowed_file(str(place / "ours/a.db"), (place,), None, nobody)
        with pytest.raises(SqlFault, match=f"in the place of {place}/his;"):
            allowed_file(str(place / "his/a.db"), (place,), None, nobody)
        place.chmod(0o777)
        with pytest.raises(SqlFault, match=f"in the place of {place}/ours;"):
            allowed_file(str(place / "ours/a.db"), (place,), None, nobody)

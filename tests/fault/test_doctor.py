"""`millrace doctor` finds what cannot be: each inconsistency is planted by SQL into a stopped server's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import CHECKS, Doctor
from millrace.system import SystemClock
from tests.support.server import MillraceProcess, create_workflow, wait_finished

DEFINITION = {"name": "healthy", "tasks": [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop"}]}

ATTEMPT = (
    "insert into attempts (run_id, path, number, token, status, queue, available_at, incarnation_id, started_at) "
    "values (:run, 'b', {number}, 'planted', '{status}', '{queue}', 1, {worker}, 1)"
)

PLANTED = {
    "run_without_mover": "update runs set status = 'running', finished_at = null, outcome = null where id = :run",
    "attempt_of_lost_worker": ATTEMPT.format(number=2, status="running", queue="default", worker="'nobody'"),
    "live_attempt_of_finished_run": ATTEMPT.format(number=2, status="scheduled", queue="default", worker="null"),
    "unfinished_task_of_finished_run": (
        "update task_runs set status = 'ready', finished_at = null where run_id = :run and path = 'b'"
    ),
    "task_rows_missing": (
        "update runs set status = 'running', outcome = null, finished_at = null where id = :run;"
        "delete from task_runs where run_id = :run and path = 'b'"
    ),
    "timer_of_finished_run": "insert into timers (run_id, kind, fire_at) values (:run, 'run_timeout', 1)",
    "fact_left_in_inbox": (
        "insert into inbox (id, run_id, kind, data, created_at) values ('planted', :run, 'cancel', '{}', 1)"
    ),
    "task_without_attempt": "update task_runs set live = 1 where run_id = :run and path = 'a'",
    "attempt_without_task": ATTEMPT.format(number=9, status="scheduled", queue="default", worker="null"),
    "ready_without_attempt": (
        "update runs set status = 'running', outcome = null, finished_at = null where id = :run;"
        "update task_runs set status = 'ready', finished_at = null where run_id = :run and path = 'b'"
    ),
    "history_gap": "delete from records where run_id = :run and seq = 2",
    "end_not_recorded": "update records set type = 'run.forgotten' where run_id = :run and type = 'run.completed'",
    "limit_exceeded": (
        "update runs set admission_key = 'k', admission_limit = 0, admitted_at = 1, status = 'running', "
        "finished_at = null where id = :run"
    ),
    "unserved_queue": ATTEMPT.format(number=2, status="scheduled", queue="nowhere", worker="null"),
    "run_without_version": "update runs set version_id = 'gone' where id = :run",
}


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The database of a stopped server, with one completed run in it."""
    server = MillraceProcess(tmp_path_factory.mktemp("doctor") / "home", MILLRACE_APPLY_EXAMPLES="false")
    with server, server.client() as client:
        create_workflow(client, DEFINITION)
        run_id = client.post("/workflows/healthy/execute", json={}).json()["id"]
        assert wait_finished(client, run_id)["status"] == "completed"
    return server.home / "millrace.db", run_id


@pytest.fixture
def copy(finished_run: tuple[Path, str], tmp_path: Path) -> Path:
    place = tmp_path / "millrace.db"
    place.write_bytes(finished_run[0].read_bytes())
    return place


def plant(database: Path, statements: str, run_id: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements.split(";"):
            assert connection.execute(statement, {"run": run_id}).rowcount >= 1


async def found_by_doctor(place: Path) -> set[str]:
    database = await SqliteDatabase.open(place, clock=SystemClock())
    try:
        report = await Doctor(database).examine()
    finally:
        await database.close()
    problems = report["problems"]
    assert isinstance(problems, list)
    assert all(problem["message"] and problem["remedy"] for problem in problems)
    return {problem["code"] for problem in problems}


def test_every_check_has_an_inconsistency_planted_for_it() -> None:
    assert set(PLANTED) == {check.code for check in CHECKS}


async def test_a_healthy_database_has_no_problems(copy: Path) -> None:
    assert await found_by_doctor(copy) == set()


@pytest.mark.parametrize("code", PLANTED)
async def test_doctor_finds(code: str, copy: Path, finished_run: tuple[Path, str]) -> None:
    plant(copy, PLANTED[code], finished_run[1])
    assert code in await found_by_doctor(copy)


def damage(place: Path) -> None:
    """Overwrite the head of the first page of a table."""
    damaged = bytearray(place.read_bytes())
    with closing(sqlite3.connect(place)) as connection:
        (page,) = connection.execute("select rootpage from sqlite_master where name = 'records'").fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    damaged[(page - 1) * size + 8 : (page - 1) * size + 64] = b"\xff" * 56
    place.write_bytes(damaged)


async def test_doctor_finds_a_damaged_file(copy: Path) -> None:
    damage(copy)
    assert "database_damaged" in await found_by_doctor(copy)


def test_the_command_tells_the_problem_and_ends_with_1(finished_run: tuple[Path, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database, run_id = finished_run
    (home / "millrace.db").write_bytes(database.read_bytes())
    (home / "api-key").write_text((database.parent / "api-key").read_text())
    plant(home / "millrace.db", PLANTED["history_gap"], run_id)
    with MillraceProcess(home) as server:
        done = server.millrace("doctor", check=False)
    assert done.returncode == 1
    assert "history_gap" in done.stdout
    assert run_id in done.stdout

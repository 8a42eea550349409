"""`millrace doctor` finds what cannot be: each inconsistency is planted by SQL into a stopped server's database."""

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx2
import pytest

from millrace.cli import server as server_commands
from millrace.cli.connection import CommandError
from millrace.cli.server import doctor
from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import CHECKS, Doctor
from millrace.system import SystemClock
from tests.support.server import MillraceProcess, create_workflow, wait_finished

DEFINITION = {"name": "healthy", "tasks": [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop"}]}

YEARLY = {
    "id": "yearly", "type": "cron", "if": "{{ trigger.due_date != '' }}", "input": {"b": 1, "a": [2]},
    "config": {"timezone": "UTC", "expression": "0 0 1 1 *"},
}  # fmt: skip
SCHEDULED = {"name": "scheduled", "triggers": [YEARLY], "tasks": [{"id": "a", "type": "noop"}]}
FAILING = {
    "name": "failing",
    "tasks": [
        {"id": "a", "type": "noop"},
        {"id": "b", "type": "transform", "config": {"output": "{{ tasks.a.output.nothing }}"}},
    ],
}

ATTEMPT = (
    "insert into attempts (run_id, path, number, token, status, queue, available_at, incarnation_id, started_at) "
    "values (:run, 'b', {number}, 'planted', '{status}', '{queue}', 1, {worker}, 1)"
)

FIRING = (
    "insert into firings (id, trigger_id, workflow_id, start_key, decision, run_id, at) "
    "select 'planted-{number}', id, workflow_id, 'cron:1', '{decision}', {run}, {at} "
    "from triggers where name = 'yearly'"
)
START_KEY = (
    "insert into start_keys (namespace, scope, key, request_hash, run_id, expires_at) "
    "select '{namespace}', {scope}, 'cron:1', '', {run}, 9000000000000000 from triggers where name = 'yearly'"
)
FIRED = FIRING.format(number=1, decision="started", run=":run", at=1)
WAIT = (
    "insert into waits (run_id, path, kind, child_run_id, wanted, fire_at, created_at) "
    "values (:run, 'b', {kind}, {child}, {wanted}, {at}, 1)"
)
ENDED = "update runs set finished_at = 1 where id = :run"
LIVE_AGAIN = "update runs set status = 'running', outcome = null, finished_at = null where id = :run"
NOW = "cast(strftime('%s') as integer) * 1000000"

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
    "timer_not_fired": (
        "update runs set status = 'running', outcome = null, finished_at = null where id = :run;"
        "insert into timers (run_id, kind, fire_at) values (:run, 'run_timeout', 1)"
    ),
    "adopted_from_nowhere": "update task_runs set adopted_from = 'gone' where run_id = :run and path = 'a'",
    "task_limit_exceeded": (
        "update attempts set limit_key = 'k', limit_size = 0, status = 'running', finished_at = null "
        "where run_id = :run and path = 'b'"
    ),
    "rate_limit_far_ahead": (
        "update runs set rate_key = 'k', rate_limit = 1, rate_period_us = 1 where id = :run;"
        "insert into limits (key, next_free_at) values ('k', 9000000000000000)"
    ),
    "start_key_of_other_workflow": START_KEY.format(namespace="caller", scope="workflow_id", run=":run"),
    "start_key_of_other_repeat": START_KEY.format(namespace="repeat", scope="'another run'", run=":run"),
    "trigger_of_other_version": "update triggers set version_id = 'other' where name = 'yearly'",
    "trigger_wrongly_active": "update triggers set active = 0, next_due_at = null where name = 'yearly'",
    "due_time_of_silent_trigger": "update triggers set type = 'manual' where name = 'yearly'",
    "trigger_without_route": "delete from trigger_routes",
    "schedule_without_due_time": "update triggers set next_due_at = null where name = 'yearly'",
    "due_time_left": "update triggers set next_due_at = 1 where name = 'yearly'",
    "firing_without_run": FIRING.format(number=1, decision="started", run="'gone'", at=NOW),
    "firing_without_reason": FIRING.format(number=1, decision="failed", run="null", at=NOW),
    "due_time_started_twice": f"{FIRED};{FIRING.format(number=2, decision='started', run=':run', at=2)}",
    "start_key_of_other_run": f"{FIRED};{START_KEY.format(namespace='trigger', scope='id', run=0)}",
    "waiting_without_wait": (
        "update runs set status = 'waiting', outcome = null, finished_at = null where id = :run;"
        "update task_runs set status = 'waiting', finished_at = null where run_id = :run and path = 'b'"
    ),
    "wait_of_no_task": WAIT.format(kind="'sleep'", child="null", wanted="false", at="null"),
    "wait_not_over": f"{LIVE_AGAIN};{WAIT.format(kind='null', child='null', wanted='false', at=1)}",
    "route_of_no_wait": "insert into wait_routes (run_id, path, route, correlation) values (:run, 'b', 'shipped', '')",
    "event_without_route": WAIT.format(kind="'event'", child="null", wanted="false", at="null"),
    "child_not_started": WAIT.format(kind="'child'", child="'gone'", wanted="true", at="null"),
    "child_missing": WAIT.format(kind="'child'", child="'gone'", wanted="false", at="null"),
    "end_of_child_not_told": ";".join([WAIT.format(kind="'child'", child=":run", wanted="false", at="null"), ENDED]),
    "task_outside_of_loop": (
        "update task_runs set path = 'a[3].b' where run_id = :run and path = 'b';"
        "update task_runs set size = 3 where run_id = :run and path = 'a'"
    ),
    "unserved_queue": ATTEMPT.format(number=2, status="scheduled", queue="nowhere", worker="null"),
    "run_without_version": "update runs set version_id = 'gone' where id = :run",
}

ROUND = "insert into retention_rounds (id, cause, runs, started_at) values ('planted', 'schedule', 1, 9000000000000000)"

DIFFERENCES = {
    "missing": "delete from triggers where name = 'yearly'",
    "too many": "update triggers set name = 'other' where name = 'yearly'",
    "another type": "update triggers set type = 'manual' where name = 'yearly'",
    "another config": """update triggers set config = '{"expression": "0 0 2 1 *"}' where name = 'yearly'""",
    "another input": "update triggers set input = '{}' where name = 'yearly'",
    "no condition": "update triggers set condition = null where name = 'yearly'",
    "another default": "update triggers set declared = 0 where name = 'yearly'",
}
"""How a trigger may differ from what its definition says."""


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The database of a stopped server, with a completed run and all kinds of triggers and limits in it."""
    server = MillraceProcess(tmp_path_factory.mktemp("doctor") / "home", MILLRACE_APPLY_EXAMPLES="false")
    with server, server.client() as client:
        create_workflow(client, DEFINITION)
        run_id: str = client.post("/workflows/healthy/execute", json={}).json()["id"]
        assert wait_finished(client, run_id)["status"] == "completed"
        make_triggers(client)
        make_retries(client)
        make_waits(client)
    return server.home / "millrace.db", run_id


def make_triggers(client: httpx2.Client) -> None:
    """Triggers that fire, and such as do not, each for a reason of its own."""
    create_workflow(client, SCHEDULED)
    off = {**YEARLY, "id": "off", "enabled": False}
    create_workflow(client, {**SCHEDULED, "name": "switched off", "triggers": [off]})
    for name, method, place in (("paused", "POST", "disable"), ("taken back", "DELETE", "deploy")):
        workflow = create_workflow(client, {**SCHEDULED, "name": name, "triggers": [{**YEARLY, "id": "other"}]})
        assert client.request(method, f"/workflows/{workflow['id']}/{place}").status_code == 200
    hooked = {"id": "hook", "type": "event", "config": {"event_type": "orders.*"}}
    create_workflow(client, {**SCHEDULED, "name": "waiting", "triggers": [hooked]})
    deleted = create_workflow(client, {**SCHEDULED, "name": "deleted", "triggers": [{**YEARLY, "id": "gone"}]})
    assert client.delete(f"/workflows/{deleted['id']}").status_code < 300


LOOP = {
    "id": "each",
    "type": "foreach",
    "config": {"items": "{{ [1, 2, 3] }}"},
    "tasks": [
        {"id": "kept", "type": "noop"},
        {"id": "which", "type": "condition", "config": {"if": "{{ item == 2 }}"},
         "then": [{"id": "bad", "type": "transform", "config": {"output": "{{ tasks.kept.output.nothing }}"}}]},
    ],
}  # fmt: skip
WAITS = [
    {"id": "sleeps", "type": "sleep", "config": {"duration": "1d"}},
    {"id": "event", "type": "wait_for_event", "config": {"type": ["a", "b"], "key": "k"}, "depends_on": []},
    {"id": "signal", "type": "wait_for_event", "config": {"signal": "go"}, "timeout": "1d", "depends_on": []},
    {"id": "asks", "type": "approval", "config": {"message": "Well?"}, "depends_on": []},
    {"id": "group", "type": "sequential", "timeout": "1d", "depends_on": [],
     "tasks": [{"id": "within", "type": "approval", "config": {"message": "And?"}}]},
]  # fmt: skip


def make_waits(client: httpx2.Client) -> None:
    """A run that waits for all kinds of things, and a loop that failed, twice."""
    create_workflow(client, {"name": "waits", "tasks": WAITS})
    waiting = client.post("/workflows/waits/execute", json={}).json()["id"]
    create_workflow(client, {"name": "loops", "tasks": [LOOP]})
    run_id = client.post("/workflows/loops/execute", json={}).json()["id"]
    for _ in range(2):
        assert wait_finished(client, run_id)["status"] == "failed"
        run_id = client.post(f"/runs/{run_id}/retry", json={}).json()["id"]
    assert wait_finished(client, run_id)["status"] == "failed"
    while client.get(f"/runs/{waiting}").json()["status"] != "waiting":
        time.sleep(0.05)


def make_retries(client: httpx2.Client) -> None:
    """A run under limits that failed, and two retries that take over what it completed."""
    limits = {"concurrency": {"limit": 1}, "rate_limit": {"limit": 100, "per": "1h"}}
    create_workflow(client, {**FAILING, **limits})
    started = client.post("/workflows/failing/execute", json={}, headers={"Idempotency-Key": "one"})
    run_id = started.json()["id"]
    for _ in range(2):
        assert wait_finished(client, run_id)["status"] == "failed"
        run_id = client.post(f"/runs/{run_id}/retry", json={}).json()["id"]
    assert wait_finished(client, run_id)["status"] == "failed"


@pytest.fixture
def copy(finished_run: tuple[Path, str], tmp_path: Path) -> Path:
    place = tmp_path / "millrace.db"
    place.write_bytes(finished_run[0].read_bytes())
    return place


def plant(database: Path, statements: str, run_id: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements.split(";"):
            assert connection.execute(statement, {"run": run_id}).rowcount >= 1, statement


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


@pytest.mark.parametrize("kind", ["attempt_withdrawn", "attempt_expired"])
async def test_an_attempt_that_was_taken_back_is_missed_only_when_its_run_was_not_told(
    kind: str, copy: Path, finished_run: tuple[Path, str]
) -> None:
    told = PLANTED["fact_left_in_inbox"].replace("'cancel'", f"'{kind}'")
    plant(copy, f"{PLANTED['task_without_attempt']};{told}", finished_run[1])
    assert "task_without_attempt" not in await found_by_doctor(copy)


def take_out_of_index(database: Path, run_id: str) -> None:
    """Make the run a live one whose row is not in `ix_runs_status_id`: its condition is another one meanwhile."""
    with closing(sqlite3.connect(database)) as connection:
        (index,) = connection.execute("select sql from sqlite_master where name = 'ix_runs_status_id'").fetchone()
    closed = index.lower().replace(" where ", " where status = 'nothing' and ")
    assert closed.count("'nothing'") == 1
    for written, statement in ((closed, PLANTED["run_without_mover"]), (index, "select :run")):
        # Each on a connection of its own, since one reads what is written there when it is opened.
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("pragma writable_schema = on")
            connection.execute("update sqlite_master set sql = ? where name = 'ix_runs_status_id'", (written,))
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(statement, {"run": run_id})


async def test_doctor_finds_a_live_run_that_its_index_does_not_hold(copy: Path, finished_run: tuple[Path, str]) -> None:
    take_out_of_index(copy, finished_run[1])
    with closing(sqlite3.connect(copy)) as connection:
        by_index = "select id from runs indexed by ix_runs_status_id where status <> 'completed' and status = 'running'"
        assert connection.execute(by_index).fetchall() == []
    assert "run_without_mover" in await found_by_doctor(copy)


async def test_the_key_of_a_repeat_is_that_of_the_run_repeated(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        wrong = """insert into start_keys (namespace, scope, key, request_hash, run_id, expires_at)
            select 'repeat', {scope}, '{scope}', '', id, 9000000000000000 from runs where retry_of is not null"""
        connection.execute(wrong.format(scope="retry_of"))
    assert await found_by_doctor(copy) == set()
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(wrong.format(scope="id"))
    assert await found_by_doctor(copy) == {"start_key_of_other_repeat"}


@pytest.mark.parametrize("difference", DIFFERENCES)
async def test_doctor_finds_a_trigger_that_is_not_as_its_definition_says(difference: str, copy: Path) -> None:
    plant(copy, DIFFERENCES[difference], "")
    assert "trigger_differs_from_definition" in await found_by_doctor(copy)


async def test_no_round_of_retention_excuses_a_firing_without_run(copy: Path, finished_run: tuple[Path, str]) -> None:
    """Retention deletes both in one transaction (see tests/integration/retention/test_rounds.py)."""
    plant(copy, PLANTED["firing_without_run"], finished_run[1])
    plant(copy, ROUND, "")
    assert await found_by_doctor(copy) == {"firing_without_run"}


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


HUGE = 1 << 40
"""Bytes that cannot be read within the time of a test."""
PATIENCE_SECONDS = 60.0


@pytest.fixture
def huge(tmp_path: Path) -> Iterator[tuple[MillraceProcess, Path]]:
    """A server that has an artifact of `HUGE` bytes, and its file, which is all hole."""
    server = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    with server, server.client() as client:
        sent = client.post("/artifacts", params={"name": "huge"}, content=b"x").json()
    place = server.home / "artifacts" / "objects" / "uploads" / sent["id"]
    os.truncate(place, HUGE)
    plant(server.home / "millrace.db", "update artifacts set size = cast(:run as integer)", str(HUGE))
    with server:
        yield server, place


def is_reading(server: MillraceProcess, place: Path) -> bool:
    return any(file.resolve() == place for file in Path(f"/proc/{server.pid}/fd").iterdir())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("wanted", ["application/json", "application/x-ndjson"])
def test_a_deep_round_ends_when_its_client_goes(huge: tuple[MillraceProcess, Path], wanted: str) -> None:
    server, place = huge
    key = (server.home / "api-key").read_text().strip()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        headers = f"Host: x\r\nX-API-Key: {key}\r\nAccept: {wanted}\r\n\r\n"
        client.sendall(f"GET /api/v1/doctor?deep=1 HTTP/1.1\r\n{headers}".encode())
        wait_until(lambda: is_reading(server, place))
        with server.client() as other:
            assert other.get("/doctor", params={"deep": 1}, headers={"Accept": wanted}).status_code == 409
        refused = server.millrace("doctor", "--deep", check=False)
        assert (refused.returncode, "under way already" in refused.stderr) == (2, True)
        assert "no problems" in server.millrace("doctor").stdout
        assert is_reading(server, place)
    wait_until(lambda: not is_reading(server, place))


class LateServer(ThreadingHTTPServer):
    """Answers nothing before it was given up by somebody."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LateAnswer)
        self.asked_deep, self.given_up = Event(), Event()


class LateAnswer(BaseHTTPRequestHandler):
    server: LateServer

    def do_GET(self) -> None:
        if "deep" in self.path:
            self.server.asked_deep.set()
        self.server.given_up.wait(PATIENCE_SECONDS)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"checks": 7, "problems": [], "warnings": []}).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a test's output is for what fails."""


def test_the_command_waits_for_a_deep_round_longer_than_for_other_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_commands, "SILENCE_SECONDS", 0.3)
    monkeypatch.setenv("MILLRACE_API_KEY", "any")
    with LateServer() as server, ThreadPoolExecutor(1) as threads:
        monkeypatch.setenv("MILLRACE_URL", f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever).start()
        try:
            waiting = threads.submit(doctor, deep=True)
            assert server.asked_deep.wait(PATIENCE_SECONDS)
            with pytest.raises(CommandError, match="took too long"):
                doctor()
            server.given_up.set()
            waiting.result()
        finally:
            server.given_up.set()
            server.shutdown()
    assert capsys.readouterr().out == "7 checks, no problems\n"

"""`millrace logs`, `events` and `explain`: by page, as they come, over a restart, and until Ctrl-C."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished

TALK = {
    "name": "talk",
    "tasks": [
        {"id": "say", "type": "shell", "config": {"command": "echo one; echo two; echo three >&2"}},
        {"id": "bad", "type": "shell", "retry": {"max_attempts": 2, "delay": "100ms"}, "config": {"command": "exit 7"}},
    ],
}
GATE = {
    "name": "gate",
    "tasks": [
        {"id": "wait", "type": "shell",
         "config": {"command": 'echo waiting; while [ ! -e "$GATE" ]; do sleep 0.05; done; echo through',
                    "env": {"GATE": "{{ input.gate }}"}}},
    ],
}  # fmt: skip


MANY_NOTES = """
insert into records (run_id, seq, type, path, at)
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 50000)
select id, last_seq + n, 'task.noted', 'bad', finished_at from runs join numbers where id = :run"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("cli") / "home") as process:
        with process.client() as client:
            for body in (TALK, GATE):
                create_workflow(client, body)
        yield process


@pytest.fixture(scope="module")
def talked(server: MillraceProcess) -> str:
    with server.client() as client:
        run_id: str = client.post("/workflows/talk/execute", json={"wait": True}).json()["id"]
        wait_finished(client, run_id)
    return run_id


def follower(server: MillraceProcess, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "millrace.cli.main", *arguments],
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def texts(printed: str) -> list[str]:
    return [line.partition(" | ")[2] for line in printed.splitlines()]


def test_the_last_lines_of_a_level_or_task(server: MillraceProcess, talked: str) -> None:
    every = texts(server.millrace("logs", talked).stdout)
    assert sorted(every) == ["WARNING three", "one", "two"]
    assert texts(server.millrace("logs", talked, "--tail", "1").stdout) == every[-1:]
    assert texts(server.millrace("logs", talked, "--level", "warning").stdout) == ["WARNING three"]
    assert texts(server.millrace("logs", talked, "--task", "bad").stdout) == []
    assert texts(server.millrace("logs", talked, "--follow", "-n", "2").stdout) == every[-2:]
    lines = [json.loads(line) for line in server.millrace("logs", talked, "--json").stdout.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert "loud" in server.millrace("logs", talked, "--level", "loud", check=False).stderr


def test_the_records_of_a_run_and_its_last_ones(server: MillraceProcess, talked: str) -> None:
    records = server.millrace("events", talked).stdout.splitlines()
    assert "run created" in records[0]
    assert "run failed" in records[-1]
    assert server.millrace("events", talked, "--follow").stdout.splitlines() == records
    assert server.millrace("events", talked, "--follow", "--tail", "2").stdout.splitlines() == records[-2:]


def test_explain_tells_why(server: MillraceProcess, talked: str) -> None:
    told = server.millrace("explain", talked).stdout
    for expected in ("exit code 7", "attempt 1 failed", "attempt 2 failed", "waited to be tried again for"):
        assert expected in told, told
    assert json.loads(server.millrace("explain", talked, "--json").stdout)["status"] == "failed"


def test_explain_says_that_there_is_more_and_how_to_see_it(server: MillraceProcess, talked: str) -> None:
    server.stop()
    with closing(sqlite3.connect(server.home / "millrace.db")) as connection, connection:
        connection.execute(MANY_NOTES, {"run": talked})
        connection.execute("update runs set last_seq = 50000 + last_seq where id = ?", (talked,))
    server.start()
    first = server.millrace("explain", talked).stdout
    assert "attempt 1 failed" in first
    assert first.splitlines()[-2].endswith("more records than are told here, 1 to 50000; go on with")
    assert first.splitlines()[-1] == f"  millrace explain {talked} --after 50000"
    rest = server.millrace(*first.splitlines()[-1].split()[1:]).stdout
    assert rest.splitlines()[0] == first.splitlines()[0], "the run is the same"
    assert "attempt 1 failed" not in rest
    assert "noted" in rest
    assert "more records" not in rest


def test_a_follower_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    server, gate = MillraceProcess(tmp_path / "home"), tmp_path / "gate"
    try:
        server.start()
        with server.client() as client:
            create_workflow(client, GATE)
            run_id = client.post("/workflows/gate/execute", json={"input": {"gate": str(gate)}}).json()["id"]
        following = follower(server, "logs", run_id, "--follow")
        assert following.stdout is not None
        assert texts(following.stdout.readline()) == ["waiting"]
        server.kill()
        server.start()
        gate.touch()
        rest, complaints = following.communicate(timeout=60)
        assert (following.returncode, complaints) == (0, "")
        assert texts(rest) == ["waiting", "through"], "the second attempt, and the first line only once"
    finally:
        server.stop()


@pytest.mark.parametrize("what", ["logs", "events"])
def test_ctrl_c_ends_a_follower_without_a_word(server: MillraceProcess, tmp_path: Path, what: str) -> None:
    gate = tmp_path / "gate"
    with server.client() as client:
        run_id = client.post("/workflows/gate/execute", json={"input": {"gate": str(gate)}}).json()["id"]
        following = follower(server, what, run_id, "--follow")
        assert following.stdout is not None
        assert following.stdout.readline(), "it follows"
        following.send_signal(signal.SIGINT)
        _, complaints = following.communicate(timeout=20)
        gate.touch()
        assert (following.returncode, complaints) == (130, "")
        assert wait_finished(client, run_id)["status"] == "completed", "the run goes on"

"""Who waits for the doctor on a terminal sees at which check it is; a file or a pipe gets the report alone."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.storage.doctor import CHECKS
from tests.support.server import MillraceProcess

LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("progress") / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        yield server


def on_terminal(server: MillraceProcess, *arguments: str) -> tuple[str, str]:
    """What a command says to a pipe, and to the terminal that is its stderr."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "millrace.cli.main", *arguments]
    done = subprocess.run(
        command, env=server.environment, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    return done.stdout.decode(), shown


def test_each_check_is_told_when_it_begins_and_the_report_comes_last(server: MillraceProcess) -> None:
    with server.client() as client:
        plain = client.get("/doctor").json()
        answer = client.get("/doctor", headers=LINES)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    *told, last = map(json.loads, answer.text.splitlines())
    steps = [line["progress"] for line in told]
    assert [step["number"] for step in steps] == [*range(1, plain["checks"] + 1)]
    assert {step["of"] for step in steps} == {plain["checks"]}
    assert {check.code for check in CHECKS} < {step["check"] for step in steps}
    assert last == {"answer": plain}


def test_who_may_not_ask_is_refused_as_without_progress(server: MillraceProcess) -> None:
    with server.client() as client:
        answer = client.get("/doctor", headers={**LINES, "X-API-Key": "wrong"})
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_terminal_shows_the_checks_on_one_line_that_is_empty_in_the_end(server: MillraceProcess) -> None:
    said, shown = on_terminal(server, "doctor")
    assert said.endswith(" checks, no problems\n")
    assert "\r\x1b[Kcheck 1 of " in shown
    assert ": history_gap" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_so_does_the_check_of_a_file(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        pass
    said, shown = on_terminal(server, "db", "check", "--json")
    assert json.loads(said)["problems"] == []
    assert ": history_gap" in shown
    assert shown.endswith("\r\x1b[K")


def test_nobody_else_sees_them(server: MillraceProcess) -> None:
    done = server.millrace("doctor")
    assert done.stderr == ""
    assert "check 1 of" not in done.stdout

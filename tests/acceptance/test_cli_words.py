"""What the command line says reads well, whatever it is given: names in columns, reasons in words, no tracebacks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess, until, wait_finished

CHAIN = {
    "name": "日本 chain",
    "tasks": [
        {"id": "no", "type": "shell", "config": {"command": "exit 7"}},
        {"id": "after", "type": "noop"},
        {"id": "unless", "type": "noop", "depends_on": [], "if": "{{ false }}"},
    ],
}
BOOKING = {
    "name": "booking",
    "tasks": [
        {"id": "seat", "type": "noop", "on_rollback": [{"id": "free_seat", "type": "noop"}]},
        {"id": "pay", "type": "shell", "config": {"command": ["sleep", "60"]}},
    ],
    "on_failure": [{"id": "tell", "type": "noop"}],
    "finally": [{"id": "tidy", "type": "noop"}],
}
PLAIN = {"name": "plain", "tasks": [{"id": "a", "type": "noop"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("words") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        with running.client() as client:
            for body in (CHAIN, BOOKING, PLAIN):
                assert client.post("/workflows", json=body).status_code == 201
        yield running


def elsewhere(server: MillraceProcess, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "millrace.cli.main", *arguments],
        env={**server.environment, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_columns_stand_below_each_other_also_beside_wide_characters(server: MillraceProcess) -> None:
    heading, _, plain, wide = server.millrace("workflows").stdout.splitlines()
    place = heading.index("STATUS")
    assert plain.index("active") == place
    assert wide.index("active") == place - 2, "two characters before it take two columns each"


def test_it_is_told_in_words_why_a_task_was_skipped(server: MillraceProcess) -> None:
    followed = server.millrace("run", "日本 chain", "--follow", check=False).stdout
    run_id = followed.split()[1]
    assert "after skipped (what it waits for did not end as it wants)" in followed
    told = server.millrace("explain", run_id).stdout
    assert "because its `if` did not hold" in told
    shown = server.millrace("show", run_id).stdout.splitlines()
    assert any(line.startswith("unless ") and line.endswith("its `if` did not hold") for line in shown)


def test_handlers_stand_apart_and_decisions_are_told_in_words(server: MillraceProcess) -> None:
    run_id = server.millrace("run", "booking").stdout.strip()
    until(lambda: "▶ running" in server.millrace("show", run_id).stdout.partition("TASK")[2])
    rows = server.millrace("show", run_id).stdout.partition("TASK")[2].splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["seat", "pay", "tell", "free_seat", "tidy"]
    assert [row.rpartition("  ")[2] for row in rows[2:]] == [
        "runs if the run fails",
        "undoes seat if the run fails or is cancelled",
        "runs at the end, in any case",
    ]
    server.millrace("cancel", run_id)
    with server.client() as client:
        wait_finished(client, run_id)
    told = server.millrace("explain", run_id).stdout
    assert "attempt 1 was told to end" in told
    assert "{" not in told, "no raw data"
    assert "free_seat  ✔ completed  (undoes seat)" in told
    records = server.millrace("events", run_id).stdout
    assert "run phase started (rollback)" in records
    assert "run phase started (finally)" in records


def test_what_cannot_be_sent_is_told_with_its_place(server: MillraceProcess) -> None:
    infinite = server.millrace("run", "plain", "-i", "a=[1, 1e999]", check=False)
    told = "error: input.a[1]: inf is no JSON number; give a finite number, a text or None\n"
    assert (infinite.returncode, infinite.stderr) == (2, told)
    broken = server.millrace("run", "plain", "-i", os.fsdecode(b"a=x\xff"), check=False)
    told = "error: input.a: '\\udcff' at 1 is half a character, no text\n"
    assert (broken.returncode, broken.stderr) == (2, told)
    keys = [server.millrace("run", "plain", "--idempotency-key", "ключ").stdout for _ in range(2)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("url", ["http://[::1", "http://a..b", "server", "http://h:x", "ftp://h"])
def test_what_is_no_url_is_told(server: MillraceProcess, url: str) -> None:
    done = elsewhere(server, "runs", "--server", url, MILLRACE_API_KEY="mr_x")
    assert (done.returncode, done.stderr.startswith(f"error: {url!r} is no URL of a server")) == (2, True), done.stderr


def test_what_is_no_key_is_told_and_not_shown(server: MillraceProcess, tmp_path: Path) -> None:
    done = elsewhere(server, "runs", MILLRACE_API_KEY="schlüssel")
    assert (done.returncode, "MILLRACE_API_KEY holds no API key" in done.stderr) == (2, True), done.stderr
    assert "schl" not in done.stderr
    (tmp_path / "api-key").write_bytes(b"\xff\xfe")
    done = elsewhere(server, "runs", MILLRACE_HOME=str(tmp_path))
    assert (done.returncode, "api-key holds no API key" in done.stderr) == (2, True), done.stderr


def test_numbers_agree_with_their_nouns(server: MillraceProcess) -> None:
    never = server.millrace("run", "plain", "--at", "2999-01-01T00:00:00Z").stdout.strip()
    heading, run = server.millrace("runs", "-w", "plain", "-s", "pending").stdout.splitlines()
    assert (heading.split()[-1], "it starts at 2999-01-01T00:00:00" in run) == ("WAITS", True), run
    assert server.millrace("bulk", "cancel", "-w", "plain", "--dry-run").stdout == "1 run is meant\n"
    assert server.millrace("stop", "plain").stdout == "1 run is being ended\n"
    assert "0 runs" in server.millrace("bulk", "pause", "--all").stdout
    assert never in server.millrace("runs", "-w", "plain").stdout


def test_the_version_is_an_option_as_well(server: MillraceProcess) -> None:
    assert server.millrace("--version").stdout == server.millrace("version").stdout


def test_the_next_firing_of_a_trigger_is_a_time_for_people(server: MillraceProcess) -> None:
    trigger = {"id": "t", "type": "cron", "config": {"expression": "0 2 1 1 *", "timezone": "Europe/Berlin"}}
    with server.client() as client:
        client.post("/workflows", json={**PLAIN, "name": "yearly", "triggers": [trigger]})
        (found,) = client.get("/triggers", params={"workflow": "yearly"}).json()["items"]
    shown = server.millrace("triggers", "show", found["id"]).stdout
    assert "-01-01 02:00:00+01:00 in Europe/Berlin" in shown

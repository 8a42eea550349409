"""kill -9 at random moments: nothing that was accepted is lost, nothing that was completed is done again.

Every execution of a task writes a line with its attempt into a ledger outside of Millrace. After all the killing the
ledger and the history must tell the same story. The moments are random by seed: `MILLRACE_KILL_SEED` replays one,
`MILLRACE_KILLS` does more of them. They fall anywhere: while requests are being answered, and while a start recovers
what the kill before it left behind.
"""

import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.worker.orphans import orphan_groups
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

KILLS = int(os.environ.get("MILLRACE_KILLS", "16"))
SEED = int(os.environ.get("MILLRACE_KILL_SEED", "20260101"))

LEDGER_LINE = 'printf "%s %s %s\\n" "$RUN" "$TASK" "$MILLRACE_ATTEMPT" >> "$LEDGER"'


def ledger_task(task_id: str, ledger: Path, then: str = "") -> dict[str, Any]:
    return {
        "id": task_id,
        "type": "shell",
        "config": {
            "command": f"{LEDGER_LINE}; {then or 'true'}",
            "env": {"RUN": "{{ run.id }}", "TASK": task_id, "LEDGER": str(ledger)},
        },
    }


def definition(ledger: Path) -> dict[str, Any]:
    return {
        "name": "ledger",
        "tasks": [
            ledger_task("first", ledger),
            {"id": "quick", "type": "noop"},
            ledger_task("slow", ledger, then="sleep 0.15"),
            ledger_task("last", ledger),
        ],
    }


@pytest.mark.timeout(600)
def test_kills_lose_nothing_and_repeat_no_completed_task(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    ledger = tmp_path / "ledger"
    server = MillraceProcess(tmp_path / "home")
    caller = Caller()
    server.start()
    try:
        with server.client() as client:
            create_workflow(client, definition(ledger))
        for number in range(KILLS):
            caller.start_runs_until_killed(server, after=moments.uniform(0.0, 0.4))
            if number % 4 == 3:
                server.start_and_kill(after=moments.uniform(0.0, 2.0))
            server.start()
            assert orphans(server) == [], "a shell task of a dead worker survived the restart"
        with server.client() as client:
            caller.ask_again(client)
            histories = [history(client, run_id) for run_id in caller.accepted]
            report = client.get("/doctor").json()
            started = client.get("/runs", params={"limit": 1, "workflow": "ledger"}).json()
    finally:
        server.kill()
    assert len(caller.accepted) >= KILLS, "too few runs were accepted for the test to mean anything"
    assert caller.unanswered, "no kill fell into a request"
    assert started["items"]
    assert report["problems"] == []
    assert_ledger_agrees(ledger, histories)


class Caller:
    """Starts runs, each under a key of its own, and remembers which requests were never answered."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.unanswered: list[str] = []
        self._last = 0

    def start_runs_until_killed(self, server: MillraceProcess, *, after: float) -> None:
        """Send request after request until the server is gone; it is killed at a moment of its own."""
        timer = threading.Timer(after, server.kill)
        timer.start()
        with server.client() as client:
            while True:
                self._last += 1
                key = f"key-{self._last}"
                try:
                    self._start(client, key)
                except httpx2.HTTPError:
                    self.unanswered.append(key)
                    break
        timer.join()

    def ask_again(self, client: httpx2.Client) -> None:
        """What was not answered may or may not have been started; under its key it is started once."""
        for key in self.unanswered:
            self._start(client, key)

    def _start(self, client: httpx2.Client, key: str) -> None:
        response = client.post("/workflows/ledger/execute", json={}, headers={"Idempotency-Key": key})
        assert response.status_code in (200, 202), response.text
        self.accepted.append(response.json()["id"])


def orphans(server: MillraceProcess) -> list[int]:
    """Process groups of attempts whose incarnation is not the one that lives now."""
    with server.client() as client:
        workers = client.get("/workers").json()
    return list(orphan_groups(workers["installation_id"], frozenset({workers["items"][0]["id"]})))


def history(client: httpx2.Client, run_id: str) -> tuple[str, list[dict[str, Any]]]:
    run = wait_finished(client, run_id, within=60)
    assert run["status"] == "completed", run
    records = client.get(f"/runs/{run_id}/events", params={"limit": 1000}).json()["items"]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1)), "a gap in the history"
    return run_id, records


def assert_ledger_agrees(ledger: Path, histories: list[tuple[str, list[dict[str, Any]]]]) -> None:
    lines = [tuple(line.split()) for line in ledger.read_text().splitlines()]
    executions = Counter((run_id, task) for run_id, task, _ in lines)
    tokens = Counter(token for *_, token in lines)
    assert max(tokens.values()) == 1, "one attempt was executed twice"
    for run_id, records in histories:
        for task in ("first", "slow", "last"):
            own = [record for record in records if record["path"] == task]
            kinds = [record["type"] for record in own]
            assert kinds.count("task.completed") == 1, (run_id, task, kinds)
            assert kinds[-1] == "task.completed", f"{task} of {run_id} went on after it had completed: {kinds}"
            lost, started = kinds.count("task.lost"), kinds.count("task.started")
            assert started == lost + 1, (run_id, task, kinds)
            assert 1 <= executions[run_id, task] <= started, (run_id, task, executions[run_id, task], kinds)


SENT = {"sent": "{{ input.sent }}"}
OWN_FOLDERS = {
    "outputs": ("", {"outputs": {"f": "f"}}),
    "inputs": ('test -s "$MILLRACE_INPUTS/sent"; cd "$MILLRACE_INPUTS/.."; ', {"working_dir": "/", "inputs": SENT}),
}


@pytest.mark.parametrize(("first", "config"), OWN_FOLDERS.values(), ids=OWN_FOLDERS)
def test_the_folders_of_attempts_go_with_the_worker_that_made_them(
    tmp_path: Path, first: str, config: dict[str, Any]
) -> None:
    """At the end of the attempt, or after a kill with the next start; those of others stay."""
    temporary = tmp_path / "temporary"
    (temporary / "millrace-of.another.installation").mkdir(parents=True)
    once = first + "mkdir -p $(printf 'd/%.0s' $(seq 1500)); touch f; test -e {done} || sleep 60"
    done = tmp_path / "done"
    task = {"id": "leaves", "type": "shell", "config": {"command": once.format(done=done), **config}}
    with MillraceProcess(tmp_path / "home", TMPDIR=str(temporary)) as server, server.client() as client:
        create_workflow(client, {"name": "leaving", "tasks": [task]})
        sent = client.post("/artifacts", params={"name": "x"}, content=b"x").json()["reference"]
        run_id = client.post("/workflows/leaving/execute", json={"input": {"sent": sent}}).json()["id"]
        until(lambda: any(temporary.glob("millrace-*/f")))
        (left,) = {folder.parent for folder in temporary.glob("millrace-*/f")}
        server.kill()
        done.touch()
        server.start()
        assert not left.exists()
        assert wait_finished(client, run_id)["status"] == "completed"
    assert [folder.name for folder in temporary.glob("millrace-*")] == ["millrace-of.another.installation"]

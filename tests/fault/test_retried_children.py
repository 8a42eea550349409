"""kill -9 while a run is retried that waits for a run that waits for a run: each task has one child, which goes on.

What the tasks do is counted outside of Millrace. The moments are random by seed: `MILLRACE_KILL_SEED` replays them.
"""

import os
import random
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished

KILLS = int(os.environ.get("MILLRACE_KILLS", "6"))
SEED = int(os.environ.get("MILLRACE_KILL_SEED", "20260301"))
NAMES = ("oldest", "middle", "youngest")
GIVEN = {"n": "{{ input.n }}", "folder": "{{ input.folder }}"}


def work(name: str, then: str = "true") -> dict[str, Any]:
    env = {"NAME": name, "N": "{{ input.n }}", "FOLDER": "{{ input.folder }}"}
    command = f'echo "$N $NAME" >> "$FOLDER/ledger"; {then}'
    return {"id": name, "type": "shell", "config": {"command": command, "env": env}}


def sub(workflow: str) -> dict[str, Any]:
    return {"id": "sub", "type": "sub_workflow", "config": {"workflow": workflow, "input": GIVEN}}


@pytest.mark.timeout(300)
def test_a_retry_that_is_killed_on_its_way_makes_one_child_of_each_task(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    server = MillraceProcess(tmp_path / "home")
    server.start()
    try:
        with server.client() as client:
            failing = work("second", 'test -e "$FOLDER/mended $N"')
            create_workflow(client, {"name": "youngest", "tasks": [work("first"), failing, work("third")]})
            create_workflow(client, {"name": "middle", "tasks": [work("before"), sub("youngest"), work("after")]})
            create_workflow(client, {"name": "oldest", "tasks": [sub("middle")]})
        for number in range(KILLS):
            with server.client() as client:
                answer = client.post(
                    "/workflows/oldest/execute", json={"input": {"n": number, "folder": str(tmp_path)}}
                )
                old = answer.json()["id"]
                assert wait_finished(client, old)["status"] == "failed"
            (tmp_path / f"mended {number}").touch()
            headers = {"Idempotency-Key": f"retry {number}"}
            killed = threading.Timer(moments.uniform(0.0, 0.5), server.kill)
            killed.start()
            with server.client() as client, suppress(httpx2.HTTPError):
                client.post(f"/runs/{old}/retry", headers=headers)
            killed.join()
            server.start()
            with server.client() as client:
                new = client.post(f"/runs/{old}/retry", headers=headers).json()["id"]
                assert wait_finished(client, new)["status"] == "completed"
                assert_one_line_of_children(client, old, new)
        with server.client() as client:
            assert client.get("/doctor").json()["problems"] == []
    finally:
        server.kill()
    assert_nothing_was_done_twice(tmp_path / "ledger")


def assert_one_line_of_children(client: httpx2.Client, old: str, new: str) -> None:
    """Each of the new runs has one child, which repeats that of the old."""
    for _ in NAMES[1:]:
        before, now = (children(client, run) for run in (old, new))
        assert (len(before), len(now)) == (1, 1)
        assert now[0]["retry_of"] == before[0]["id"]
        old, new = before[0]["id"], now[0]["id"]


def children(client: httpx2.Client, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/runs", params={"parent": run}).json()["items"]
    return found


def assert_nothing_was_done_twice(ledger: Path) -> None:
    """A task that was at work when it was killed may have been, and so may the one that failed."""
    done = Counter(ledger.read_text().splitlines())
    for number in range(KILLS):
        assert (done[f"{number} before"], done[f"{number} first"]) == (1, 1)
        assert 2 <= done[f"{number} second"] <= 3
        assert 1 <= done[f"{number} third"] <= 2
        assert 1 <= done[f"{number} after"] <= 2

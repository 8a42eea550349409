"""A server whose database takes nothing for a while: what its clients see, and that all goes on afterwards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import MillraceProcess, create_workflow, wait_finished

BIG = "x" * 500_000


@contextmanager
def running(server: MillraceProcess) -> Iterator[httpx2.Client]:
    server.start()
    try:
        with server.client() as client:
            yield client
    finally:
        server.kill()


class Waiting:
    """A run whose only task waits for a file and then notes that it was executed; another task follows."""

    def __init__(self, client: httpx2.Client, folder: Path) -> None:
        self._go, self._ledger, self._client = folder / "go", folder / "ledger", client
        command = 'until [ -e "$GO" ]; do sleep 0.1; done; echo done >> "$LEDGER"'
        shell = {"command": command, "env": {"GO": str(self._go), "LEDGER": str(self._ledger)}}
        tasks = [{"id": "slow", "type": "shell", "config": shell}, {"id": "next", "type": "noop"}]
        create_workflow(client, {"name": "waiting", "tasks": tasks})
        self.id = start(client, "waiting").json()["id"]
        wait_until(lambda: self._task("slow")["status"] == "running", "the task runs")

    def finish(self) -> None:
        self._go.touch()
        wait_until(self._ledger.exists, "the task has done its work")

    def assert_went_on(self) -> None:
        """From where it was: what was done while nothing could be written was not done again."""
        run = wait_finished(self._client, self.id)
        assert run["status"] == "completed", run
        assert self._ledger.read_text() == "done\n"
        assert [self._task(name)["attempt"] for name in ("slow", "next")] == [1, 1]

    def _task(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/runs/{self.id}/tasks/{name}").json()
        return found


def start(client: httpx2.Client, workflow: str, **body: Any) -> httpx2.Response:
    return client.post(f"/workflows/{workflow}/execute", json=body)


def wait_until(holds: Any, what: str, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        time.sleep(0.05)


def readiness(server: MillraceProcess) -> httpx2.Response:
    return httpx2.get(f"{server.url}/health/ready", timeout=10, trust_env=False)


def refused(server: MillraceProcess, client: httpx2.Client, code: str) -> None:
    """Work is refused by a start and by the health, each with a reason."""
    answers: list[httpx2.Response] = []

    def a_start_is_refused() -> bool:
        answers.append(start(client, "big", input={"text": BIG}))
        assert answers[-1].status_code in (202, 503), answers[-1].text
        return answers[-1].status_code == 503

    wait_until(a_start_is_refused, "a start is refused")
    refusal = answers[-1].json()
    assert refusal["code"] == "store_unavailable"
    assert refusal["detail"]
    wait_until(lambda: readiness(server).status_code == 503, "the server is not ready")
    ready = readiness(server)
    assert (ready.status_code, ready.json()["code"]) == (503, code), ready.text
    assert client.get("/workflows").status_code == 200, "reading goes on"
    assert httpx2.get(f"{server.url}/health", trust_env=False).status_code == 200


def assert_all_is_well(server: MillraceProcess, client: httpx2.Client) -> None:
    wait_until(lambda: readiness(server).status_code == 200, "the server is ready again")
    fresh = start(client, "big", input={"text": "small"})
    assert fresh.status_code == 202, fresh.text
    assert wait_finished(client, fresh.json()["id"])["status"] == "completed"
    assert client.get("/doctor").json()["problems"] == []

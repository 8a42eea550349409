"""A real Millrace in a process of its own, for tests that use it as people do, or kill it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from getpass import getuser
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.support.warm import Forked, nursery

READY_WITHIN = 170.0
PATIENCE = 60.0
"""Seconds. These only end a test that hangs, so they are long enough for a machine that has much else to do."""

FINISHED = {"completed", "failed", "cancelled"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class MillraceProcess:
    """`millrace up`, or another role. `start` and `kill` may alternate; the port stays the same."""

    def __init__(
        self,
        home: Path,
        *,
        command: Sequence[str] = ("up",),
        name: str = "",
        started_by: Sequence[str] = (),
        **settings: str,
    ) -> None:
        """`name` tells processes with one home apart; `started_by`: a command that becomes the one after it."""
        self.home = home
        self._started_by = tuple(started_by)
        self.command = tuple(command)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MILLRACE_")},
            "MILLRACE_HOME": str(home),
            "MILLRACE_PORT": str(self.port),
            # The folders of tests are for nobody else: what becomes of commands of another user is tested by itself.
            "MILLRACE_SHELL_USER": getuser(),
            **settings,
        }
        # What the interpreter itself reads, and another release of Millrace, needs a new one.
        self._cold = bool(started_by) or any(name.startswith("PYTHON") for name in settings)
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self.log = home.parent / f"{name or home.name}.log"
        self._log_from = 0

    def with_settings(self, **settings: str) -> Self:
        """Before it starts, where they name its port."""
        self._environment.update(settings)
        return self

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """For commands that talk to this server."""
        return dict(self._environment)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, cold: bool = False) -> float:
        """Start and wait until it is ready; answers the seconds that took."""
        began = time.monotonic()
        self.spawn(cold=cold)
        self.wait_until_ready()
        return time.monotonic() - began

    def wait_until_ready(self) -> None:
        began, process = time.monotonic(), self._process
        assert process is not None
        while not self._ready():
            if process.poll() is not None:
                raise AssertionError(f"millrace ended with {process.returncode}:\n{self.log.read_text()}")
            if time.monotonic() - began > READY_WITHIN:
                self.kill()
                raise AssertionError(f"millrace was not ready in {READY_WITHIN} s:\n{self.log.read_text()}")
            time.sleep(0.01)

    def start_and_kill(self, *, after: float) -> None:
        """Start, and kill it after so many seconds, wherever it is by then."""
        process = self.spawn(cold=True)
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            raise AssertionError(f"millrace ended with {process.returncode}:\n{self.log.read_text()}")

    def spawn(self, *, cold: bool = False) -> "subprocess.Popen[bytes] | Forked":
        """Start and do not wait; `cold` with an interpreter of its own, as people do."""
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            if not (cold or self._cold):
                files = (os.open(os.devnull, os.O_RDONLY), log.fileno(), log.fileno())
                self._process = nursery().fork(self.command, self._environment, files)
                os.close(files[0])
                return self._process
            self._process = subprocess.Popen(
                [*self._started_by, sys.executable, "-m", "millrace.cli.main", *self.command],
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self._process

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does; answers the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait for its end; answers the exit status."""
        assert self._process is not None
        return self._process.wait(timeout=within)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=PATIENCE)

    @property
    def api_key(self) -> str:
        return (self.home / "api-key").read_text()

    def client(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=f"{self.url}/api/v1", headers={"X-API-Key": self.api_key}, timeout=PATIENCE, trust_env=False
        )

    def millrace(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI against this server."""
        result = nursery().run(arguments, self._environment, timeout=2 * PATIENCE, **options)
        if check:
            assert result.returncode == 0, f"{arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def _ready(self) -> bool:
        if self.command[0] not in ("up", "api"):
            return "Millrace is ready" in self.log.read_text()[self._log_from :]
        return ready_at(self.port)


def ready_at(port: int) -> bool:
    """Whether the server at the port says that it is ready. Asked often, so without more than it takes."""
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def create_workflow(client: httpx2.Client, definition: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/workflows", content=json.dumps(definition), headers={"Content-Type": "application/json"})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


def wait_finished(client: httpx2.Client, run_id: str, *, within: float = PATIENCE) -> dict[str, Any]:
    """Poll until the run has finished; fails with its history when it does not."""
    until = time.monotonic() + within
    while True:
        run: dict[str, Any] = client.get(f"/runs/{run_id}").json()
        if run["status"] in FINISHED:
            return run
        if time.monotonic() > until:
            events = client.get(f"/runs/{run_id}/events").text
            raise AssertionError(f"run {run_id} is {run['status']} after {within} s\n{run}\n{events}")
        time.sleep(0.02)


def until(holds: Callable[[], Any], within: float = PATIENCE, pause: float = 0.02) -> Any:
    """Wait for a condition; answers what it came to."""
    ends = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < ends, "the condition did not come true"
        time.sleep(pause)
    return found

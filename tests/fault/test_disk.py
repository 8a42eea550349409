"""A disk that is full, and a file that cannot be written: work is refused and says why, nothing is lost, and all goes
on by itself.

A real server on a file system of its own of 24 MiB, where the test may mount one (`unshare` is not enough: it must be
root). The other ways to hinder it need no rights: a limit on the size of files is an I/O error to SQLite.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished

LEASE = 15.0
BIG = "x" * 500_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "millrace-test", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


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


def wait_until(holds: Any, what: str, within: float = 30.0) -> None:
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


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    assert shutil.disk_usage(disk).free < 8192
    return filler


def test_a_full_disk_refuses_work_loses_none_and_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    server = MillraceProcess(small_disk, MILLRACE_APPLY_EXAMPLES="false")
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        filler = fill(small_disk)
        refused(server, client, "disk_full")
        waiting.finish()
        end = time.monotonic() + LEASE + 2
        while time.monotonic() < end:
            # Longer than a lease: nobody may be declared lost for what the disk cannot take.
            start(client, "big", input={"text": BIG})
            assert readiness(server).status_code == 503
        filler.unlink()
        assert_all_is_well(server, client)
        waiting.assert_went_on()


def test_a_disk_that_was_full_when_the_server_was_killed_is_no_harm(small_disk: Path, tmp_path: Path) -> None:
    server = MillraceProcess(small_disk, MILLRACE_APPLY_EXAMPLES="false")
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        filler = fill(small_disk)
        refused(server, client, "disk_full")
        accepted = client.get("/runs", params={"limit": 200}).json()["items"]
    filler.unlink()
    with running(server) as client:
        assert_all_is_well(server, client)
        assert all(wait_finished(client, run["id"])["status"] == "completed" for run in accepted)


def limit_files(server: MillraceProcess, largest: int) -> None:
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, hard))


def test_a_file_that_cannot_be_written_refuses_work_and_loses_none(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        limit_files(server, server.log.stat().st_size + 60_000)
        refused(server, client, "database_unusable")
        waiting.finish()
        refused(server, client, "database_unusable")
        limit_files(server, resource.RLIM_INFINITY)
        assert_all_is_well(server, client)
        waiting.assert_went_on()


@contextmanager
def immutable(files: list[Path]) -> Iterator[None]:
    for file in files:
        done = subprocess.run(["chattr", "+i", str(file)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this file system knows no immutable files: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *map(str, files)], check=True)


def test_a_database_made_read_only_refuses_work_and_loses_none(tmp_path: Path) -> None:
    if os.geteuid() or shutil.which("chattr") is None:
        pytest.skip("only root can make a file immutable that is open")
    server = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        with immutable([tmp_path / "home" / name for name in ("millrace.db", "millrace.db-wal")]):
            refused(server, client, "database_read_only")
            waiting.finish()
        assert_all_is_well(server, client)
        waiting.assert_went_on()


def test_a_start_on_a_read_only_database_says_so_and_changes_nothing(tmp_path: Path) -> None:
    if os.geteuid() or shutil.which("chattr") is None:
        pytest.skip("only root can make a file immutable")
    server = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    server.start()
    assert server.stop() == 0
    place = tmp_path / "home" / "millrace.db"
    before = place.read_bytes()
    with immutable([place]):
        with pytest.raises(AssertionError, match=r"(?s)ended with 1.*millrace\.db cannot be used.*restore a backup"):
            server.start()
        assert place.read_bytes() == before
    server.start()
    assert server.stop() == 0

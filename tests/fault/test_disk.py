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

import pytest

from tests.support.disks import file_system, fill
from tests.support.server import MillraceProcess, create_workflow, wait_finished
from tests.support.trouble import BIG, Waiting, assert_all_is_well, readiness, refused, running, start

LEASE = 15.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home"
    with file_system(place, "24m"):
        yield place


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

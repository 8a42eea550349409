"""A store that takes a question and never answers: nobody waits for it, not a stop, not a start, not the readiness."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from millrace.app.artifacts import watching
from millrace.app.artifacts.watching import ObjectStoreWatch
from millrace.artifacts import local
from millrace.artifacts.local import LocalObjects
from millrace.artifacts.s3 import S3Objects
from millrace.artifacts.threads import Threads
from millrace.ports.objects import ObjectStoreUnavailable
from tests.support.object_stores import STORES, Kept, kept
from tests.support.s3_server import Bucket

NEVER = timedelta(hours=1)


@pytest.fixture(params=STORES)
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with kept(request.param, tmp_path / "artifacts") as found:
        yield found


class MuteServer:
    """Takes connections, counts them, and never says a word."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._held: list[socket.socket] = []
        self.bucket = Bucket("mute", f"http://127.0.0.1:{listening.getsockname()[1]}")

    @property
    def asked(self) -> int:
        return len(self._held)

    async def run(self) -> None:
        try:
            while True:
                self._held.append((await asyncio.get_running_loop().sock_accept(self._listening))[0])
        finally:
            for one in self._held:
                one.close()


@pytest.fixture
async def mute() -> AsyncIterator[MuteServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        server = MuteServer(listening)
        accepting = asyncio.create_task(server.run())
        yield server
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)


async def left_early(store: S3Objects | LocalObjects) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.check()


STOPS = """
import asyncio, socket
from datetime import timedelta
from millrace.artifacts.s3 import S3Objects
from millrace.artifacts.s3_place import S3Place

kept = []

async def content():
    yield bytes(1024)

async def main():
    listening = socket.create_server(("127.0.0.1", 0), backlog=50)
    place = S3Place("mute", "", f"http://127.0.0.1:{listening.getsockname()[1]}", "us-east-1", "key", "secret",
                    allow_http=True)
    store = S3Objects(place, answered_within=timedelta(hours=1))
    calls = [asyncio.create_task(store.put(f"uploads/{number}", content(), limit=1024)) for number in range(20)]
    calls.append(asyncio.create_task(store.check()))
    kept.append((listening, await asyncio.to_thread(listening.accept)))
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    store.close()
    print("closed", flush=True)

asyncio.run(main())
"""


def test_a_process_ends_while_a_server_is_mute() -> None:
    """The calls would take an hour."""
    ended = subprocess.run([sys.executable, "-c", STOPS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")


async def test_a_check_that_nobody_waits_for_has_all_others_fail_at_once(mute: MuteServer) -> None:
    store = S3Objects(mute.bucket.place, answered_within=timedelta(seconds=0.5))
    await left_early(store)
    async with asyncio.timeout(30):
        while store._silent is None:  # noqa: ASYNC110  the thread tells nobody
            await asyncio.sleep(0.01)
    asked = mute.asked
    with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
        await store.delete("uploads/a")
    assert mute.asked == asked
    store.close()


async def test_a_mute_server_is_asked_by_one_check_at_a_time(mute: MuteServer) -> None:
    store = S3Objects(mute.bucket.place, answered_within=NEVER)
    for _ in range(5):
        await left_early(store)
    assert mute.asked == 1
    store.close()


async def test_a_busy_store_is_a_store_that_works(beneath: Kept) -> None:
    """Transfers hold all threads and more wait for one; the check has its own."""
    free = threading.Event()
    assert isinstance(beneath.store, S3Objects | LocalObjects)
    transfers = [beneath.store._threads.begin(free.wait) for _ in range(100)]
    try:
        async with asyncio.timeout(30):
            await beneath.store.check()
    finally:
        free.set()
    assert all(transfer.result() for transfer in transfers)


async def test_a_folder_that_hangs_is_told_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, back = [], threading.Event()

    def hang(folder: Path) -> None:
        asked.append(folder)
        back.wait()

    monkeypatch.setattr(local, "_look", hang)
    monkeypatch.setattr(watching, "ANSWERS_WITHIN", 0.1)
    store = LocalObjects(tmp_path / "artifacts")
    watch = ObjectStoreWatch(store)
    for _ in range(3):
        assert await watch.run_once() is not None
        assert "does not answer" in (watch.trouble or "")
    assert len(asked) == 1
    back.set()
    monkeypatch.setattr(watching, "ANSWERS_WITHIN", 30.0)
    assert await watch.run_once() is None
    assert watch.trouble is None
    store.close()


def test_threads_do_what_was_given_before_they_are_closed() -> None:
    threads, done = Threads(2, "test"), []
    for number in range(50):
        threads.begin(lambda number=number: done.append(number))  # type: ignore[misc]
    threads.close()
    assert sorted(done) == list(range(50))
    with pytest.raises(RuntimeError, match="closed"):
        threads.begin(list)

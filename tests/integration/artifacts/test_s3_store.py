"""The object store in a bucket: objects of several parts, uploads that never ended, servers that refuse or are mute.

The server is a real one that checks signatures; only where it must be mute does a socket stand in for it.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from millrace.artifacts import s3_uploads
from millrace.artifacts.s3 import S3Objects
from millrace.artifacts.s3_bucket import PART
from millrace.ports.objects import ObjectStoreUnavailable, StoredObject
from tests.support.object_stores import KeptInBucket
from tests.support.s3_server import Bucket, S3Server, s3_server

pytestmark = pytest.mark.service("s3")

LARGE = 1 << 30
MIB = 1024 * 1024
LONG_AFTER = 1 << 60
GONE = StoredObject("uploads/a", 1, "0" * 64)


@pytest.fixture
def beneath() -> Iterator[KeptInBucket]:
    found = KeptInBucket(s3_server().bucket())
    yield found
    found.close()


async def content(mib: float) -> AsyncIterator[bytes]:
    for _ in range(int(mib * 4)):
        yield os.urandom(MIB // 4)


async def told(store: S3Objects) -> set[str]:
    """What each call says of a store that cannot be used."""
    said = set()
    for call in (store.check(), store.put("uploads/a", content(0.25), limit=LARGE), store.delete("uploads/a")):
        with pytest.raises(ObjectStoreUnavailable) as caught:
            await call
        said.add(str(caught.value))
    with pytest.raises(ObjectStoreUnavailable) as caught:
        async with store.open(GONE):
            pass
    said.add(str(caught.value))
    with pytest.raises(ObjectStoreUnavailable) as caught:
        await anext(store.list("uploads"))
    with pytest.raises(ObjectStoreUnavailable) as caught:
        await store.forget_unfinished(LONG_AFTER)
    return said | {str(caught.value)}


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 3 * PART])
async def test_an_object_of_several_parts_is_one_object(beneath: KeptInBucket, size: int) -> None:
    whole = os.urandom(size)

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, size, 700_000):
            yield whole[at : at + 700_000]

    stored = await beneath.store.put("uploads/a", parts(), limit=LARGE)
    async with beneath.store.open(stored) as read:
        assert b"".join([part async for part in read]) == whole
    async with beneath.store.open(stored, first=size // 2, length=3 * MIB) as read:
        assert b"".join([part async for part in read]) == whole[size // 2 :][: 3 * MIB]
    assert beneath.keys() == ["uploads/a"]
    assert await beneath.store.delete("uploads/a")


async def test_nothing_is_there_before_all_of_it_is(beneath: KeptInBucket) -> None:
    seen = []

    async def watched() -> AsyncIterator[bytes]:
        async for part in content(20):
            yield part
        seen.extend(beneath.keys())

    await beneath.store.put("uploads/a", watched(), limit=LARGE)
    assert (seen, beneath.keys()) == ([], ["uploads/a"])


UPLOADS_AND_DIES = """
import asyncio, os, sys
from millrace.artifacts.s3 import S3Objects
from millrace.artifacts.s3_place import S3Place

async def content(all_begun):
    for _ in range(20):
        yield bytes(1024 * 1024)
    await all_begun.wait()
    os._exit(9)

async def main():
    place = S3Place(sys.argv[1], "kept/here", sys.argv[2], "us-east-1", "test:tester", "testing", allow_http=True)
    store, all_begun = S3Objects(place), asyncio.Barrier(3)
    await asyncio.gather(*(store.put(f"uploads/{name}", content(all_begun), limit=1 << 30) for name in "abc"))

asyncio.run(main())
"""


async def test_what_a_crash_left_is_forgotten_when_it_is_old(
    beneath: KeptInBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_uploads, "LISTED_AT_ONCE", 2)
    bucket = beneath.bucket
    await beneath.store.put("uploads/done", content(0.25), limit=LARGE)
    died = await asyncio.create_subprocess_exec(sys.executable, "-c", UPLOADS_AND_DIES, bucket.name, bucket.endpoint)
    assert await died.wait() == 9
    assert beneath.unfinished() > 0
    assert await beneath.store.forget_unfinished(1_000_000) == 0
    elsewhere = S3Objects(replace(bucket.place, prefix="kept/elsewhere"))
    assert await elsewhere.forget_unfinished(LONG_AFTER) == 0
    elsewhere.close()
    assert await beneath.store.forget_unfinished(LONG_AFTER) == 3
    assert await beneath.store.forget_unfinished(LONG_AFTER) == 0
    assert (beneath.keys(), beneath.unfinished()) == (["uploads/done"], 0)


@pytest.mark.parametrize("prefix", ["", "a", "a/b-c/d"])
async def test_a_bucket_is_shared_by_prefix(prefix: str) -> None:
    bucket = s3_server().bucket()
    ours, others = S3Objects(replace(bucket.place, prefix=prefix)), S3Objects(replace(bucket.place, prefix="other"))
    try:
        stored = await ours.put("uploads/a", content(0.25), limit=LARGE)
        await others.put("uploads/b", content(0.25), limit=LARGE)
        assert [one.key async for one in ours.list("uploads")] == ["uploads/a"]
        async with ours.open(stored) as parts:
            assert sum([len(part) async for part in parts]) == stored.size
        assert not await ours.delete("uploads/b")
    finally:
        ours.close()
        others.close()


async def test_a_wrong_secret_key_is_named_by_every_call() -> None:
    store = S3Objects(s3_server().bucket().with_secret("wrong").place)
    said = await told(store)
    store.close()
    assert all("is wrong" in one or "access is denied" in one for one in said), said
    assert any("MILLRACE_S3_SECRET_ACCESS_KEY" in one for one in said)
    assert not any("testing" in one or 'wrong"' in one for one in said)


async def test_a_bucket_that_is_not_there_is_named() -> None:
    bucket = s3_server().bucket()
    place = replace(bucket.place, bucket="millrace-no-such")
    store = S3Objects(place)
    with pytest.raises(ObjectStoreUnavailable, match=r"no such bucket.*MILLRACE_ARTIFACTS_URL"):
        await store.check()
    with pytest.raises(ObjectStoreUnavailable, match="the bucket millrace-no-such at http"):
        await store.put("uploads/a", content(0.25), limit=LARGE)
    with pytest.raises(ObjectStoreUnavailable, match="no such bucket"):
        async with store.open(GONE):
            pass
    store.close()


async def test_a_server_that_is_gone_is_named_and_found_again_when_it_is_back() -> None:
    # A port that is bound, and not listened at, refuses connections and is given to nobody else.
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        store = S3Objects(Bucket("millrace-later", f"http://127.0.0.1:{port}").place)
        said = await told(store)
        assert all("cannot be reached" in one and "MILLRACE_S3_ENDPOINT" in one for one in said), said
        server = S3Server(port)
    with server:
        server.bucket("millrace-later")
        async with asyncio.timeout(30):
            while not await works(store):
                pass
        assert (await store.put("uploads/a", content(0.25), limit=LARGE)).size == MIB // 4
        store.close()


async def works(store: S3Objects) -> bool:
    with suppress(ObjectStoreUnavailable):
        await store.check()
        return True
    await asyncio.sleep(0.05)
    return False


@pytest.fixture
def mute() -> Iterator[Bucket]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield Bucket("mute", f"http://127.0.0.1:{listening.getsockname()[1]}")


async def test_a_mute_server_costs_one_time_out_and_not_one_each(mute: Bucket) -> None:
    store = S3Objects(mute.place, answered_within=timedelta(seconds=0.3))
    puts = [store.put(f"uploads/{number}", content(0.25), limit=LARGE) for number in range(100)]
    async with asyncio.timeout(30):
        ended = await asyncio.gather(*puts, return_exceptions=True)
    store.close()
    assert {type(one).__mro__[1] for one in ended} == {ObjectStoreUnavailable}
    assert all("cannot be reached" in str(one) for one in ended)


async def test_the_loop_goes_on_and_a_cancelled_call_ends_while_the_server_is_mute(mute: Bucket) -> None:
    store = S3Objects(mute.place, answered_within=timedelta(seconds=0.3))
    calls = [asyncio.create_task(store.delete("uploads/a")) for _ in range(20)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in ended} == {asyncio.CancelledError}
    store.close()


MEASURED = """
import asyncio, os, sys
from pathlib import Path
from millrace.artifacts.s3 import S3Objects
from millrace.artifacts.s3_place import S3Place

def highest_memory():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

async def content(mib):
    for number in range(mib * 16):
        yield number.to_bytes(8, "big") * 8192

async def main():
    place = S3Place(sys.argv[1], "kept/here", sys.argv[2], "us-east-1", "test:tester", "testing", allow_http=True)
    store = S3Objects(place)
    await store.put("uploads/warm", content(1), limit=1 << 30)
    before, read = highest_memory(), 0
    stored = await store.put("uploads/a", content(int(sys.argv[3])), limit=1 << 30)
    async with store.open(stored) as parts:
        async for part in parts:
            read += len(part)
    store.close()
    print(stored.size, read, highest_memory() - before)

asyncio.run(main())
"""


def test_memory_is_bounded_whatever_the_size_and_the_process_ends_in_peace(tmp_path: Path) -> None:
    bucket = s3_server().bucket()
    mib = int(os.environ.get("MILLRACE_TEST_LARGE_MIB", "80"))
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, bucket.name, bucket.endpoint, str(mib)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    stored, read, grown = map(int, ended.stdout.split())
    assert stored == read == mib * MIB
    assert grown < 64 * 1024, f"{grown} KiB more than before"


async def test_an_object_that_was_removed_by_somebody_else_is_missed(beneath: KeptInBucket) -> None:
    stored = await beneath.store.put("uploads/a", content(5), limit=LARGE)
    obstore.delete(beneath.bucket.at_the_source(), "kept/here/uploads/a")
    with pytest.raises(Exception, match="not in the store any more"):
        async with beneath.store.open(stored):
            pass

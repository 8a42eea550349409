"""What every object store promises (`ports.objects`): each test runs on a folder and on a real S3 server."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path

import pytest

from millrace.ports.objects import ObjectStore, ObjectTooLarge, ObjectUnreadable, StoredObject
from tests.support.object_stores import STORES, Kept, kept

LARGE = 1 << 30
MIB = 1024 * 1024

LEADING_OUT = [
    "", "/", "..", "../x", "a/../b", "a/..", "./a", "a//b", "/etc/passwd", "a/", ".hidden", "a/.b", "a\0b", "a\nb",
    "a b", "a\\b", "ä", "~/x", "-x", "a" * 129, "/".join(["abcdefgh"] * 60),
]  # fmt: skip


@pytest.fixture(params=STORES)
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with kept(request.param, tmp_path / "artifacts") as found:
        yield found


@pytest.fixture
def store(beneath: Kept) -> ObjectStore:
    return beneath.store


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(store: ObjectStore, stored: StoredObject, first: int = 0, length: int | None = None) -> bytes:
    async with store.open(stored, first=first, length=length) as parts:
        return b"".join([part async for part in parts])


async def keys(store: ObjectStore, folder: str) -> list[str]:
    return [one.key async for one in store.list(folder)]


@pytest.mark.parametrize(
    "content", [(), (b"",), (b"a",), (b"ab", b"", b"c"), (os.urandom(3 * MIB), b"x" * 700_000)],
    ids=["nothing", "an empty part", "a byte", "small parts", "large parts"],
)  # fmt: skip
async def test_what_was_put_is_read(store: ObjectStore, beneath: Kept, content: tuple[bytes, ...]) -> None:
    whole = b"".join(content)
    stored = await store.put("uploads/a", parts_of(*content), limit=LARGE)
    assert stored == StoredObject("uploads/a", len(whole), hashlib.sha256(whole).hexdigest())
    assert await read(store, stored) == whole
    assert beneath.keys() == ["uploads/a"]
    assert beneath.unfinished() == 0


async def test_putting_the_same_again_is_harmless(store: ObjectStore) -> None:
    stored = await store.put("uploads/a", parts_of(b"same"), limit=LARGE)
    assert await store.put("uploads/a", parts_of(b"sa", b"me"), limit=LARGE) == stored
    assert await read(store, stored) == b"same"


@pytest.mark.parametrize(
    ("first", "length"), [(0, 1), (0, 10), (3, 4), (9, 1), (9, 100), (10, 5), (0, None), (4, None), (0, 0), (20, 5)]
)
async def test_a_part_is_read(store: ObjectStore, first: int, length: int | None) -> None:
    stored = await store.put("uploads/a", parts_of(b"0123456789"), limit=10)
    assert await read(store, stored, first, length) == b"0123456789"[first:][:length]


async def test_a_key_cannot_lead_out_of_the_store(store: ObjectStore, beneath: Kept, tmp_path: Path) -> None:
    for key in LEADING_OUT:
        with pytest.raises(ValueError, match="cannot be the key"):
            await store.put(key, parts_of(b"x"), limit=LARGE)
        with pytest.raises(ValueError, match="cannot be the key"):
            await read(store, StoredObject(key, 1, "0" * 64))
        with pytest.raises(ValueError, match="cannot be the key"):
            await store.delete(key)
        with pytest.raises(ValueError, match="cannot be the key"):
            await keys(store, key)
    assert (beneath.keys(), beneath.unfinished()) == ([], 0)
    assert not (tmp_path / "artifacts").exists()


async def test_too_much_leaves_nothing(store: ObjectStore, beneath: Kept) -> None:
    with pytest.raises(ObjectTooLarge, match="more than 10 bytes"):
        await store.put("uploads/a", parts_of(b"0123456789", b"x"), limit=10)
    assert (beneath.keys(), beneath.unfinished()) == ([], 0)
    assert (await store.put("uploads/a", parts_of(b"0123456789"), limit=10)).size == 10


async def test_content_that_breaks_off_leaves_nothing(store: ObjectStore, beneath: Kept) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 2 * MIB
        raise ConnectionResetError("the other side is gone")

    with pytest.raises(ConnectionResetError):
        await store.put("uploads/a", broken(), limit=LARGE)
    assert (beneath.keys(), beneath.unfinished()) == ([], 0)


async def test_being_cancelled_leaves_nothing(store: ObjectStore, beneath: Kept) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 2 * MIB
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put("uploads/a", endless(), limit=LARGE))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    beneath.close()
    assert (beneath.keys(), beneath.unfinished()) == ([], 0)


@pytest.mark.parametrize("content", [b"x", os.urandom(2 * MIB), os.urandom(5 * MIB)], ids=["1", "2 MiB", "5 MiB"])
async def test_a_changed_byte_is_noticed_before_the_last_bytes_are_handed_out(
    store: ObjectStore, beneath: Kept, content: bytes
) -> None:
    stored = await store.put("uploads/a", parts_of(content), limit=LARGE)
    beneath.replace("uploads/a", bytes([content[0] ^ 1]) + content[1:])
    got = bytearray()

    async def read_all() -> None:
        async with store.open(stored) as parts:
            async for part in parts:
                got.extend(part)

    with pytest.raises(ObjectUnreadable, match=r"damaged.*checksum"):
        await read_all()
    assert len(got) < len(content)


@pytest.mark.parametrize("content", [b"", b"01234567890", b"012345678", b"0"])
async def test_another_size_is_noticed_at_once(store: ObjectStore, beneath: Kept, content: bytes) -> None:
    stored = await store.put("uploads/a", parts_of(b"0123456789"), limit=LARGE)
    beneath.replace("uploads/a", content)
    for first, length in ((0, None), (2, 3)):
        with pytest.raises(ObjectUnreadable, match=f"has {len(content)} bytes and was stored with 10"):
            await read(store, stored, first, length)


async def test_an_empty_object_that_was_filled_is_noticed(store: ObjectStore, beneath: Kept) -> None:
    stored = await store.put("uploads/a", parts_of(), limit=LARGE)
    beneath.replace("uploads/a", b"x")
    with pytest.raises(ObjectUnreadable, match="has 1 bytes and was stored with 0"):
        await read(store, stored)


async def test_a_missing_object_is_said_to_be_missing(store: ObjectStore) -> None:
    for size in (0, 1):
        with pytest.raises(ObjectUnreadable, match="not in the store"):
            await read(store, StoredObject("uploads/a", size, "0" * 64))
    await store.put("uploads/a", parts_of(b"x"), limit=LARGE)
    with pytest.raises(ObjectUnreadable, match="not in the store"):
        await read(store, StoredObject("uploads/a/b", 1, "0" * 64))


async def test_what_is_deleted_is_gone(store: ObjectStore) -> None:
    await store.put("runs/r/x/1", parts_of(b"1"), limit=LARGE)
    await store.put("runs/r/y/2", parts_of(b"2"), limit=LARGE)
    assert await store.delete("runs/r/x/1")
    assert not await store.delete("runs/r/x/1")
    assert await keys(store, "runs") == ["runs/r/y/2"]
    await store.put("runs/r/x/1", parts_of(b"1"), limit=LARGE)
    assert sorted(await keys(store, "runs")) == ["runs/r/x/1", "runs/r/y/2"]


async def test_putting_and_deleting_at_the_same_time_lose_nothing(store: ObjectStore) -> None:
    async def there_and_back(number: int) -> None:
        for turn in range(4):
            stored = await store.put(f"runs/r/{number}/{turn}", parts_of(b"x"), limit=LARGE)
            assert await read(store, stored) == b"x"
            assert await store.delete(stored.key)

    await asyncio.gather(*(there_and_back(number) for number in range(8)))
    assert await keys(store, "runs") == []


async def test_objects_are_listed_folder_by_folder_with_their_age(store: ObjectStore) -> None:
    began = time.time_ns() // 1000 - 2_000_000
    for name in ("b/2", "a/1", "b-c/3", "b/1", "a/2/x"):
        await store.put(f"runs/{name}", parts_of(name.encode()), limit=LARGE)
    await store.put("uploads/z", parts_of(b"z"), limit=LARGE)
    found = [one async for one in store.list("runs")]
    assert {one.key: one.size for one in found} == {
        "runs/a/1": 3, "runs/a/2/x": 5, "runs/b/1": 3, "runs/b/2": 3, "runs/b-c/3": 5,
    }  # fmt: skip
    assert sorted(run for run, _ in groupby(one.key.split("/")[1] for one in found)) == ["a", "b", "b-c"]
    assert all(began < one.stored_at <= time.time_ns() // 1000 + 2_000_000 for one in found)
    assert sorted(await keys(store, "runs/b")) == ["runs/b/1", "runs/b/2"]
    assert await keys(store, "nothing") == []


async def test_a_store_that_works_passes_the_check(store: ObjectStore) -> None:
    await store.check()
    await store.put("uploads/a", parts_of(b"x"), limit=LARGE)
    await store.check()
    assert await store.forget_unfinished(time.time_ns() // 1000 + 3600 * 1_000_000) == 0
    assert await keys(store, "uploads") == ["uploads/a"]

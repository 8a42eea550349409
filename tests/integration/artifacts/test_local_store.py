"""The object store in a folder: what is so only there, and what it does when the folder is not as it should be."""

import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from millrace.artifacts.local import LocalObjects
from millrace.ports.objects import ObjectUnreadable, StoredObject

LARGE = 1 << 40
MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalObjects]:
    store = LocalObjects(tmp_path / "artifacts")
    yield store
    store.close()


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(store: LocalObjects, stored: StoredObject, first: int = 0, length: int | None = None) -> bytes:
    async with store.open(stored, first=first, length=length) as parts:
        return b"".join([part async for part in parts])


async def keys(store: LocalObjects, folder: str) -> list[str]:
    return [one.key async for one in store.list(folder)]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_nobody_else_may_read_it(store: LocalObjects) -> None:
    before = os.umask(0)
    try:
        await store.put("runs/a/b/c", parts_of(b"secret"), limit=LARGE)
    finally:
        os.umask(before)
    for path in [store.folder, *store.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.is_file() else 0o700), path


async def test_what_took_the_place_of_an_object_is_not_followed(store: LocalObjects, tmp_path: Path) -> None:
    stored = await store.put("uploads/a", parts_of(b"secret"), limit=LARGE)
    place = store.folder / "objects" / "uploads" / "a"
    place.unlink()
    (tmp_path / "other").write_bytes(b"secret")
    place.symlink_to(tmp_path / "other")
    with pytest.raises(ObjectUnreadable, match="link"):
        await read(store, stored)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(ObjectUnreadable, match="damaged"):
        await read(store, stored)


async def test_a_deleted_object_takes_empty_folders_along(store: LocalObjects) -> None:
    await store.put("runs/r/x/1", parts_of(b"1"), limit=LARGE)
    await store.put("runs/r/y/2", parts_of(b"2"), limit=LARGE)
    assert await store.delete("runs/r/x/1")
    assert not await store.delete("runs/r/x/1")
    assert await keys(store, "runs") == ["runs/r/y/2"]
    assert not (store.folder / "objects" / "runs" / "r" / "x").exists()
    assert await store.delete("runs/r/y/2")
    assert list((store.folder / "objects").iterdir()) == []
    await store.put("runs/r/x/1", parts_of(b"1"), limit=LARGE)
    assert await keys(store, "runs") == ["runs/r/x/1"]


def fill(folder: Path, objects: int) -> set[str]:
    """Lay down so many empty objects, as nothing but `put` would; answers their keys."""
    folder.mkdir(parents=True)
    for number in range(objects):
        os.close(os.open(folder / f"{number:05}", os.O_WRONLY | os.O_CREAT))
    return {f"{folder.name}/{number:05}" for number in range(objects)}


async def test_a_folder_of_many_objects_is_not_held_in_memory(store: LocalObjects) -> None:
    expected = fill(store.folder / "objects" / "uploads", 10_000)
    tracemalloc.start()
    try:
        listed = 0
        async for one in store.list("uploads"):
            listed += one.key in expected
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert listed == 10_000
    assert peak < 512 * 1024


async def test_deleting_what_is_listed_hides_nothing_else(store: LocalObjects) -> None:
    expected = fill(store.folder / "objects" / "uploads", 10_000)
    seen = []
    async for one in store.list("uploads"):
        seen.append(one.key)
        await store.delete(one.key)
    assert (len(seen), set(seen)) == (10_000, expected)
    assert not (store.folder / "objects" / "uploads").exists()


async def test_a_list_that_is_left_early_holds_no_folder_open(store: LocalObjects) -> None:
    fill(store.folder / "objects" / "uploads", 1_000)
    async with aclosing(store.list("uploads")) as listed:
        assert (await anext(listed)).size == 0
        assert open_folders(store) == 1
    assert open_folders(store) == 0


def open_folders(store: LocalObjects) -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(link).startswith(str(store.folder.resolve())) for link in links)


async def test_what_was_left_unfinished_is_forgotten_when_it_is_old(store: LocalObjects) -> None:
    await store.put("uploads/a", parts_of(b"x"), limit=LARGE)
    left = store.folder / "incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    young = store.folder / "incoming" / "young"
    young.write_bytes(b"half")
    assert await store.forget_unfinished(2000 * 1_000_000) == 1
    assert files_in(store.folder / "incoming") == [young]
    assert await keys(store, "uploads") == ["uploads/a"]


WITHIN_LIMITS = """
import asyncio, resource, sys
from pathlib import Path
from millrace.artifacts.local import LocalObjects
from millrace.ports.objects import ObjectStoreUnavailable

SIZE = int(sys.argv[2]) * 1024 * 1024

def highest_memory():
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

async def content():
    for number in range(SIZE // 65536):
        yield number.to_bytes(8, "big") * 8192

async def main():
    store = LocalObjects(Path(sys.argv[1]))
    {body}

asyncio.run(main())
"""


def run_within(folder: Path, size: int, body: str) -> str:
    code = WITHIN_LIMITS.format(body=body.replace("\n", "\n    "))
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(size)], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_disk_without_room_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    body = """
resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 1024 * 1024, 3 * 1024 * 1024))
try:
    await store.put("uploads/a", content(), limit=1 << 40)
except ObjectStoreUnavailable as error:
    print(error)
small = await store.put("uploads/b", content_of(b"fits"), limit=1 << 40)
print(small.size)
""".replace('content_of(b"fits")', "small()")
    body = "async def small():\n    yield b'fits'\n" + body
    said, size = run_within(tmp_path / "artifacts", 8, body).splitlines()
    assert f"the artifact folder {tmp_path / 'artifacts'} has no room" in said
    assert "MILLRACE_ARTIFACTS_DIR" in said
    assert size == "4"
    assert [path.name for path in files_in(tmp_path / "artifacts")] == ["b"]


def test_memory_is_bounded_whatever_the_size(tmp_path: Path) -> None:
    size = int(os.environ.get("MILLRACE_TEST_LARGE_MIB", "64"))
    body = """
await store.put("uploads/warm", content_of_one(), limit=1 << 40)
before = highest_memory()
stored = await store.put("uploads/a", content(), limit=1 << 40)
read = 0
async with store.open(stored) as parts:
    async for part in parts:
        read += len(part)
print(stored.size, read, highest_memory() - before)
"""
    body = "async def content_of_one():\n    yield b'x' * 2**20\n" + body
    stored, read_, grown = map(int, run_within(tmp_path / "artifacts", size, body).split())
    assert stored == read_ == size * MIB
    assert grown < 16 * 1024, f"{grown} KiB more than before"


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = LocalObjects(tmp_path / "file" / "artifacts")
    try:
        with pytest.raises(Exception, match=r"cannot be used.*MILLRACE_ARTIFACTS_DIR"):
            await store.put("uploads/a", parts_of(b"x"), limit=LARGE)
    finally:
        store.close()

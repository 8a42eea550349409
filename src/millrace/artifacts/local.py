"""The object store in a folder of this machine. Meets `ports.objects.ObjectStore`.

An object is written beside the others (`incoming`), synced, and only then renamed to its place, so that nobody ever
sees a part of one, and a crash leaves nothing but a file in `incoming`. Folders are 0700 and files 0600: they hold
what tasks read and wrote. Blocking calls run in threads of the store's own, so a slow disk holds up nothing else.
"""

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import ParamSpec, TypeVar

from millrace.artifacts.threads import OneAtATime, Threads
from millrace.core.values import Instant
from millrace.ports.objects import (
    OWNER,
    ListedObject,
    ObjectInaccessible,
    ObjectStoreError,
    ObjectStoreUnavailable,
    ObjectTooLarge,
    ObjectUnreadable,
    StoredObject,
    checked_key,
)

WRITTEN_AT_ONCE = 1024 * 1024
READ_AT_ONCE = 256 * 1024
LISTED_AT_ONCE = 500
THREADS = 8
FINDING_A_FOLDER_GONE = 100
"""How often a folder may vanish between its making and its use: `delete` takes empty ones away."""

INCOMING = "incoming"
OBJECTS = "objects"

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

P = ParamSpec("P")
T = TypeVar("T")


class LocalObjects:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / INCOMING
        self._objects = folder / OBJECTS
        self._threads = Threads(THREADS, "millrace-objects")
        self._look = OneAtATime("millrace-objects-check", partial(_look, self._objects))

    def close(self) -> None:
        """Nothing may be under way any more, except what a disk that hangs has never answered."""
        self._threads.close()
        self._look.close()

    async def check(self) -> None:
        """Holds nothing that would have to be closed, so whoever leaves need not wait for a disk that hangs."""
        with self._errors():
            await self._look.ask()

    async def claim(self, owner: str) -> str:
        return await self._call(_claimed, self.folder, owner)

    async def owner(self) -> str | None:
        return await self._call(_owner, self.folder / OWNER)

    async def put(self, key: str, content: AsyncIterable[bytes], *, limit: int) -> StoredObject:
        place = self._place(key)
        incoming = _Incoming(self._incoming)
        try:
            await self._call(incoming.begin)
            await self._receive(incoming, content, limit)
            await self._call(incoming.move_to, place, self._objects)
        finally:
            await self._call(incoming.discard)
        return StoredObject(key, incoming.size, incoming.digest)

    async def _receive(self, incoming: "_Incoming", content: AsyncIterable[bytes], limit: int) -> None:
        waiting, size = [], 0
        async for part in content:
            waiting.append(part)
            size += len(part)
            if incoming.size + size > limit:
                raise ObjectTooLarge(f"the content has more than {limit} bytes")
            if size >= WRITTEN_AT_ONCE:
                await self._call(incoming.write, waiting)
                waiting, size = [], 0
        await self._call(incoming.write, waiting)

    @asynccontextmanager
    async def open(
        self, stored: StoredObject, *, first: int = 0, length: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        last = stored.size if length is None else min(stored.size, first + length)
        outgoing = _Outgoing(self._place(stored.key), stored, self._objects)
        try:
            await self._call(outgoing.begin, first)
            whole = first == 0 and last == stored.size
            yield self._checked_parts(outgoing, stored) if whole else self._parts(outgoing, last - first)
        finally:
            outgoing.close()

    async def _checked_parts(self, outgoing: "_Outgoing", stored: StoredObject) -> AsyncIterator[bytes]:
        held = b""
        async for part in self._parts(outgoing, stored.size):
            if held:
                yield held
            held = part
        if outgoing.digest != stored.sha256:
            raise ObjectUnreadable(
                f"the object {stored.key} is damaged: its checksum is another than when it was stored"
            )
        if held:
            yield held

    async def _parts(self, outgoing: "_Outgoing", remaining: int) -> AsyncIterator[bytes]:
        while remaining > 0:
            part = await self._call(outgoing.read, min(READ_AT_ONCE, remaining))
            if not part:
                raise ObjectUnreadable("an object became shorter while it was read")
            remaining -= len(part)
            yield part

    async def delete(self, key: str) -> bool:
        return await self._call(_removed, self._place(key), self._objects)

    async def list(self, folder: str) -> AsyncGenerator[ListedObject]:
        found = _found(self._place(folder), folder)
        try:
            while batch := await self._call(lambda: list(islice(found, LISTED_AT_ONCE))):
                for one in batch:
                    yield one
        finally:
            found.close()

    async def forget_unfinished(self, before: Instant) -> int:
        return await self._call(_forget_before, self._incoming, before)

    def _place(self, key: str) -> Path:
        return self._objects / checked_key(key)

    async def _call(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work` in a thread. A cancelled caller waits for its end: the thread holds what would be closed."""
        job = self._threads.run(partial(work, *arguments, **named))
        with self._errors():
            try:
                return await asyncio.shield(job)
            except asyncio.CancelledError:
                await asyncio.wait([job])
                with suppress(Exception):
                    job.result()
                raise

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            what = "has no room" if error.errno in NO_ROOM else "cannot be used"
            raise ObjectStoreUnavailable(
                f"the artifact folder {self.folder} {what}: {error.strerror}; "
                "make room or mend it, or name another in MILLRACE_ARTIFACTS_DIR"
            ) from error


class _Incoming:
    """A file on its way in. All methods block and are called one after another."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / secrets.token_hex(16)
        self._file = -1
        self._digest = hashlib.sha256()
        self.size = 0

    def begin(self) -> None:
        _make_folders(self._path.parent, self._path.parent.parent)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def write(self, parts: list[bytes]) -> None:
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._digest.update(part)
            self.size += len(part)

    def move_to(self, place: Path, root: Path) -> None:
        """Make the file durable under its name: first the content, then the folders above it.

        Folders that were there already are synced, too: another thread may have just made them.
        """
        os.fsync(self._file)
        for tries_left in reversed(range(FINDING_A_FOLDER_GONE)):
            try:
                _make_folders(place.parent, root.parent)
                self._path.rename(place)
                break
            except FileNotFoundError:
                if not tries_left:
                    raise
        for folder in (place.parent, *place.parent.relative_to(root.parent).parents):
            _sync(root.parent / folder)

    def discard(self) -> None:
        """Close the file, and remove it unless it was moved."""
        if self._file >= 0:
            os.close(self._file)
            self._path.unlink(missing_ok=True)


class _Outgoing:
    """A file on its way out."""

    def __init__(self, place: Path, stored: StoredObject, root: Path) -> None:
        self._place = place
        self._stored = stored
        self._root = root
        self._file = -1
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return self._digest.hexdigest()

    def begin(self, first: int) -> None:
        key, size = self._stored.key, self._stored.size
        try:
            self._file = os.open(self._place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectUnreadable(f"the object {key} is not in the store any more") from None
        except OSError as error:
            raise self._fault_of_object(error) from error
        status = os.fstat(self._file)
        if not S_ISREG(status.st_mode) or status.st_size != size:
            raise ObjectUnreadable(
                f"the object {key} is damaged: it has {status.st_size} bytes and was stored with {size}"
            )
        os.lseek(self._file, first, os.SEEK_SET)

    def read(self, wanted: int) -> bytes:
        try:
            part = os.read(self._file, wanted)
        except OSError as error:
            raise self._fault_of_object(error) from error
        self._digest.update(part)
        return part

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _fault_of_object(self, error: OSError) -> ObjectStoreError:
        """What is wrong with this object alone. Raises `OSError` if the folder of all objects cannot be used either."""
        os.scandir(self._root).close()
        key = self._stored.key
        if error.errno == errno.ELOOP:
            return ObjectUnreadable(f"the object {key} was replaced by a link")
        return ObjectInaccessible(f"the object {key} cannot be read: {error.strerror}")


def _look(folder: Path) -> None:
    """Before the first object there is no folder, which is as it should be."""
    with suppress(FileNotFoundError):
        os.scandir(folder).close()


def _owner(place: Path) -> str | None:
    """A file without content is what a crash left of a claim."""
    with suppress(FileNotFoundError):
        return place.read_text(errors="replace").strip() or None
    return None


def _claimed(folder: Path, owner: str) -> str:
    place = folder / OWNER
    there = _owner(place)
    if there is not None:
        return there
    _make_folders(folder, folder)
    place.unlink(missing_ok=True)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _owner(place) or owner
    with open(handle, "w") as file:
        file.write(owner)
        file.flush()
        os.fsync(handle)
    _sync(folder)
    return owner


def _removed(place: Path, root: Path) -> bool:
    try:
        place.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    for folder in place.relative_to(root).parents[:-1]:
        with suppress(OSError):
            (root / folder).rmdir()
    return True


def _found(folder: Path, key: str) -> Generator[ListedObject]:
    """The files below a folder, as the disk has them. What vanishes meanwhile is passed over."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            below = f"{key}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _found(folder / entry.name, below)
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield ListedObject(below, status.st_size, status.st_mtime_ns // 1_000)


def _forget_before(incoming: Path, before: Instant) -> int:
    forgotten = 0
    with suppress(FileNotFoundError):
        for entry in os.scandir(incoming):
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime_ns // 1_000 < before:
                    os.unlink(entry.path)
                    forgotten += 1
    return forgotten


def _make_folders(folder: Path, above: Path) -> None:
    """Make `folder` and what is missing between it and `above`, for us alone. `above` itself is made durable."""
    if folder.is_dir():
        return
    if folder != above:
        _make_folders(folder.parent, above)
    folder.mkdir(mode=0o700, parents=folder == above, exist_ok=True)
    if folder == above:
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The object store in a bucket of S3, or of a server that speaks its language. Meets `ports.objects.ObjectStore`.

A small object is one request. A larger one is uploaded in parts, which the server makes an object of at the end, so
nobody ever sees a part of one; what a crash leaves behind is found by asking the server for uploads without an end
(`s3_uploads`). Reading asks for one stretch after the other: who reads slowly holds no connection open.

Blocking calls run in threads of the store's own. When the server does not answer, those that wait for a thread, and
those that come in the next seconds, fail at once: a dead server must not cost each of them its time-out.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import ParamSpec, TypeVar

from millrace.artifacts.s3_bucket import ANSWERED_WITHIN, Bucket, Upload
from millrace.artifacts.s3_place import S3Place, S3Unreachable
from millrace.artifacts.s3_uploads import Unfinished
from millrace.artifacts.threads import OneAtATime, Threads
from millrace.core.values import Instant
from millrace.ports.objects import (
    ListedObject,
    ObjectTooLarge,
    ObjectUnreadable,
    StoredObject,
    checked_key,
)

WRITTEN_AT_ONCE = 1024 * 1024
READ_AT_ONCE = 2 * 1024 * 1024
THREADS = 8
PAUSE_SECONDS = 3.0
"""How long nobody is sent to a server that did not answer."""

P = ParamSpec("P")
T = TypeVar("T")


class S3Objects:
    def __init__(self, place: S3Place, *, answered_within: timedelta = ANSWERED_WITHIN) -> None:
        self.place = place
        self._bucket = Bucket(place, answered_within)
        self._unfinished = Unfinished(place)
        self._threads = Threads(THREADS, "millrace-objects")
        self._look = OneAtATime("millrace-objects-check", self._unless_silent(self._bucket.look))
        self._silent: tuple[float, str] | None = None
        """Until when the server is left alone, and what it was."""

    def close(self) -> None:
        """What the server does not answer now is left to itself."""
        self._threads.close()
        self._look.close()
        self._unfinished.close()

    async def check(self) -> None:
        """Waits for no transfer. Whoever leaves early leaves the question under way, and the next joins it."""
        await self._look.ask()

    async def claim(self, owner: str) -> str:
        return await self._call(self._bucket.claim, owner)

    async def owner(self) -> str | None:
        return await self._call(self._bucket.owner)

    async def put(self, key: str, content: AsyncIterable[bytes], *, limit: int) -> StoredObject:
        upload = self._bucket.upload(checked_key(key), limit)
        try:
            await self._receive(upload, content, limit)
            await self._call(upload.finish)
        except asyncio.CancelledError:
            self._threads.begin(upload.abandon)
            raise
        except BaseException:
            await self._threads.run(upload.abandon)
            raise
        return StoredObject(key, upload.size, upload.digest)

    async def _receive(self, upload: Upload, content: AsyncIterable[bytes], limit: int) -> None:
        waiting, size = [], 0
        async for part in content:
            waiting.append(part)
            size += len(part)
            if upload.size + size > limit:
                raise ObjectTooLarge(f"the content has more than {limit} bytes")
            if size >= WRITTEN_AT_ONCE:
                await self._call(upload.write, waiting)
                waiting, size = [], 0
        await self._call(upload.write, waiting)

    @asynccontextmanager
    async def open(
        self, stored: StoredObject, *, first: int = 0, length: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        checked_key(stored.key)
        last = stored.size if length is None else min(stored.size, first + length)
        begun = await self._part(stored, first, last)
        parts = self._parts(stored, begun, first, last)
        yield _checked(parts, stored) if first == 0 and last == stored.size else parts

    async def _parts(self, stored: StoredObject, begun: bytes, first: int, last: int) -> AsyncIterator[bytes]:
        part = begun
        while part:
            yield part
            first += len(part)
            part = await self._part(stored, first, last) if first < last else b""

    async def _part(self, stored: StoredObject, first: int, last: int) -> bytes:
        wanted = max(0, min(READ_AT_ONCE, last - first))
        part = await self._call(self._bucket.read, stored, first, wanted)
        if len(part) != wanted:
            raise ObjectUnreadable(f"the server sent {len(part)} bytes of the object {stored.key} instead of {wanted}")
        return part

    async def delete(self, key: str) -> bool:
        return await self._call(self._bucket.delete, checked_key(key))

    async def list(self, folder: str) -> AsyncGenerator[ListedObject]:
        pages = self._bucket.listed(checked_key(folder))
        while (page := await self._call(next, pages, None)) is not None:
            for one in page:
                yield one

    async def forget_unfinished(self, before: Instant) -> int:
        return await self._call(self._unfinished.forget, before)

    async def _call(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work` in a thread. A cancelled caller leaves at once, the thread ends by itself."""
        self._refuse_while_silent()
        return await self._threads.run(self._unless_silent(partial(work, *arguments, **named)))

    def _unless_silent(self, work: Callable[[], T]) -> Callable[[], T]:
        """`work` for a thread. It sets the mark itself: who waited for it may be gone when the server is given up."""

        def at_its_turn() -> T:
            self._refuse_while_silent()
            try:
                return work()
            except S3Unreachable as error:
                if self._silent is None or self._silent[0] < time.monotonic():
                    self._silent = (time.monotonic() + PAUSE_SECONDS, str(error))
                raise

        return at_its_turn

    def _refuse_while_silent(self) -> None:
        silent = self._silent
        if silent is not None and time.monotonic() < silent[0]:
            raise S3Unreachable(silent[1])


async def _checked(parts: AsyncIterator[bytes], stored: StoredObject) -> AsyncIterator[bytes]:
    """The same parts; the last is held back until the checksum of all is seen to agree."""
    digest, held = hashlib.sha256(), b""
    async for part in parts:
        if held:
            yield held
        digest.update(part)
        held = part
    if digest.hexdigest() != stored.sha256:
        raise ObjectUnreadable(f"the object {stored.key} is damaged: its checksum is another than when it was stored")
    if held:
        yield held

"""Files on their way in and out, a part at a time: none is ever in memory as a whole."""

import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from millrace.client.aio.pausing import in_thread, pause
from millrace.client.aio.transport import AsyncTransport
from millrace.client.errors import DownloadFailed, InvalidArgument, Unreachable

READ_AT_ONCE: Final = 256 * 1024

NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system without hard links answers."""


async def parts_of(source: BinaryIO) -> AsyncIterator[bytes]:
    while part := await in_thread(source.read, READ_AT_ONCE):
        if not isinstance(part, bytes):
            raise InvalidArgument("source", "the file is open for reading text; open it for reading bytes")
        yield part


async def download(
    transport: AsyncTransport, path: str, target: Path, *, overwrite: bool, silence: float, resumable: bool
) -> Path:
    """Fetch `path` into `target`, which takes its place only when it is whole and has the right checksum.

    Raises `FileExistsError` unless `overwrite`, other `OSError`s, `DownloadFailed`, and what requests raise.
    """
    checked_path(target, "to")
    if not overwrite and await in_thread(target.exists):
        raise _taken(target)
    part = target.with_name(f".millrace-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with await in_thread(_created, part) as file:
            await _Download(transport, path, file, silence, resumable).run()
            await in_thread(_secured, file)
        await in_thread(_put, part, target, overwrite)
    finally:
        part.unlink(missing_ok=True)
    return target


def checked_path(path: Path, place: str) -> Path:
    """Raises `InvalidArgument` for what can be no path."""
    if "\0" in str(path):
        raise InvalidArgument(place, "the path holds a NUL character")
    return path


def _created(path: Path) -> BinaryIO:
    """Readable by its owner only: a backup holds everything."""
    return open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _secured(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put(part: Path, target: Path, overwrite: bool) -> None:
    """A link, unlike a replacement, fails if a file has appeared there meanwhile."""
    if overwrite:
        part.replace(target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if target.exists():
            raise _taken(target) from None
        part.replace(target)


def _taken(target: Path) -> FileExistsError:
    return FileExistsError(f"{target} is there already; overwrite=True writes over it")


class _Download:
    """One file on its way into `file`; after a break it goes on where it was, if the file is still the same."""

    def __init__(self, transport: AsyncTransport, path: str, file: BinaryIO, silence: float, resumable: bool) -> None:
        self._transport = transport
        self._path = path
        self._file = file
        self._silence = silence
        self._resumable = resumable
        self._etag = ""
        self._count = 0
        self._digest = hashlib.sha256()

    async def run(self) -> None:
        failures = 0
        while True:
            before = self._count
            try:
                await self._receive()
            except Unreachable as error:
                # Each part that came through is progress: only breaks without any add up.
                failures = failures + 1 if self._count == before else 1
                seconds = self._transport.retrying.pause(failures, error, repeatable=self._resumable)
                if seconds is None:
                    raise
                await pause(seconds)
                continue
            if self._digest.hexdigest() != self._etag.strip('"'):
                raise DownloadFailed(f"{self._path} did not arrive as it was stored; try again")
            return

    async def _receive(self) -> None:
        headers = {"Range": f"bytes={self._count}-", "If-Range": self._etag} if self._count else {}
        async with self._transport.stream(self._path, headers=headers, silence=self._silence) as response:
            if response.status_code != 206:
                await in_thread(self._begin_again)
            self._etag = response.headers.get("ETag", "")
            async for part in self._transport.parts(response):
                await in_thread(self._keep, part)

    def _begin_again(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._count = 0
        self._digest = hashlib.sha256()

    def _keep(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)
        self._count += len(part)

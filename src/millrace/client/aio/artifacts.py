"""Artifacts: the files that tasks wrote and callers sent. None passes through memory as a whole, but for `read`."""

import io
import mimetypes
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from millrace.client.aio.pausing import in_thread
from millrace.client.aio.resource import AsyncResource
from millrace.client.aio.transfers import checked_path, download, parts_of
from millrace.client.answers import part
from millrace.client.errors import InvalidArgument
from millrace.client.requests import Body, path_of
from millrace.client.types import ArtifactPage, ArtifactView

SILENCE_SECONDS: Final = 60.0
ANY_BYTES: Final = "application/octet-stream"


class AsyncArtifacts(AsyncResource):
    """`client.artifacts`. The `reference` of an artifact is what a run's input or a task's config takes."""

    async def list(
        self,
        *,
        run: str | None = None,
        name: str | None = None,
        origin: Literal["upload", "task"] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ArtifactPage:
        """A page of the artifacts, newest first; `name` is a part of it, `run` the one whose tasks wrote them."""
        query = {"run": run, "name": name, "origin": origin, "cursor": cursor, "limit": limit}
        return cast(ArtifactPage, await self._transport.get("/artifacts", query))

    def iterate(
        self,
        *,
        run: str | None = None,
        name: str | None = None,
        origin: Literal["upload", "task"] | None = None,
    ) -> AsyncIterator[ArtifactView]:
        """All artifacts that `list` would find on its pages."""
        return self._transport.pages("/artifacts", {"run": run, "name": name, "origin": origin})

    async def get(self, artifact: str) -> ArtifactView:
        """What is known of an artifact."""
        return cast(ArtifactView, await self._transport.get(path_of("artifacts", artifact)))

    async def upload(
        self,
        source: str | Path | bytes | BinaryIO,
        *,
        name: str | None = None,
        media_type: str | None = None,
        expires_in: str | None = None,
    ) -> ArtifactView:
        """Send a file: its path, its bytes, or a file that is open for reading bytes.

        `name` is by default that of the file, `media_type` guessed from it; `expires_in` is a period (`12h`, `30d`),
        without it the artifact is kept. Raises `OSError` when the file cannot be read.
        """
        if isinstance(source, str | Path):
            with await in_thread(_opened, Path(source)) as file:
                return await self._send(file, name or Path(source).name, media_type, expires_in)
        if name is None:
            raise InvalidArgument("name", "an artifact that is no file with a path needs a name")
        return await self._send(source, name, media_type, expires_in)

    async def download(self, artifact: str, to: str | Path, *, overwrite: bool = False) -> Path:
        """Fetch the file to `to`, a path or a folder that is there; answers where it is.

        It takes its place only when it is whole and has the right checksum; a broken connection is taken up again.
        Raises `FileExistsError` unless `overwrite`, and `DownloadFailed`.
        """
        target = Path(to)
        if await in_thread(target.is_dir):
            target /= Path(str(part(await self.get(artifact), "name"))).name
        path = path_of("artifacts", artifact, "content")
        return await download(
            self._transport, path, target, overwrite=overwrite, silence=SILENCE_SECONDS, resumable=True
        )

    @asynccontextmanager
    async def open(
        self, artifact: str, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content in parts, as they come; only the bytes from `first` up to and with `last`, if given."""
        part = f"bytes={first}-{'' if last is None else last}"
        headers = {"Range": part} if first or last is not None else {}
        path = path_of("artifacts", artifact, "content")
        async with self._transport.stream(path, headers=headers, silence=SILENCE_SECONDS) as response:
            yield self._transport.parts(response)

    async def read(self, artifact: str) -> bytes:
        """The content, for files that fit into memory."""
        async with self.open(artifact) as parts:
            return b"".join([part async for part in parts])

    async def delete(self, artifact: str) -> None:
        """Delete an artifact; a task that is given its reference later fails."""
        await self._transport.send("DELETE", path_of("artifacts", artifact))

    async def _send(
        self, source: bytes | BinaryIO, name: str, media_type: str | None, expires_in: str | None
    ) -> ArtifactView:
        kind = media_type or mimetypes.guess_type(name)[0] or ANY_BYTES
        content, size = (source, None) if isinstance(source, bytes) else (parts_of(source), _size(source))
        answer = await self._transport.send(
            "POST",
            "/artifacts",
            Body(content, kind, streamed=not isinstance(content, bytes)),
            query={"name": name, "expires_in": expires_in},
            headers={} if size is None else {"Content-Length": str(size)},
        )
        return cast(ArtifactView, answer)


def _opened(path: Path) -> BinaryIO:
    return checked_path(path, "source").open("rb")


def _size(file: BinaryIO) -> int | None:
    """Of a plain file read from its start, so that one that is too large is refused before it is sent.

    By exact type: what unpacks or decrypts a file reads another number of bytes than that file has.
    """
    if type(file) is io.BytesIO:
        return len(file.getbuffer()) - file.tell() or None
    if type(getattr(file, "raw", file) if type(file) is io.BufferedReader else file) is not io.FileIO:
        return None
    status = os.fstat(file.fileno())
    return status.st_size or None if stat.S_ISREG(status.st_mode) and file.tell() == 0 else None

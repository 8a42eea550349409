# Printed by scripts/print-client from aio/artifacts.py; changes belong there.
"""Artifacts: the files that tasks wrote and callers sent. None passes through memory as a whole, but for `read`."""

import io
import mimetypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from millrace.client.answers import part
from millrace.client.errors import InvalidArgument
from millrace.client.requests import Body, path_of
from millrace.client.sync.pausing import in_thread
from millrace.client.sync.resource import Resource
from millrace.client.sync.transfers import checked_path, download, parts_of
from millrace.client.types import ArtifactPage, ArtifactView

SILENCE_SECONDS: Final = 60.0
ANY_BYTES: Final = "application/octet-stream"


class Artifacts(Resource):
    """`client.artifacts`. The `reference` of an artifact is what a run's input or a task's config takes."""

    def list(
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
        return cast(ArtifactPage, self._transport.get("/artifacts", query))

    def iterate(
        self,
        *,
        run: str | None = None,
        name: str | None = None,
        origin: Literal["upload", "task"] | None = None,
    ) -> Iterator[ArtifactView]:
        """All artifacts that `list` would find on its pages."""
        return self._transport.pages("/artifacts", {"run": run, "name": name, "origin": origin})

    def get(self, artifact: str) -> ArtifactView:
        """What is known of an artifact."""
        return cast(ArtifactView, self._transport.get(path_of("artifacts", artifact)))

    def upload(
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
            with in_thread(_opened, Path(source)) as file:
                return self._send(file, name or Path(source).name, media_type, expires_in)
        if name is None:
            raise InvalidArgument("name", "an artifact that is no file with a path needs a name")
        return self._send(source, name, media_type, expires_in)

    def download(self, artifact: str, to: str | Path, *, overwrite: bool = False) -> Path:
        """Fetch the file to `to`, a path or a folder that is there; answers where it is.

        It takes its place only when it is whole and has the right checksum; a broken connection is taken up again.
        Raises `FileExistsError` unless `overwrite`, and `DownloadFailed`.
        """
        target = Path(to)
        if in_thread(target.is_dir):
            target /= Path(str(part(self.get(artifact), "name"))).name
        path = path_of("artifacts", artifact, "content")
        return download(self._transport, path, target, overwrite=overwrite, silence=SILENCE_SECONDS, resumable=True)

    @contextmanager
    def open(self, artifact: str, *, first: int = 0, last: int | None = None) -> Iterator[Iterator[bytes]]:
        """The content in parts, as they come; only the bytes from `first` up to and with `last`, if given."""
        part = f"bytes={first}-{'' if last is None else last}"
        headers = {"Range": part} if first or last is not None else {}
        path = path_of("artifacts", artifact, "content")
        with self._transport.stream(path, headers=headers, silence=SILENCE_SECONDS) as response:
            yield self._transport.parts(response)

    def read(self, artifact: str) -> bytes:
        """The content, for files that fit into memory."""
        with self.open(artifact) as parts:
            return b"".join([part for part in parts])

    def delete(self, artifact: str) -> None:
        """Delete an artifact; a task that is given its reference later fails."""
        self._transport.send("DELETE", path_of("artifacts", artifact))

    def _send(
        self, source: bytes | BinaryIO, name: str, media_type: str | None, expires_in: str | None
    ) -> ArtifactView:
        kind = media_type or mimetypes.guess_type(name)[0] or ANY_BYTES
        content, size = (source, None) if isinstance(source, bytes) else (parts_of(source), _size(source))
        answer = self._transport.send(
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

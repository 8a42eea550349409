"""Files on their way out: always a download, never a page; whole or the part that is asked for (RFC 9110, section 14).

The content may be anything a stranger wrote, HTML included, so it goes out as unknown bytes under a safe name, and
browsers are told not to guess. Beyond the first byte an error can only end the connection: a client that got as many
bytes as were announced got the right ones.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias
from urllib.parse import quote

from fastapi import Response
from starlette.responses import StreamingResponse
from starlette.types import Send

from millrace.api import problems

OpenParts: TypeAlias = Callable[[int, int], AbstractAsyncContextManager[AsyncIterator[bytes]]]
"""Opens a file at a byte, for so many bytes."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def download(name: str, size: int, tag: str, parts: OpenParts, *, wanted: str | None, if_range: str | None) -> Response:
    """The answer to a request for a file. `wanted` and `if_range` are the headers `Range` and `If-Range`."""
    etag = f'"{tag}"'
    headers = {
        "Content-Disposition": _disposition(name),
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
    part = None if wanted is None or (if_range is not None and if_range != etag) else _range_of(wanted, size)
    if part is None:
        return _FileResponse(parts, 0, size, 200, headers)
    first, length = part
    if length <= 0:
        return problems.problem(
            416,
            "range_not_satisfiable",
            f"the file has {size} bytes, of which there are none in the range",
            headers={"Content-Range": f"bytes */{size}"},
        )
    headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size}"
    return _FileResponse(parts, first, length, 206, headers)


class _FileResponse(StreamingResponse):
    """Opens the file when it is sent, so that it is closed whatever becomes of the request."""

    def __init__(self, parts: OpenParts, first: int, length: int, status: int, headers: dict[str, str]) -> None:
        super().__init__((), status, {**headers, "Content-Length": str(length)}, "application/octet-stream")
        self._parts = parts
        self._first = first
        self._length = length

    async def stream_response(self, send: Send) -> None:
        async with self._parts(self._first, self._length) as self.body_iterator:
            await super().stream_response(send)


def _range_of(header: str, size: int) -> tuple[int, int] | None:
    """First byte and length; a length of 0 or less if there is nothing to send, `None` if the header is to be ignored.

    Of several ranges at once the whole file is the answer, which is allowed.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0].endswith("=-"):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return size - length, length
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1 if last else size, size) - int(first)


def _disposition(name: str) -> str:
    """RFC 6266: plain letters for old clients, the whole name for all others."""
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

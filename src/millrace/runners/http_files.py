"""Files in HTTP requests and answers: streamed from and to artifacts, never in memory as a whole."""

import re
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

from millrace.core.values import JsonObject, JsonValue
from millrace.ports.artifacts import ANY_BYTES
from millrace.ports.http import HttpAnswer, StreamedContent
from millrace.ports.runner import RunnerContext

_FILE_NAME = re.compile(r""";\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""", re.IGNORECASE)
_ENCODED_NAME = re.compile(r";\s*filename\*\s*=\s*utf-8'[^';]*'([^\s;]+)", re.IGNORECASE)


async def content_of(reference: JsonValue, context: RunnerContext) -> tuple[StreamedContent, str]:
    """An artifact as the content of a request, and its media type. Raises `ArtifactFault`."""
    async with context.artifacts.open(reference) as file:
        size, media_type = file.size, file.media_type

    async def parts() -> AsyncIterator[bytes]:
        async with context.artifacts.open(reference) as again:
            async for part in again.parts:
                yield part

    return StreamedContent(size, parts), media_type


async def kept(answer: HttpAnswer, context: RunnerContext, *, name: str | None, limit: int | None) -> JsonObject:
    """The body of an answer as an artifact. Raises `HttpFailed` when it breaks off, and `ArtifactFault`."""
    largest = context.artifacts.largest if limit is None else limit
    return await context.artifacts.write(
        answer.body(largest),
        name=name or name_in(answer.headers.get("content-disposition", "")) or _name_in_address(answer.url),
        media_type=answer.headers.get("content-type", ANY_BYTES),
    )


def name_in(disposition: str) -> str | None:
    """The file name in a `Content-Disposition` (RFC 6266). Folders in it are none of ours."""
    encoded = _ENCODED_NAME.search(disposition)
    if encoded is not None:
        return _last(unquote(encoded[1]))
    plain = _FILE_NAME.search(disposition)
    return None if plain is None else _last(re.sub(r"\\(.)", r"\1", plain[1] or "") or plain[2] or "")


def _name_in_address(url: str) -> str:
    return _last(unquote(urlsplit(url).path)) or "answer"


def _last(path: str) -> str | None:
    return re.split(r"[/\\]", path)[-1] or None

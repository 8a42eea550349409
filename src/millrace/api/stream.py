"""Server-sent events: what a follower yields, written as it comes, for as long as the client listens.

A stream holds one batch. It ends with the event `end` when its run has finished; it ends without a word when the server
stops, when the client does not read for a minute, or after two minutes. It ends with the event `error` within seconds
after its reader has lost the right to it: the key was revoked, the login ended, the grant taken away. The client then
connects again with the last `id` as `Last-Event-ID` and misses nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from millrace.api.masking import masker_of, one_line
from millrace.api.presence import gone
from millrace.app.histories.following import Batch
from millrace.auth.masked_documents import masked_document
from millrace.core.errors import MillraceError, Unavailable
from millrace.ports.secrets import Masker

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVENT_STREAM: Final = "text/event-stream"

HEARTBEAT_SECONDS = 15.0
LONGEST_SECONDS = 120.0
SLOWEST_READ_SECONDS = 60.0
"""How long one batch may wait for its reader."""
RECHECK_SECONDS = 3.0
"""After that the next batch, of which there is one every two seconds, waits until the reader's rights are known."""
RETRY_MILLISECONDS = 1000
MOST_STREAMS = 1000
"""Open at the same time in this process."""

Follow = Annotated[
    bool, Query(description="Answer a stream of server-sent events; so does `Accept: text/event-stream`.")
]
LastEventId = Annotated[
    str | None, Header(max_length=40, description="The last `id` received: a stream goes on there.")
]


class Streams:
    """The open streams of this process, and other long waits: a stop ends them at once, or they would hold it up."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._open = 0

    def close(self) -> None:
        self._closing.set()

    async def unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives; nothing if this process is asked to stop before, which ends it."""
        tasks = working, _ = asyncio.create_task(work), asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None if working.cancelled() else working.result()

    def answer(
        self,
        event: str,
        batches: AsyncIterator[Batch],
        position: str | None = None,
        *,
        still: Callable[[], Awaitable[None]],
    ) -> "EventStream":
        """The response. Raises `Unavailable` when there are too many already. `position` is told at the beginning.

        `still` raises as soon as the caller may not have it any more, which ends it.
        """
        if self._open >= MOST_STREAMS or self._closing.is_set():
            raise Unavailable("too_many_streams", f"more than {MOST_STREAMS} streams are open; try again later")
        return EventStream(event, batches, position, self, still)

    @contextlib.contextmanager
    def counted(self) -> Iterator[asyncio.Event]:
        self._open += 1
        try:
            yield self._closing
        finally:
            self._open -= 1


class EventStream(Response):
    """Batches as events of one type. ASGI is spoken here directly, to see the client go and the server stop."""

    media_type = EVENT_STREAM

    def __init__(
        self,
        event: str,
        batches: AsyncIterator[Batch],
        position: str | None,
        streams: Streams,
        still: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._event = event.encode()
        self._batches = batches
        self._position = position
        self._streams = streams
        self._still = still

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.counted() as closing:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            tasks = [
                asyncio.create_task(self._pump(send, masker_of(scope)), name="stream"),
                asyncio.create_task(gone(receive)),
                asyncio.create_task(closing.wait()),
            ]
            try:
                await asyncio.wait(tasks, timeout=LONGEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(OSError):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send, masker: Masker) -> None:
        try:
            await self._write(send, b"retry: %d\n" % RETRY_MILLISECONDS + _position(self._position) + b": open\n\n")
            await self._write_batches(send, masker)
        except (OSError, TimeoutError):
            return  # the client has gone, or does not read
        except MillraceError as error:
            problem = {"code": error.code, "detail": masker.text(error.message)}
            await self._write(send, _event(b"error", orjson.dumps(problem), None))
        except Exception:
            logger.exception("a stream failed")

    async def _write_batches(self, send: Send, masker: Masker) -> None:
        clock = asyncio.get_running_loop().time
        written = asked = clock()
        async for batch in self._batches:
            if clock() - asked > RECHECK_SECONDS:
                await self._still()
                asked = clock()
            quiet = clock() - written > HEARTBEAT_SECONDS
            if batch.items or batch.status is not None or quiet:
                await self._write(send, self._text(batch, masker))
                written = clock()

    async def _write(self, send: Send, text: bytes) -> None:
        async with asyncio.timeout(SLOWEST_READ_SECONDS):
            await send({"type": "http.response.body", "body": text, "more_body": True})

    def _text(self, batch: Batch, masker: Masker) -> bytes:
        parts = [
            _event(self._event, masked_document(orjson.dumps(view), masker), number) for number, view in batch.items
        ]
        if not batch.items or batch.position != batch.items[-1][0]:
            parts.append(_position(batch.position) + b": here\n\n")
        if batch.status is not None:
            parts.append(_event(b"end", orjson.dumps({"status": batch.status}), None))
        return b"".join(parts)


def wants_stream(request: Request, follow: bool) -> bool:
    return follow or EVENT_STREAM in request.headers.get("Accept", "")


def streams_of(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


def _position(position: str | None) -> bytes:
    return b"" if position is None else b"id: %s\n" % position.encode()


def _event(name: bytes, data: bytes, number: str | None) -> bytes:
    return b"%sevent: %s\ndata: %s\n\n" % (_position(number), name, one_line(data))

# Printed by scripts/print-client from aio/following.py; changes belong there.
"""Streams of what happens, as it happens, over as many connections as it takes.

Each connection goes on after the last number received, so nothing is missed and nothing comes twice. The stream of a
run is over when the server says `end`; anything else, a restart of the server included, is a reason to connect again,
for a while.
"""

from collections.abc import Generator
from contextlib import closing
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from millrace.client.answers import part
from millrace.client.errors import RequestRefused, StreamFailed, UnexpectedAnswer, Unreachable
from millrace.client.requests import Query
from millrace.client.retrying import Patience
from millrace.client.server_events import EventParser, ServerEvent
from millrace.client.sync.pausing import pause
from millrace.client.sync.transport import Transport

T = TypeVar("T")

SILENCE_SECONDS: Final = 45.0
"""The server says something every 15 seconds; after this long it is gone."""

PAUSE_SECONDS: Final = 0.5


class Stream(Generic[T]):
    """What comes, item by item. Leave it with `with` or `close()` if it is not read to its end.

    `position` is the number after which another stream would go on, `status` that of the run once it has finished.
    Reading raises `RequestRefused`, `Unreachable`, `StreamFailed`, and `UnexpectedAnswer` when what answers sends no
    events or the data of one is not JSON.
    """

    def __init__(self, transport: Transport, path: str, query: Query) -> None:
        self.position: str | None = None
        self.status: str | None = None
        self._transport = transport
        self._path = path
        self._query = query
        self._source = self._items()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return next(self._source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._source.close()

    def _items(self) -> Generator[T, None]:
        patience: Patience | None = None
        while self.status is None:
            try:
                with closing(self._events()) as events:
                    for event in events:
                        patience = patience or Patience()
                        patience.there()
                        self.position = event.number or self.position
                        if event.name == "end":
                            self.status = str(part(event.data, "status"))
                        elif event.name == "error":
                            raise StreamFailed(str(part(event.data, "code")), str(part(event.data, "detail")))
                        elif event.data is not None:
                            yield event.data
            except (Unreachable, RequestRefused) as error:
                if patience is None:
                    raise
                patience.away(error)
            if self.status is None:
                pause(PAUSE_SECONDS)

    def _events(self) -> Generator[ServerEvent, None]:
        """The events of one connection."""
        headers = {"Accept": "text/event-stream"}
        if self.position is not None:
            headers["Last-Event-ID"] = self.position
        parser = EventParser()
        with self._transport.stream(
            self._path, query=self._query, headers=headers, silence=SILENCE_SECONDS
        ) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise UnexpectedAnswer(f"{self._transport.location.shown} answered no stream of events")
            for line in self._transport.lines(response):
                if (event := parser.feed(line)) is not None:
                    yield event

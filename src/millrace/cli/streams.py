"""Reading server-sent events, over as many connections as it takes: each goes on after the last event received.

A stream is over when the server says `end`. Anything else, a restart of the server included, is a reason to connect
again, for a while.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from millrace.cli.connection import EXIT_FAILED, EXIT_UNREACHABLE, CommandError, Connection

SILENCE_SECONDS = 45.0
"""The server says something every 15 seconds; after this long it is gone."""

PATIENCE_SECONDS = 60.0
"""How long a server may be away in the middle of a stream."""

PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: Any


def follow(connection: Connection, path: str, **query: str | int | None) -> Iterator[Event]:
    """Every event up to and including `end`. Raises `CommandError`."""
    last_id: str | None = None
    away_since: float | None = None
    begun = False
    while True:
        try:
            for event_id, event in _events(connection, path, query, last_id):
                begun, away_since = True, None
                last_id = event_id or last_id
                if event is None:
                    continue
                if event.name == "error":
                    raise CommandError(str(event.data.get("detail")), EXIT_FAILED)
                yield event
                if event.name == "end":
                    return
        except CommandError as error:
            if error.status != EXIT_UNREACHABLE or not begun:
                raise
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > PATIENCE_SECONDS:
                raise
        time.sleep(PAUSE_SECONDS)


def _events(
    connection: Connection, path: str, query: dict[str, str | int | None], last_id: str | None
) -> Iterator[tuple[str | None, Event | None]]:
    headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
    with connection.lines(path, headers=headers, silence=SILENCE_SECONDS, **query) as lines:
        yield from _parsed(lines)


def _parsed(lines: Iterable[str]) -> Iterator[tuple[str | None, Event | None]]:
    """The number and the event of each block of lines; a block without data moves the number alone."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        data = fields.get("data")
        yield fields.get("id"), None if data is None else Event(fields.get("event", "message"), json.loads(data))
        fields = {}

"""Meets `ports.events.Events`: one row for each event, and one event at most for each task run.

The row is committed before the task is, so an event is there although its task may yet be recorded as lost, failed or
cancelled. The attempt after that finds the row, and publishes nothing a second time.
"""

from collections.abc import Callable

import orjson
from sqlalchemy import Connection

from millrace.app.events import repository
from millrace.app.events.repository import EventRow
from millrace.app.events.storing import EventStorage, Stored
from millrace.core.values import JsonValue
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.events import EventRefused, Published, TaskEvent
from millrace.ports.ids import Ids
from millrace.ports.secrets import Masker

LARGEST_DATA = 256 * 1024
"""Bytes of JSON; what is larger belongs into a file or a database, and its name into the event."""


class EventPublisher:
    def __init__(self, database: Database, clock: Clock, ids: Ids, masker: Masker) -> None:
        self._database = database
        self._storage = EventStorage(ids)
        self._clock = clock
        self._ids = ids
        self._masker = masker
        self.after_publish: Callable[[Stored], None] = _nobody
        """Told after each commit; the composition root has it act on what was stored."""

    async def publish(self, event: TaskEvent) -> Published:
        data = self._stored(event.data)
        published, stored = await self._database.write(lambda connection: self._publish(connection, event, data))
        self.after_publish(stored)
        return published

    def _publish(self, connection: Connection, event: TaskEvent, data: str | None) -> tuple[Published, Stored]:
        before = repository.published_by(connection, event.run_id, event.task_path)
        if before is not None:
            return Published(before["id"], before["source"], before["at"], repeated=True), Stored()
        origin = repository.origin_of(connection, event.run_id)
        if origin is None:
            raise EventRefused(f"there is no run {event.run_id} that could publish an event")
        mask = self._masker.text
        row = EventRow(
            id=self._ids.new(),
            type=mask(event.type),
            source=mask(event.source) if event.source is not None else f"workflows/{origin.slug}"[:255],
            subject=None if event.subject is None else mask(event.subject),
            data=data,
            at=self._clock.now(),
            run_id=event.run_id,
            task_path=event.task_path,
            causation_depth=origin.causation_depth + 1,
        )
        stored = self._storage.store(connection, row)
        return Published(row.id, row.source, row.at, repeated=False), stored

    def _stored(self, data: JsonValue) -> str | None:
        if data is None:
            return None
        text = orjson.dumps(self._masker.value(data))
        if len(text) > LARGEST_DATA:
            raise EventRefused(
                f"data: {len(text)} bytes of JSON are too many for an event, which takes {LARGEST_DATA}; "
                "store them elsewhere and name the place"
            )
        return text.decode()


def _nobody(_stored: Stored) -> None:
    return None

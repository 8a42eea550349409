"""Reading events: one, and lists of them."""

import orjson

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.events import repository
from millrace.app.events.repository import EventFilter
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, to_iso
from millrace.ports.database import Columns, Database


class EventQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, event_id: str) -> JsonObject:
        row = await self._database.read(lambda connection: repository.find_event(connection, event_id))
        if row is None:
            raise NotFound("event_not_found", f"there is no event with the id {event_id!r}")
        return event_view(row)

    async def list(self, narrow: EventFilter, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Events, newest first. A page may hold fewer than `limit`, or none, and have a next one all the same."""
        before = decode_text(cursor)
        rows, below = await self._database.read(
            lambda connection: repository.list_events(connection, narrow, before=before, limit=limit)
        )
        return Page([event_view(row) for row in rows], None if below is None else encode_cursor(below))


def event_view(row: Columns) -> JsonObject:
    return {
        "id": row["id"],
        "type": row["type"],
        "source": row["source"],
        "subject": row["subject"],
        "data": None if row["data"] is None else orjson.loads(row["data"]),
        "run_id": row["run_id"],
        "task": row["task_path"],
        "at": to_iso(row["at"]),
        "external_id": row["external_id"],
        "occurred_at": None if row["occurred_at"] is None else to_iso(row["occurred_at"]),
        "extensions": {} if row["attributes"] is None else orjson.loads(row["attributes"]),
    }

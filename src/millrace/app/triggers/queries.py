"""Reading triggers and what became of the times they fired."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.triggers import repository
from millrace.app.triggers.repository import FiringFilter, TriggerFilter
from millrace.app.triggers.routes import paths_of
from millrace.app.triggers.schedules import Schedules
from millrace.app.triggers.views import View, firing_view, trigger_view
from millrace.core.errors import NotFound
from millrace.core.values import Instant
from millrace.ports.database import Database

Paths: TypeAlias = Mapping[str, Sequence[str]]


class TriggerQueries:
    def __init__(self, database: Database, schedules: Schedules) -> None:
        self._database = database
        self._schedules = schedules

    async def get(self, trigger_id: str) -> View:
        def read(connection: Connection) -> tuple[RowMapping | None, Instant, Paths]:
            paths = paths_of(connection, [trigger_id])
            return repository.find(connection, trigger_id), repository.now(connection), paths

        row, now, paths = await self._database.read(read)
        if row is None:
            raise unknown_trigger(trigger_id)
        return trigger_view(row, self._schedules, now, paths.get(trigger_id, ()))

    async def list(self, narrow: TriggerFilter, *, cursor: str | None, limit: int) -> Page[View]:
        """Triggers in the order in which they were made."""
        after = decode_text(cursor)

        def read(connection: Connection) -> tuple[list[RowMapping], Instant, Paths]:
            rows = repository.list_triggers(connection, narrow, after=after, limit=limit + 1)
            paths = paths_of(connection, [row["id"] for row in rows if row["type"] == "webhook"])
            return list(rows), repository.now(connection), paths

        rows, now, paths = await self._database.read(read)
        shown = rows[:limit]
        more = encode_cursor(shown[-1]["id"]) if len(rows) > limit else None
        return Page([trigger_view(row, self._schedules, now, paths.get(row["id"], ())) for row in shown], more)

    async def firings(self, narrow: FiringFilter, *, cursor: str | None, limit: int) -> Page[View]:
        """Firings of a trigger or a workflow, newest first; those of a trigger that was removed stay readable.

        A page may hold fewer than `limit`, or none, and have a next one all the same.
        """
        before = decode_text(cursor)

        def read(connection: Connection) -> tuple[Sequence[RowMapping], str | None, bool]:
            rows, below = repository.list_firings(connection, narrow, before=before, limit=limit)
            known = rows or below or narrow.trigger_id is None or repository.find(connection, narrow.trigger_id)
            return rows, below, bool(known)

        rows, below, known = await self._database.read(read)
        if not known and narrow.trigger_id is not None:
            raise unknown_trigger(narrow.trigger_id)
        return Page([firing_view(row) for row in rows], None if below is None else encode_cursor(below))


def unknown_trigger(trigger_id: str) -> NotFound:
    return NotFound("trigger_not_found", f"there is no trigger with the id {trigger_id!r}")

"""Reading connections as they may be shown: `***` in place of everything secret."""

import orjson

from millrace.app.connections import repository
from millrace.app.connections.repository import ConnectionRow
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.usage.queries import users_of_connection
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, to_iso
from millrace.ports.database import Database


class ConnectionQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, kind: str | None, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Connections by name."""
        after = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.list_connections(connection, kind=kind, after=after, limit=limit + 1)
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].name) if len(rows) > limit else None
        return Page([connection_view(row) for row in shown], more)

    async def get(self, name: str) -> JsonObject:
        """One connection, with the deployed workflows that name it. Raises `NotFound`."""
        row, users = await self._database.read(
            lambda connection: (repository.find_connection(connection, name), users_of_connection(connection, name))
        )
        if row is None:
            raise unknown_connection(name)
        return {**connection_view(row), "used_by": users}


def unknown_connection(name: str) -> NotFound:
    return NotFound("connection_not_found", f"there is no connection {name!r}")


def connection_view(row: ConnectionRow) -> JsonObject:
    return {
        "name": row.name,
        "type": row.type,
        "description": row.description,
        "config": orjson.loads(row.config),
        "version": row.version,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
    }

"""Reading connections as they may be shown: `***` in place of everything secret."""

import orjson
from sqlalchemy import Connection

from millrace.app.connections import repository
from millrace.app.connections.repository import ConnectionRow
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.secrets.queries import listed, version_view, within_sight
from millrace.app.secrets.repository import VersionRow
from millrace.app.usage.queries import users_of_connection
from millrace.auth.sight import Sight
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.ports.database import Database


class ConnectionQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, *, kind: str | None, cursor: str | None, limit: int, sight: Sight | None = None
    ) -> Page[JsonObject]:
        """Connections by name; of the workflows that they are for those within the sight."""
        after = decode_text(cursor)

        def read(connection: Connection) -> list[ConnectionRow]:
            rows = repository.list_connections(connection, kind=kind, after=after, limit=limit + 1)
            return within_sight(connection, rows, sight)

        rows = await self._database.read(read)
        shown = rows[:limit]
        more = encode_cursor(shown[-1].name) if len(rows) > limit else None
        return Page([connection_view(row) for row in shown], more)

    async def get(self, name: str, sight: Sight | None = None) -> JsonObject:
        """One connection, with the deployed workflows that name it. Raises `NotFound`."""

        def read(connection: Connection) -> tuple[list[ConnectionRow], list[JsonValue]]:
            row = repository.find_connection(connection, name)
            rows = [] if row is None else within_sight(connection, [row], sight)
            return rows, users_of_connection(connection, name, sight)

        rows, users = await self._database.read(read)
        if not rows:
            raise unknown_connection(name)
        (row,) = rows
        return {**connection_view(row), "used_by": users}

    async def versions(self, name: str) -> Page[JsonObject]:
        """The versions that are kept, the newest first: numbers, by whom, when. Raises `NotFound`."""
        row, former = await self._database.read(
            lambda connection: (
                repository.find_connection(connection, name),
                repository.former_versions(connection, name),
            )
        )
        if row is None:
            raise unknown_connection(name)
        current = version_view(VersionRow(row.version, row.updated_by, row.updated_at), current=True)
        before = (VersionRow(one.version, one.created_by, one.created_at) for one in former)
        return Page([current, *(version_view(one, current=False) for one in before)], None)


def unknown_connection(name: str) -> NotFound:
    return NotFound("connection_not_found", f"there is no connection {name!r}")


def connection_view(row: ConnectionRow) -> JsonObject:
    return {
        "name": row.name,
        "type": row.type,
        "description": row.description,
        "config": orjson.loads(row.config),
        "workflows": listed(row.workflows),
        "version": row.version,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
    }

"""Reading what is known of secrets: everything but their values."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from millrace.app.connections.repository import ConnectionRow
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.secrets import repository
from millrace.app.secrets.repository import SecretRow, VersionRow
from millrace.app.usage.queries import users_of_secret
from millrace.auth.grants.repository import visible_names
from millrace.auth.scopes import column_of, names_in
from millrace.auth.secrets import SecretChain
from millrace.auth.sight import Sight
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.ports.database import Database

RowT = TypeVar("RowT", SecretRow, ConnectionRow)


class SecretQueries:
    def __init__(self, database: Database, secrets: SecretChain) -> None:
        self._database = database
        self._secrets = secrets

    async def list(self, *, cursor: str | None, limit: int, sight: Sight | None = None) -> Page[JsonObject]:
        """The secrets of the database by name; of the workflows that they are for those within the sight."""
        after = decode_text(cursor)

        def read(connection: Connection) -> list[SecretRow]:
            rows = repository.list_secrets(connection, after=after, limit=limit + 1)
            return within_sight(connection, rows, sight)

        rows = await self._database.read(read)
        shown = rows[:limit]
        overriding = await self._secrets.overriding(frozenset(row.name for row in shown))
        more = encode_cursor(shown[-1].name) if len(rows) > limit else None
        return Page([secret_view(row, overriding) for row in shown], more)

    async def list_outside(self, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Names that the environment and the folder of this process define, and which of them it is."""
        after = decode_text(cursor) or ""
        found = [(name, label) for name, label in (await self._secrets.defined_outside()).items() if name > after]
        shown = found[:limit]
        more = encode_cursor(shown[-1][0]) if len(found) > limit else None
        return Page([{"name": name, "source": label} for name, label in shown], more)

    async def get(self, name: str, sight: Sight | None = None) -> JsonObject:
        """One secret, with the deployed workflows that read it. Raises `NotFound`."""

        def read(connection: Connection) -> tuple[list[SecretRow], list[JsonValue]]:
            row = repository.find_secret(connection, name)
            rows = [] if row is None else within_sight(connection, [row], sight)
            return rows, users_of_secret(connection, name, sight)

        rows, users = await self._database.read(read)
        if not rows:
            raise unknown_secret(name)
        (row,) = rows
        return {**secret_view(row, await self._secrets.overriding(frozenset({name}))), "used_by": users}

    async def versions(self, name: str) -> Page[JsonObject]:
        """The versions that are kept, the newest first: numbers, by whom, when. Raises `NotFound`."""
        row, former = await self._database.read(
            lambda connection: (repository.find_secret(connection, name), repository.former_versions(connection, name))
        )
        if row is None:
            raise unknown_secret(name)
        current = VersionRow(row.version, row.updated_by, row.updated_at)
        return Page([version_view(one, current=one is current) for one in (current, *former)], None)


def version_view(row: VersionRow, *, current: bool) -> JsonObject:
    """`current`: whether it is the one that holds."""
    return {
        "version": row.version,
        "current": current,
        "created_by": row.created_by,
        "created_at": to_iso(row.created_at),
    }


def unknown_secret(name: str) -> NotFound:
    return NotFound("secret_not_found", f"there is no secret {name!r} in the database")


def within_sight(connection: Connection, rows: Sequence[RowT], sight: Sight | None) -> list[RowT]:
    """The rows of secrets or connections, which name no workflow that is not seen. What is for no workflow that is
    seen is for none that can be told, and not for all."""
    if sight is None:
        return list(rows)
    named = {row.name: names_in(row.workflows) or () for row in rows}
    seen = visible_names(connection, sight, {name for names in named.values() for name in names})
    return [
        row if row.workflows is None else replace(row, workflows=column_of(seen.intersection(named[row.name])))
        for row in rows
    ]


def listed(column: str | None) -> list[JsonValue] | None:
    """What is for all is null."""
    names = names_in(column)
    return None if names is None else list(names)


def secret_view(row: SecretRow, overriding: Mapping[str, str]) -> JsonObject:
    return {
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "workflows": listed(row.workflows),
        "hosts": listed(row.hosts),
        "overridden_by": overriding.get(row.name),
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
    }

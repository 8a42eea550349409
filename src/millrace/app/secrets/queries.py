"""Reading what is known of secrets: everything but their values."""

from collections.abc import Mapping

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.secrets import repository
from millrace.app.secrets.repository import SecretRow
from millrace.app.usage.queries import users_of_secret
from millrace.auth.secrets import SecretChain
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, to_iso
from millrace.ports.database import Database


class SecretQueries:
    def __init__(self, database: Database, secrets: SecretChain) -> None:
        self._database = database
        self._secrets = secrets

    async def list(self, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """The secrets of the database by name."""
        after = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.list_secrets(connection, after=after, limit=limit + 1)
        )
        shown = rows[:limit]
        overriding = await self._secrets.overriding(frozenset(row.name for row in shown))
        more = encode_cursor(shown[-1].name) if len(rows) > limit else None
        return Page([secret_view(row, overriding) for row in shown], more)

    async def get(self, name: str) -> JsonObject:
        """One secret, with the deployed workflows that read it. Raises `NotFound`."""
        row, users = await self._database.read(
            lambda connection: (repository.find_secret(connection, name), users_of_secret(connection, name))
        )
        if row is None:
            raise unknown_secret(name)
        return {**secret_view(row, await self._secrets.overriding(frozenset({name}))), "used_by": users}


def unknown_secret(name: str) -> NotFound:
    return NotFound("secret_not_found", f"there is no secret {name!r} in the database")


def secret_view(row: SecretRow, overriding: Mapping[str, str]) -> JsonObject:
    return {
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "overridden_by": overriding.get(row.name),
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
    }

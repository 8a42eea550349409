"""The rows of secrets, without what is in them. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from millrace.core.values import Instant
from millrace.storage.tables import secrets


@dataclass(frozen=True, slots=True)
class SecretRow:
    name: str
    description: str | None
    version: int
    created_by: str | None
    updated_by: str | None
    created_at: Instant
    updated_at: Instant


TABLE = secrets.name

_SECRET = [secrets.c[name] for name in SecretRow.__dataclass_fields__]


def find_secret(connection: Connection, name: str) -> SecretRow | None:
    row = connection.execute(select(*_SECRET).where(secrets.c.name == name)).first()
    return None if row is None else SecretRow(*row)


def list_secrets(connection: Connection, *, after: str | None, limit: int) -> Sequence[SecretRow]:
    query = select(*_SECRET).order_by(secrets.c.name).limit(limit)
    if after is not None:
        query = query.where(secrets.c.name > after)
    return [SecretRow(*row) for row in connection.execute(query)]


def save_secret(connection: Connection, row: SecretRow, *, sealed: str, key_id: str) -> None:
    """Write the row; the first version is a new one."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__} | {"sealed": sealed, "key_id": key_id}
    if row.version == 1:
        connection.execute(insert(secrets).values(values))
    else:
        connection.execute(update(secrets).where(secrets.c.name == row.name).values(values))


def delete_secret(connection: Connection, name: str) -> bool:
    return connection.execute(delete(secrets).where(secrets.c.name == name)).rowcount > 0

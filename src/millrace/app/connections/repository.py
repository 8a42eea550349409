"""The rows of connections. SQL only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from millrace.core.values import Instant
from millrace.storage.tables import connections


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    name: str
    type: str
    description: str | None
    config: str
    sealed: str | None
    key_id: str | None
    version: int
    created_by: str | None
    updated_by: str | None
    created_at: Instant
    updated_at: Instant


TABLE = connections.name

_CONNECTION = [connections.c[name] for name in ConnectionRow.__dataclass_fields__]


def find_connection(connection: Connection, name: str) -> ConnectionRow | None:
    row = connection.execute(select(*_CONNECTION).where(connections.c.name == name)).first()
    return None if row is None else ConnectionRow(*row)


def known(connection: Connection, names: Collection[str]) -> frozenset[str]:
    """Those of the names that are connections."""
    query = select(connections.c.name).where(connections.c.name.in_(names))
    return frozenset(connection.execute(query).scalars()) if names else frozenset()


def list_connections(
    connection: Connection, *, kind: str | None, after: str | None, limit: int
) -> Sequence[ConnectionRow]:
    query = select(*_CONNECTION).order_by(connections.c.name).limit(limit)
    if kind is not None:
        query = query.where(connections.c.type == kind)
    if after is not None:
        query = query.where(connections.c.name > after)
    return [ConnectionRow(*row) for row in connection.execute(query)]


def save_connection(connection: Connection, row: ConnectionRow) -> None:
    """Write the row; the first version is a new one."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    if row.version == 1:
        connection.execute(insert(connections).values(values))
    else:
        connection.execute(update(connections).where(connections.c.name == row.name).values(values))


def delete_connection(connection: Connection, name: str) -> bool:
    return connection.execute(delete(connections).where(connections.c.name == name)).rowcount > 0

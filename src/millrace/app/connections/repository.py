"""The rows of connections and of what they said before. SQL only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from millrace.core.values import Instant
from millrace.storage.tables import connection_versions, connections


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
    workflows: str | None = None
    """JSON list; `None`: all."""


@dataclass(frozen=True, slots=True)
class FormerRow:
    """What a connection said before."""

    version: int
    type: str
    config: str
    sealed: str | None
    key_id: str | None
    created_by: str | None
    created_at: Instant


TABLE = connections.name
KEPT = 10
"""Versions of a connection, the one that holds included."""

_CONNECTION = [connections.c[name] for name in ConnectionRow.__dataclass_fields__]
_FORMER = [connection_versions.c[name] for name in FormerRow.__dataclass_fields__]


def find_connection(connection: Connection, name: str, *, lock: bool = False) -> ConnectionRow | None:
    """`lock`: nobody else changes it until the transaction ends."""
    query = select(*_CONNECTION).where(connections.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else ConnectionRow(*row)


def scopes_of(connection: Connection, names: Collection[str]) -> dict[str, str | None]:
    """For those of the names that are connections: the workflows that each is for, as a JSON list; `None`: all."""
    query = select(connections.c.name, connections.c.workflows).where(connections.c.name.in_(names))
    return {name: workflows for name, workflows in connection.execute(query)} if names else {}


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
    """Write the row; the first version is a new one. What it says until now becomes a former version."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    if row.version == 1:
        connection.execute(insert(connections).values(values))
    else:
        _keep_former(connection, row)
        connection.execute(update(connections).where(connections.c.name == row.name).values(values))


def save_scope(connection: Connection, row: ConnectionRow) -> None:
    """What it is for; the version, and who has set it when, are those of its config."""
    query = update(connections).where(connections.c.name == row.name)
    connection.execute(query.values(workflows=row.workflows))


def _keep_former(connection: Connection, row: ConnectionRow) -> None:
    now = ("name", "version", "type", "config", "sealed", "key_id", "updated_by", "updated_at")
    found = select(*(connections.c[name] for name in now)).where(connections.c.name == row.name)
    columns = ["name", *FormerRow.__dataclass_fields__]
    connection.execute(insert(connection_versions).from_select(columns, found))
    outdated = connection_versions.c.version <= row.version - KEPT
    connection.execute(delete(connection_versions).where(connection_versions.c.name == row.name, outdated))


def former_versions(connection: Connection, name: str) -> Sequence[FormerRow]:
    """The newest first; the one that holds is not among them."""
    query = select(*_FORMER).where(connection_versions.c.name == name)
    return [FormerRow(*row) for row in connection.execute(query.order_by(connection_versions.c.version.desc()))]


def delete_connection(connection: Connection, name: str) -> None:
    """Delete it with all that it ever said."""
    connection.execute(delete(connection_versions).where(connection_versions.c.name == name))
    connection.execute(delete(connections).where(connections.c.name == name))

"""The rows that hold something sealed, and those of the keys they were sealed with. SQL only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, func, insert, select, update

from millrace.auth.vault.envelope import Sealed, Subject
from millrace.storage.tables import (
    agents,
    connection_versions,
    connections,
    encryption_keys,
    secret_versions,
    secrets,
)

SEALING = {
    secrets: secrets.name,
    connections: connections.name,
    agents: agents.name,
    secret_versions: secrets.name,
    connection_versions: connections.name,
}
"""Tables with the columns `name`, `version`, `sealed` and `key_id`, and the table that their values were sealed for: a
former version stays sealed as it was."""
SECRETS = secrets.name


@dataclass(frozen=True, slots=True)
class SealedRow:
    subject: Subject
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A sealed value, and what it is for: JSON lists, `None` for all."""

    subject: Subject
    sealed: Sealed
    workflows: str | None
    hosts: str | None


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """`sealed` is the complete config; without it nothing in `config` is secret."""

    subject: Subject
    type: str
    config: str
    sealed: Sealed | None
    workflows: str | None = None
    """JSON list; `None`: all."""


def keys_in_use(connection: Connection) -> dict[str, int]:
    """How many values each key has sealed."""
    counts: dict[str, int] = {}
    for table in SEALING:
        query = select(table.c.key_id, func.count()).where(table.c.key_id.is_not(None)).group_by(table.c.key_id)
        for key_id, count in connection.execute(query):
            counts[key_id] = counts.get(key_id, 0) + count
    return counts


def check_values(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(encryption_keys.c.id, encryption_keys.c.check_value))
    return {key_id: text for key_id, text in rows}


def newest_key(connection: Connection) -> str | None:
    """The id of the key that was noted last."""
    newest = select(encryption_keys.c.id).order_by(encryption_keys.c.created_at.desc(), encryption_keys.c.id).limit(1)
    return connection.execute(newest).scalar()


def forget_keys(connection: Connection) -> None:
    """As if no key had ever been used."""
    connection.execute(delete(encryption_keys))


def note_key(connection: Connection, key_id: str, check_value: str) -> None:
    """At the time of the database: of two processes whose clocks differ, the later one notes the newer key.

    Also where that clock was set back: no key was noted before one that is there already.
    """
    newest = select(func.coalesce(func.max(encryption_keys.c.created_at), -1)).scalar_subquery()
    now = case((func.now_us() > newest, func.now_us()), else_=newest + 1)
    connection.execute(insert(encryption_keys).values(id=key_id, check_value=check_value, created_at=now))


def sealed_rows(connection: Connection) -> Sequence[SealedRow]:
    """Everything that is sealed, of all tables."""
    return [
        SealedRow(Subject(owner, name, version), Sealed(text, key_id))
        for table, owner in SEALING.items()
        for name, version, text, key_id in connection.execute(
            select(table.c.name, table.c.version, table.c.sealed, table.c.key_id).where(table.c.sealed.is_not(None))
        )
    ]


def reseal(connection: Connection, row: SealedRow, sealed: Sealed) -> None:
    """Write it where the old one stands, of which there is only one: no two values are sealed alike."""
    for table, owner in SEALING.items():
        if owner == row.subject.table:
            query = update(table).where(table.c.name == row.subject.name, table.c.sealed == row.sealed.text)
            connection.execute(query.values(sealed=sealed.text, key_id=sealed.key_id))


def find_secrets(connection: Connection, names: Iterable[str]) -> Sequence[SecretRow]:
    wanted = ("name", "version", "sealed", "key_id", "workflows", "hosts")
    query = select(*(secrets.c[name] for name in wanted)).where(secrets.c.name.in_(list(names)))
    return [
        SecretRow(Subject(secrets.name, name, version), Sealed(text, key_id), workflows, hosts)
        for name, version, text, key_id, workflows, hosts in connection.execute(query)
    ]


_CONNECTION = [connections.c[name] for name in ("name", "version", "type", "config", "sealed", "key_id", "workflows")]


def find_connection(connection: Connection, name: str) -> ConnectionRow | None:
    row = connection.execute(select(*_CONNECTION).where(connections.c.name == name)).first()
    return None if row is None else _connection(*row)


def all_connections(connection: Connection) -> Sequence[ConnectionRow]:
    """Those that there are, and what they said before."""
    former = [connection_versions.c[name] for name in ("name", "version", "type", "config", "sealed", "key_id")]
    return [
        *(_connection(*row) for row in connection.execute(select(*_CONNECTION))),
        *(_connection(*row) for row in connection.execute(select(*former))),
    ]


def _connection(
    name: str,
    version: int,
    kind: str,
    config: str,
    text: str | None,
    key_id: str,
    workflows: str | None = None,
) -> ConnectionRow:
    sealed = None if text is None else Sealed(text, key_id)
    return ConnectionRow(Subject(connections.name, name, version), kind, config, sealed, workflows)

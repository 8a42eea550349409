"""The rows of secrets and of their former versions. SQL only; what is sealed stays so."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from millrace.auth.scopes import names_in
from millrace.auth.vault.envelope import Sealed
from millrace.core.values import Instant
from millrace.storage.tables import connections, secret_versions, secrets


@dataclass(frozen=True, slots=True)
class SecretRow:
    name: str
    description: str | None
    version: int
    created_by: str | None
    updated_by: str | None
    created_at: Instant
    updated_at: Instant
    workflows: str | None = None
    hosts: str | None = None
    """Both are JSON lists; `None`: all."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: int
    created_by: str | None
    created_at: Instant


TABLE = secrets.name
KEPT = 10
"""Versions of a secret, the one that holds included."""

_SECRET = [secrets.c[name] for name in SecretRow.__dataclass_fields__]


def find_secret(connection: Connection, name: str, *, lock: bool = False) -> SecretRow | None:
    """`lock`: nobody else changes it until the transaction ends."""
    query = select(*_SECRET).where(secrets.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else SecretRow(*row)


def list_secrets(connection: Connection, *, after: str | None, limit: int) -> Sequence[SecretRow]:
    query = select(*_SECRET).order_by(secrets.c.name).limit(limit)
    if after is not None:
        query = query.where(secrets.c.name > after)
    return [SecretRow(*row) for row in connection.execute(query)]


def kept_for(connection: Connection, workflow: str) -> list[str]:
    """Secrets and connections that name the workflow among those that they are for, in words."""
    return [
        f"the {kind} {name}"
        for kind, table in (("secret", secrets), ("connection", connections))
        for name, workflows in connection.execute(
            select(table.c.name, table.c.workflows).where(table.c.workflows.is_not(None)).order_by(table.c.name)
        )
        if workflow in (names_in(workflows) or ())
    ]


def save_secret(connection: Connection, row: SecretRow, *, sealed: str, key_id: str) -> None:
    """Write the row; the first version is a new one. What it holds until now becomes a former version."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__} | {"sealed": sealed, "key_id": key_id}
    if row.version == 1:
        connection.execute(insert(secrets).values(values))
    else:
        _keep_former(connection, row)
        connection.execute(update(secrets).where(secrets.c.name == row.name).values(values))


def save_scope(connection: Connection, row: SecretRow) -> None:
    """What it is for; the version, and who has set it when, are those of its value."""
    values = {"workflows": row.workflows, "hosts": row.hosts}
    connection.execute(update(secrets).where(secrets.c.name == row.name).values(values))


def _keep_former(connection: Connection, row: SecretRow) -> None:
    now = ("name", "version", "sealed", "key_id", "updated_by", "updated_at")
    found = select(*(secrets.c[name] for name in now)).where(secrets.c.name == row.name)
    columns = ["name", "version", "sealed", "key_id", "created_by", "created_at"]
    connection.execute(insert(secret_versions).from_select(columns, found))
    outdated = secret_versions.c.version <= row.version - KEPT
    connection.execute(delete(secret_versions).where(secret_versions.c.name == row.name, outdated))


def former_versions(connection: Connection, name: str) -> Sequence[VersionRow]:
    """The newest first; the one that holds is not among them."""
    columns = [secret_versions.c[column] for column in VersionRow.__dataclass_fields__]
    query = select(*columns).where(secret_versions.c.name == name).order_by(secret_versions.c.version.desc())
    return [VersionRow(*row) for row in connection.execute(query)]


def former_value(connection: Connection, name: str, version: int) -> Sealed | None:
    query = select(secret_versions.c.sealed, secret_versions.c.key_id)
    row = connection.execute(query.where(secret_versions.c.name == name, secret_versions.c.version == version)).first()
    return None if row is None else Sealed(*row)


def forget_former(connection: Connection, name: str) -> None:
    """None of its former versions can hold again."""
    connection.execute(delete(secret_versions).where(secret_versions.c.name == name))


def delete_secret(connection: Connection, name: str) -> None:
    """Delete it with all that it ever was."""
    forget_former(connection, name)
    connection.execute(delete(secrets).where(secrets.c.name == name))

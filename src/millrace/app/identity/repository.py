"""The rows of users and API keys as they are listed and managed. SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from millrace.auth.repository import AccountRow
from millrace.core.values import Instant
from millrace.storage.tables import api_keys, users


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: str
    user_id: str
    name: str
    prefix: str
    key_hash: str
    scopes: str | None
    created_by: str | None
    replaces: str | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


_ACCOUNT = [users.c[name] for name in AccountRow.__dataclass_fields__]
_KEY = [api_keys.c[name] for name in KeyRow.__dataclass_fields__]
_STATUSES = {
    "active": users.c.disabled_at.is_(None),
    "disabled": users.c.disabled_at.is_not(None) & users.c.deleted_at.is_(None),
    "deleted": users.c.deleted_at.is_not(None),
}


def listed(
    connection: Connection, *, role: str | None, kind: str | None, status: str | None, after: str | None, limit: int
) -> Sequence[AccountRow]:
    """In the order in which they were made; deleted ones only where that is what is asked for."""
    query = select(*_ACCOUNT).order_by(users.c.id).limit(limit)
    query = query.where(users.c.deleted_at.is_(None) if status is None else _STATUSES[status])
    for column, wanted in ((users.c.role, role), (users.c.kind, kind)):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(users.c.id > after)
    return [AccountRow(*row) for row in connection.execute(query)]


def add_account(connection: Connection, values: Mapping[str, object]) -> None:
    connection.execute(insert(users).values(**values))


def has_another_admin(connection: Connection, user_id: str) -> bool:
    """Whether any other person is an administrator who can act."""
    query = select(func.count()).where(
        users.c.role == "admin", users.c.kind == "person", users.c.disabled_at.is_(None), users.c.id != user_id
    )
    return bool(connection.execute(query).scalar())


# --- API keys ---------------------------------------------------------------------------------------------------------


def keys_of(connection: Connection, user_id: str, *, before: str | None, limit: int) -> Sequence[KeyRow]:
    """The newest first."""
    query = select(*_KEY).where(api_keys.c.user_id == user_id).order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [KeyRow(*row) for row in connection.execute(query)]


def find_key(connection: Connection, key_id: str) -> KeyRow | None:
    row = connection.execute(select(*_KEY).where(api_keys.c.id == key_id)).first()
    return None if row is None else KeyRow(*row)


def add_key(connection: Connection, row: KeyRow) -> None:
    connection.execute(insert(api_keys).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


def save_key(connection: Connection, key_id: str, **values: object) -> None:
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**values))


def is_replaced(connection: Connection, row: KeyRow) -> bool:
    query = select(api_keys.c.id).where(api_keys.c.user_id == row.user_id, api_keys.c.replaces == row.id)
    return connection.execute(query.limit(1)).first() is not None


def revoke_keys_of(connection: Connection, user_id: str, now: Instant) -> None:
    live = update(api_keys).where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    connection.execute(live.values(revoked_at=now))

"""The rows of users and API keys as they are listed and managed. SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, insert, or_, select, update

from millrace.auth.repository import AccountRow
from millrace.core.values import Instant
from millrace.storage.tables import api_keys, oidc_identities, users


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


def ids_called(connection: Connection, name: str) -> Sequence[str]:
    """Those of all users with exactly this name, deleted ones, too; the first few."""
    return connection.scalars(select(users.c.id).where(users.c.name == name).order_by(users.c.id).limit(10)).all()


def add_account(connection: Connection, values: Mapping[str, object]) -> None:
    connection.execute(insert(users).values(**values))


def has_another_admin(connection: Connection, user_id: str) -> bool:
    """Whether any other person is an administrator who can act: who has a password, a login provider that knows him, or
    a key that does everything and does not end. Whoever was invited and has not come yet may never come."""
    keys = (api_keys.c.revoked_at, api_keys.c.expires_at, api_keys.c.scopes)
    ways_in = (
        users.c.password_hash.is_not(None),
        exists().where(oidc_identities.c.user_id == users.c.id),
        exists().where(api_keys.c.user_id == users.c.id, *(column.is_(None) for column in keys)),
    )
    query = select(users.c.id).where(
        users.c.role == "admin", users.c.kind == "person", users.c.disabled_at.is_(None), users.c.id != user_id
    )
    return connection.execute(query.where(or_(*ways_in)).limit(1)).first() is not None


# --- API keys ---------------------------------------------------------------------------------------------------------


def keys_of(connection: Connection, user_id: str, *, before: str | None, limit: int) -> Sequence[KeyRow]:
    """The newest first."""
    query = select(*_KEY).where(api_keys.c.user_id == user_id).order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [KeyRow(*row) for row in connection.execute(query)]


def keys_of_all(connection: Connection, *, before: str | None, limit: int) -> Sequence[tuple[KeyRow, str]]:
    """The newest first, each with the name of its user."""
    query = select(*_KEY, users.c.name.label("owner")).join(users, users.c.id == api_keys.c.user_id)
    query = query.order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [(KeyRow(*row[:-1]), row.owner) for row in connection.execute(query)]


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


def find_ended_keys(connection: Connection, cutoff: Instant, limit: int) -> Sequence[str]:
    """Keys that were revoked, or whose time was over, by then."""
    ended = or_(api_keys.c.revoked_at <= cutoff, api_keys.c.expires_at <= cutoff)
    return [*connection.scalars(select(api_keys.c.id).where(ended).limit(limit))]


def delete_keys(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(api_keys).where(api_keys.c.id.in_(ids)))


def revoke_keys_of(connection: Connection, user_id: str, now: Instant) -> None:
    live = update(api_keys).where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    connection.execute(live.values(revoked_at=now))

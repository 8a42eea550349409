"""The rows of users and API keys. SQL only; what it means is decided by the callers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from millrace.auth.keys import NewKey
from millrace.auth.permissions import Access, Permission, Role
from millrace.auth.principal import Principal, UserKind
from millrace.core.values import Instant
from millrace.ports.database import Columns, Database
from millrace.storage.tables import api_keys, users


@dataclass(frozen=True, slots=True)
class UserRow:
    id: str
    name: str
    role: str
    disabled_at: Instant | None
    access: str


@dataclass(frozen=True, slots=True)
class AccountRow:
    """All there is to know of a user."""

    id: str
    email: str
    name: str
    role: str
    kind: str
    password_hash: str | None = field(repr=False)
    password_set_at: Instant | None
    must_change_password: bool
    last_login_at: Instant | None
    created_at: Instant
    updated_at: Instant | None
    disabled_at: Instant | None
    deleted_at: Instant | None
    access: str = Access.ALL.value


@dataclass(frozen=True, slots=True)
class Proven:
    """A credential that was found, and whom it proves. Whether it holds is for the caller to say."""

    principal: Principal
    row: Columns


PROVEN: Sequence[Any] = (
    users.c.id.label("user_id"),
    users.c.name.label("user_name"),
    users.c.role,
    users.c.kind.label("user_kind"),
    users.c.disabled_at,
    users.c.deleted_at,
    users.c.must_change_password,
    users.c.access,
)
"""Of the user whom a credential proves."""

OF_KEY = (
    select(*PROVEN, api_keys.c.id, api_keys.c.scopes, api_keys.c.expires_at, api_keys.c.revoked_at)
    .join(users, users.c.id == api_keys.c.user_id)
    .where(api_keys.c.key_hash == bindparam("key_hash"))
)


async def find_key(database: Database, key_hash: str) -> Proven | None:
    for row in await database.look_up(OF_KEY, {"key_hash": key_hash}):
        principal = Principal(
            user_id=row["user_id"],
            name=row["user_name"],
            role=Role(row["role"]),
            kind=UserKind(row["user_kind"]),
            credential_id=row["id"],
            scopes=scopes_in(row["scopes"]),
            key_expires_at=row["expires_at"],
            access=Access(row["access"]),
        )
        return Proven(principal, row)
    return None


def scopes_in(text: str | None) -> frozenset[Permission] | None:
    """The scopes of a credential. One that this release does not know allows nothing."""
    if text is None:
        return None
    known = frozenset(Permission)
    return frozenset(Permission(scope) for scope in orjson.loads(text) if scope in known)


def scopes_text(scopes: Collection[Permission] | None) -> str | None:
    return None if scopes is None else orjson.dumps(sorted(scope.value for scope in scopes)).decode()


def has_users(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def add_user(connection: Connection, *, user_id: str, email: str, name: str, role: Role, now: Instant) -> None:
    connection.execute(insert(users).values(id=user_id, email=email, name=name, role=role.value, created_at=now))


def names_of(connection: Connection, user_ids: Collection[str]) -> Mapping[str, str]:
    """By id; without those that there are not."""
    rows = connection.execute(select(users.c.id, users.c.name).where(users.c.id.in_(user_ids)))
    return {row.id: row.name for row in rows}


def find_user(connection: Connection, user_id: str) -> UserRow | None:
    query = select(users.c.id, users.c.name, users.c.role, users.c.disabled_at, users.c.access).where(
        users.c.id == user_id
    )
    row = connection.execute(query).first()
    return None if row is None else UserRow(*row)


_ACCOUNT = [users.c[name] for name in AccountRow.__dataclass_fields__]


def find_account(connection: Connection, user_id: str) -> AccountRow | None:
    row = connection.execute(select(*_ACCOUNT).where(users.c.id == user_id)).first()
    return None if row is None else AccountRow(*row)


def find_by_email(connection: Connection, email: str) -> AccountRow | None:
    """`email` in lower case, as all are stored."""
    row = connection.execute(select(*_ACCOUNT).where(users.c.email == email)).first()
    return None if row is None else AccountRow(*row)


def save_account(connection: Connection, user_id: str, **values: object) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(**values))


def rehash(connection: Connection, user_id: str, set_at: Instant | None, *, password_hash: str) -> None:
    """Keep another hash of a password that is still the one that was set then."""
    query = update(users).where(users.c.id == user_id, users.c.password_set_at == set_at)
    connection.execute(query.values(password_hash=password_hash))


def has_password(connection: Connection) -> bool:
    """Whether any person has one."""
    return connection.execute(select(users.c.id).where(users.c.password_hash.is_not(None)).limit(1)).first() is not None


def add_key(connection: Connection, *, key_id: str, user_id: str, name: str, key: NewKey, now: Instant) -> None:
    row = {"id": key_id, "user_id": user_id, "name": name, "prefix": key.prefix, "key_hash": key.key_hash}
    connection.execute(insert(api_keys).values(**row, created_at=now))


def note_use(connection: Connection, used: Mapping[str, Instant]) -> None:
    """Write when keys (by id) were last used."""
    query = update(api_keys).where(api_keys.c.id == bindparam("key")).values(last_used_at=bindparam("used_at"))
    connection.execute(query, [{"key": key, "used_at": at} for key, at in used.items()])

"""The rows of logins, their tokens, failed ones, and resets of passwords. SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from millrace.auth.permissions import Access, Permission, Role
from millrace.auth.principal import Principal, UserKind
from millrace.auth.repository import PROVEN, Proven, scopes_in
from millrace.core.values import Instant
from millrace.ports.database import Columns, Database
from millrace.storage.tables import (
    installation,
    login_failures,
    oidc_logins,
    password_resets,
    refresh_tokens,
    sessions,
    users,
)

WEB = "web"
TOKEN = "token"  # noqa: S105 - a kind of session


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    user_id: str
    kind: str
    token_hash: str | None
    scopes: str | None
    address: str | None
    user_agent: str | None
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant
    ended_at: Instant | None = None
    ended_because: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token with its session and its user."""

    session_id: str
    user_id: str
    scopes: str | None
    expires_at: Instant
    used_at: Instant | None
    session_expires_at: Instant
    ended_at: Instant | None
    disabled_at: Instant | None


@dataclass(frozen=True, slots=True)
class FailureRow:
    key: str
    count: int
    first_at: Instant
    last_at: Instant
    blocked_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class ResetRow:
    user_id: str
    expires_at: Instant
    used_at: Instant | None


_SESSION = [sessions.c[name] for name in SessionRow.__dataclass_fields__]
_FAILURE = [login_failures.c[name] for name in FailureRow.__dataclass_fields__]

_PROVEN_BY = select(
    *PROVEN, sessions.c.id, sessions.c.scopes, sessions.c.expires_at, sessions.c.last_used_at, sessions.c.ended_at
).join(users, users.c.id == sessions.c.user_id)
OF_COOKIE = _PROVEN_BY.where(sessions.c.token_hash == bindparam("token_hash"))
OF_SESSION = _PROVEN_BY.where(sessions.c.id == bindparam("session_id"), sessions.c.user_id == bindparam("user_id"))
INSTALLATION = select(installation.c.id)


async def of_cookie(database: Database, token_hash: str) -> Proven | None:
    return _proven(await database.look_up(OF_COOKIE, {"token_hash": token_hash}))


async def of_session(database: Database, session_id: str, user_id: str) -> Proven | None:
    return _proven(await database.look_up(OF_SESSION, {"session_id": session_id, "user_id": user_id}))


def _proven(rows: Sequence[Columns]) -> Proven | None:
    for row in rows:
        scopes: frozenset[Permission] | None = scopes_in(row["scopes"])
        principal = Principal(
            user_id=row["user_id"],
            name=row["user_name"],
            role=Role(row["role"]),
            kind=UserKind(row["user_kind"]),
            credential_id=row["id"],
            scopes=scopes,
            session_id=row["id"],
            must_change_password=bool(row["must_change_password"]),
            access=Access(row["access"]),
        )
        return Proven(principal, row)
    return None


async def installation_id(database: Database) -> str:
    (row,) = await database.look_up(INSTALLATION, {})
    return str(row["id"])


# --- logins -----------------------------------------------------------------------------------------------------------


def add_session(connection: Connection, row: SessionRow) -> None:
    connection.execute(insert(sessions).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


def sessions_of(
    connection: Connection, user_id: str, *, now: Instant, idle_since: Instant, before: str | None, limit: int
) -> Sequence[SessionRow]:
    """Those that hold, the newest first."""
    query = select(*_SESSION).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    query = query.where(sessions.c.expires_at > now, sessions.c.last_used_at > idle_since)
    if before is not None:
        query = query.where(sessions.c.id < before)
    return [SessionRow(*row) for row in connection.execute(query.order_by(sessions.c.id.desc()).limit(limit))]


def end_session(
    connection: Connection, session_id: str, because: str, now: Instant, user_id: str | None = None
) -> bool:
    """Whether there was such a session (of this user, if one is named) that had not ended."""
    query = update(sessions).where(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
    if user_id is not None:
        query = query.where(sessions.c.user_id == user_id)
    return connection.execute(query.values(ended_at=now, ended_because=because)).rowcount > 0


def end_sessions_of(connection: Connection, user_id: str, because: str, now: Instant, *, but: str | None = None) -> int:
    """Those under way, too: a code after a login provider that was not exchanged yet is worth nothing any more."""
    codes = update(oidc_logins).where(oidc_logins.c.user_id == user_id, oidc_logins.c.used_at.is_(None))
    connection.execute(codes.values(used_at=now))
    query = update(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    if but is not None:
        query = query.where(sessions.c.id != but)
    return connection.execute(query.values(ended_at=now, ended_because=because)).rowcount


def addresses_of(connection: Connection, email: str, since: Instant) -> Sequence[str]:
    """From where the user of this mail address has logged in since then."""
    query = select(sessions.c.address).distinct().join(users, users.c.id == sessions.c.user_id)
    query = query.where(users.c.email == email, sessions.c.address.is_not(None), sessions.c.created_at >= since)
    return [*connection.scalars(query)]


def note_use(connection: Connection, used: Mapping[str, Instant]) -> None:
    """Write when sessions (by id) were last used, unless another process knows of a later time."""
    query = update(sessions).where(
        sessions.c.id == bindparam("session"), sessions.c.last_used_at < bindparam("used_at")
    )
    query = query.values(last_used_at=bindparam("used_at"))
    connection.execute(query, [{"session": session, "used_at": at} for session, at in used.items()])


def add_refresh(
    connection: Connection, *, token_hash: str, session_id: str, issued_at: Instant, expires_at: Instant
) -> None:
    row = {"token_hash": token_hash, "session_id": session_id, "issued_at": issued_at, "expires_at": expires_at}
    connection.execute(insert(refresh_tokens).values(**row))


def find_refresh(connection: Connection, token_hash: str) -> RefreshRow | None:
    query = (
        select(
            sessions.c.id,
            sessions.c.user_id,
            sessions.c.scopes,
            refresh_tokens.c.expires_at,
            refresh_tokens.c.used_at,
            sessions.c.expires_at.label("session_expires_at"),
            sessions.c.ended_at,
            users.c.disabled_at,
        )
        .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(refresh_tokens.c.token_hash == token_hash)
    )
    row = connection.execute(query).first()
    return None if row is None else RefreshRow(*row)


def use_refresh(connection: Connection, token_hash: str, now: Instant) -> None:
    connection.execute(update(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash).values(used_at=now))


# --- failed logins ----------------------------------------------------------------------------------------------------


def failures(connection: Connection, keys: Sequence[str]) -> Mapping[str, FailureRow]:
    rows = connection.execute(select(*_FAILURE).where(login_failures.c.key.in_(keys)))
    return {row.key: FailureRow(*row) for row in rows}


def save_failure(connection: Connection, row: FailureRow) -> None:
    forget_failures(connection, row.key)
    connection.execute(insert(login_failures).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


def forget_failures(connection: Connection, key: str) -> None:
    connection.execute(delete(login_failures).where(login_failures.c.key == key))


# --- resets of passwords ----------------------------------------------------------------------------------------------


def add_reset(
    connection: Connection, *, token_hash: str, user_id: str, by: str | None, expires_at: Instant, now: Instant
) -> None:
    """It takes the place of those that the user has."""
    void_resets(connection, user_id, now)
    row = {"token_hash": token_hash, "user_id": user_id, "created_by": by, "expires_at": expires_at}
    connection.execute(insert(password_resets).values(**row))


def void_resets(connection: Connection, user_id: str, now: Instant) -> None:
    """A password has been set by one of them, or otherwise: none can be used any more."""
    unused = update(password_resets).where(password_resets.c.user_id == user_id, password_resets.c.used_at.is_(None))
    connection.execute(unused.values(used_at=now))


def find_reset(connection: Connection, token_hash: str) -> ResetRow | None:
    query = select(password_resets.c.user_id, password_resets.c.expires_at, password_resets.c.used_at)
    row = connection.execute(query.where(password_resets.c.token_hash == token_hash)).first()
    return None if row is None else ResetRow(*row)


# --- what is over -----------------------------------------------------------------------------------------------------

_OVER: Sequence[tuple[Any, Any, Any]] = (
    (refresh_tokens, refresh_tokens.c.token_hash, refresh_tokens.c.expires_at),
    (password_resets, password_resets.c.token_hash, password_resets.c.expires_at),
    (login_failures, login_failures.c.key, login_failures.c.last_at),
    (oidc_logins, oidc_logins.c.state_hash, oidc_logins.c.expires_at),
    (sessions, sessions.c.id, sessions.c.expires_at),
)


def delete_over(connection: Connection, tokens_before: Instant, sessions_before: Instant, limit: int) -> int:
    """Delete what ended before then, so many rows of each table at most; answers how many of the fullest there were."""
    most = 0
    for table, key, moment in _OVER:
        before = sessions_before if table is sessions else tokens_before
        some = select(key).where(moment < before).limit(limit)
        most = max(most, connection.execute(delete(table).where(key.in_(some))).rowcount)
    return most

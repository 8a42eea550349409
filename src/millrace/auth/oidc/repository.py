"""The rows of identities at providers, and of logins by them that were answered. SQL only."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from millrace.core.values import Instant
from millrace.storage.tables import oidc_identities, oidc_logins


@dataclass(frozen=True, slots=True)
class LoginRow:
    """A login that came back from the provider; with a code, if it was begun by a program."""

    state_hash: str
    user_id: str
    code_hash: str | None
    challenge: str | None
    expires_at: Instant
    used_at: Instant | None = None


_LOGIN = [oidc_logins.c[name] for name in LoginRow.__dataclass_fields__]


def user_of(connection: Connection, issuer: str, subject: str) -> str | None:
    query = select(oidc_identities.c.user_id)
    query = query.where(oidc_identities.c.issuer == issuer, oidc_identities.c.subject == subject)
    found: str | None = connection.execute(query).scalar()
    return found


def has_identity(connection: Connection, user_id: str, issuer: str) -> bool:
    query = select(oidc_identities.c.subject)
    query = query.where(oidc_identities.c.user_id == user_id, oidc_identities.c.issuer == issuer)
    return connection.execute(query.limit(1)).first() is not None


def add_identity(
    connection: Connection, *, issuer: str, subject: str, user_id: str, email: str | None, now: Instant
) -> None:
    row = {"issuer": issuer, "subject": subject, "user_id": user_id, "email": email}
    connection.execute(insert(oidc_identities).values(**row, created_at=now, last_login_at=now))


def save_identity(connection: Connection, issuer: str, subject: str, **values: object) -> None:
    query = update(oidc_identities).where(oidc_identities.c.issuer == issuer, oidc_identities.c.subject == subject)
    connection.execute(query.values(**values))


def find_login(connection: Connection, state_hash: str) -> LoginRow | None:
    row = connection.execute(select(*_LOGIN).where(oidc_logins.c.state_hash == state_hash)).first()
    return None if row is None else LoginRow(*row)


def login_of_code(connection: Connection, code_hash: str) -> LoginRow | None:
    row = connection.execute(select(*_LOGIN).where(oidc_logins.c.code_hash == code_hash)).first()
    return None if row is None else LoginRow(*row)


def add_login(connection: Connection, row: LoginRow) -> None:
    connection.execute(insert(oidc_logins).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


def use_code(connection: Connection, state_hash: str, now: Instant) -> None:
    connection.execute(update(oidc_logins).where(oidc_logins.c.state_hash == state_hash).values(used_at=now))

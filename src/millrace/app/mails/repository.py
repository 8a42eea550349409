"""The rows of mail that is to leave. SQL only.

A row is written in the transaction of what it tells of, so there is a mail exactly when there is something to tell.
Whoever sends one moves its `due_at` on first: that is the lease, and what the end of the sending is compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Update, delete, func, insert, literal, select, update

from millrace.app.retention.repository import first_id_at
from millrace.core.values import SECOND, Duration, Instant
from millrace.storage.tables import mails

LEASE: Duration = 180 * SECOND
"""How long one process alone has a mail that it took; longer than it tries to send it."""

FIRST_PAUSE: Duration = 10 * SECOND
LONGEST_PAUSE: Duration = 3_600 * SECOND
PATIENCE: Duration = 86_400 * SECOND
"""A mail that could not be sent for so long is given up: what it tells is news no more."""

KEPT: Duration = 7 * 86_400 * SECOND
DELETED_AT_ONCE = 500
LONGEST_ERROR = 1_000


@dataclass(frozen=True, slots=True)
class Mail:
    """What is to be sent. One with the `key` of another is the same, and is written once."""

    id: str
    key: str
    recipient: str
    content: str
    """JSON text: what `sending` makes a message of."""


@dataclass(frozen=True, slots=True)
class TakenMail:
    """A mail that this process alone may send until `due_at`."""

    id: str
    recipient: str
    content: str
    tries: int
    created_at: Instant
    due_at: Instant


_MAIL = (mails.c.id, mails.c.recipient, mails.c.content, mails.c.tries, mails.c.created_at)


def add(connection: Connection, mail: Mail) -> bool:
    """Have the mail sent; `False` if there is one with its key already."""
    if is_known(connection, mail.key):
        return False
    values = {"id": mail.id, "key": mail.key, "recipient": mail.recipient, "content": mail.content}
    connection.execute(insert(mails).values(**values, due_at=func.now_us(), created_at=func.now_us()))
    return True


def is_known(connection: Connection, key: str) -> bool:
    return connection.execute(select(literal(1)).where(mails.c.key == key)).first() is not None


def wait(connection: Connection) -> Duration | None:
    """How long until the next mail is due, negative if one is; `None` while there is none."""
    query = select(mails.c.due_at - func.now_us()).where(mails.c.due_at.is_not(None)).order_by(mails.c.due_at).limit(1)
    found: Duration | None = connection.execute(query).scalar()
    return found


def take(connection: Connection, limit: int) -> Sequence[TakenMail]:
    """Take mails that are due, those that have waited longest first."""
    now: Instant = connection.execute(select(func.now_us())).scalar_one()
    query = select(*_MAIL, mails.c.due_at).where(mails.c.due_at <= now).order_by(mails.c.due_at).limit(limit)
    taken = []
    for row in connection.execute(query).all():
        until = now + LEASE
        held = update(mails).where(mails.c.id == row.id, mails.c.due_at == row.due_at)
        if connection.execute(held.values(due_at=until, tries=mails.c.tries + 1)).rowcount:
            taken.append(TakenMail(row.id, row.recipient, row.content, row.tries + 1, row.created_at, until))
    return taken


def sent(connection: Connection, mail: TakenMail) -> None:
    connection.execute(_held(mail).values(due_at=None, sent_at=func.now_us(), last_error=None))


def failed(connection: Connection, mail: TakenMail, reason: str) -> bool:
    """Have it sent later, each time later still; whether it is given up instead."""
    now: Instant = connection.execute(select(func.now_us())).scalar_one()
    given_up = now - mail.created_at > PATIENCE
    pause = min(FIRST_PAUSE << min(mail.tries - 1, 30), LONGEST_PAUSE)
    due_at = None if given_up else now + pause
    connection.execute(_held(mail).values(due_at=due_at, last_error=reason[:LONGEST_ERROR]))
    return given_up


def delete_old(connection: Connection) -> int:
    """Delete mails that were sent, or given up, long ago; at most so many at once, and answer how many."""
    now: Instant = connection.execute(select(func.now_us())).scalar_one()
    old = select(mails.c.id).where(mails.c.id < first_id_at(now - KEPT), mails.c.due_at.is_(None))
    ids = old.order_by(mails.c.id).limit(DELETED_AT_ONCE)
    return connection.execute(delete(mails).where(mails.c.id.in_(ids.scalar_subquery()))).rowcount


def _held(mail: TakenMail) -> Update:
    return update(mails).where(mails.c.id == mail.id, mails.c.due_at == mail.due_at)

"""Sealing the audit log, walking along its chain, erasing from it, and shortening it from the front. SQL only.

Rows are added by `auth.audit`. What a row may become, the triggers of the database say, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from millrace.core.values import Instant, JsonValue
from millrace.storage.tables import audit_anchor, audit_log

GENESIS: Final = "0" * 64
"""The hash before the first row."""


def content_of(side: str | None) -> JsonValue:
    """What `before` or `after` of a row says. What is no JSON was changed outside Millrace: it is shown as it is."""
    try:
        content: JsonValue = None if side is None else orjson.loads(side)
    except orjson.JSONDecodeError:
        return {"unreadable": side}
    return content


@dataclass(frozen=True, slots=True)
class AuditRow:
    id: str
    at: Instant
    actor_id: str | None
    actor: str
    credential_id: str | None
    action: str
    entity: str
    entity_id: str | None
    entity_name: str | None
    before: str | None
    after: str | None
    address: str | None
    request_id: str | None
    by_salt: str | None
    by_digest: str
    about_salt: str | None
    about_digest: str
    erasure: str | None = None
    erasure_key_id: str | None = None
    seq: int | None = None
    hash: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: what comes after it builds on its hash."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last row that was deleted."""

    seq: int
    hash: str
    at: Instant
    key_id: str
    signature: str


_ROW = [audit_log.c[name] for name in AuditRow.__dataclass_fields__]
_ANCHOR = [audit_anchor.c[name] for name in Anchor.__dataclass_fields__]
_SEALED = audit_log.c.seq.is_not(None)
_UNSEALED = audit_log.c.seq.is_(None)

ANY_UNSEALED: Final = select(audit_log.c.id).where(_UNSEALED).limit(1)
"""For `Database.ask`."""


def unsealed(connection: Connection, limit: int) -> Sequence[AuditRow]:
    """The oldest of those that are committed."""
    query = select(*_ROW).where(_UNSEALED).order_by(audit_log.c.id).limit(limit)
    return [AuditRow(*row) for row in connection.execute(query)]


def count_unsealed(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(audit_log).where(_UNSEALED)).scalar_one())


def last_link(connection: Connection) -> Link:
    """What the next row builds on."""
    query = select(audit_log.c.seq, audit_log.c.hash).where(_SEALED).order_by(audit_log.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    if row is not None:
        return Link(*row)
    moved = anchor(connection)
    return Link(0, GENESIS) if moved is None else Link(moved.seq, moved.hash)


def still_unsealed(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    """Those of them that nobody has sealed meanwhile."""
    query = select(audit_log.c.id).where(audit_log.c.id.in_(ids), _UNSEALED)
    return frozenset(connection.execute(query).scalars())


_SEAL: Final = (
    update(audit_log)
    .where(audit_log.c.id == bindparam("row_id"))
    .values(seq=bindparam("place"), hash=bindparam("signature"), key_id=bindparam("signed_by"))
)


def seal(connection: Connection, links: Mapping[str, Link], key_id: str) -> None:
    """Give rows, by their ids, their places in the chain; all at once, since nobody else writes for so long."""
    rows = [
        {"row_id": row_id, "place": link.seq, "signature": link.hash, "signed_by": key_id}
        for row_id, link in links.items()
    ]
    if rows:
        connection.execute(_SEAL, rows)


def erase(connection: Connection, row_id: str, **values: str | None) -> None:
    connection.execute(update(audit_log).where(audit_log.c.id == row_id).values(values))


def sealed_after(connection: Connection, seq: int, limit: int) -> Sequence[AuditRow]:
    """Rows of the chain, the oldest first."""
    query = select(*_ROW).where(_SEALED, audit_log.c.seq > seq).order_by(audit_log.c.seq).limit(limit)
    return [AuditRow(*row) for row in connection.execute(query)]


def anchor(connection: Connection) -> Anchor | None:
    """Where the chain begins; `None` if it is whole."""
    row = connection.execute(select(*_ANCHOR)).first()
    return None if row is None else Anchor(*row)


def move_anchor(connection: Connection, moved: Anchor) -> None:
    """Delete the rows of the chain up to there."""
    values = {name: getattr(moved, name) for name in moved.__dataclass_fields__}
    if connection.execute(update(audit_anchor).values(values)).rowcount == 0:
        connection.execute(insert(audit_anchor).values(id=1, **values))
    connection.execute(delete(audit_log).where(audit_log.c.seq <= moved.seq))


def oldest(connection: Connection, limit: int) -> Sequence[tuple[int, str, Instant]]:
    """Number, hash and time of the first rows of the chain."""
    query = select(audit_log.c.seq, audit_log.c.hash, audit_log.c.at).where(_SEALED)
    return [(seq, hash_, at) for seq, hash_, at in connection.execute(query.order_by(audit_log.c.seq).limit(limit))]

"""Rounds of retention as they are kept: the one that was asked for and has not ended, and those that have. SQL only.

Who asks for a round may be another process than the one that does it, so what is asked for is a row. It stays until the
round has ended: one that is cut short is done again.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from millrace.core.values import Instant
from millrace.storage.tables import retention_rounds

ROUNDS_KEPT = 100


@dataclass(frozen=True, slots=True)
class RoundRow:
    id: str
    cause: str
    started_at: Instant
    finished_at: Instant | None = None
    runs: int = 0
    payloads: int = 0
    firings: int = 0
    events: int = 0
    operations: int = 0
    incarnations: int = 0
    archived: int = 0
    """Of the runs those that were archived before."""
    archives: int = 0
    error: str | None = None


_ROUNDS = select(*(retention_rounds.c[name] for name in RoundRow.__dataclass_fields__))


def save_round(connection: Connection, row: RoundRow) -> None:
    """Write a round as it is now; the oldest are forgotten."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(delete(retention_rounds).where(retention_rounds.c.id == row.id))
    connection.execute(insert(retention_rounds).values(values))
    newest = select(retention_rounds.c.id).order_by(retention_rounds.c.id.desc()).limit(ROUNDS_KEPT)
    connection.execute(delete(retention_rounds).where(retention_rounds.c.id.not_in(newest.scalar_subquery())))


def ask_for_round(connection: Connection, row: RoundRow) -> RoundRow:
    """Note a round that is to be done, unless one is noted already; answers it."""
    asked = round_asked_for(connection)
    if asked is None:
        save_round(connection, row)
    return asked or row


def round_asked_for(connection: Connection) -> RoundRow | None:
    """The round that was asked for and has not ended. Whoever ends it writes it anew."""
    asked = _ROUNDS.where(retention_rounds.c.finished_at.is_(None), retention_rounds.c.cause == "request")
    return _first_round(connection, asked.order_by(retention_rounds.c.id))


def last_round(connection: Connection) -> RoundRow | None:
    ended = _ROUNDS.where(retention_rounds.c.finished_at.is_not(None))
    return _first_round(connection, ended.order_by(retention_rounds.c.id.desc()))


def _first_round(connection: Connection, query: Select[Any]) -> RoundRow | None:
    row = connection.execute(query.limit(1)).first()
    return None if row is None else RoundRow(*row)

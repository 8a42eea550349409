"""Reading what runs leave behind: records, log lines, and the line of changes across all runs.

Everything comes in the order of its numbers and is found by the primary key; only filters of log lines may have to pass
over others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, delete, func, or_, select
from sqlalchemy.engine import RowMapping

from millrace.storage.tables import changes, logs, records, runs

LEVELS = ("debug", "info", "warning", "error")
"""From the least to the most severe."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which stretch of a numbered list is wanted: the first lines above `after`, or the last ones below `before`."""

    after: int = 0
    before: int | None = None
    last: bool = False
    """The end of the stretch instead of its beginning; it is answered in ascending order all the same."""
    limit: int = 200


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What log lines may be narrowed to; empty and `None` do not narrow."""

    path: str | None = None
    attempt: int | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, as its row says: nothing with a higher number exists in the same snapshot."""

    status: str
    last_seq: int
    last_log: int


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the line of changes: all before `change` was seen, and of it the records up to `seq`."""

    change: int
    seq: int


def progress(connection: Connection, run_id: str) -> Progress | None:
    row = connection.execute(select(runs.c.status, runs.c.last_seq, runs.c.last_log).where(runs.c.id == run_id)).first()
    return None if row is None else Progress(*row)


def read_records(connection: Connection, run_id: str, window: Window) -> Sequence[RowMapping]:
    query = select(records.c.seq, records.c.type, records.c.path, records.c.at, records.c.data)
    return _windowed(connection, query.where(records.c.run_id == run_id), records, window)


def read_logs(connection: Connection, run_id: str, window: Window, narrow: LogFilter) -> Sequence[RowMapping]:
    query = select(
        logs.c.seq, logs.c.path, logs.c.attempt, logs.c.at, logs.c.level, logs.c.text, logs.c.metadata
    ).where(logs.c.run_id == run_id)
    if narrow.path is not None:
        query = query.where(logs.c.path == narrow.path)
    if narrow.attempt is not None:
        query = query.where(logs.c.attempt == narrow.attempt)
    if narrow.levels:
        query = query.where(logs.c.level.in_(narrow.levels))
    return _windowed(connection, query, logs, window)


def ends_of_changes(connection: Connection) -> tuple[int, int]:
    """The positions of the oldest change that is kept and of the newest; 1 and 0 when there is none."""
    oldest, newest = connection.execute(select(func.min(changes.c.position), func.max(changes.c.position))).one()
    return (1, 0) if oldest is None else (oldest, newest)


def read_changes(
    connection: Connection, position: Position, workflow_id: str | None, limit: int
) -> Sequence[RowMapping]:
    """Records of any run from `position` on, in the order in which they were committed."""
    here = and_(records.c.run_id == changes.c.run_id, records.c.seq.between(changes.c.first_seq, changes.c.last_seq))
    query = (
        select(
            changes.c.position,
            changes.c.last_seq,
            changes.c.run_id,
            runs.c.workflow_id,
            records.c.seq,
            records.c.type,
            records.c.path,
            records.c.at,
            records.c.data,
        )
        .select_from(changes.join(runs, runs.c.id == changes.c.run_id).join(records, here))
        .where(changes.c.position >= position.change)
        .where(or_(changes.c.position > position.change, records.c.seq > position.seq))
        .order_by(changes.c.position, records.c.seq)
        .limit(limit)
    )
    if workflow_id is not None:
        query = query.where(runs.c.workflow_id == workflow_id)
    return connection.execute(query).mappings().all()


def delete_old_changes(connection: Connection, keep: int, limit: int) -> int:
    """Forget the oldest changes beyond `keep`; answers how many."""
    oldest, newest = ends_of_changes(connection)
    until = min(newest - keep, oldest + limit - 1)
    return connection.execute(delete(changes).where(changes.c.position <= until)).rowcount


def _windowed(connection: Connection, query: Select[Any], table: Table, window: Window) -> Sequence[RowMapping]:
    seq = table.c.seq
    query = query.where(seq > window.after).limit(window.limit)
    if window.before is not None:
        query = query.where(seq < window.before)
    rows = connection.execute(query.order_by(seq.desc() if window.last else seq)).mappings().all()
    return rows[::-1] if window.last else rows

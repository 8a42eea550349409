"""Reading what runs leave behind: records, log lines, and the line of changes across all runs.

Everything comes in the order of its numbers and is found by the primary key; only filters of log lines may have to pass
over others.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, func, or_, select
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import Unsettled, items_of, json_list
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.values import Instant
from millrace.ports.database import Database
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
    """Of a task; of a loop or an iteration, whose lines are those of the tasks in it."""
    attempt: int | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, as its row says: nothing with a higher number exists in the same snapshot."""

    status: str
    last_seq: int
    last_log: int
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the line of changes: all before `change` was seen, and of it the records up to `seq`."""

    change: int
    seq: int


@dataclass(frozen=True, slots=True)
class Ends:
    """The positions of the oldest change that is kept and of the newest one that is told; 1 and 0 if there is none."""

    oldest: int
    newest: int
    unsettled: bool = False
    """Whether there are changes behind the newest, which are told when nothing can appear before them any more."""


_PROGRESS = (
    runs.c.status, runs.c.last_seq, runs.c.last_log, runs.c.created_at, runs.c.started_at, runs.c.finished_at
)  # fmt: skip


UNFINISHED = select(runs.c.id).where(runs.c.id.in_(items_of("ids")), runs.c.finished_at.is_(None))


def progress(connection: Connection, run_id: str) -> Progress | None:
    row = connection.execute(select(*_PROGRESS).where(runs.c.id == run_id)).first()
    return None if row is None else Progress(*row)


async def unfinished(database: Database, run_ids: Set[str]) -> Set[str]:
    """Those of the runs that are there and have not finished."""
    return {row["id"] for row in await database.ask(UNFINISHED, {"ids": json_list(run_ids)})}


def read_records(connection: Connection, run_id: str, window: Window) -> Sequence[RowMapping]:
    query = select(records.c.seq, records.c.type, records.c.path, records.c.at, records.c.data)
    return _windowed(connection, query.where(records.c.run_id == run_id), records, window)


def _begins_with(prefix: str) -> ColumnElement[bool]:
    """By what comes before and after: a path may hold what means something to `like`."""
    after = f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"
    return and_(logs.c.path >= prefix, logs.c.path < after)


def read_logs(connection: Connection, run_id: str, window: Window, narrow: LogFilter) -> Sequence[RowMapping]:
    query = select(
        logs.c.seq, logs.c.path, logs.c.attempt, logs.c.at, logs.c.level, logs.c.text, logs.c.metadata
    ).where(logs.c.run_id == run_id)
    if narrow.path is not None:
        query = query.where(or_(logs.c.path == narrow.path, *map(_begins_with, (f"{narrow.path}[", f"{narrow.path}."))))
    if narrow.attempt is not None:
        query = query.where(logs.c.attempt == narrow.attempt)
    if narrow.levels:
        query = query.where(logs.c.level.in_(narrow.levels))
    return _windowed(connection, query, logs, window)


def ends_of_changes(connection: Connection) -> Ends:
    position = changes.c.position
    settled = select(func.max(position)).where(position < Unsettled())
    # Each by itself: SQLite finds the least or the greatest by the index, and reads all of the line for both.
    ends = (select(func.min(position)), settled, select(func.max(position)))
    oldest, newest, last = connection.execute(select(*(end.scalar_subquery() for end in ends))).one()
    if oldest is None:
        return Ends(1, 0)
    return Ends(oldest, oldest - 1 if newest is None else newest, unsettled=last != newest)


def read_changes(
    connection: Connection, position: Position, workflow_id: str | None, limit: int, sight: Sight | None = None
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
        .where(changes.c.position >= position.change, changes.c.position < Unsettled())
        .where(or_(changes.c.position > position.change, records.c.seq > position.seq))
        .order_by(changes.c.position, records.c.seq)
        .limit(limit)
    )
    if sight is not None:
        query = query.where(seen(runs.c.workflow_id, sight))
    if workflow_id is not None:
        query = query.where(runs.c.workflow_id == workflow_id)
    return connection.execute(query).mappings().all()


def last_old_change(connection: Connection, keep: int) -> int | None:
    """The position of the newest change beyond the `keep` newest ones, if there are so many."""
    query = select(changes.c.position).order_by(changes.c.position.desc()).offset(keep).limit(1)
    found: int | None = connection.execute(query).scalar()
    return found


def delete_old_changes(connection: Connection, until: int, limit: int) -> int:
    """Forget the oldest changes, up to `until`; answers how many."""
    old = select(changes.c.position).where(changes.c.position <= until).order_by(changes.c.position).limit(limit)
    return connection.execute(delete(changes).where(changes.c.position.in_(old))).rowcount


def _windowed(connection: Connection, query: Select[Any], table: Table, window: Window) -> Sequence[RowMapping]:
    seq = table.c.seq
    query = query.where(seq > window.after).limit(window.limit)
    if window.before is not None:
        query = query.where(seq < window.before)
    rows = connection.execute(query.order_by(seq.desc() if window.last else seq)).mappings().all()
    return rows[::-1] if window.last else rows

"""The rows of backfills, and what became of due times and runs that they are about. SQL only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, func, insert, literal, select, update
from sqlalchemy.engine import RowMapping

from millrace.app.retention.repository import first_id_at
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.values import SECOND, Duration, Instant
from millrace.storage.tables import backfills, firings, runs, start_keys, triggers, workflows

DECIDED_WITHIN: Duration = 2 * 86_400 * SECOND
"""Of a due time: so long after it schedulers have decided about it, also after a downtime. Start keys know more of the
last 30 days; this is for what came before."""
KEPT: Duration = 90 * 86_400 * SECOND
"""Of a backfill, since it ended."""
DELETED_AT_ONCE = 500
EARLIER: Duration = 3_600 * SECOND
"""Ids are made by clocks that may be behind."""


@dataclass(frozen=True, slots=True)
class BackfillRow:
    id: str
    trigger_id: str
    workflow_id: str
    schedule: str
    range_from: Instant
    range_until: Instant
    at_once: int
    again: bool
    stop_on_failure: bool
    status: str
    reason: str | None
    total: int
    decided_until: Instant
    under_way: str
    fired_before: int
    started: int
    skipped: int
    refused: int
    completed: int
    failed: int
    revision: int
    created_by: str | None
    created_at: Instant
    updated_at: Instant
    finished_at: Instant | None


@dataclass(frozen=True, slots=True)
class BackfillFilter:
    """What a list of backfills may be narrowed to; `None` does not narrow."""

    trigger_id: str | None = None
    workflow_id: str | None = None
    statuses: Sequence[str] = ()
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The run that a start key holds."""

    run_id: str
    backfill: str | None
    """The id of the backfill that started it."""


_COLUMNS = [backfills.c[name] for name in BackfillRow.__slots__]
_PROGRESS = (
    "status", "reason", "decided_until", "under_way", "fired_before", "started", "skipped", "refused", "completed",
    "failed", "finished_at",
)  # fmt: skip
"""What changes in the life of a backfill."""


def add(connection: Connection, row: BackfillRow) -> None:
    connection.execute(insert(backfills).values(**asdict(row)))


def get(connection: Connection, backfill_id: str) -> BackfillRow | None:
    row = connection.execute(select(*_COLUMNS).where(backfills.c.id == backfill_id)).first()
    return None if row is None else BackfillRow(*row)


def open_ones(connection: Connection) -> Sequence[BackfillRow]:
    """Those that have not finished, paused ones among them."""
    query = select(*_COLUMNS).where(backfills.c.finished_at.is_(None)).order_by(backfills.c.id)
    return [BackfillRow(*row) for row in connection.execute(query)]


def anybody_waits(connection: Connection) -> bool:
    return connection.execute(select(literal(1)).where(backfills.c.finished_at.is_(None)).limit(1)).first() is not None


def open_of(connection: Connection, trigger_id: str) -> str | None:
    """The id of the backfill of the trigger that has not finished."""
    open_ = (backfills.c.trigger_id == trigger_id, backfills.c.finished_at.is_(None))
    found: str | None = connection.execute(select(backfills.c.id).where(*open_).limit(1)).scalar()
    return found


def save(connection: Connection, row: BackfillRow) -> bool:
    """Write how far it has come; `False` if somebody else has written it since it was read, or it is over."""
    same = (backfills.c.id == row.id, backfills.c.revision == row.revision, backfills.c.finished_at.is_(None))
    values: dict[str, Any] = {name: getattr(row, name) for name in _PROGRESS}
    values |= {"revision": row.revision + 1, "updated_at": func.now_us()}
    return connection.execute(update(backfills).where(*same).values(**values)).rowcount == 1


def show(connection: Connection, backfill_id: str) -> RowMapping | None:
    return connection.execute(_shown().where(backfills.c.id == backfill_id)).mappings().first()


def list_backfills(
    connection: Connection, narrow: BackfillFilter, *, before: str | None, limit: int
) -> Sequence[RowMapping]:
    """Backfills, newest first; those whose triggers or workflows are gone, too."""
    query = _shown().order_by(backfills.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(backfills.c.id < before)
    if narrow.trigger_id is not None:
        query = query.where(backfills.c.trigger_id == narrow.trigger_id)
    if narrow.workflow_id is not None:
        query = query.where(backfills.c.workflow_id == narrow.workflow_id)
    if narrow.sight is not None:
        query = query.where(seen(backfills.c.workflow_id, narrow.sight))
    if narrow.statuses:
        query = query.where(backfills.c.status.in_(narrow.statuses))
    return connection.execute(query).mappings().all()


def held(connection: Connection, namespace: str, trigger_id: str, keys: Collection[str]) -> Mapping[str, Held]:
    """The runs that start keys of the trigger hold, by key."""
    query = (
        select(start_keys.c.key, start_keys.c.run_id, runs.c.trigger_data)
        .select_from(start_keys.outerjoin(runs, runs.c.id == start_keys.c.run_id))
        .where(start_keys.c.namespace == namespace, start_keys.c.scope == trigger_id, start_keys.c.key.in_(keys))
        .where(start_keys.c.expires_at > func.now_us())
    )
    return {key: Held(run_id, _backfill_of(data)) for key, run_id, data in connection.execute(query)}


def fired_long_ago(connection: Connection, trigger_id: str, times: Sequence[Instant]) -> set[Instant]:
    """Those of the due times, which are in order, for which schedulers started a run when it was time."""
    first, last = first_id_at(times[0] - EARLIER), first_id_at(times[-1] + DECIDED_WITHIN)
    query = (
        select(firings.c.due_at)
        .where(firings.c.trigger_id == trigger_id, firings.c.id >= first, firings.c.id < last)
        .where(firings.c.decision == "started", firings.c.due_at.in_(times))
    )
    return set(connection.execute(query).scalars())


def ends_of(connection: Connection, run_ids: Collection[str]) -> Mapping[str, str | None]:
    """The final status of each run, or `None` while it is at work; a run that is not there was deleted."""
    query = select(runs.c.id, runs.c.status, runs.c.finished_at).where(runs.c.id.in_(run_ids))
    return {run_id: None if ended is None else status for run_id, status, ended in connection.execute(query)}


def _backfill_of(trigger_data: str | None) -> str | None:
    found = None if trigger_data is None else orjson.loads(trigger_data).get("backfill")
    return found if isinstance(found, str) else None


def _shown() -> Select[Any]:
    return (
        select(
            *_COLUMNS,
            triggers.c.name.label("trigger_name"),
            triggers.c.enabled.label("trigger_enabled"),
            triggers.c.active.label("trigger_active"),
            workflows.c.name.label("workflow_name"),
            workflows.c.status.label("workflow_status"),
        )
        .select_from(backfills)
        .outerjoin(triggers, triggers.c.id == backfills.c.trigger_id)
        .outerjoin(workflows, workflows.c.id == backfills.c.workflow_id)
    )


def delete_old(connection: Connection) -> int:
    """Delete backfills that ended long ago; at most so many at once, and answer how many."""
    now: Instant = connection.execute(select(func.now_us())).scalar_one()
    # None ends before it begins: so those that are younger need no look.
    old = select(backfills.c.id).where(backfills.c.id < first_id_at(now - KEPT), backfills.c.finished_at < now - KEPT)
    ids = old.order_by(backfills.c.id).limit(DELETED_AT_ONCE)
    return connection.execute(delete(backfills).where(backfills.c.id.in_(ids.scalar_subquery()))).rowcount

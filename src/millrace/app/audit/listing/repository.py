"""Finding rows of the audit log, and the starts of runs among them, the newest first. SQL only.

Starts are not written into the log: the runs themselves say who started them, so that a start costs no statement more.
Ids of both begin with the time, so the two are one list by id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from millrace.app.audit.repository import AuditRow
from millrace.app.runs.repository import NEAR, first_id
from millrace.app.walking import TOGETHER, Found, Walk, hidden, newest
from millrace.auth.audit.actions import RUN_START
from millrace.core.values import Instant
from millrace.storage.tables import audit_log, records, runs, users, workflows

RUN: Final = "run"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What a list of the log may be narrowed to; `None` does not narrow."""

    entity: str | None = None
    entity_id: str | None = None
    actor_id: str | None = None
    action: str | None = None
    since: Instant | None = None
    """Inclusive."""
    until: Instant | None = None
    """Exclusive."""
    starts: bool = True
    """Whether starts of runs are among them."""


@dataclass(frozen=True, slots=True)
class StartRow:
    """The start of a run."""

    id: str
    at: Instant
    actor_id: str | None
    actor: str | None
    workflow_id: str
    workflow: str | None
    trigger_type: str
    trigger_id: str | None
    version_id: str
    retry_of: str | None
    parent_run_id: str | None
    created: str | None
    """The data of the record of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows by id, and below which id more may be."""

    rows: Mapping[str, AuditRow | StartRow]
    next: str | None


_ROW = [audit_log.c[name] for name in AuditRow.__dataclass_fields__]
_START = (
    runs.c.id,
    runs.c.created_at,
    runs.c.triggered_by,
    users.c.name.label("actor"),
    runs.c.workflow_id,
    workflows.c.name.label("workflow"),
    runs.c.trigger_type,
    runs.c.trigger_id,
    runs.c.version_id,
    runs.c.retry_of,
    runs.c.parent_run_id,
    records.c.data,
)


def find(connection: Connection, narrow: AuditFilter, *, before: str | None, limit: int) -> Part:
    """Changes and starts, merged."""
    logged = newest(connection, audit_log.c.id, [_walk(narrow, before)], limit=limit)
    started = _starts(connection, narrow, before, limit)
    # Below where either had to stop, nothing is known of the other.
    floor = max((one.next for one in (logged, started) if one.next is not None), default="")
    ids = sorted((row_id for row_id in (*logged.ids, *started.ids) if row_id >= floor), reverse=True)
    shown = ids[:limit]
    rows: dict[str, AuditRow | StartRow] = {**_logged(connection, logged.ids), **_started(connection, started.ids)}
    return Part({row_id: rows[row_id] for row_id in shown}, shown[-1] if len(ids) > limit else floor or None)


def _walk(narrow: AuditFilter, before: str | None) -> Walk:
    """Along the index that leaves least to be looked at: of an entity, of somebody, of an action, or all."""
    log = audit_log.c
    span = _span(log.id, narrow, before)
    exactly = [] if narrow.since is None else [log.at >= narrow.since]
    exactly += [] if narrow.until is None else [log.at < narrow.until]
    along: tuple[ColumnElement[bool], ...] = ()
    left: tuple[str, ...] = ("entity", "entity_id")
    if narrow.entity is not None and narrow.entity_id is not None:
        along, left = (log.entity == narrow.entity, log.entity_id == narrow.entity_id), ("actor_id", "action")
    elif narrow.actor_id is not None:
        along, left = (log.actor_id == narrow.actor_id,), ("entity", "entity_id", "action")
    elif narrow.action is not None:
        along = (log.action == narrow.action,)
    fits = [hidden(log[name]) == getattr(narrow, name) for name in left if getattr(narrow, name) is not None]
    return Walk((*along, *span), (*fits, *exactly), at_most=TOGETHER)


def _starts(connection: Connection, narrow: AuditFilter, before: str | None, limit: int) -> Found:
    if not narrow.starts or narrow.entity not in {None, RUN} or narrow.action not in {None, RUN_START}:
        return Found((), None)
    along = _span(runs.c.id, narrow, before)
    along += [] if narrow.entity_id is None else [runs.c.id == narrow.entity_id]
    fits: list[ColumnElement[bool]] = []
    fits += [] if narrow.actor_id is None else [hidden(runs.c.triggered_by) == narrow.actor_id]
    fits += [] if narrow.since is None else [runs.c.created_at >= narrow.since]
    fits += [] if narrow.until is None else [runs.c.created_at < narrow.until]
    # The rows of runs are long.
    return newest(connection, runs.c.id, [Walk(tuple(along), tuple(fits), at_most=TOGETHER // 2)], limit=limit)


def _span(id_: ColumnElement[str], narrow: AuditFilter, before: str | None) -> list[ColumnElement[bool]]:
    """Ids begin with the time they were made at, so they bound what is looked at; the time itself decides."""
    span = [] if before is None else [id_ < before]
    span += [] if narrow.since is None else [id_ >= first_id(narrow.since - NEAR)]
    return span + ([] if narrow.until is None else [id_ < first_id(narrow.until + NEAR)])


def _logged(connection: Connection, ids: Sequence[str]) -> Mapping[str, AuditRow]:
    query = select(*_ROW).where(audit_log.c.id.in_(ids))
    return {row.id: AuditRow(*row) for row in connection.execute(query)} if ids else {}


def _started(connection: Connection, ids: Sequence[str]) -> Mapping[str, StartRow]:
    query: Any = select(*_START).outerjoin(users, users.c.id == runs.c.triggered_by)
    query = query.outerjoin(workflows, workflows.c.id == runs.c.workflow_id)
    query = query.outerjoin(records, (records.c.run_id == runs.c.id) & (records.c.seq == 1))
    query = query.where(runs.c.id.in_(ids))
    return {row.id: StartRow(*row) for row in connection.execute(query)} if ids else {}

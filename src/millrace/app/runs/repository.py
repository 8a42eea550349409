"""Reading the rows of runs, task runs, records and logs for those who watch. The engine writes them, through its store.

Payloads are JSON text in the database and stay text on the way out. In lists, payloads above `LARGEST_IN_LIST` are left
out and named in `omitted`; the single run or task run has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, case, delete, func, select
from sqlalchemy.engine import RowMapping

from millrace.app.workflows.repository import has_label
from millrace.core.values import Instant
from millrace.storage.tables import (
    incarnations,
    logs,
    records,
    runs,
    start_keys,
    task_runs,
    workflow_versions,
    workflows,
)

LARGEST_IN_LIST = 65_536

RUN_PAYLOADS = ("input", "variables", "output")
TASK_PAYLOADS = ("input", "output")

_RUN_PLAIN = [
    runs.c[name]
    for name in (
        "id", "workflow_id", "version_id", "status", "trigger_type", "trigger_id", "triggered_by", "error",
        "correlation_id", "priority", "parent_run_id", "retry_of", "created_at", "started_at", "finished_at",
        "cancelled_at", "cancelled_by",
    )
]  # fmt: skip

_TASK_PLAIN = [
    task_runs.c[name]
    for name in (
        "run_id", "path", "type", "status", "attempt", "failures", "crashes", "skip_reason", "error", "worker",
        "ready_at", "available_at", "started_at", "finished_at",
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What a list of runs may be narrowed to; `None` does not narrow."""

    status: Sequence[str] = ()
    workflow_id: str | None = None
    trigger_type: str | None = None
    correlation_id: str | None = None
    created_from: Instant | None = None
    """Inclusive."""
    created_before: Instant | None = None
    """Exclusive."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunHead:
    """The little of a run that others must know before they read or change what belongs to it."""

    id: str
    workflow_id: str
    version_id: str
    status: str


def find_run(connection: Connection, run_id: str) -> RowMapping | None:
    query = _runs(whole=True).where(runs.c.id == run_id)
    return connection.execute(query).mappings().first()


def list_runs(connection: Connection, narrow: RunFilter, *, before: str | None, limit: int) -> Sequence[RowMapping]:
    """Runs, newest first: ids are in order of creation."""
    query = _narrowed(_runs(whole=False), narrow).order_by(runs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.id < before)
    return connection.execute(query).mappings().all()


def head(connection: Connection, run_id: str) -> RunHead | None:
    query = select(runs.c.id, runs.c.workflow_id, runs.c.version_id, runs.c.status).where(runs.c.id == run_id)
    row = connection.execute(query).first()
    return None if row is None else RunHead(*row)


def live_runs(connection: Connection, workflow_id: str) -> Sequence[str]:
    query = select(runs.c.id).where(runs.c.workflow_id == workflow_id, runs.c.finished_at.is_(None))
    return connection.execute(query.order_by(runs.c.id)).scalars().all()


def task_runs_of(connection: Connection, run_id: str, paths: Sequence[str]) -> Mapping[str, RowMapping]:
    """The task runs at `paths`, large payloads left out."""
    query = _tasks(whole=False).where(task_runs.c.run_id == run_id, task_runs.c.path.in_(paths))
    return {row["path"]: row for row in connection.execute(query).mappings()}


def find_task_run(connection: Connection, run_id: str, path: str) -> RowMapping | None:
    query = _tasks(whole=True).where(task_runs.c.run_id == run_id, task_runs.c.path == path)
    return connection.execute(query).mappings().first()


def records_after(connection: Connection, run_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    query = select(records.c.seq, records.c.type, records.c.path, records.c.at, records.c.data)
    query = query.where(records.c.run_id == run_id, records.c.seq > after).order_by(records.c.seq).limit(limit)
    return connection.execute(query).mappings().all()


def logs_after(
    connection: Connection, run_id: str, after: int, limit: int, *, path: str | None, levels: Sequence[str]
) -> Sequence[RowMapping]:
    query = select(
        logs.c.seq, logs.c.path, logs.c.attempt, logs.c.at, logs.c.level, logs.c.text, logs.c.metadata
    ).where(logs.c.run_id == run_id, logs.c.seq > after)
    if path is not None:
        query = query.where(logs.c.path == path)
    if levels:
        query = query.where(logs.c.level.in_(levels))
    return connection.execute(query.order_by(logs.c.seq).limit(limit)).mappings().all()


def started_with(connection: Connection, namespace: str, scope: str, key: str) -> tuple[str, str] | None:
    """The request hash and the run of a start key."""
    query = select(start_keys.c.request_hash, start_keys.c.run_id).where(
        start_keys.c.namespace == namespace, start_keys.c.scope == scope, start_keys.c.key == key
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1])


def delete_expired_keys(connection: Connection, now: Instant, limit: int) -> int:
    """Forget start keys whose time is over; answers how many."""
    keys = (start_keys.c.namespace, start_keys.c.scope, start_keys.c.key)
    expired = connection.execute(select(*keys).where(start_keys.c.expires_at <= now).limit(limit)).all()
    for namespace, scope, key in expired:
        connection.execute(
            delete(start_keys).where(
                start_keys.c.namespace == namespace, start_keys.c.scope == scope, start_keys.c.key == key
            )
        )
    return len(expired)


def _runs(*, whole: bool) -> Select[Any]:
    return (
        select(
            *_RUN_PLAIN,
            *_payloads(runs, RUN_PAYLOADS, whole=whole),
            workflows.c.name.label("workflow_name"),
            workflow_versions.c.number.label("version_number"),
        )
        .join(workflows, workflows.c.id == runs.c.workflow_id)
        .join(workflow_versions, workflow_versions.c.id == runs.c.version_id)
    )


def _tasks(*, whole: bool) -> Select[Any]:
    return select(
        *_TASK_PLAIN, *_payloads(task_runs, TASK_PAYLOADS, whole=whole), incarnations.c.host.label("worker_host")
    ).outerjoin(incarnations, incarnations.c.id == task_runs.c.worker)


def _payloads(table: Any, names: Sequence[str], *, whole: bool) -> list[Any]:
    if whole:
        return [table.c[name] for name in names]
    small = {name: func.coalesce(func.length(table.c[name]), 0) <= LARGEST_IN_LIST for name in names}
    shown = [case((small[name], table.c[name])).label(name) for name in names]
    return shown + [(~small[name]).label(f"{name}_omitted") for name in names]


def _narrowed(query: Select[Any], narrow: RunFilter) -> Select[Any]:
    if narrow.status:
        query = query.where(runs.c.status.in_(narrow.status))
    equal = {
        "workflow_id": narrow.workflow_id,
        "trigger_type": narrow.trigger_type,
        "correlation_id": narrow.correlation_id,
    }
    query = query.where(*(runs.c[name] == value for name, value in equal.items() if value is not None))
    if narrow.created_from is not None:
        query = query.where(runs.c.created_at >= narrow.created_from)
    if narrow.created_before is not None:
        query = query.where(runs.c.created_at < narrow.created_before)
    return query.where(*(has_label(key, value) for key, value in narrow.labels.items()))

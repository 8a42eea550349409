"""Reading the rows of runs and task runs for those who watch. The engine writes them, through its store.

Payloads are JSON text in the database and stay text on the way out. In lists, payloads above `LARGEST_IN_LIST` are left
out and named in `omitted`; the single run or task run has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Select, case, delete, func, select
from sqlalchemy.engine import RowMapping

from millrace.app.workflows.repository import has_label
from millrace.core.values import SECOND, Instant, JsonObject
from millrace.ports.payloads import MARK
from millrace.storage.tables import (
    attempts,
    incarnations,
    runs,
    start_keys,
    task_runs,
    workflow_versions,
    workflows,
)

LARGEST_IN_LIST = 65_536

NEAR = 60 * SECOND
"""A run's id is made shortly before its `created_at`, by the same clock."""

RUN_PAYLOADS = ("input", "variables", "output")
TASK_PAYLOADS = ("input", "output")

_RUN_PLAIN = [
    runs.c[name]
    for name in (
        "id", "workflow_id", "version_id", "status", "trigger_type", "trigger_id", "triggered_by", "error",
        "correlation_id", "priority", "parent_run_id", "retry_of", "created_at", "started_at", "finished_at",
        "cancelled_at", "cancelled_by", "run_at", "root_run_id",
    )
]  # fmt: skip

_TASK_PLAIN = [
    task_runs.c[name]
    for name in (
        "run_id", "path", "type", "status", "attempt", "failures", "crashes", "skip_reason", "error", "worker",
        "ready_at", "available_at", "started_at", "finished_at", "adopted_from",
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


def matching_ids(connection: Connection, narrow: RunFilter, *, after: str, until: str, limit: int) -> Sequence[str]:
    """Ids of runs that a filter finds, oldest first, above `after` and up to `until`."""
    query = _narrowed(_matching(runs.c.id), narrow).where(runs.c.id > after, runs.c.id <= until)
    return connection.execute(query.order_by(runs.c.id).limit(limit)).scalars().all()


def count_matching(connection: Connection, narrow: RunFilter, *, until: str) -> int:
    found: int = connection.execute(_narrowed(_matching(func.count()), narrow).where(runs.c.id <= until)).scalar_one()
    return found


def _matching(what: Any) -> Select[Any]:
    return select(what).select_from(runs).join(workflows, workflows.c.id == runs.c.workflow_id)


def first_id(at: Instant) -> str:
    """No id (UUIDv7) that was made at or after this time is less."""
    text = f"{max(at, 0) // 1000:012x}"
    return f"{text[:8]}-{text[8:]}"


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


def run_to_repeat(connection: Connection, run_id: str) -> tuple[RowMapping | None, Sequence[RowMapping]]:
    """The whole row of a run, and of each of its tasks how it ended and whose output it has."""
    run = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
    ended = select(task_runs.c.path, task_runs.c.status, task_runs.c.skip_reason, task_runs.c.adopted_from)
    return run, connection.execute(ended.where(task_runs.c.run_id == run_id)).mappings().all()


def run_to_wait_for(connection: Connection, run_id: str) -> RowMapping | None:
    names = ("id", "status", "run_at", "priority", "admission_key", "admission_limit", "rate_key", "rate_limit",
             "rate_period_us")  # fmt: skip
    return connection.execute(select(*(runs.c[name] for name in names)).where(runs.c.id == run_id)).mappings().first()


def places(connection: Connection, row: RowMapping) -> tuple[int, int]:
    """How many runs hold a place under the limit of a run that waits, and how many wait that go before it."""
    mine = select(func.count()).where(
        runs.c.admission_key == row["admission_key"], runs.c.admission_key.is_not(None), runs.c.finished_at.is_(None)
    )
    before = (runs.c.priority > row["priority"]) | ((runs.c.priority == row["priority"]) & (runs.c.id < row["id"]))
    holding = connection.execute(mine.where(runs.c.admitted_at.is_not(None))).scalar_one()
    return holding, connection.execute(mine.where(runs.c.admitted_at.is_(None), before)).scalar_one()


def scheduled_attempts(connection: Connection, run_id: str, limit: int) -> Sequence[RowMapping]:
    names = ("path", "number", "queue", "available_at", "limit_key", "limit_size", "type_key")
    query = select(*(attempts.c[name] for name in names)).where(
        attempts.c.run_id == run_id, attempts.c.finished_at.is_(None), attempts.c.status == "scheduled"
    )
    return connection.execute(query.order_by(attempts.c.path).limit(limit)).mappings().all()


def running_under(connection: Connection, column: str, key: str) -> int:
    """How many attempts run that have `key` in `column` (`limit_key` or `type_key`)."""
    query = select(func.count()).where(
        attempts.c[column] == key, attempts.c[column].is_not(None), attempts.c.finished_at.is_(None),
        attempts.c.status == "running",
    )  # fmt: skip
    return connection.execute(query).scalar_one()


def served_queues(connection: Connection) -> frozenset[str]:
    query = select(incarnations.c.queues).where(incarnations.c.lost_at.is_(None), incarnations.c.retired_at.is_(None))
    return frozenset(queue for text in connection.execute(query).scalars() for queue in orjson.loads(text))


def without_payloads(connection: Connection, run_ids: Sequence[str]) -> Sequence[str]:
    """Those of the runs whose tasks' outputs are not kept any more."""
    query = select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.payloads_deleted_at.is_(None))
    kept = set(connection.execute(query).scalars())
    return [run_id for run_id in run_ids if run_id not in kept]


def json_of(text: str) -> JsonObject:
    found: JsonObject = orjson.loads(text)
    return found


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
            *_payloads({name: runs.c[name] for name in RUN_PAYLOADS}, whole=whole),
            workflows.c.name.label("workflow_name"),
            workflow_versions.c.number.label("version_number"),
        )
        .join(workflows, workflows.c.id == runs.c.workflow_id)
        .join(workflow_versions, workflow_versions.c.id == runs.c.version_id)
    )


def _tasks(*, whole: bool) -> Select[Any]:
    adopted = task_runs.alias("adopted")
    payloads = {"input": task_runs.c.input, "output": func.coalesce(adopted.c.output, task_runs.c.output)}
    return (
        select(*_TASK_PLAIN, *_payloads(payloads, whole=whole), incarnations.c.host.label("worker_host"))
        .outerjoin(incarnations, incarnations.c.id == task_runs.c.worker)
        .outerjoin(adopted, (adopted.c.run_id == task_runs.c.adopted_from) & (adopted.c.path == task_runs.c.path))
    )


def _payloads(columns: Mapping[str, Any], *, whole: bool) -> list[Any]:
    if whole:
        return [column.label(name) for name, column in columns.items()]
    small = {name: _is_small(column) for name, column in columns.items()}
    shown = [case((small[name], column)).label(name) for name, column in columns.items()]
    return shown + [(~small[name]).label(f"{name}_omitted") for name in columns]


def _is_small(column: Any) -> Any:
    """Whether a payload is in its row, and not too large for a list."""
    text = func.coalesce(column, "")
    return (func.length(text) <= LARGEST_IN_LIST) & (func.substr(text, 1, 1) != MARK)


def _narrowed(query: Select[Any], narrow: RunFilter) -> Select[Any]:
    if narrow.status:
        query = query.where(runs.c.status.in_(narrow.status))
    equal = {
        "workflow_id": narrow.workflow_id,
        "trigger_type": narrow.trigger_type,
        "correlation_id": narrow.correlation_id,
    }
    query = query.where(*(runs.c[name] == value for name, value in equal.items() if value is not None))
    # Ids begin with the time they were made at, so they bound what is looked at; `created_at` decides.
    if narrow.created_from is not None:
        query = query.where(runs.c.created_at >= narrow.created_from, runs.c.id >= first_id(narrow.created_from - NEAR))
    if narrow.created_before is not None:
        until = first_id(narrow.created_before + NEAR)
        query = query.where(runs.c.created_at < narrow.created_before, runs.c.id < until)
    return query.where(*(has_label(key, value) for key, value in narrow.labels.items()))

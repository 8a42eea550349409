"""Reading the rows of runs and task runs for those who watch. The engine writes them, through its store.

Payloads are JSON text in the database and stay text on the way out. In lists, payloads above `LARGEST_IN_LIST` are left
out and named in `omitted`; the single run or task run has them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import JsonItems
from millrace.app.walking import TOGETHER, Walk, hidden, newest
from millrace.app.workflows.repository import has_label
from millrace.auth.grants.repository import visible
from millrace.auth.sight import Sight
from millrace.core.run import Ahead
from millrace.core.states import FINISHED_RUN, RunStatus, TaskStatus
from millrace.core.values import SECOND, Instant, JsonObject
from millrace.ports.payloads import MARK
from millrace.ports.plans import plan_id
from millrace.ports.store import InboxItem, StartKey
from millrace.storage.tables import (
    inbox,
    records,
    runs,
    start_keys,
    task_runs,
    workflow_versions,
    workflows,
)

_LATER = runs.alias("later")

_AWAITED = runs.c.parent_path.is_not(None)
"""A task of the run that it was started for waits for its end."""

LARGEST_IN_LIST = 65_536

NEAR = 60 * SECOND
"""A run's id is made shortly before its `created_at`, by the same clock."""

RUN_PAYLOADS = ("input", "variables", "output")

_RUN_PLAIN = [
    runs.c[name]
    for name in (
        "id", "workflow_id", "version_id", "status", "trigger_type", "trigger_id", "triggered_by", "error",
        "correlation_id", "priority", "parent_run_id", "parent_path", "retry_of", "created_at", "started_at",
        "finished_at", "cancelled_at", "cancelled_by", "run_at", "root_run_id", "payloads_deleted_at",
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
    parent: str | None = None
    """The run whose sub-workflows they are."""
    workflow_ids: Sequence[str] = ()
    """Several workflows, in place of the one."""
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class RunHead:
    """The little of a run that others must know before they read or change what belongs to it."""

    id: str
    workflow_id: str
    version_id: str
    status: str
    retry_of: str | None = None
    trigger_type: str = "manual"

    @property
    def plan_id(self) -> str:
        return plan_id(self.trigger_type, self.id, self.version_id)


def find_run(connection: Connection, run_id: str) -> RowMapping | None:
    query = _runs(whole=True).where(runs.c.id == run_id)
    return connection.execute(query).mappings().first()


def find_runs(connection: Connection, run_ids: Sequence[str]) -> Sequence[RowMapping]:
    return connection.execute(_runs(whole=True).where(runs.c.id.in_(run_ids))).mappings().all()


def told_of(connection: Connection, row: RowMapping) -> JsonObject:
    """What only the history of a run knows: `done_again` and `cancel_reason`."""
    told: JsonObject = {"done_again": {}, "cancel_reason": None}
    of_run = select(records.c.data).where(records.c.run_id == row["id"])
    if row["retry_of"] is not None:
        told["done_again"] = _data(connection, of_run.where(records.c.seq == 1)).get("done_again") or {}
    if row["cancelled_at"] is not None:
        asked = of_run.where(records.c.type == "run.cancel_requested").order_by(records.c.seq).limit(1)
        told["cancel_reason"] = _data(connection, asked).get("reason")
    return told


def _data(connection: Connection, query: Select[Any]) -> JsonObject:
    text = connection.execute(query).scalar()
    return {} if text is None else json_of(text)


def list_runs(
    connection: Connection, narrow: RunFilter, *, before: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Runs, newest first: ids are in order of creation. Also the id below which the next page goes on, if any."""
    span = [*_span(narrow), *([] if before is None else [runs.c.id < before])]
    found = newest(connection, runs.c.id, _walks(narrow, _workflows(connection, narrow), span), limit=limit)
    query = _runs(whole=False).where(runs.c.id.in_(found.ids)).order_by(runs.c.id.desc())
    return connection.execute(query).mappings().all() if found.ids else [], found.next


def matching_ids(
    connection: Connection,
    narrow: RunFilter,
    *,
    after: str,
    until: str,
    limit: int,
    repeated: bool = True,
    waited_for: bool = True,
) -> Sequence[str]:
    """Ids of runs that a filter finds, oldest first, above `after` and up to `until`; the rest as in the count."""
    span = (*_span(narrow), runs.c.id > after, runs.c.id <= until)
    also = _also(until, repeated=repeated, waited_for=waited_for)
    ids: list[str] = []
    for walk in _walks(narrow, _workflows(connection, narrow), span):
        query = select(runs.c.id).where(*walk.along, *walk.fits, *also).order_by(runs.c.id).limit(limit)
        ids += connection.execute(query).scalars()
    return sorted(ids)[:limit]


def newest_id(connection: Connection) -> str:
    """The greatest id of a run, whichever process made it; less than any if there is none."""
    return connection.execute(select(func.max(runs.c.id))).scalar() or ""


def count_matching(
    connection: Connection, narrow: RunFilter, *, until: str, repeated: bool = True, waited_for: bool = True
) -> int:
    """How many runs a filter finds up to `until`.

    Without `repeated` only those that none up to there does again; without `waited_for` only those that no task of
    another run waits for, or did.
    """
    span = (*_span(narrow), runs.c.id <= until)
    also = _also(until, repeated=repeated, waited_for=waited_for)
    count = select(func.count()).select_from(runs)
    return sum(
        int(connection.execute(count.where(*walk.along, *walk.fits, *also)).scalar_one())
        for walk in _walks(narrow, _workflows(connection, narrow), span)
    )


def repeats_of(connection: Connection, run_id: str, *, after: str) -> Sequence[str]:
    """The runs above `after` that do a run again, oldest first."""
    root = select(runs.c.root_run_id).where(runs.c.id == run_id).scalar_subquery()
    query = select(_LATER.c.id).where(*_of_family(root), _LATER.c.retry_of == run_id, _LATER.c.id > after)
    return connection.execute(query.order_by(_LATER.c.id)).scalars().all()


def _also(until: str, *, repeated: bool, waited_for: bool) -> list[ColumnElement[bool]]:
    return [*([] if repeated else [_not_repeated(until)]), *([] if waited_for else [runs.c.parent_path.is_(None)])]


def _not_repeated(until: str) -> ColumnElement[bool]:
    again = (*_of_family(runs.c.root_run_id), _LATER.c.retry_of == runs.c.id, _LATER.c.id <= until)
    return ~exists().where(*again)


def _of_family(root: Any) -> tuple[ColumnElement[bool], ...]:
    """Who does a run again is of its family, which `ix_runs_root_run_id` finds."""
    return _LATER.c.root_run_id == root, _LATER.c.root_run_id != _LATER.c.id


def first_id(at: Instant) -> str:
    """No id (UUIDv7) that was made at or after this time is less."""
    text = f"{max(at, 0) // 1000:012x}"
    return f"{text[:8]}-{text[8:]}"


def head(connection: Connection, run_id: str) -> RunHead | None:
    columns = ("id", "workflow_id", "version_id", "status", "retry_of", "trigger_type")
    query = select(*(runs.c[name] for name in columns)).where(runs.c.id == run_id)
    row = connection.execute(query).first()
    return None if row is None else RunHead(*row)


def live_runs(connection: Connection, workflow_id: str) -> Sequence[str]:
    query = select(runs.c.id).where(_NOT_COMPLETED, runs.c.status.in_(_LIVE), hidden(runs.c.workflow_id) == workflow_id)
    return connection.execute(query.order_by(runs.c.id)).scalars().all()


def delayed_runs(connection: Connection, workflow_id: str, now: Instant) -> Sequence[str]:
    """Runs that wait for a time that has not come."""
    waits = (runs.c.run_at > now, runs.c.started_at.is_(None), runs.c.status.in_(("pending", "paused")))
    query = select(runs.c.id).where(_NOT_COMPLETED, hidden(runs.c.workflow_id) == workflow_id, *waits)
    return connection.execute(query.order_by(runs.c.id)).scalars().all()


def post(connection: Connection, items: Sequence[InboxItem]) -> None:
    """Put wishes about runs into their inboxes, as part of the transaction of what they follow from."""
    rows = [
        {"id": item.id, "run_id": item.run_id, "kind": item.kind, "data": orjson.dumps(item.data).decode()}
        for item in items
    ]
    if rows:
        connection.execute(insert(inbox).values(created_at=func.now_us()), rows)


def unfinished(connection: Connection, run_ids: Sequence[str]) -> frozenset[str]:
    """Those of the runs that have not finished."""
    query = select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.finished_at.is_(None))
    return frozenset(connection.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class RunToRepeat:
    row: RowMapping
    tasks: Sequence[RowMapping]
    """How each ended, with what error and whose output."""
    ahead: Mapping[str, Ahead]
    children: Mapping[str, bool]
    """Runs that tasks waited for which did not complete, as far as they were started: whether their payloads are
    kept."""


def run_to_repeat(connection: Connection, run_id: str) -> RunToRepeat | None:
    row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
    if row is None:
        return None
    ended = select(task_runs.c.path, task_runs.c.status, task_runs.c.skip_reason, task_runs.c.adopted_from,
                   task_runs.c.error, task_runs.c.block, task_runs.c.size, task_runs.c.child_run_id)  # fmt: skip
    tasks = connection.execute(ended.where(task_runs.c.run_id == run_id)).mappings().all()
    ahead = {} if row["ahead"] is None else {path: Ahead(*told) for path, told in orjson.loads(row["ahead"]).items()}
    children: set[str | None] = {task["child_run_id"] for task in tasks if task["status"] != TaskStatus.COMPLETED}
    children |= {one.child for one in ahead.values()}
    return RunToRepeat(row, tasks, ahead, _children(connection, [child for child in children if child is not None]))


def _children(connection: Connection, run_ids: Collection[str]) -> Mapping[str, bool]:
    query = select(runs.c.id, runs.c.payloads_deleted_at.is_(None))
    return {run_id: bool(kept) for run_id, kept in connection.execute(query.where(_AWAITED, runs.c.id.in_(run_ids)))}


def that_did_something(connection: Connection, run_ids: Sequence[str]) -> frozenset[str]:
    """Those of the runs in which a task has completed, or in a run that one of their tasks waited for."""
    line = select(runs.c.id.label("asked"), runs.c.id).where(runs.c.id.in_(run_ids)).cte("line", recursive=True)
    below = select(line.c.asked, runs.c.id).where(_AWAITED, runs.c.parent_run_id == line.c.id)
    line = line.union_all(below)
    completed = (task_runs.c.run_id == line.c.id) & (task_runs.c.status == TaskStatus.COMPLETED.value)
    query = select(line.c.asked).distinct().where(select(task_runs.c.path).where(completed).exists())
    return frozenset(connection.execute(query).scalars())


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


def take_key(connection: Connection, key: StartKey, started: str, now: Instant) -> tuple[str, str]:
    """Let the key hold what is started with it, unless it holds something: the request hash and what it holds."""
    names = {"namespace": key.namespace, "scope": key.scope, "key": key.key}
    columns = start_keys.c
    free = [columns[name] == value for name, value in names.items()]
    connection.execute(delete(start_keys).where(*free, columns.expires_at <= now))
    held = started_with(connection, **names)
    if held is not None:
        return held
    values = {**names, "request_hash": key.request_hash, "run_id": started, "expires_at": key.expires_at}
    connection.execute(insert(start_keys).values(**values))
    return key.request_hash, started


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
            *payload_columns({name: runs.c[name] for name in RUN_PAYLOADS}, whole=whole),
            workflows.c.name.label("workflow_name"),
            workflow_versions.c.number.label("version_number"),
        )
        .join(workflows, workflows.c.id == runs.c.workflow_id)
        .join(workflow_versions, workflow_versions.c.id == runs.c.version_id)
    )


def payload_columns(columns: Mapping[str, Any], *, whole: bool) -> list[Any]:
    if whole:
        return [column.label(name) for name, column in columns.items()]
    small = {name: _is_small(column) for name, column in columns.items()}
    shown = [case((small[name], column)).label(name) for name, column in columns.items()]
    return shown + [(~small[name]).label(f"{name}_omitted") for name in columns]


def _is_small(column: Any) -> Any:
    """Whether a payload is in its row, and not too large for a list."""
    text = func.coalesce(column, "")
    return (func.length(text) <= LARGEST_IN_LIST) & (func.substr(text, 1, 1) != MARK)


# --- which index finds what a filter asks for -------------------------------------------------------------------------

_BAD = (RunStatus.FAILED.value, RunStatus.CANCELLED.value)
_LIVE = sorted(set(RunStatus) - FINISHED_RUN)

_NOT_COMPLETED = runs.c.status != literal_column("'completed'")
_ENDED_BADLY = runs.c.status.in_([literal_column(f"'{status}'") for status in _BAD])
"""The conditions of `ix_runs_status_id` and `ix_runs_ended_badly`, word by word: bound values would hide them."""

MANY_SEEN = 50
"""Workflows that may be walked one beside the other for who does not see all: so no run of others is passed over, whose
id a cursor would tell."""
FEW_WORKFLOWS = 10
"""Of so many workflows the runs are walked one workflow beside the other; of more, all runs are."""


def _workflows(connection: Connection, narrow: RunFilter) -> Sequence[str] | None:
    """The only workflows whose runs a filter may find; `None` when it finds runs of any."""
    only = narrow.workflow_ids if narrow.workflow_id is None else [narrow.workflow_id]
    if narrow.sight is not None:
        only = visible(connection, narrow.sight, only or None)
        if not only:
            return only
    if not narrow.labels:
        return only or None
    query = select(workflows.c.id).where(*(has_label(key, value) for key, value in narrow.labels.items()))
    if only:
        query = query.where(workflows.c.id.in_(only))
    return connection.execute(query).scalars().all()


def _span(narrow: RunFilter) -> list[ColumnElement[bool]]:
    """Ids begin with the time they were made at, so they bound what is looked at; `created_at` decides."""
    span = []
    if narrow.created_from is not None:
        span.append(runs.c.id >= first_id(narrow.created_from - NEAR))
    if narrow.created_before is not None:
        span.append(runs.c.id < first_id(narrow.created_before + NEAR))
    return span


def _walks(narrow: RunFilter, within: Sequence[str] | None, span: Sequence[ColumnElement[bool]]) -> Sequence[Walk]:
    """Walks that find all that the filter asks for, along the indexes that leave least to be looked at."""
    fits = _fits(narrow)
    of_status = (runs.c.status.in_(narrow.status),) if narrow.status else ()
    of_workflow = () if within is None else (_is_one_of(hidden(runs.c.workflow_id), within),)
    few = within if within is not None and len(within) <= FEW_WORKFLOWS else ()
    if within is not None and not within:
        return ()
    beside = narrow.sight is not None and narrow.parent is None and narrow.correlation_id is None
    if within is not None and beside and len(within) <= MANY_SEEN:
        return [Walk((runs.c.workflow_id == one, *span), (*of_status, *fits)) for one in within]
    if narrow.parent is not None:
        fits = [
            *fits,
            *([] if narrow.correlation_id is None else [hidden(runs.c.correlation_id) == narrow.correlation_id]),
        ]
        return (Walk((runs.c.parent_run_id == narrow.parent, *span), (*of_status, *fits, *of_workflow)),)
    if narrow.correlation_id is not None:
        return (Walk((runs.c.correlation_id == narrow.correlation_id, *span), (*of_status, *fits, *of_workflow)),)
    if narrow.status and RunStatus.COMPLETED not in narrow.status:
        wanted = set(narrow.status)
        of_bad = () if wanted.issuperset(_BAD) else of_status
        bad = [
            Walk((runs.c.workflow_id == one, _ENDED_BADLY, *span), (*of_bad, *fits))
            for one in few
            if wanted.intersection(_BAD)
        ]
        alone = sorted(wanted.difference(_BAD) if few else wanted)
        return bad + [Walk((runs.c.status == status, _NOT_COMPLETED, *span), (*fits, *of_workflow)) for status in alone]
    if few:
        return [Walk((runs.c.workflow_id == one, *span), (*of_status, *fits)) for one in few]
    return (Walk(tuple(span), (*of_status, *fits, *of_workflow), TOGETHER),)


def _fits(narrow: RunFilter) -> list[ColumnElement[bool]]:
    """What no index knows."""
    fits = []
    if narrow.trigger_type is not None:
        fits.append(runs.c.trigger_type == narrow.trigger_type)
    if narrow.created_from is not None:
        fits.append(runs.c.created_at >= narrow.created_from)
    if narrow.created_before is not None:
        fits.append(runs.c.created_at < narrow.created_before)
    return fits


def _is_one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    given = JsonItems(literal(orjson.dumps(list(values)).decode())).table_valued("value", name="one")
    return column.in_(select(given.c.value))

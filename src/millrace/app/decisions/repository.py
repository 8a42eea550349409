"""The rows of tasks that wait for a decision. The engine writes them; a decision itself is a row in the inbox."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, ScalarSelect, Select, literal_column, select, tuple_
from sqlalchemy.engine import RowMapping

from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.controls import APPROVAL
from millrace.core.values import Instant, JsonObject
from millrace.storage.tables import inbox, runs, task_runs, waits, workflows

LOOKED_AT = 2_000
"""Waits that one page looks at, where only those of one workflow are wanted."""

Place = tuple[Instant, str, str]
"""Where a wait stands in the list: since when it is there, its run and its path."""

_FIRST: Place = (0, "", "")


@dataclass(frozen=True, slots=True)
class Wait:
    """A task that waits for a decision."""

    run_id: str
    path: str
    since: Instant
    until: Instant | None
    message: str
    form: JsonObject | None
    default: str | None
    """What is decided at `until`: `approve`, `reject`, or nothing."""
    workflow_id: str
    workflow_name: str

    @property
    def decision_id(self) -> str:
        """Of the inbox row that decides it. There is room for one, whoever is faster; its beginning is a time, as
        that of every other id, so that the inbox is read in order."""
        digest = hashlib.sha256(f"{self.since} {self.run_id} {self.path}".encode()).hexdigest()
        millis = f"{self.since // 1000:012x}"
        return f"{millis[:8]}-{millis[8:]}-7{digest[:3]}-8{digest[3:6]}-{digest[6:18]}"


@dataclass(frozen=True, slots=True)
class Look:
    """What a task does at the moment."""

    type: str
    status: str
    waits_for: str | None
    """The kind of its wait, if it waits."""
    output: str | None
    wait: Wait | None
    """If it is a decision that it waits for."""
    is_decided: bool
    """A decision is in the inbox, and the engine will come to it."""


_IS_APPROVAL = waits.c.kind == literal_column(f"'{APPROVAL}'")
"""The condition of `ix_waits_approvals`, word by word: a bound value would hide it."""
_COLUMNS = (
    *(waits.c[name] for name in ("run_id", "path", "request", "created_at", "fire_at")),
    task_runs.c.awaits,
    runs.c.workflow_id,
    workflows.c.name.label("workflow_name"),
)


def look(connection: Connection, run_id: str, path: str) -> Look | None:
    """`None` if there is no such task run."""
    of_task = select(task_runs.c.type, task_runs.c.status, task_runs.c.output)
    task = connection.execute(of_task.where(task_runs.c.run_id == run_id, task_runs.c.path == path)).first()
    if task is None:
        return None
    kind = connection.execute(select(waits.c.kind).where(waits.c.run_id == run_id, waits.c.path == path)).scalar()
    wait = find_wait(connection, run_id, path) if kind == APPROVAL else None
    decided = wait is not None and _is_posted(connection, wait.decision_id)
    return Look(task.type, task.status, kind, task.output, wait, decided)


def find_wait(connection: Connection, run_id: str, path: str) -> Wait | None:
    row = connection.execute(_waits().where(waits.c.run_id == run_id, waits.c.path == path, _IS_APPROVAL)).mappings()
    found = row.first()
    return None if found is None else _wait(found)


def list_waits(
    connection: Connection, workflow_id: str | None, sight: Sight | None, *, after: Place | None, limit: int
) -> tuple[Sequence[Wait], Place | None]:
    """Waits, the longest first, and behind which of them the next page goes on, if there is one."""
    place = (waits.c.created_at, waits.c.run_id, waits.c.path)
    walk = [_IS_APPROVAL, tuple_(*place) > tuple_(*(after or _FIRST))]
    end = None
    if workflow_id is not None or sight is not None:
        end = connection.execute(select(*place).where(*walk).order_by(*place).offset(LOOKED_AT - 1).limit(1)).first()
    within = walk if end is None else [*walk, tuple_(*place) <= tuple_(*end)]
    fits = [] if workflow_id is None else [_workflow_of_wait() == workflow_id]
    if sight is not None:
        fits.append(seen(_workflow_of_wait(), sight))
    rows = connection.execute(_waits().where(*within, *fits).order_by(*place).limit(limit + 1)).mappings().all()
    shown = [_wait(row) for row in rows[:limit]]
    if len(rows) > limit:
        return shown, (shown[-1].since, shown[-1].run_id, shown[-1].path)
    return shown, None if end is None else (end[0], end[1], end[2])


def _workflow_of_wait() -> ScalarSelect[str]:
    """Asked wait by wait: joined, the runs of the workflow might be walked to find the few that wait."""
    its_run = runs.alias("its_run")
    return select(its_run.c.workflow_id).where(its_run.c.id == waits.c.run_id).scalar_subquery()


def _waits() -> Select[Any]:
    of_task = (task_runs.c.run_id == waits.c.run_id) & (task_runs.c.path == waits.c.path)
    joined = waits.join(task_runs, of_task).join(runs, runs.c.id == waits.c.run_id)
    return select(*_COLUMNS).select_from(joined.join(workflows, workflows.c.id == runs.c.workflow_id))


def _wait(row: RowMapping) -> Wait:
    request: JsonObject = orjson.loads(row["request"])
    form = request["form"]
    return Wait(
        run_id=row["run_id"],
        path=row["path"],
        since=row["created_at"],
        until=row["fire_at"],
        message=str(request["message"]),
        form=form if isinstance(form, dict) else None,
        default=row["awaits"],
        workflow_id=row["workflow_id"],
        workflow_name=row["workflow_name"],
    )


def _is_posted(connection: Connection, item_id: str) -> bool:
    return connection.execute(select(inbox.c.id).where(inbox.c.id == item_id)).first() is not None

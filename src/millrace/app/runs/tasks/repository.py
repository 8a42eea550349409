"""Reading the rows of task runs for those who watch, and what is in control tasks. SQL only."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.engine import RowMapping

from millrace.app.runs.repository import payload_columns
from millrace.app.runs.tasks.order import Inside
from millrace.storage.tables import incarnations, task_runs

TASK_PAYLOADS = ("input", "output")

_TASK_PLAIN = [
    task_runs.c[name]
    for name in (
        "run_id", "path", "type", "status", "attempt", "failures", "crashes", "skip_reason", "error", "worker",
        "ready_at", "available_at", "started_at", "finished_at", "adopted_from",
        "block", "size", "child_run_id",
    )
]  # fmt: skip


_ADOPTED = task_runs.alias("adopted")
_ORIGIN = (_ADOPTED.c.run_id == task_runs.c.adopted_from) & (_ADOPTED.c.path == task_runs.c.path)


def task_runs_of(
    connection: Connection, run_id: str, paths: Sequence[str], status: Sequence[str] = ()
) -> Mapping[str, RowMapping]:
    """The task runs at `paths` that have one of these statuses, if any are named; large payloads left out."""
    query = _tasks(whole=False).where(task_runs.c.run_id == run_id, task_runs.c.path.in_(paths))
    if status:
        query = query.where(task_runs.c.status.in_(status))
    return {row["path"]: row for row in connection.execute(query).mappings()}


def find_task_run(connection: Connection, run_id: str, path: str) -> RowMapping | None:
    query = _tasks(whole=True).where(task_runs.c.run_id == run_id, task_runs.c.path == path)
    return connection.execute(query).mappings().first()


def look_inside(connection: Connection, run_id: str, path: str) -> Inside:
    """Which block of a control task runs, and, of a foreach, how many items it has."""
    query = select(task_runs.c.block, task_runs.c.size).where(task_runs.c.run_id == run_id, task_runs.c.path == path)
    row = connection.execute(query).first()
    return Inside() if row is None else Inside(row.block, row.size or 0)


def is_there(connection: Connection, run_id: str, path: str) -> bool:
    query = select(task_runs.c.path).where(task_runs.c.run_id == run_id, task_runs.c.path == path)
    return connection.execute(query).first() is not None


def inputs_of(connection: Connection, run_id: str, paths: Sequence[str]) -> Mapping[str, str]:
    """What loops took, as it is stored; of those that were adopted, where they were."""
    taken = func.coalesce(task_runs.c.input, _ADOPTED.c.input)
    query = select(task_runs.c.path, taken).outerjoin(_ADOPTED, _ORIGIN)
    found = connection.execute(
        query.where(task_runs.c.run_id == run_id, task_runs.c.path.in_(paths), taken.is_not(None))
    )
    return {path: text for path, text in found}


def _tasks(*, whole: bool) -> Select[Any]:
    payloads = {"input": task_runs.c.input, "output": func.coalesce(_ADOPTED.c.output, task_runs.c.output)}
    return (
        select(*_TASK_PLAIN, *payload_columns(payloads, whole=whole), incarnations.c.host.label("worker_host"))
        .outerjoin(incarnations, incarnations.c.id == task_runs.c.worker)
        .outerjoin(_ADOPTED, _ORIGIN)
    )

"""Runs as they are read back, the same on every database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, or_, select

from millrace.core.states import LIVE_ATTEMPT, TaskStatus
from millrace.ports.store import LoadedRun
from millrace.storage import mapping, tables

_tasks = tables.task_runs.c
_attempts = tables.attempts.c

# Without inputs and outputs, which may be a thousand times larger than the rest.
TASKS = select(
    _tasks.path, _tasks.status, _tasks.attempt, _tasks.live, _tasks.failures, _tasks.crashes, _tasks.ready_at,
    _tasks.available_at, _tasks.skip_reason, _tasks.error, _tasks.finished_at,
)  # fmt: skip
TOKENS = select(_attempts.path, _attempts.number, _attempts.token).where(
    or_(*(_attempts.status == status.value for status in LIVE_ATTEMPT))
)


def load_run(connection: Connection, run_id: str, newer_than: int) -> LoadedRun | None:
    """As `ports.store.Store.load`, but that payloads which were put away are not fetched."""
    runs = tables.runs
    query = (
        select(runs, tables.workflows.c.name.label("workflow_name"), tables.workflow_versions.c.number)
        .join(tables.workflows, tables.workflows.c.id == runs.c.workflow_id)
        .join(tables.workflow_versions, tables.workflow_versions.c.id == runs.c.version_id)
        .where(runs.c.id == run_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    of_run, live = TASKS.where(_tasks.run_id == run_id), TOKENS.where(_attempts.run_id == run_id)
    if newer_than:
        newer = _tasks.revision > newer_than
        of_run = of_run.where(newer)
        live = live.join(tables.task_runs, (_tasks.run_id == _attempts.run_id) & (_tasks.path == _attempts.path)).where(
            newer
        )
    tasks = connection.execute(of_run).mappings().all()
    return LoadedRun(
        new=mapping.new_run(row),
        workflow_name=row["workflow_name"],
        version_number=row["number"],
        header=mapping.run_header(row),
        revision=row["revision"],
        tasks=mapping.task_runs(tasks),
        tokens={(path, number): token for path, number, token in connection.execute(live)},
    )


def load_outputs(connection: Connection, run_id: str, newer_than: int) -> Mapping[str, Any]:
    """As `ports.store.Store.load_outputs`, those included that the run took over."""
    rows, adopted = tables.task_runs.c, tables.task_runs.alias("adopted")
    query = (
        select(rows.path, func.coalesce(adopted.c.output, rows.output))
        .outerjoin(adopted, (adopted.c.run_id == rows.adopted_from) & (adopted.c.path == rows.path))
        .where(rows.run_id == run_id, rows.status == TaskStatus.COMPLETED.value, rows.revision > newer_than)
    )
    return {path: mapping.from_text(output) for path, output in connection.execute(query)}

"""Runs as SQLite's store reads them back, in one snapshot."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, or_, select

from millrace.core.states import LIVE_ATTEMPT, TaskStatus
from millrace.ports.store import LoadedRun
from millrace.storage import mapping, tables
from millrace.storage.statements import TASK_READ

_tasks = tables.task_runs.c
_attempts = tables.attempts.c

_runs = tables.runs
_adopted = tables.task_runs.alias("adopted")

# Made once: putting them together takes longer than the answers.
RUN_ID: BindParameter[str] = bindparam("run_id")
PATH: BindParameter[str] = bindparam("path")
NEWER_THAN: BindParameter[int] = bindparam("newer_than")

RUN = (
    select(_runs, tables.workflows.c.name.label("workflow_name"), tables.workflow_versions.c.number)
    .join(tables.workflows, tables.workflows.c.id == _runs.c.workflow_id)
    .join(tables.workflow_versions, tables.workflow_versions.c.id == _runs.c.version_id)
    .where(_runs.c.id == RUN_ID)
)
TASKS = select(*(_tasks[name] for name in TASK_READ)).where(_tasks.run_id == RUN_ID)
TOKENS = select(_attempts.path, _attempts.number, _attempts.token).where(
    or_(*(_attempts.status == status.value for status in LIVE_ATTEMPT)), _attempts.run_id == RUN_ID
)
NEWER_TASKS = TASKS.where(_tasks.revision > NEWER_THAN)
NEWER_TOKENS = TOKENS.join(
    tables.task_runs, (_tasks.run_id == _attempts.run_id) & (_tasks.path == _attempts.path)
).where(_tasks.revision > NEWER_THAN)
OUTPUTS = (
    select(_tasks.path, func.coalesce(_adopted.c.output, _tasks.output))
    .outerjoin(_adopted, (_adopted.c.run_id == _tasks.adopted_from) & (_adopted.c.path == _tasks.path))
    .where(
        _tasks.run_id == RUN_ID,
        or_(_tasks.status == TaskStatus.COMPLETED.value, _tasks.output.is_not(None)),
        _tasks.revision > NEWER_THAN,
    )
)
TASK = (
    select(_tasks.input, func.coalesce(_adopted.c.output, _tasks.output))
    .outerjoin(_adopted, (_adopted.c.run_id == _tasks.adopted_from) & (_adopted.c.path == _tasks.path))
    .where(_tasks.run_id == RUN_ID, _tasks.path == PATH)
)
INPUTS = select(_tasks.path, _tasks.input).where(_tasks.run_id == RUN_ID, _tasks.size.is_not(None))
GOES_ON = select(_runs.c.id).where(_runs.c.id == RUN_ID, _runs.c.finished_at.is_(None))
RUN_OUTPUT = select(_runs.c.output).where(_runs.c.id == RUN_ID)


def load_run(connection: Connection, run_id: str, newer_than: int) -> LoadedRun | None:
    """As `ports.store.Store.load`, but that payloads which were put away are not fetched."""
    which: dict[str, str | int] = {"run_id": run_id}
    row = connection.execute(RUN, which).mappings().first()
    if row is None:
        return None
    of_run, live = (TASKS, TOKENS) if newer_than == 0 else (NEWER_TASKS, NEWER_TOKENS)
    if newer_than:
        which["newer_than"] = newer_than
    tasks = connection.execute(of_run, which).mappings().all()
    return LoadedRun(
        new=mapping.new_run(row),
        workflow_name=row["workflow_name"],
        version_number=row["number"],
        header=mapping.run_header(row),
        revision=row["revision"],
        tasks=mapping.task_runs(tasks),
        tokens={(path, number): token for path, number, token in connection.execute(live, which)},
    )


def load_outputs(connection: Connection, run_id: str, newer_than: int) -> Mapping[str, Any]:
    """As `ports.store.Store.load_outputs`, those included that the run took over."""
    found = connection.execute(OUTPUTS, {"run_id": run_id, "newer_than": newer_than})
    return {path: mapping.from_text(output) for path, output in found}


def load_inputs(connection: Connection, run_id: str) -> Mapping[str, Any]:
    return {path: mapping.from_text(text) for path, text in connection.execute(INPUTS, {"run_id": run_id})}


def load_task(connection: Connection, run_id: str, path: str) -> Mapping[str, Any]:
    """`input` and `output`, as they are stored."""
    row = connection.execute(TASK, {"run_id": run_id, "path": path}).first()
    return {} if row is None else {"input": mapping.from_text(row[0]), "output": mapping.from_text(row[1])}


def goes_on(connection: Connection, run_id: str) -> bool:
    return connection.execute(GOES_ON, {"run_id": run_id}).first() is not None


def load_run_output(connection: Connection, run_id: str) -> Any:
    return mapping.from_text(connection.execute(RUN_OUTPUT, {"run_id": run_id}).scalar())

"""To which workflow something belongs. SQL only, each by one index."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from millrace.app.workflows.repository import find_workflow
from millrace.storage.tables import artifacts, backfills, operations, runs, triggers


@dataclass(frozen=True, slots=True)
class Belonging:
    """The workflow that something is about, or, where it is about none, the user whose it is."""

    workflow_id: str | None = None
    user_id: str | None = None


def of_workflow(connection: Connection, reference: str) -> Belonging | None:
    found = find_workflow(connection, reference)
    return None if found is None else Belonging(found.id)


def of_run(connection: Connection, run_id: str) -> Belonging | None:
    return _first(connection, select(runs.c.workflow_id).where(runs.c.id == run_id))


def of_trigger(connection: Connection, trigger_id: str) -> Belonging | None:
    return _first(connection, select(triggers.c.workflow_id).where(triggers.c.id == trigger_id))


def of_backfill(connection: Connection, backfill_id: str) -> Belonging | None:
    return _first(connection, select(backfills.c.workflow_id).where(backfills.c.id == backfill_id))


def of_artifact(connection: Connection, artifact_id: str) -> Belonging | None:
    """A file that a task wrote is its run's; one that was sent is of who has sent it."""
    query = select(runs.c.workflow_id, artifacts.c.created_by).outerjoin(runs, runs.c.id == artifacts.c.run_id)
    return _first(connection, query.where(artifacts.c.id == artifact_id))


def of_operation(connection: Connection, operation_id: str) -> Belonging | None:
    """An operation on many runs may be about several workflows: it is of who has asked for it."""
    row = connection.execute(select(operations.c.created_by).where(operations.c.id == operation_id)).first()
    return None if row is None else Belonging(user_id=row.created_by)


def _first(connection: Connection, query: Select[Any]) -> Belonging | None:
    row = connection.execute(query).first()
    return None if row is None else Belonging(*row)

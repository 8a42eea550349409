"""What test mode reads and writes. SQL only."""

from sqlalchemy import Connection, literal, select, update

from millrace.core.values import Instant
from millrace.storage.tables import triggers, workflows


def name_of(connection: Connection, workflow_id: str) -> str | None:
    name: str | None = connection.execute(select(workflows.c.name).where(workflows.c.id == workflow_id)).scalar()
    return name


def holds(connection: Connection, trigger_id: str, revision: int) -> bool:
    """Whether a trigger may fire, and is as it was."""
    same = (triggers.c.id == trigger_id, triggers.c.revision == revision, triggers.c.active)
    return connection.execute(select(literal(1)).where(*same)).first() is not None


def save(connection: Connection, workflow_id: str, mode: str | None, *, by: str, now: Instant) -> None:
    """Write what is said about a workflow. All that was decided on its triggers and is not written yet is refused."""
    change = update(workflows).where(workflows.c.id == workflow_id)
    connection.execute(change.values(test_mode=mode, updated_at=now, updated_by=by))
    outdated = update(triggers).where(triggers.c.workflow_id == workflow_id)
    connection.execute(outdated.values(revision=triggers.c.revision + 1))

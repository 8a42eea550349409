"""Finding the trigger that a request is for, by an index, and noting what keeps it from working. SQL only."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, or_, select, update

from millrace.app.triggers.repository import COLUMNS, TriggerRow
from millrace.storage.tables import trigger_routes, triggers

TYPE = "webhook"

_BY_PATHS = (
    select(trigger_routes.c.key.label("path"), *COLUMNS)
    .select_from(trigger_routes)
    .join(triggers, triggers.c.id == trigger_routes.c.trigger_id)
    .where(trigger_routes.c.kind == TYPE, trigger_routes.c.key.in_(bindparam("paths", expanding=True)))
)
_OF_WORKFLOW = (
    select(*COLUMNS)
    .where(triggers.c.workflow_id == bindparam("workflow_id"), triggers.c.type == TYPE)
    .order_by(triggers.c.id)
    .limit(2)
)


def by_paths(connection: Connection, paths: Collection[str]) -> dict[str, TriggerRow]:
    """The triggers that have those paths for their own."""
    found = {}
    for row in connection.execute(_BY_PATHS, {"paths": list(paths)}).mappings():
        columns = dict(row)
        path = columns.pop("path")
        found[path] = TriggerRow(**columns)
    return found


def only_one_of(connection: Connection, workflow_id: str) -> TriggerRow | None:
    """The webhook of a workflow, if it has exactly one."""
    rows = connection.execute(_OF_WORKFLOW, {"workflow_id": workflow_id}).all()
    return TriggerRow(**rows[0]._mapping) if len(rows) == 1 else None


def names_of_api(connection: Connection, workflow_id: str) -> Sequence[str]:
    """The names of those triggers of a workflow that its definition does not have."""
    query = select(triggers.c.name).where(triggers.c.workflow_id == workflow_id, triggers.c.origin == "api")
    return connection.execute(query).scalars().all()


def note_error(connection: Connection, row: TriggerRow, error: str) -> None:
    """Tell with the trigger why it takes no requests. Nothing else of it changes, so nothing is decided anew."""
    other = or_(triggers.c.last_error.is_(None), triggers.c.last_error != error)
    connection.execute(
        update(triggers)
        .where(triggers.c.id == row.id, triggers.c.revision == row.revision, other)
        .values(last_error=error)
    )

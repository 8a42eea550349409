"""The rows of triggers, their routes and firings. SQL only: `registrar` and `commands` decide what becomes of a row.

Starts of runs are written by the engine's store, in the run's own commit; all else that happens to a trigger is here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, literal, or_, select, update
from sqlalchemy.engine import Row, RowMapping

from millrace.app.walking import Walk, newest
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.values import SECOND, Duration, Instant
from millrace.ports.trigger import Route
from millrace.storage.tables import firings, trigger_routes, triggers, workflows

OVERDUE: Duration = 60 * SECOND
"""A schedule that was to act longer ago than this and has not been decided on: nobody is at work on it."""


@dataclass(frozen=True, slots=True)
class TriggerRow:
    id: str
    workflow_id: str
    origin: str
    name: str
    type: str
    declared: bool
    enabled: bool
    active: bool
    condition: str | None
    config: str
    input: str
    version_id: str | None
    jitter_us: Duration
    next_due_at: Instant | None
    decided_until: Instant | None
    last_fired_at: Instant | None
    last_run_id: str | None
    last_error: str | None
    fired_count: int
    started_count: int
    failed_count: int
    missed_count: int
    revision: int
    created_at: Instant
    updated_at: Instant
    test_mode: str | None = None
    """What was said about the test mode of its workflow, as JSON text: read along, and never written with a trigger."""
    workflow_name: str = ""
    """Read along as well."""


@dataclass(frozen=True, slots=True)
class TriggerFilter:
    """What a list of triggers may be narrowed to; `None` does not narrow."""

    types: Sequence[str] = ()
    workflow_id: str | None = None
    enabled: bool | None = None
    overdue: bool | None = None
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class FiringFilter:
    trigger_id: str | None = None
    workflow_id: str | None = None
    decisions: Sequence[str] = ()


_READ_ALONG = {"test_mode": workflows.c.test_mode, "workflow_name": workflows.c.name}
_OWN = [triggers.c[name] for name in TriggerRow.__dataclass_fields__ if name not in _READ_ALONG]
COLUMNS = [
    *_OWN,
    *(
        select(column).where(workflows.c.id == triggers.c.workflow_id).correlate(triggers).scalar_subquery().label(name)
        for name, column in _READ_ALONG.items()
    ),
]
wakes_at = triggers.c.next_due_at + triggers.c.jitter_us
"""When the scheduler is to act on a trigger: what the index of the table is made of."""

_OF_WORKFLOW = [
    workflows.c.status.label("workflow_status"),
    workflows.c.deployed_version.label("deployed_version"),
]


def of_workflow(connection: Connection, workflow_id: str) -> Sequence[TriggerRow]:
    """The triggers of a workflow, locked until the transaction ends."""
    query = select(*COLUMNS).where(triggers.c.workflow_id == workflow_id).order_by(triggers.c.id).with_for_update()
    return [_trigger(row) for row in connection.execute(query)]


def of_type(connection: Connection, workflow_id: str, type_: str) -> Sequence[TriggerRow]:
    """The triggers of one type that a workflow has, to be read only."""
    query = select(*COLUMNS).where(triggers.c.workflow_id == workflow_id, triggers.c.type == type_)
    return [_trigger(row) for row in connection.execute(query.order_by(triggers.c.id))]


def to_change(connection: Connection, trigger_id: str) -> TriggerRow | None:
    """One trigger, locked until the transaction ends."""
    row = connection.execute(select(*COLUMNS).where(triggers.c.id == trigger_id).with_for_update()).first()
    return None if row is None else _trigger(row)


def add(connection: Connection, row: TriggerRow) -> None:
    connection.execute(insert(triggers).values(**_written(row)))


def save(connection: Connection, row: TriggerRow) -> None:
    connection.execute(update(triggers).where(triggers.c.id == row.id).values(**_written(row)))


def remove(connection: Connection, trigger_id: str) -> None:
    """The trigger with its routes."""
    connection.execute(delete(trigger_routes).where(trigger_routes.c.trigger_id == trigger_id))
    connection.execute(delete(triggers).where(triggers.c.id == trigger_id))


def routes_of(connection: Connection, trigger_ids: Sequence[str]) -> Mapping[str, Sequence[Route]]:
    """The routes of triggers, by trigger."""
    found: dict[str, list[Route]] = {}
    query = select(trigger_routes.c.trigger_id, trigger_routes.c.kind, trigger_routes.c.key)
    for trigger_id, kind, key in connection.execute(query.where(trigger_routes.c.trigger_id.in_(trigger_ids))):
        found.setdefault(trigger_id, []).append(Route(kind, key))
    return found


def add_route(connection: Connection, row: TriggerRow, route: Route) -> bool:
    """Whether it is this trigger's now; not, if it belongs to another."""
    values = {"kind": route.kind, "key": route.key, "trigger_id": row.id, "workflow_id": row.workflow_id}
    known = select(literal(1)).where(trigger_routes.c.kind == route.kind, trigger_routes.c.key == route.key)
    if route.kind == "webhook" and connection.execute(known).first() is not None:
        return False
    connection.execute(insert(trigger_routes).values(**values))
    return True


def remove_routes(connection: Connection, trigger_id: str, routes: Iterable[Route]) -> None:
    for route in routes:
        held = (trigger_routes.c.kind == route.kind, trigger_routes.c.key == route.key)
        connection.execute(delete(trigger_routes).where(trigger_routes.c.trigger_id == trigger_id, *held))


def free_routes(connection: Connection, workflow_id: str) -> None:
    """Of a workflow that is deleted: others may have its paths."""
    connection.execute(delete(trigger_routes).where(trigger_routes.c.workflow_id == workflow_id))


def owner_of_path(connection: Connection, path: str) -> tuple[str, str] | None:
    """The names of the workflow and of the trigger that the path of a webhook belongs to."""
    query = (
        select(workflows.c.name, triggers.c.name)
        .select_from(trigger_routes)
        .join(triggers, triggers.c.id == trigger_routes.c.trigger_id)
        .join(workflows, workflows.c.id == trigger_routes.c.workflow_id)
        .where(trigger_routes.c.kind == "webhook", trigger_routes.c.key == path)
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1])


def find(connection: Connection, trigger_id: str) -> RowMapping | None:
    """A trigger with what its workflow is, for those who look at it."""
    return connection.execute(_shown().where(triggers.c.id == trigger_id)).mappings().first()


def list_triggers(
    connection: Connection, narrow: TriggerFilter, *, after: str | None, limit: int
) -> Sequence[RowMapping]:
    """Triggers in the order in which they were made."""
    query = _shown().order_by(triggers.c.id).limit(limit)
    if after is not None:
        query = query.where(triggers.c.id > after)
    if narrow.types:
        query = query.where(triggers.c.type.in_(narrow.types))
    if narrow.workflow_id is not None:
        query = query.where(triggers.c.workflow_id == narrow.workflow_id)
    if narrow.sight is not None:
        query = query.where(seen(triggers.c.workflow_id, narrow.sight))
    if narrow.enabled is not None:
        query = query.where(triggers.c.enabled.is_(narrow.enabled))
    if narrow.overdue is not None:
        late = wakes_at < func.now_us() - OVERDUE
        has_time = triggers.c.next_due_at.is_not(None)
        query = query.where(has_time, late) if narrow.overdue else query.where(or_(~has_time, ~late))
    return connection.execute(query).mappings().all()


def active_schedules(
    connection: Connection, *, workflow_id: str | None, sight: Sight | None = None, limit: int
) -> Sequence[RowMapping]:
    """Triggers that fire by the clock and wait for a time, those that act next first."""
    query = _shown().where(triggers.c.next_due_at.is_not(None), triggers.c.active).order_by(wakes_at).limit(limit)
    if sight is not None:
        query = query.where(seen(triggers.c.workflow_id, sight))
    if workflow_id is not None:
        query = query.where(triggers.c.workflow_id == workflow_id)
    return connection.execute(query).mappings().all()


def list_firings(
    connection: Connection, narrow: FiringFilter, *, before: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Firings, newest first: ids are in order of creation. Also the id below which the next page goes on, if any."""
    along = [] if before is None else [firings.c.id < before]
    if narrow.trigger_id is not None:
        along.append(firings.c.trigger_id == narrow.trigger_id)
    if narrow.workflow_id is not None:
        along.append(firings.c.workflow_id == narrow.workflow_id)
    fits = (firings.c.decision.in_(narrow.decisions),) if narrow.decisions else ()
    found = newest(connection, firings.c.id, [Walk(tuple(along), fits)], limit=limit)
    query = select(firings).where(firings.c.id.in_(found.ids)).order_by(firings.c.id.desc())
    return connection.execute(query).mappings().all() if found.ids else [], found.next


def now(connection: Connection) -> Instant:
    """What the database's clock says."""
    found: Instant = connection.execute(select(func.now_us())).scalar_one()
    return found


def workflow_status(connection: Connection, workflow_id: str) -> str | None:
    """`None` when the workflow is deleted."""
    query = select(workflows.c.status).where(workflows.c.id == workflow_id, workflows.c.deleted_at.is_(None))
    status: str | None = connection.execute(query).scalar()
    return status


def _shown() -> Select[Any]:
    return (
        select(*COLUMNS, *_OF_WORKFLOW)
        .join(workflows, workflows.c.id == triggers.c.workflow_id)
        .where(workflows.c.deleted_at.is_(None))
    )


def _trigger(row: Row[Any]) -> TriggerRow:
    return TriggerRow(**row._mapping)


def _written(row: TriggerRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in _READ_ALONG}

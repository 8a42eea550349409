"""What the router reads and writes: events that wait for it, and triggers by the types they wait for. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import items_of, json_list
from millrace.app.events.repository import EVENT, event_of
from millrace.app.triggers.repository import COLUMNS, TriggerRow
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.ports.database import Columns, Database
from millrace.storage.tables import events, trigger_routes, triggers, workflows
from millrace.triggers.event import Event

KIND = "event"


@dataclass(frozen=True, slots=True)
class Unrouted:
    event: Event
    told: bool
    """Whether tasks that waited for it have been told."""


@dataclass(frozen=True, slots=True)
class Known:
    """A trigger, and what its workflow is."""

    row: TriggerRow
    workflow_status: str
    deployed_version: int | None


_WORKFLOW = (
    workflows.c.status.label("workflow_status"),
    workflows.c.deployed_version,
)
_KEY = trigger_routes.c.key.label("route")
_FIELDS = tuple(TriggerRow.__dataclass_fields__)

_ACTIVE = (
    select(_KEY, *COLUMNS)
    .join(triggers, triggers.c.id == trigger_routes.c.trigger_id)
    .where(trigger_routes.c.kind == KIND, triggers.c.active)
    .limit(bindparam("limit"))
)
UNDER_ANY = _ACTIVE.where(trigger_routes.c.key.in_(items_of("keys")))
UNDER_ONE = _ACTIVE.where(
    trigger_routes.c.key == bindparam("key"), trigger_routes.c.trigger_id > bindparam("after")
).order_by(trigger_routes.c.trigger_id)
ACTIVE = select(*COLUMNS).where(triggers.c.id == bindparam("trigger_id"), triggers.c.active)
UNROUTED = (
    select(*EVENT, events.c.told_at)
    .where(events.c.routed_at.is_(None), events.c.id.not_in(items_of("without")))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)


async def unrouted(database: Database, limit: int, *, without: Sequence[str]) -> Sequence[Unrouted]:
    """Events that were not routed yet, the oldest first. `without` leaves some out, by their ids."""
    found = await database.ask(UNROUTED, {"limit": limit, "without": json_list(without)})
    return [Unrouted(event_of(row), row["told_at"] is not None) for row in found]


def mark_routed(connection: Connection, event_ids: Sequence[str]) -> None:
    waiting = update(events).where(events.c.id.in_(event_ids), events.c.routed_at.is_(None))
    connection.execute(waiting.values(routed_at=func.now_us()))


async def first_waiting(database: Database, keys: Sequence[str], limit: int) -> Sequence[tuple[str, TriggerRow]]:
    """Active triggers under any of the keys, in no order; each with the key. At most `limit`."""
    found = await database.ask(UNDER_ANY, {"keys": json_list(keys), "limit": limit})
    return [(row["route"], _trigger(row)) for row in found]


async def waiting_under(database: Database, key: str, after: str, limit: int) -> Sequence[tuple[str, TriggerRow]]:
    """Active triggers under one key, in the order of their ids."""
    found = await database.ask(UNDER_ONE, {"key": key, "after": after, "limit": limit})
    return [(key, _trigger(row)) for row in found]


async def active(database: Database, trigger_id: str) -> TriggerRow | None:
    """The trigger as it is now, if it may fire."""
    for row in await database.ask(ACTIVE, {"trigger_id": trigger_id}):
        return _trigger(row)
    return None


def known_under(
    connection: Connection, key: str, after: str, limit: int, workflow_id: str | None, sight: Sight | None = None
) -> Sequence[Known]:
    """All triggers under one key, also silent ones, in the order of their ids."""
    query = _known().join(trigger_routes, trigger_routes.c.trigger_id == triggers.c.id)
    query = query.where(trigger_routes.c.kind == KIND, trigger_routes.c.key == key, trigger_routes.c.trigger_id > after)
    query = query.where(seen(trigger_routes.c.workflow_id, sight))
    if workflow_id is not None:
        query = query.where(trigger_routes.c.workflow_id == workflow_id)
    rows = connection.execute(query.order_by(trigger_routes.c.trigger_id).limit(limit)).mappings()
    return [_with_workflow(row) for row in rows]


def known_events(
    connection: Connection, after: str, limit: int, workflow_id: str | None, sight: Sight | None = None
) -> Sequence[Known]:
    """All triggers of the type event, in the order of their ids."""
    query = _known().where(triggers.c.type == KIND, triggers.c.id > after, seen(triggers.c.workflow_id, sight))
    if workflow_id is not None:
        query = query.where(triggers.c.workflow_id == workflow_id)
    rows = connection.execute(query.order_by(triggers.c.id).limit(limit)).mappings()
    return [_with_workflow(row) for row in rows]


def _known() -> Select[Any]:
    return (
        select(*_WORKFLOW, *COLUMNS)
        .join(workflows, workflows.c.id == triggers.c.workflow_id)
        .where(workflows.c.deleted_at.is_(None))
    )


def _trigger(row: Columns) -> TriggerRow:
    return TriggerRow(**{name: row[name] for name in _FIELDS})


def _with_workflow(row: RowMapping) -> Known:
    return Known(_trigger(row), row["workflow_status"], row["deployed_version"])

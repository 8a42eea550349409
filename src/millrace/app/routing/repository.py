"""What the router reads and writes: events that wait for it, and triggers by the types they wait for. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Select, bindparam, func, select, tuple_, update
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import items_of, json_list
from millrace.app.triggers.repository import COLUMNS, TriggerRow
from millrace.ports.database import Columns, Database
from millrace.storage.tables import events, trigger_routes, triggers, wait_routes, waits, workflows
from millrace.triggers.event import Event

KIND = "event"
PAGE: Final = 500
"""Tasks that wait, in one answer."""


@dataclass(frozen=True, slots=True)
class Known:
    """A trigger, and what its workflow is."""

    row: TriggerRow
    workflow_name: str
    workflow_status: str
    deployed_version: int | None


_EVENT = [events.c[name] for name in (
    "id", "type", "source", "subject", "data", "at", "occurred_at", "external_id", "attributes", "causation_depth"
)]  # fmt: skip
_WORKFLOW = (
    workflows.c.name.label("workflow_name"),
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
    select(*_EVENT)
    .where(events.c.routed_at.is_(None), events.c.id.not_in(items_of("without")))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)

TASKS_WAITING = (
    select(waits.c.run_id, waits.c.path, waits.c.request)
    .join(wait_routes, (wait_routes.c.run_id == waits.c.run_id) & (wait_routes.c.path == waits.c.path))
    .where(
        wait_routes.c.route.in_(items_of("routes")),
        wait_routes.c.correlation.in_(items_of("correlations")),
        tuple_(wait_routes.c.run_id, wait_routes.c.path) > tuple_(bindparam("run_id"), bindparam("path")),
    )
    .order_by(wait_routes.c.run_id, wait_routes.c.path)
    .limit(PAGE)
)
"""Tasks that wait for an event, under any of some keys of its type and with no correlation key or this one."""


async def unrouted(database: Database, limit: int, *, without: Sequence[str]) -> Sequence[Event]:
    """Events that were not routed yet, the oldest first. `without` leaves some out, by their ids."""
    found = await database.ask(UNROUTED, {"limit": limit, "without": json_list(without)})
    return [_event(row) for row in found]


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


def known_under(connection: Connection, key: str, after: str, limit: int, workflow_id: str | None) -> Sequence[Known]:
    """All triggers under one key, also silent ones, in the order of their ids."""
    query = _known().join(trigger_routes, trigger_routes.c.trigger_id == triggers.c.id)
    query = query.where(trigger_routes.c.kind == KIND, trigger_routes.c.key == key, trigger_routes.c.trigger_id > after)
    if workflow_id is not None:
        query = query.where(trigger_routes.c.workflow_id == workflow_id)
    rows = connection.execute(query.order_by(trigger_routes.c.trigger_id).limit(limit)).mappings()
    return [_with_workflow(row) for row in rows]


def known_events(connection: Connection, after: str, limit: int, workflow_id: str | None) -> Sequence[Known]:
    """All triggers of the type event, in the order of their ids."""
    query = _known().where(triggers.c.type == KIND, triggers.c.id > after)
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
    return Known(_trigger(row), row["workflow_name"], row["workflow_status"], row["deployed_version"])


def _event(row: Columns) -> Event:
    return Event(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        subject=row["subject"],
        data=None if row["data"] is None else orjson.loads(row["data"]),
        at=row["at"],
        occurred_at=row["occurred_at"],
        external_id=row["external_id"],
        extensions={} if row["attributes"] is None else orjson.loads(row["attributes"]),
        causation_depth=row["causation_depth"],
    )

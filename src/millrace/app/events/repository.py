"""Rows of events, and of the tasks that wait for one.

An event is written once and never changes, but for when tasks were told of it, and when it was routed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, tuple_
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import items_of, json_list
from millrace.app.walking import APART, TOGETHER, Walk, hidden, newest
from millrace.core.values import Instant
from millrace.ports.database import Columns
from millrace.ports.store import InboxItem
from millrace.storage.tables import events, inbox, runs, trigger_routes, wait_routes, waits, workflows
from millrace.triggers.event import Event


@dataclass(frozen=True, slots=True)
class EventRow:
    id: str
    type: str
    source: str
    subject: str | None
    data: str | None
    """JSON text."""
    at: Instant
    run_id: str | None = None
    task_path: str | None = None
    causation_depth: int = 0
    external_id: str | None = None
    """The id that its source gave it: once for each source."""
    occurred_at: Instant | None = None
    attributes: str | None = None
    """JSON text."""
    told_at: Instant | None = None
    """When tasks that waited for it were told; `None` leaves that to the router."""
    routed_at: Instant | None = None
    """When all was decided that follows from it; `None` leaves that to the router."""

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in EventRow.__slots__}


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a list of events may be narrowed to; `None` does not narrow."""

    type: str | None = None
    source: str | None = None
    subject: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that an event comes from."""

    slug: str
    causation_depth: int


def insert_event(connection: Connection, event: EventRow) -> None:
    connection.execute(insert(events), event.columns())


def published_by(connection: Connection, run_id: str, task_path: str) -> RowMapping | None:
    query = select(events).where(events.c.run_id == run_id, events.c.task_path == task_path)
    return connection.execute(query).mappings().first()


def told_before(connection: Connection, source: str, external_id: str) -> RowMapping | None:
    """The event to which its source gave this id."""
    query = select(events).where(events.c.source == source, events.c.external_id == external_id)
    return connection.execute(query).mappings().first()


def known_of(connection: Connection, external_ids: Sequence[str], sources: Collection[str]) -> set[str]:
    """Which of these ids were given by one of the sources before."""
    query = select(events.c.external_id).where(events.c.source.in_(sources), events.c.external_id.in_(external_ids))
    return set(connection.execute(query).scalars())


def origin_of(connection: Connection, run_id: str) -> Origin | None:
    query = select(workflows.c.slug, runs.c.causation_depth)
    row = connection.execute(
        query.join(workflows, workflows.c.id == runs.c.workflow_id).where(runs.c.id == run_id)
    ).first()
    return None if row is None else Origin(*row)


def find_event(connection: Connection, event_id: str) -> RowMapping | None:
    return connection.execute(select(events).where(events.c.id == event_id)).mappings().first()


def list_events(
    connection: Connection, narrow: EventFilter, *, before: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Events, newest first: ids are in order of creation. Also the id below which the next page goes on, if any."""
    equal: dict[ColumnElement[Any], str | None] = {events.c.source: narrow.source, events.c.subject: narrow.subject}
    along = [] if before is None else [events.c.id < before]
    at_most = APART
    if narrow.run_id is not None:
        along.append(events.c.run_id == narrow.run_id)
        equal[hidden(events.c.type)] = narrow.type
    elif narrow.type is not None:
        along.append(events.c.type == narrow.type)
    else:
        at_most = TOGETHER
    fits = [column == value for column, value in equal.items() if value is not None]
    found = newest(connection, events.c.id, [Walk(tuple(along), tuple(fits), at_most)], limit=limit)
    query = select(events).where(events.c.id.in_(found.ids)).order_by(events.c.id.desc())
    return connection.execute(query).mappings().all() if found.ids else [], found.next


# --- who waits for it -------------------------------------------------------------------------------------------------

EVENT: Final = [events.c[name] for name in (
    "id", "type", "source", "subject", "data", "at", "occurred_at", "external_id", "attributes", "causation_depth"
)]  # fmt: skip

_WAITING = (
    select(waits.c.run_id, waits.c.path, waits.c.request)
    .join(wait_routes, (wait_routes.c.run_id == waits.c.run_id) & (wait_routes.c.path == waits.c.path))
    .limit(bindparam("limit"))
)
_UNDER_ANY = _WAITING.where(
    wait_routes.c.route.in_(items_of("routes")), wait_routes.c.correlation.in_(items_of("correlations"))
)
"""In no order: with one PostgreSQL reads all that wait in it, to find the first of these."""

WAITING_UNDER_ONE: Final = _WAITING.where(
    wait_routes.c.route == bindparam("route"),
    wait_routes.c.correlation == bindparam("correlation"),
    tuple_(wait_routes.c.run_id, wait_routes.c.path) > tuple_(bindparam("run_id"), bindparam("path")),
).order_by(wait_routes.c.run_id, wait_routes.c.path)
"""A page of the tasks that wait under one key of a type and one correlation key."""

_LISTENING = (
    select(trigger_routes.c.trigger_id)
    .where(trigger_routes.c.kind == "event", trigger_routes.c.key.in_(items_of("routes")))
    .limit(1)
)


def tasks_waiting(
    connection: Connection, routes: Sequence[str], correlations: Sequence[str], limit: int
) -> Sequence[RowMapping]:
    """Tasks that wait for an event under any of the keys of its type and any of the correlation keys."""
    values = {"routes": json_list(routes), "correlations": json_list(correlations), "limit": limit}
    return connection.execute(_UNDER_ANY, values).mappings().all()


def has_triggers(connection: Connection, keys: Sequence[str]) -> bool:
    """Whether any trigger, active or not, is found under one of these keys of a type."""
    return connection.execute(_LISTENING, {"routes": json_list(keys)}).first() is not None


def post(connection: Connection, facts: Sequence[InboxItem]) -> None:
    """Tell runs of which something waits, as was seen in this transaction."""
    rows = [
        {"id": fact.id, "run_id": fact.run_id, "kind": fact.kind, "data": orjson.dumps(fact.data).decode()}
        for fact in facts
    ]
    connection.execute(insert(inbox).values(created_at=func.now_us()), rows)


def event_of(row: Columns) -> Event:
    """An event as those who act on it see it, from its row."""
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

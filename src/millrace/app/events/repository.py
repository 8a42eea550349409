"""Rows of events. They are written once and never change, but for when they were routed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select
from sqlalchemy.engine import RowMapping

from millrace.app.walking import APART, TOGETHER, Walk, hidden, newest
from millrace.core.values import Instant
from millrace.storage.tables import events, runs, workflows


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
    values = {field: getattr(event, field) for field in EventRow.__slots__}
    connection.execute(insert(events).values(**values))


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

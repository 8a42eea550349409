"""Reading the ends of runs from the line of changes, and how far each follower of it has come. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, and_, cast, func, insert, select, update

from millrace.app.dialects import Unsettled
from millrace.app.endings.listeners import EndedRun
from millrace.core.values import Duration
from millrace.ports.plans import TEST
from millrace.storage.tables import changes, followers, runs, trigger_routes, wait_routes, workflows


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the line: how far it goes, and which runs ended in it."""

    until: int
    ended: Sequence[EndedRun]
    complete: bool
    """Whether there was nothing behind it to be told."""


def position_of(connection: Connection, name: str) -> int | None:
    """The last change that the follower has acted on; `None` before its first."""
    found = connection.execute(select(followers.c.position).where(followers.c.name == name)).scalar()
    return None if found is None else int(found)


def move(connection: Connection, name: str, before: int | None, after: int) -> bool:
    """Let the follower go on, if it still is where it was; whether it was."""
    if before is None:
        if position_of(connection, name) is not None:
            return False
        connection.execute(insert(followers).values(name=name, position=str(after), moved_at=func.now_us()))
        return True
    here = update(followers).where(followers.c.name == name, followers.c.position == str(before))
    return connection.execute(here.values(position=str(after), moved_at=func.now_us())).rowcount > 0


def slowest(connection: Connection, patience: Duration) -> int | None:
    """How far the last of those followers has come that have moved within the time of `patience`."""
    position = func.min(cast(followers.c.position, BigInteger))
    found: int | None = connection.execute(
        select(position).where(followers.c.moved_at > func.now_us() - patience)
    ).scalar()
    return found


def read_stretch(connection: Connection, after: int, limit: int) -> Stretch:
    """The runs that ended in the next changes behind `after`, at most `limit` changes."""
    lines = (
        select(changes.c.position, changes.c.run_id, changes.c.last_seq)
        .where(changes.c.position > after, changes.c.position < Unsettled())
        .order_by(changes.c.position)
        .limit(limit)
        .subquery()
    )
    until, count = connection.execute(select(func.max(lines.c.position), func.count())).one()
    if until is None:
        return Stretch(after, (), complete=True)
    # A run ends with its last record, so only the line of that one is looked for. The end of a test concerns nobody.
    ended = (runs.c.finished_at.is_not(None), runs.c.trigger_type != TEST)
    last = and_(runs.c.id == lines.c.run_id, runs.c.last_seq == lines.c.last_seq, *ended)
    query = (
        select(
            runs.c.id.label("run_id"),
            runs.c.workflow_id,
            workflows.c.slug.label("workflow_slug"),
            workflows.c.name.label("workflow_name"),
            runs.c.version_id,
            runs.c.status,
            runs.c.outcome,
            runs.c.trigger_type,
            runs.c.trigger_id,
            runs.c.causation_depth,
            runs.c.error,
            runs.c.finished_at,
        )
        .select_from(lines.join(runs, last).join(workflows, workflows.c.id == runs.c.workflow_id))
        .order_by(lines.c.position)
    )
    return Stretch(until, [EndedRun(**row) for row in connection.execute(query).mappings()], complete=count < limit)


def routed_keys(connection: Connection, keys: Sequence[str]) -> bool:
    """Whether any trigger or task waits for events under one of these keys."""
    of_triggers = select(trigger_routes.c.trigger_id).where(
        trigger_routes.c.kind == "event", trigger_routes.c.key.in_(keys)
    )
    of_tasks = select(wait_routes.c.run_id).where(wait_routes.c.route.in_(keys))
    return any(connection.execute(query.limit(1)).first() is not None for query in (of_triggers, of_tasks))

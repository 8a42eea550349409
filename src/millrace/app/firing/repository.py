"""What the scheduler reads and writes: triggers whose time has come, and decisions that start no run.

A start is written by the engine's store, in the run's own commit. Everything here that changes a row makes its
`revision` grow, so a start that another scheduler decided on the row before is refused: each due time is decided once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, case, func, insert, literal, select, text, update

from millrace.app.mails import repository as mails
from millrace.app.mails.repository import Mail
from millrace.app.triggers.repository import COLUMNS, OVERDUE, TriggerRow, wakes_at
from millrace.core.values import Instant
from millrace.storage.tables import firings, runs, triggers, workflows

LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the table shows."""

    now: Instant
    """By the database's clock."""
    due: Sequence[TriggerRow]
    wake_at: Instant | None
    """The earliest time at which any trigger is to act, those of `due` included."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a trigger's due times without a run. With no `kind` its cursor is all that moves."""

    firing_id: str
    row: TriggerRow
    """The row it was decided on; if that has changed, nothing is written."""
    next_due_at: Instant | None
    decided_until: Instant
    start_key: str = ""
    kind: str | None = None
    """`skipped`, `refused`, `missed` or `failed`."""
    reason: str | None = None
    due_at: Instant | None = None
    due_until: Instant | None = None
    count: int = 1
    mail: Mail | None = None
    """Written along with it."""


WAITING = (
    select(func.now_us().label("now"), *COLUMNS)
    .where(triggers.c.next_due_at.is_not(None), triggers.c.active)
    .order_by(wakes_at)
)
FIRST = WAITING.limit(1)
DUE = WAITING.where(wakes_at <= bindparam("now")).limit(bindparam("limit"))


def look(connection: Connection, limit: int, *, without: Collection[str]) -> Look:
    """The triggers that are to act now, the longest due first. `without` leaves some out, by their ids."""
    others = triggers.c.id.not_in(without)
    row = connection.execute(FIRST.where(others) if without else FIRST).mappings().first()
    if row is None:
        return Look(connection.execute(select(func.now_us())).scalar_one(), (), None)
    now, first = row["now"], _trigger(row)
    wake_at = None if first.next_due_at is None else first.next_due_at + first.jitter_us
    if wake_at is None or wake_at > now:
        return Look(now, (), wake_at)
    due = connection.execute(DUE.where(others) if without else DUE, {"now": now, "limit": limit}).mappings()
    return Look(now, [_trigger(row) for row in due], wake_at)


def _trigger(row: RowMapping) -> TriggerRow:
    return TriggerRow(**{column: value for column, value in row.items() if column != "now"})


def write(connection: Connection, decision: Decision) -> bool:
    """Write the decision if its row is as it was; whether it was."""
    row = decision.row
    holds = (
        update(triggers)
        .where(triggers.c.id == row.id, triggers.c.revision == row.revision, triggers.c.active)
        .where(triggers.c.next_due_at == row.next_due_at)
        .values(
            next_due_at=decision.next_due_at,
            decided_until=max(decision.decided_until, row.decided_until or 0),
            revision=triggers.c.revision + 1,
            **_told(decision),
        )
    )
    if connection.execute(holds).rowcount == 0:
        return False
    if decision.kind is not None:
        _insert_firing(connection, decision)
    return True


def note(connection: Connection, decision: Decision) -> bool:
    """Write the decision about something that came in, if the trigger is as it was; whether it was.

    It moves no cursor and takes nobody's decision away, so the row keeps its revision.
    """
    row = decision.row
    if decision.mail is not None and mails.is_known(connection, decision.mail.key):
        return True  # this very occasion was decided like that before
    holds = update(triggers).where(triggers.c.id == row.id, triggers.c.revision == row.revision, triggers.c.active)
    if connection.execute(holds.values(**_told(decision))).rowcount == 0:
        return False
    _insert_firing(connection, decision)
    return True


def _insert_firing(connection: Connection, decision: Decision) -> None:
    row = decision.row
    if decision.mail is not None:
        mails.add(connection, decision.mail)
    connection.execute(
        insert(firings).values(
            id=decision.firing_id,
            trigger_id=row.id,
            workflow_id=row.workflow_id,
            start_key=decision.start_key,
            due_at=decision.due_at,
            due_until=decision.due_until,
            count=decision.count,
            decision=decision.kind,
            reason=_short(decision.reason),
            at=func.now_us(),
        )
    )


def _told(decision: Decision) -> dict[str, Any]:
    """What the trigger's row tells of the decision."""
    if decision.kind is None:
        return {}
    if decision.kind == "missed":
        return {"missed_count": triggers.c.missed_count + decision.count}
    told = {"last_fired_at": func.now_us(), "last_run_id": None, "fired_count": triggers.c.fired_count + 1}
    if decision.kind == "skipped":
        return {**told, "last_error": None}
    return {**told, "last_error": _short(decision.reason), "failed_count": triggers.c.failed_count + 1}


def _short(reason: str | None) -> str | None:
    return reason if reason is None or len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


@dataclass(frozen=True, slots=True)
class Awaiting:
    """An interval that fires nothing now: it may count from the end of its last run."""

    trigger_id: str
    revision: int
    config: str
    decided_until: Instant
    run_ended_at: Instant | None
    """`None` while its run is at work. Of a run that was deleted when it was started: it ended no earlier."""


# Spelled as the index is, or SQLite would not see that it has these rows.
_AWAITS = text("triggers.next_due_at is null and triggers.active and triggers.type || '' = 'interval'")
_RUN_OF_IT = runs.c.id == triggers.c.last_run_id
AWAITING = (
    select(
        triggers.c.id,
        triggers.c.revision,
        triggers.c.config,
        func.coalesce(triggers.c.decided_until, 0),
        case((runs.c.id.is_not(None), runs.c.finished_at), else_=func.coalesce(triggers.c.last_fired_at, 0)),
    )
    .select_from(triggers.outerjoin(runs, _RUN_OF_IT))
    .where(_AWAITS)
    .order_by(triggers.c.id)
)


def anybody_awaits(connection: Connection) -> bool:
    return connection.execute(select(literal(1)).select_from(triggers).where(_AWAITS).limit(1)).first() is not None


def awaiting(connection: Connection, trigger_ids: Sequence[str]) -> Sequence[Awaiting]:
    """Those of the triggers that are intervals and fire nothing now."""
    return [Awaiting(*row) for row in connection.execute(AWAITING.where(triggers.c.id.in_(trigger_ids)))]


def awaiting_after(connection: Connection, after: str, limit: int) -> Sequence[Awaiting]:
    """The first of them behind the id `after`."""
    return [Awaiting(*row) for row in connection.execute(AWAITING.where(triggers.c.id > after).limit(limit))]


def go_on(connection: Connection, one: Awaiting, next_due_at: Instant) -> None:
    """Give it a due time, if it is as it was."""
    waits = (triggers.c.id == one.trigger_id, triggers.c.revision == one.revision, triggers.c.next_due_at.is_(None))
    values = {"next_due_at": next_due_at, "revision": triggers.c.revision + 1}
    connection.execute(update(triggers).where(*waits, triggers.c.active).values(**values))


@dataclass(frozen=True, slots=True)
class Overdue:
    """A schedule that should have fired and did not."""

    trigger_id: str
    name: str
    workflow_name: str
    since: Instant


def overdue(connection: Connection, limit: int) -> Sequence[Overdue]:
    """Those that have been overdue for the longest."""
    query = (
        select(triggers.c.id, triggers.c.name, workflows.c.name, wakes_at)
        .join(workflows, workflows.c.id == triggers.c.workflow_id)
        .where(triggers.c.next_due_at.is_not(None), triggers.c.active, wakes_at < func.now_us() - OVERDUE)
        .order_by(wakes_at)
        .limit(limit)
    )
    return [Overdue(*row) for row in connection.execute(query)]

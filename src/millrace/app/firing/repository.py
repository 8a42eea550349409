"""What the scheduler reads and writes: triggers whose time has come, and decisions that start no run.

A start is written by the engine's store, in the run's own commit. Everything here that changes a row makes its
`revision` grow, so a start that another scheduler decided on the row before is refused: each due time is decided once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from millrace.app.triggers.repository import COLUMNS, TriggerRow, wakes_at
from millrace.core.values import Instant
from millrace.storage.tables import firings, triggers

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
    return True


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

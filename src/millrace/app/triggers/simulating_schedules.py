"""What schedules would fire between two times, if nothing is changed: pure arithmetic over stored rows, nothing starts.

Bounded twice: so many schedules are looked at, and so many firings are told, the earliest first.
"""

import asyncio
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from sqlalchemy.engine import RowMapping

from millrace.app.triggers import repository
from millrace.app.triggers.schedules import Schedule, Schedules, UnusableSchedule
from millrace.app.workflows.catalog import Catalog, require_seen
from millrace.auth.sight import Sight
from millrace.core.values import Instant, to_iso
from millrace.ports.database import Database
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.due import Due, due_at

View: TypeAlias = Mapping[str, object]

MOST_SCHEDULES: Final = 5_000
"""Schedules that are looked at; those that fire next come first."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of time: later than `after`, not later than `until`."""

    after: Instant
    until: Instant


class ScheduleSimulation:
    def __init__(self, database: Database, schedules: Schedules, catalog: Catalog) -> None:
        self._database = database
        self._schedules = schedules
        self._catalog = catalog

    async def between(self, stretch: Stretch, *, workflow: str | None, limit: int, sight: Sight | None = None) -> View:
        """The firings of active schedules in a stretch of time. Raises `NotFound` for the workflow."""
        workflow_id = None if workflow is None else (await self._catalog.resolve(workflow)).workflow.id
        if workflow is not None and workflow_id is not None:
            await require_seen(self._database, workflow_id, sight, workflow)
        read = partial(repository.active_schedules, workflow_id=workflow_id, sight=sight, limit=MOST_SCHEDULES + 1)
        rows = await self._database.read(read)
        looked_at = rows[:MOST_SCHEDULES]
        firings = await asyncio.to_thread(self._firings, looked_at, stretch, limit + 1)
        return {
            "items": firings[:limit],
            "complete": len(rows) <= MOST_SCHEDULES and len(firings) <= limit,
            "schedules": len(looked_at),
        }

    def _firings(self, rows: Iterable[RowMapping], stretch: Stretch, limit: int) -> list[View]:
        of_each = (self._of_trigger(row, stretch, limit) for row in rows)
        first = islice(heapq.merge(*of_each, key=lambda firing: firing[0]), limit)
        return [view for _, view in first]

    def _of_trigger(self, row: RowMapping, stretch: Stretch, limit: int) -> list[tuple[tuple[Instant, str], View]]:
        try:
            schedule = self._schedules.of(row["type"], row["config"])
        except UnusableSchedule:
            return []
        if schedule is None:
            return []
        return [((due.at, row["id"]), _view(row, due)) for due in _due_in(row, schedule, stretch, limit)]


def _due_in(row: RowMapping, schedule: Schedule, stretch: Stretch, limit: int) -> list[Due]:
    """What counts from the end of its last run is due at the time that is known, and nobody knows when then."""
    if not isinstance(schedule.times, AfterEnd):
        return schedule.times.due_between(stretch.after, stretch.until, limit)
    at = row["next_due_at"]
    return [] if at is None or not stretch.after < at <= stretch.until else [due_at(at, schedule.times.zone)]


def _view(row: RowMapping, due: Due) -> View:
    return {
        "trigger": {
            "id": row["id"],
            "name": row["name"],
            "type": row["type"],
            "workflow": {"id": row["workflow_id"], "name": row["workflow_name"], "status": row["workflow_status"]},
        },
        "due_at": to_iso(due.at),
        "local": due.local,
        "shift": due.shift,
        "starts_at": to_iso(due.at + row["jitter_us"]),
    }

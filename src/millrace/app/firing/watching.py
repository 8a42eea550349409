"""Watches for schedules that should have fired and did not: nobody is at work on them, or cannot deal with them.

It runs beside schedulers and in processes that only answer requests, so it also sees that there is no scheduler at all.
It changes nothing: that a trigger is overdue follows from its row and the time, as `triggers.views` shows it.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import Connection

from millrace.app.firing import repository
from millrace.app.firing.repository import Overdue
from millrace.core.values import to_iso
from millrace.engine.service import Service
from millrace.ports.database import Database

logger = logging.getLogger(__name__)

MOST_NAMED = 100
"""Triggers that are named in the log; a scheduler that is gone would fill it with all there are."""


class OverdueWatch(Service):
    interval = 15.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._known: Mapping[str, Overdue] = {}
        self.count = 0
        """Overdue schedules, as they were a moment ago; `MOST_NAMED` and one for any number above that."""

    async def run_once(self) -> float | None:
        found = await self._database.read(_found)
        now = {one.trigger_id: one for one in found}
        for one in found[:MOST_NAMED]:
            if one.trigger_id not in self._known:
                since, name = to_iso(one.since), f"{one.workflow_name}/{one.name}"
                logger.warning("schedule %s (%s) is overdue: it should have fired at %s", name, one.trigger_id, since)
        if len(found) <= MOST_NAMED:
            for trigger_id, one in self._known.items():
                if trigger_id not in now:
                    logger.info("schedule %s/%s (%s) is not overdue any more", one.workflow_name, one.name, trigger_id)
        if len(found) > MOST_NAMED >= self.count:
            logger.warning("more than %d schedules are overdue; is there a scheduler at work?", MOST_NAMED)
        self._known, self.count = now, len(found)
        return None


def _found(connection: Connection) -> list[Overdue]:
    return list(repository.overdue(connection, MOST_NAMED + 1))

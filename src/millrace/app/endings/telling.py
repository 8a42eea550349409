"""Tells of the ends of runs by events, so that triggers wait for them as for any other. Meets `EndingListener`.

Only ends that a trigger or a task can wait for become events: an installation without such stores none. An event's id
is made of the run's, so the end that is told twice is one event.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import orjson
from sqlalchemy import Connection

from millrace.app.endings import repository
from millrace.app.endings.listeners import EndedRun
from millrace.app.events import repository as events
from millrace.app.events.receiving import OWN_ID
from millrace.app.events.repository import EventRow
from millrace.app.events.storing import EventStorage, Stored, together
from millrace.core.states import RunStatus
from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.triggers.event import keys_of

ENDS: Final = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
LONGEST_SOURCE = 255


def type_of(status: str) -> str:
    return f"millrace.run.{status}"


KEYS: Final = {status.value: keys_of(type_of(status.value)) for status in ENDS}
ALL_KEYS: Final = tuple(dict.fromkeys(key for keys in KEYS.values() for key in keys))


class RunEvents:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._storage = EventStorage(ids)
        self.after_publish: Callable[[Stored], None] = _nobody
        """Told after each commit; the composition root has it act on what was stored."""

    def listens(self, connection: Connection) -> bool:
        return repository.routed_keys(connection, ALL_KEYS)

    async def runs_ended(self, ended: Sequence[EndedRun]) -> None:
        self.after_publish(await self._database.write(partial(self._store, ended=ended)))

    def _store(self, connection: Connection, ended: Sequence[EndedRun]) -> Stored:
        wanted = {status for status, keys in KEYS.items() if repository.routed_keys(connection, keys)}
        told = [self._event(run) for run in ended if run.status in wanted]
        if not told:
            return Stored()
        ids = [str(event.external_id) for event in told]
        known = events.known_of(connection, ids, {event.source for event in told})
        return together(self._storage.store(connection, event) for event in told if event.external_id not in known)

    def _event(self, run: EndedRun) -> EventRow:
        data: JsonObject = {
            "run_id": run.run_id,
            "status": run.status,
            "workflow": {"id": run.workflow_id, "name": run.workflow_name},
            "error": None if run.error is None else orjson.loads(run.error),
        }
        return EventRow(
            id=self._ids.new(),
            type=type_of(run.status),
            source=f"workflows/{run.workflow_slug}"[:LONGEST_SOURCE],
            subject=f"runs/{run.run_id}",
            data=orjson.dumps(data).decode(),
            at=self._clock.now(),
            causation_depth=run.causation_depth + 1,
            external_id=f"{OWN_ID}run:{run.run_id}",
            occurred_at=run.finished_at,
        )


def _nobody(_stored: Stored) -> None:
    return None

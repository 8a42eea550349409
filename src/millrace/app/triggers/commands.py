"""Enable and disable a trigger: what a user says here holds until the definition itself says something else."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from millrace.app.triggers import repository
from millrace.app.triggers.cursor import changed
from millrace.app.triggers.queries import unknown_trigger
from millrace.app.triggers.schedules import Schedules
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.ports.database import Database


class TriggerCommands:
    def __init__(self, database: Database, schedules: Schedules) -> None:
        self._database = database
        self._schedules = schedules
        self.after_change: Callable[[], None] = _nobody
        """Told after each commit; the composition root lets it wake the scheduler."""

    async def enable(self, trigger_id: str) -> None:
        """Let the trigger fire from now on; what was due while it was silent does not fire. Raises `NotFound`."""
        await self._set(trigger_id, enabled=True)

    async def disable(self, trigger_id: str) -> None:
        """Silence the trigger. A start that was decided on but not committed yet is refused. Raises `NotFound`."""
        await self._set(trigger_id, enabled=False)

    async def _set(self, trigger_id: str, *, enabled: bool) -> None:
        def write(connection: Connection) -> None:
            row = repository.to_change(connection, trigger_id)
            status = None if row is None else repository.workflow_status(connection, row.workflow_id)
            if row is None or status is None:
                raise unknown_trigger(trigger_id)
            live = status == "active" and row.version_id is not None
            after = replace(row, enabled=enabled, active=enabled and live)
            after = changed(row, after, self._schedules, repository.now(connection))
            if after != row:
                repository.save(connection, after)
                action = Action.TRIGGER_ENABLE if enabled else Action.TRIGGER_DISABLE
                note(
                    connection,
                    action,
                    row.id,
                    row.name,
                    before={"enabled": row.enabled},
                    after={"enabled": enabled},
                )

        await self._database.write(write)
        self.after_change()


def _nobody() -> None:
    return None

"""Taking away what nobody needs: artifacts whose time is over, and objects that no row refers to (`orphans`).

Only in a store that is the installation's own (`ownership`).
"""

import logging

from millrace.app.artifacts import repository
from millrace.app.artifacts.orphans import GRACE, Orphaned, Orphans
from millrace.app.artifacts.ownership import may_delete
from millrace.core.values import Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.objects import ObjectStore, ObjectStoreError

logger = logging.getLogger(__name__)

AT_ONCE = 200


class ExpiredArtifacts(Service):
    """Deletes artifacts whose time is over, a batch at a time."""

    interval = 600.0

    def __init__(self, database: Database, objects: ObjectStore, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._objects = objects
        self._clock = clock

    async def run_once(self) -> float | None:
        now = self._clock.now()
        expired = await self._database.read(lambda connection: repository.expired(connection, now, AT_ONCE))
        if not expired or not await may_delete(self._database, self._objects):
            return None
        await self._database.write(lambda connection: repository.remove(connection, list(expired)))
        for key in expired.values():
            await self._objects.delete(key)
        return 1.0 if len(expired) == AT_ONCE else None


class OrphanedObjects(Service):
    """Walks through the object store and deletes the orphans that are old enough."""

    interval = 6 * 3600.0

    def __init__(self, database: Database, objects: ObjectStore, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._objects = objects
        self._clock = clock

    async def run_once(self) -> float | None:
        if not await may_delete(self._database, self._objects):
            return None
        before, swept = self._clock.now() - GRACE, 0
        async for found in Orphans(self._database, self._objects).older_than(before):
            await self._take_away(found)
            swept += len(found.keys)
        if swept:
            logger.info("%d objects that nothing refers to were deleted", swept)
        await self._forget_unfinished(before)
        return None

    async def _forget_unfinished(self, before: Instant) -> None:
        """Last, and whatever it ends with: not every server, nor every key, allows for it."""
        try:
            forgotten = await self._objects.forget_unfinished(before)
        except ObjectStoreError as error:
            logger.warning("uploads that never ended could not be taken away: %s", error)
        except Exception:
            logger.exception("uploads that never ended could not be taken away")
        else:
            if forgotten:
                logger.info("%d uploads that never ended were taken away", forgotten)

    async def _take_away(self, found: Orphaned) -> None:
        if found.dead_rows:
            await self._database.write(lambda connection: repository.remove(connection, found.dead_rows))
        for key in found.keys:
            await self._objects.delete(key)

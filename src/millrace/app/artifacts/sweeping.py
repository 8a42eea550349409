"""Taking away what nobody needs: artifacts whose time is over, and objects that no row refers to.

An object is written before its row, so one without a row may be young and about to get one. It is an orphan when it is
a day old, its attempt is not live any more, and no row refers to it; both are read in one snapshot, after the object
was found. A crash between object and commit, a failed attempt, a deleted run: all leave orphans and nothing else.
"""

import logging
from collections.abc import AsyncIterator, Sequence

from millrace.app.artifacts import keys, repository
from millrace.core.values import SECOND, Duration, Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.objects import ObjectStore

logger = logging.getLogger(__name__)

GRACE: Duration = 86_400 * SECOND
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
        if not expired:
            return None
        await self._database.write(lambda connection: repository.remove(connection, list(expired)))
        for key in expired.values():
            await self._objects.delete(key)
        return 1.0 if len(expired) == AT_ONCE else None


class OrphanedObjects(Service):
    """Walks through the object store and deletes the orphans."""

    interval = 6 * 3600.0

    def __init__(self, database: Database, objects: ObjectStore, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._objects = objects
        self._clock = clock

    async def run_once(self) -> float | None:
        before = self._clock.now() - GRACE
        swept = await self._objects.forget_unfinished(before)
        swept += await self._sweep_uploads(before)
        swept += await self._sweep_runs(before)
        if swept:
            logger.info("%d objects that nothing refers to were deleted", swept)
        return None

    async def _sweep_uploads(self, before: Instant) -> int:
        swept = 0
        batch: list[str] = []
        async for key in self._old(keys.UPLOADS, before):
            batch.append(key)
            if len(batch) == AT_ONCE:
                swept += await self._sweep_unknown(batch)
                batch = []
        return swept + await self._sweep_unknown(batch)

    async def _sweep_unknown(self, found: Sequence[str]) -> int:
        ids = {key.rpartition("/")[2]: key for key in found}
        known = await self._database.read(lambda connection: repository.known_uploads(connection, list(ids)))
        return await self._delete([key for id_, key in ids.items() if id_ not in known])

    async def _sweep_runs(self, before: Instant) -> int:
        swept, run_id = 0, ""
        found: list[str] = []
        async for key in self._old(keys.RUNS, before):
            if keys.origin_of(key).run_id != run_id:
                swept += await self._sweep_run(run_id, found)
                run_id, found = keys.origin_of(key).run_id, []
            found.append(key)
        return swept + await self._sweep_run(run_id, found)

    async def _sweep_run(self, run_id: str, found: Sequence[str]) -> int:
        if not found:
            return 0
        known = await self._database.read(lambda connection: repository.references_of(connection, run_id))
        orphans = [key for key in found if key not in known.keys and keys.origin_of(key).token not in known.live_tokens]
        if known.dead:
            await self._database.write(lambda connection: repository.remove(connection, known.dead))
        return await self._delete(orphans)

    async def _old(self, folder: str, before: Instant) -> AsyncIterator[str]:
        async for one in self._objects.list(folder):
            if one.stored_at < before:
                yield one.key

    async def _delete(self, orphans: Sequence[str]) -> int:
        for key in orphans:
            await self._objects.delete(key)
        return len(orphans)

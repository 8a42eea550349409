"""Objects that no row refers to. Reading only: `sweeping` takes them away, the doctor tells of them.

An object is written before its row, so one without a row may be young and about to get one. It is an orphan when it is
a day old, its attempt is not live any more, and no row refers to it; both are read in one snapshot, after the object
was found. A crash between object and commit, a failed attempt, a deleted run: all leave orphans and nothing else.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from millrace.app.artifacts import keys, repository
from millrace.core.values import SECOND, Duration, Instant
from millrace.ports.database import Database
from millrace.ports.objects import ObjectStore

GRACE: Duration = 86_400 * SECOND
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Orphaned:
    """What was found in one place."""

    keys: Sequence[str]
    dead_rows: Sequence[str] = ()
    """Ids of artifacts whose attempt ended without being completed; nobody is shown them."""


class Orphans:
    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    async def older_than(self, before: Instant, *, of_each: int | None = None) -> AsyncIterator[Orphaned]:
        """All there are, first among the uploads and then run by run.

        `of_each`: look at no more than so many objects of each of the two, young ones counted, too.
        """
        async for found in self._of_uploads(self._old(keys.UPLOADS, before, of_each)):
            yield found
        async for found in self._of_runs(self._old(keys.RUNS, before, of_each)):
            yield found

    async def _of_uploads(self, old: AsyncIterator[str]) -> AsyncIterator[Orphaned]:
        batch: list[str] = []
        async for key in old:
            batch.append(key)
            if len(batch) == AT_ONCE:
                yield await self._unknown(batch)
                batch = []
        if batch:
            yield await self._unknown(batch)

    async def _unknown(self, found: Sequence[str]) -> Orphaned:
        ids = {key.rpartition("/")[2]: key for key in found}
        known = await self._database.read(lambda connection: repository.known_uploads(connection, list(ids)))
        return Orphaned([key for id_, key in ids.items() if id_ not in known])

    async def _of_runs(self, old: AsyncIterator[str]) -> AsyncIterator[Orphaned]:
        run_id = ""
        found: list[str] = []
        async for key in old:
            if keys.origin_of(key).run_id != run_id:
                if found:
                    yield await self._of_run(run_id, found)
                run_id, found = keys.origin_of(key).run_id, []
            found.append(key)
        if found:
            yield await self._of_run(run_id, found)

    async def _of_run(self, run_id: str, found: Sequence[str]) -> Orphaned:
        known = await self._database.read(lambda connection: repository.references_of(connection, run_id))
        orphans = [key for key in found if key not in known.keys and keys.origin_of(key).token not in known.live_tokens]
        return Orphaned(orphans, known.dead)

    async def _old(self, folder: str, before: Instant, most: int | None) -> AsyncIterator[str]:
        looked_at = 0
        async with aclosing(self._objects.list(folder)) as listed:
            async for one in listed:
                if one.stored_at < before:
                    yield one.key
                looked_at += 1
                if looked_at == most:
                    return

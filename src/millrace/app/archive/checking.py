"""Whether the archives are where their rows say: what the doctor asks of the object store."""

from functools import partial

from millrace.app.archive import repository
from millrace.app.archive.repository import ArchiveRow
from millrace.core.values import JsonObject
from millrace.ports.database import Database
from millrace.ports.doctor import Step, Tell, unheard
from millrace.ports.objects import ObjectInaccessible, ObjectStore, ObjectStoreUnavailable, ObjectUnreadable

AT_ONCE = 200
SAMPLE = 1_000
"""Archives that a plain round looks at, the newest ones. It reads none through; a deep round reads all."""
MOST_SHOWN = 50

UNREADABLE = "archive_unreadable"


class ArchiveChecks:
    count = 1

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database, self._objects = database, objects

    async def examine(self, *, deep: bool, tell: Tell = unheard) -> list[JsonObject]:
        """The problems found. A store that is away altogether is told of by those who look at artifacts."""
        tell(Step(UNREADABLE, 1, self.count))
        found: list[JsonObject] = []
        looked_at = 0
        before: str | None = None
        while deep or looked_at < SAMPLE:
            read = partial(repository.list_archives, before=before, limit=AT_ONCE)
            rows = await self._database.read(read)
            for row in rows:
                try:
                    fault = await self._fault(row, whole=deep)
                except ObjectStoreUnavailable:
                    return found
                if fault is not None and len(found) < MOST_SHOWN and await self._is_there(row):
                    found.append(_problem(row, fault))
            if len(rows) < AT_ONCE:
                break
            looked_at, before = looked_at + len(rows), rows[-1].id
        return found

    async def _fault(self, row: ArchiveRow, *, whole: bool) -> str | None:
        try:
            async with self._objects.open(row.stored) as parts:
                if whole:
                    async for _ in parts:
                        pass
        except (ObjectUnreadable, ObjectInaccessible) as error:
            return str(error)
        return None

    async def _is_there(self, row: ArchiveRow) -> bool:
        """Asked once more: it may have been deleted meanwhile."""
        return await self._database.read(partial(repository.find, archive_id=row.id)) is not None


def _problem(row: ArchiveRow, fault: str) -> JsonObject:
    return {
        "code": UNREADABLE,
        "run_id": None,
        "message": f"an archive of {row.runs} runs, from {row.first_run_id} to {row.last_run_id}, cannot be read: "
        f"{fault}",
        "remedy": "Mend the disk or the object's permissions, or restore the artifacts from a backup.",
    }

"""Whether rows and objects of artifacts agree: what the doctor asks of the object store.

Reading every byte that is stored may take hours, so a plain round looks at the newest artifacts only, and reads
through no more than `READ_THROUGH` bytes of them; a deep round looks at all and reads all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.engine import RowMapping

from millrace.app.artifacts import repository
from millrace.app.artifacts.orphans import GRACE, Orphans
from millrace.app.artifacts.ownership import REMEDY, conflict
from millrace.app.artifacts.repository import ArtifactFilter
from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.doctor import Step, Tell, unheard
from millrace.ports.objects import (
    ObjectInaccessible,
    ObjectStore,
    ObjectStoreUnavailable,
    ObjectUnreadable,
    StoredObject,
)

AT_ONCE = 200
SAMPLE = 1_000
"""Rows, and objects, that a plain round looks at; of the objects half among the uploads, half among those of runs."""
READ_THROUGH = 16 * 1_048_576
"""Bytes that a plain round reads to compare checksums."""
MOST_SHOWN = 50

UNREADABLE, ORPHAN, FOREIGN = "artifact_unreadable", "object_without_row", "objects_of_another"


class Told:
    """The first `MOST_SHOWN` findings one by one; the rest are counted."""

    def __init__(self) -> None:
        self._shown: list[JsonObject] = []
        self._more = 0

    def add(self, finding: JsonObject) -> None:
        if len(self._shown) < MOST_SHOWN:
            self._shown.append(finding)
        else:
            self._more += 1

    def listed(self) -> list[JsonObject]:
        if not self._more:
            return self._shown
        return [*self._shown, {**self._shown[-1], "run_id": None, "message": f"{self._more} more of the same kind"}]


@dataclass(slots=True)
class Findings:
    problems: Told = field(default_factory=Told)
    warnings: Told = field(default_factory=Told)
    store_away: str | None = None
    """Why the store could not be used to the end. What was found before that is told all the same."""


class ArtifactChecks:
    count = 2

    def __init__(self, database: Database, objects: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock

    async def examine(self, *, deep: bool, tell: Tell = unheard) -> Findings:
        found = Findings()
        try:
            await self._owner(found)
            tell(Step(UNREADABLE, 1, self.count))
            await self._rows(found, deep=deep)
            tell(Step(ORPHAN, 2, self.count))
            await self._orphans(found, deep=deep)
        except ObjectStoreUnavailable as error:
            found.store_away = str(error)
        return found

    async def _owner(self, found: Findings) -> None:
        message = await conflict(self._database, self._objects)
        if message is not None:
            remedy = f"Nothing is deleted there. {REMEDY}."
            found.warnings.add({"code": FOREIGN, "run_id": None, "message": message, "remedy": remedy})

    async def _rows(self, found: Findings, *, deep: bool) -> None:
        looked_at, unread = 0, READ_THROUGH
        before: str | None = None
        while deep or looked_at < SAMPLE:
            page, before = await self._page(before)
            for row in page:
                whole = deep or row["size"] <= unread
                unread -= row["size"] if whole else 0
                fault = await self._fault(row, whole=whole)
                # Asked once more: it may have been deleted meanwhile.
                if fault is not None and await self._is_there(row["id"]):
                    found.problems.add(_unreadable(row, fault))
            # A page may show fewer rows than it looks at, even none.
            looked_at += AT_ONCE
            if before is None:
                return

    async def _page(self, before: str | None) -> tuple[Sequence[RowMapping], str | None]:
        now = self._clock.now()
        read = partial(repository.list_artifacts, narrow=ArtifactFilter(), now=now, before=before, limit=AT_ONCE)
        return await self._database.read(read)

    async def _is_there(self, artifact_id: str) -> bool:
        now = self._clock.now()
        return await self._database.read(lambda connection: repository.find(connection, artifact_id, now)) is not None

    async def _fault(self, row: RowMapping, *, whole: bool) -> str | None:
        stored = StoredObject(row["object_key"], row["size"], row["sha256"])
        try:
            async with self._objects.open(stored) as parts:
                if whole:
                    async for _ in parts:
                        pass
        except (ObjectUnreadable, ObjectInaccessible) as error:
            return str(error)
        return None

    async def _orphans(self, found: Findings, *, deep: bool) -> None:
        of_each = None if deep else SAMPLE // 2
        before = self._clock.now() - GRACE
        async for some in Orphans(self._database, self._objects).older_than(before, of_each=of_each):
            for key in some.keys:
                found.warnings.add(_orphan(key))


def _unreadable(row: RowMapping, fault: str) -> JsonObject:
    return {
        "code": UNREADABLE,
        "run_id": row["run_id"],
        "message": f"the artifact {row['name']} ({row['id']}) cannot be read: {fault}",
        "remedy": "Mend the disk or the file's permissions, restore the folder of the artifacts from a backup, "
        "or delete the artifact.",
    }


def _orphan(key: str) -> JsonObject:
    return {
        "code": ORPHAN,
        "run_id": None,
        "message": f"nothing refers to the object {key}, which is more than a day old",
        "remedy": "The sweeper deletes it within six hours; if it stays, see the server's log.",
    }

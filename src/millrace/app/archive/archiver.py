"""Writing families of runs to the archive, and taking away archives whose time is over.

The object is written first, then its row, and only then may anybody delete the runs. A crash before the row leaves an
object that nothing refers to, a crash after it leaves runs that are archived once more: neither loses a run.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from millrace.app.archive import repository
from millrace.app.archive.format import FOLDER, Place, index_line, key_of, packed
from millrace.app.archive.lines import FamilyLines
from millrace.app.archive.repository import ArchiveRow, Family, Stamp
from millrace.app.artifacts.ownership import may_delete
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectInaccessible, ObjectStore

LARGEST = 80 * 10**9
"""Bytes of one archive. Nothing but a single gigantic family comes near it. In a bucket the parts of an object are as
large as its limit asks for, and S3 takes 10,000 of them: no more than this, so that all are small."""
MOST_FAMILIES = 500
MOST_ROWS = 200_000
"""Of one archive, unless its only family is larger."""
AT_ONCE = 100
READ_AT_ONCE, FAMILIES_AT_ONCE = 1_000, 50
"""Rows, about, of so many families. What is larger is read in parts."""
LONGEST_REST = 0.1
"""Seconds, after each part of an archive."""


class FamilyUnreadable(Exception):
    """A payload of the family in this place cannot be read now, though the object store works."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True, slots=True)
class Written:
    count: int
    """How many of the given families were dealt with, the first ones."""
    stamps: Mapping[str, Stamp]
    """Of those in the archive, by their roots. A family that has another one when it is deleted is not what was
    archived; one that has none is not in the archive."""
    unreadable: Family | None = None
    """One of them that could not be read, and must stay."""
    reason: str = ""


class Archiver:
    def __init__(self, database: Database, objects: ObjectStore, lines: FamilyLines, clock: Clock, ids: Ids) -> None:
        self._database, self._objects, self._lines = database, objects, lines
        self._clock, self._ids = clock, ids

    async def write(self, roots: Sequence[str]) -> Written:
        """Archive the first of these families, as many as are fit for one object: durable when this returns.

        One that cannot be read ends the object: it is written once more with those before it, which could be read.
        Raises `ObjectStoreError`.
        """
        roots = roots[:MOST_FAMILIES]
        found = await self._database.read(partial(repository.families_of, roots=roots))
        count = _fitting([found[root].size if root in found else 0 for root in roots])
        families = [found[root] for root in roots[:count] if root in found]
        unreadable, reason = None, ""
        while families:
            try:
                await self._write(families)
                break
            except FamilyUnreadable as error:
                unreadable, reason = families[error.place], str(error)
                families, count = families[: error.place], roots.index(unreadable.root) + 1
        return Written(count, {family.root: family.stamp for family in families}, unreadable, reason)

    async def _write(self, families: Sequence[Family]) -> None:
        now, id_ = self._clock.now(), self._ids.new()
        places: list[Place] = []
        stored = await self._objects.put(key_of(id_, now), self._content(families, places, now), limit=LARGEST)
        runs = sorted(run_id for family in families for run_id in family.runs)
        last = places[-1]
        row = ArchiveRow(id_, stored, last.at + last.length, len(families), len(runs), runs[0], runs[-1], now)
        await self._database.write(partial(repository.add, row=row))

    async def _content(self, families: Sequence[Family], places: list[Place], now: Instant) -> AsyncIterator[bytes]:
        """The whole object; `places` tells in the end where which family is in it."""
        at, began = 0, self._clock.monotonic()
        for some in _together(families):
            known = await self._lines.known(some) if sum(family.size for family in some) <= READ_AT_ONCE else {}
            for family in some:
                length = 0
                try:
                    async for part in packed(self._lines.of(family, known, now)):
                        length += len(part)
                        yield part
                        # At least half of the time is left to others.
                        await asyncio.sleep(min(self._clock.monotonic() - began, LONGEST_REST))
                        began = self._clock.monotonic()
                except ObjectInaccessible as error:
                    raise FamilyUnreadable(len(places), str(error)) from error
                places.append(Place(family.root, family.runs, at, length))
                at += length
        async for part in packed(_only(index_line(places))):
            yield part

    async def expire(self, cutoff: Instant) -> int:
        """Delete the archives of that time or before; answers how many.

        The object goes first: a round that is cut short finds the row again, and deletes what is left. Objects of
        another installation stay, only the rows go.
        """
        own, count = await may_delete(self._database, self._objects), 0
        while rows := await self._database.read(partial(repository.older_than, cutoff=cutoff, limit=AT_ONCE)):
            for row in rows if own else ():
                await self._objects.delete(row.stored.key)
            await self._database.write(partial(repository.remove, ids=[row.id for row in rows]))
            count += len(rows)
        if own:
            await self._forget_unlisted(cutoff)
        return count

    async def _forget_unlisted(self, cutoff: Instant) -> None:
        """Objects of writings that were cut short: as old, and no row has them."""
        async with aclosing(self._objects.list(FOLDER)) as listed:
            old = [one.key async for one in listed if one.stored_at <= cutoff]
        for first in range(0, len(old), AT_ONCE):
            some = old[first : first + AT_ONCE]
            known = await self._database.read(partial(repository.known_keys, keys=some))
            for key in some:
                if key not in known:
                    await self._objects.delete(key)


def _fitting(sizes: Sequence[int]) -> int:
    """How many are no more than `MOST_ROWS` together; at least one."""
    rows = 0
    for count, size in enumerate(sizes):
        rows += size
        if count and rows > MOST_ROWS:
            return count
    return len(sizes)


def _together(families: Sequence[Family]) -> Iterator[Sequence[Family]]:
    """Small families that are read at once; a large one by itself."""
    some: list[Family] = []
    size = 0
    for family in families:
        if some and (size + family.size > READ_AT_ONCE or len(some) == FAMILIES_AT_ONCE):
            yield some
            some, size = [], 0
        some.append(family)
        size += family.size
    if some:
        yield some


async def _only(line: bytes) -> AsyncIterator[bytes]:
    yield line

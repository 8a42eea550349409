"""Reading the archive: which archives there are, and the runs in them. Of an object only a part is ever read."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from millrace.app.archive import repository
from millrace.app.archive.format import Place, places_in, unpacked
from millrace.app.archive.repository import ArchiveRow
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.histories.views import BY_USERS, user_of, with_user
from millrace.auth.names import UserNames
from millrace.core.errors import NotFound
from millrace.core.values import Instant, JsonObject, to_iso
from millrace.ports.database import Database
from millrace.ports.objects import ObjectStore, ObjectStoreError, ObjectUnreadable

BY = ("triggered_by", "cancelled_by", "created_by")
RUN_IDS = {"run": "id"}
"""The field in which a line says to which run it belongs, where that is not `run_id`."""


@dataclass(frozen=True, slots=True)
class Archived:
    """Where a run is in the archive."""

    archive: ArchiveRow
    place: Place


class ArchiveQueries:
    def __init__(self, database: Database, objects: ObjectStore, names: UserNames) -> None:
        self._database, self._objects, self._names = database, objects, names

    async def list(self, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Archives, newest first."""
        before = decode_text(cursor)
        rows = await self._database.read(partial(repository.list_archives, before=before, limit=limit + 1))
        more = encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        return Page([archive_view(row) for row in rows[:limit]], more)

    async def get(self, run_id: str) -> JsonObject:
        """A run as it was when it was archived. Raises `NotFound`, and `ObjectStoreError`."""
        found = await self.find(run_id)
        async with aclosing(self._lines(found)) as lines:
            async for line in lines:
                if line["kind"] == "run" and line["id"] == run_id:
                    shown = {name: value for name, value in line.items() if name != "kind"}
                    return {**shown, "archived_at": to_iso(found.archive.created_at), "archive": found.archive.id}
        raise ObjectUnreadable(f"the object {found.archive.stored.key} is damaged: the run {run_id} is not in it")

    async def lines(self, run_id: str, *, family: bool) -> AsyncGenerator[JsonObject]:
        """All that the archive has of a run, or of its whole family, in the order in which it was written.

        Before the first line it raises `NotFound`, and at any time `ObjectStoreError`.
        """
        async with aclosing(self._lines(await self.find(run_id))) as lines:
            async for line in lines:
                if family or line["kind"] == "family" or line.get(RUN_IDS.get(str(line["kind"]), "run_id")) == run_id:
                    yield await self._named(line)

    async def workflow_of(self, run_id: str) -> str | None:
        """The id of the workflow of a run in the archive; `None` if it is not there."""
        try:
            workflow: Any = (await self.get(run_id))["workflow"]
        except NotFound:
            return None
        return str(workflow["id"])

    async def find(self, run_id: str) -> Archived:
        """The newest archive that has the run. Raises `NotFound`; and `ObjectStoreError` if it may be in one that
        cannot be read."""
        trouble: ObjectStoreError | None = None
        for row in await self._database.read(partial(repository.that_may_hold, run_id=run_id)):
            try:
                place = await self._place(row, run_id)
            except ObjectStoreError as error:
                trouble = trouble or error
                continue
            if place is not None:
                return Archived(row, place)
        if trouble is not None:
            raise trouble
        raise NotFound("run_not_archived", f"there is no run with the id {run_id!r} in the archive")

    async def holds(self, run_id: str) -> bool:
        """Whether the run is in the archive, as far as that can be read."""
        try:
            await self.find(run_id)
        except (NotFound, ObjectStoreError):
            return False
        return True

    async def _place(self, row: ArchiveRow, run_id: str) -> Place | None:
        length = row.stored.size - row.index_at
        async with aclosing(self._unpacked(row, row.index_at, length)) as lines:
            places = [place async for line in lines for place in places_in(line)]
        return next((place for place in places if run_id in place.runs), None)

    async def _lines(self, found: Archived) -> AsyncGenerator[JsonObject]:
        async with aclosing(self._unpacked(found.archive, found.place.at, found.place.length)) as lines:
            async for line in lines:
                yield orjson.loads(line)

    async def _unpacked(self, row: ArchiveRow, first: int, length: int) -> AsyncGenerator[bytes]:
        async with (
            self._objects.open(row.stored, first=first, length=length) as parts,
            aclosing(unpacked(parts, row.stored.key)) as lines,
        ):
            async for line in lines:
                yield line

    async def _named(self, line: JsonObject) -> JsonObject:
        """The line with its users called by their names, as elsewhere."""
        names = await self._names.of(_users_in(line))
        if not names:
            return line
        data: Any = line.get("data")
        if line.get("type") in BY_USERS and data:
            return {**line, "data": dict(with_user(data, names))}
        return {**line, **_users(line, names)}


def archive_view(row: ArchiveRow) -> JsonObject:
    return {
        "id": row.id,
        "families": row.families,
        "runs": row.runs,
        "first_run": {"id": row.first_run_id, "at": _made_at(row.first_run_id)},
        "last_run": {"id": row.last_run_id, "at": _made_at(row.last_run_id)},
        "object": row.stored.key,
        "size": row.stored.size,
        "sha256": row.stored.sha256,
        "created_at": to_iso(row.created_at),
    }


def _made_at(run_id: str) -> str:
    """An id begins with the milliseconds at which it was made."""
    at: Instant = int(run_id[:8] + run_id[9:13], 16) * 1000
    return to_iso(at)


def _users_in(line: JsonObject) -> Iterator[str]:
    for name in BY:
        if user := line.get(name):
            yield str(user)
    data: Any = line.get("data")
    if line.get("type") in BY_USERS and data and data.get("by"):
        yield user_of(data["by"])


def _users(line: JsonObject, names: Mapping[str, str]) -> JsonObject:
    return {name: {"id": str(user), "name": names[str(user)]} for name in BY if (user := line.get(name))}

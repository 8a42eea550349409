"""Files that came with a request. They are there before the run, whose input names them, and become its own then.

What no run was started for is taken away at once; should the process die before, it expires like any file of a run.
"""

import logging
from collections.abc import AsyncIterator, Sequence

from millrace.app.artifacts import keys, names, repository
from millrace.app.artifacts.commands import too_large
from millrace.app.artifacts.ownership import may_delete
from millrace.app.artifacts.repository import NewArtifact
from millrace.app.artifacts.views import reference
from millrace.core.values import Duration, JsonValue
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStore, ObjectStoreError, ObjectTooLarge
from millrace.ports.store import StoreUnavailable
from millrace.triggers.webhook.bodies import File

logger = logging.getLogger(__name__)


class WebhookFiles:
    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        ids: Ids,
        *,
        largest: int,
        lifetime: Duration | None,
    ) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._largest = largest
        self._lifetime = lifetime

    async def keep(self, files: Sequence[File]) -> Sequence[NewArtifact]:
        """Store the files, so that tasks can read them. Raises `TooLarge` and `ObjectStoreUnavailable`."""
        if not files:
            return ()
        kept = [await self._put(file) for file in files]
        await self._database.write(lambda connection: repository.add(connection, kept))
        return kept

    async def give(self, kept: Sequence[NewArtifact], run_id: str) -> None:
        """Let them be files of the run that was started with them. It has started, whatever becomes of this."""
        if not kept:
            return
        ids = [one.id for one in kept]
        try:
            await self._database.write(lambda connection: repository.give_to_run(connection, ids, run_id))
        except StoreUnavailable as error:
            logger.warning("run %s can read its files, but they are not listed with it: %s", run_id, error)

    async def drop(self, kept: Sequence[NewArtifact]) -> None:
        """Take away what no run needs. The rows go first, so that what is cut short leaves orphans and no lost file."""
        if not kept:
            return
        await self._database.write(lambda connection: repository.remove(connection, [one.id for one in kept]))
        try:
            if await may_delete(self._database, self._objects):
                for one in kept:
                    await self._objects.delete(one.object_key)
        except ObjectStoreError as error:
            logger.warning("files that no run needs are left to the sweep: %s", error)

    async def _put(self, file: File) -> NewArtifact:
        id_ = self._ids.new()
        try:
            stored = await self._objects.put(keys.of_upload(id_), _parts(file.content), limit=self._largest)
        except ObjectTooLarge:
            raise too_large(self._largest) from None
        now = self._clock.now()
        return NewArtifact(
            id=id_,
            name=names.file_name(file.name),
            media_type=names.media_type(file.media_type),
            size=stored.size,
            sha256=stored.sha256,
            object_key=stored.key,
            created_at=now,
            expires_at=None if self._lifetime is None else now + self._lifetime,
        )


def references(files: Sequence[File], kept: Sequence[NewArtifact]) -> list[JsonValue]:
    """As tasks take them, each with its field in the form."""
    return [
        {"field": file.field, **reference(one.id, one.name, one.media_type, one.size, one.sha256)}
        for file, one in zip(files, kept, strict=True)
    ]


async def _parts(content: bytes) -> AsyncIterator[bytes]:
    yield content

"""The files of attempts. Meets `ports.artifacts.ArtifactDesk`; a worker asks it once per attempt.

What an attempt writes is in the object store at once and has rows only when the attempt is about to end well. They
count when its end is committed; until then, and if it ends otherwise, nobody sees them and the sweep takes them away.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

from millrace.app.artifacts import keys, names, repository
from millrace.app.artifacts.repository import NewArtifact
from millrace.app.artifacts.views import reference, stored_object
from millrace.core.failures import FailureKind
from millrace.core.values import Duration, JsonObject, JsonValue
from millrace.ports.artifacts import ANY_BYTES, ArtifactFault, OpenArtifact, artifact_id
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStore, ObjectStoreError, ObjectTooLarge
from millrace.ports.secrets import Masker
from millrace.ports.store import ClaimedAttempt


class ArtifactFiles:
    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        masker: Masker,
        clock: Clock,
        ids: Ids,
        *,
        largest: int,
        lifetime: Duration | None,
    ) -> None:
        self.database = database
        self.objects = objects
        self.masker = masker
        self.clock = clock
        self.ids = ids
        self.largest = largest
        self.lifetime = lifetime

    def of_attempt(self, attempt: ClaimedAttempt) -> "AttemptFiles":
        return AttemptFiles(self, attempt)


class AttemptFiles:
    """Meets `ports.artifacts.AttemptArtifacts`."""

    def __init__(self, files: ArtifactFiles, attempt: ClaimedAttempt) -> None:
        self._files = files
        self._attempt = attempt
        self._written: list[NewArtifact] = []

    @property
    def largest(self) -> int:
        return self._files.largest

    async def write(self, content: AsyncIterable[bytes], *, name: str, media_type: str = ANY_BYTES) -> JsonObject:
        files, attempt = self._files, self._attempt
        id_ = files.ids.new()
        try:
            stored = await files.objects.put(keys.of_attempt(attempt, id_), content, limit=files.largest)
        except ObjectTooLarge:
            raise ArtifactFault(
                f"the file {name[:100]!r} is larger than {files.largest} bytes; "
                "the setting MILLRACE_MAX_ARTIFACT_BYTES says how much one may have",
                FailureKind.INVALID_OUTPUT,
            ) from None
        except ObjectStoreError as error:
            raise ArtifactFault(str(error)) from error
        now = files.clock.now()
        new = NewArtifact(
            id=id_,
            name=names.file_name(files.masker.text(name)),
            media_type=names.media_type(media_type),
            size=stored.size,
            sha256=stored.sha256,
            object_key=stored.key,
            created_at=now,
            expires_at=None if files.lifetime is None else now + files.lifetime,
            run_id=attempt.run_id,
            path=attempt.path,
            attempt=attempt.number,
        )
        self._written.append(new)
        return reference(new.id, new.name, new.media_type, new.size, new.sha256)

    @asynccontextmanager
    async def open(self, reference: JsonValue) -> AsyncIterator[OpenArtifact]:
        files, id_ = self._files, artifact_id(reference)
        if id_ is None:
            raise ArtifactFault(
                'this is no reference to a file; write {"artifact": ID}, or pass on one that a task answered',
                FailureKind.INVALID_INPUT,
            )
        row = await files.database.read(lambda connection: repository.find(connection, id_, files.clock.now()))
        if row is None:
            raise ArtifactFault(
                f"there is no file with the id {id_[:100]!r}, or it has expired", FailureKind.INVALID_INPUT
            )
        try:
            async with files.objects.open(stored_object(row)) as parts:
                yield OpenArtifact(row["name"], row["media_type"], row["size"], _in_words_of_artifacts(parts))
        except ObjectStoreError as error:
            raise ArtifactFault(str(error)) from error

    async def publish(self) -> None:
        if self._written:
            written, self._written = self._written, []
            try:
                await self._files.database.write(lambda connection: repository.add(connection, written))
            except BaseException:
                self._written = written
                raise


async def _in_words_of_artifacts(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Who reads may be inside a library that wraps what it does not know, so the right error is raised here already."""
    try:
        async for part in parts:
            yield part
    except ObjectStoreError as error:
        raise ArtifactFault(str(error)) from error

"""What users do with artifacts: upload, list, read, delete."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.artifacts import keys, repository
from millrace.app.artifacts.names import LONGEST_NAME, is_file_name, is_media_type
from millrace.app.artifacts.ownership import may_delete
from millrace.app.artifacts.repository import ArtifactFilter, NewArtifact
from millrace.app.artifacts.views import artifact_view, stored_object
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.core.errors import Fault, InvalidRequest, NotFound, TooLarge
from millrace.core.values import Duration, JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStore, ObjectTooLarge


@dataclass(frozen=True, slots=True)
class UploadRequest:
    name: str
    media_type: str
    lifetime: Duration | None
    by: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file, and how to read it."""

    name: str
    size: int
    sha256: str
    _objects: ObjectStore
    _row: RowMapping

    def parts(self, first: int, length: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Raises `objects.ObjectStoreError` on entry or while it is read."""
        return self._objects.open(stored_object(self._row), first=first, length=length)


class ArtifactCommands:
    def __init__(self, database: Database, objects: ObjectStore, clock: Clock, ids: Ids, *, largest: int) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._largest = largest

    async def upload(self, request: UploadRequest, content: AsyncIterable[bytes]) -> JsonObject:
        """Store what a user sends. Visible when this returns."""
        _check(request)
        id_ = self._ids.new()
        key = keys.of_upload(id_)
        try:
            stored = await self._objects.put(key, content, limit=self._largest)
        except ObjectTooLarge:
            raise too_large(self._largest) from None
        now = self._clock.now()
        new = NewArtifact(
            id=id_,
            name=request.name,
            media_type=request.media_type,
            size=stored.size,
            sha256=stored.sha256,
            object_key=key,
            created_at=now,
            expires_at=None if request.lifetime is None else now + request.lifetime,
            created_by=request.by,
        )
        await self._database.write(lambda connection: _added(connection, new))
        return await self.get(id_)

    async def get(self, artifact_id: str) -> JsonObject:
        return artifact_view(await self._row(artifact_id))

    async def list(self, narrow: ArtifactFilter, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        before, now = decode_text(cursor), self._clock.now()
        rows, below = await self._database.read(
            lambda connection: repository.list_artifacts(connection, narrow, now, before=before, limit=limit)
        )
        return Page([artifact_view(row) for row in rows], None if below is None else encode_cursor(below))

    async def download(self, artifact_id: str) -> Download:
        row = await self._row(artifact_id)
        return Download(row["name"], row["size"], row["sha256"], self._objects, row)

    async def delete(self, artifact_id: str) -> None:
        """The row goes first: what is left of a deletion that is cut short is an orphan, and not a lost file."""
        row = await self._row(artifact_id)
        await self._database.write(lambda connection: _removed(connection, row))
        if await may_delete(self._database, self._objects):
            await self._objects.delete(row["object_key"])

    async def _row(self, artifact_id: str) -> RowMapping:
        now = self._clock.now()
        row = await self._database.read(lambda connection: repository.find(connection, artifact_id, now))
        if row is None:
            raise unknown_artifact(artifact_id)
        return row


def unknown_artifact(artifact_id: str) -> NotFound:
    return NotFound("artifact_not_found", f"there is no artifact with the id {artifact_id!r}, or it has expired")


def _added(connection: Connection, new: NewArtifact) -> None:
    repository.add(connection, [new])
    told = fields(new, "media_type", "size", "sha256", "expires_at")
    note(connection, Action.ARTIFACT_UPLOAD, new.id, new.name, after=told)


def _removed(connection: Connection, row: RowMapping) -> None:
    if repository.remove(connection, [row["id"]]):
        told = {name: row[name] for name in ("run_id", "size", "sha256")}
        note(connection, Action.ARTIFACT_DELETE, row["id"], row["name"], before=told)


def too_large(limit: int) -> TooLarge:
    return TooLarge(
        "too_large", f"the file is larger than {limit} bytes; the setting MILLRACE_MAX_ARTIFACT_BYTES says how much"
    )


def _check(request: UploadRequest) -> None:
    faults = []
    if not is_file_name(request.name):
        remedy = f"up to {LONGEST_NAME} characters without / \\ and control characters, as in report.csv"
        faults.append(Fault("query.name", "value", f"{request.name[:100]!r} cannot be the name of a file", remedy))
    if not is_media_type(request.media_type):
        faults.append(Fault("header.Content-Type", "value", "this is not a media type", "such as text/csv"))
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)

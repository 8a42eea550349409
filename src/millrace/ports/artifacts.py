"""The port for artifacts: files that a task writes and hands on to others as a small reference.

The reference is plain JSON, `{"artifact": id, "name", "media_type", "size", "sha256"}`, and travels like any output.
Only the id in it is believed; the rest is for people and expressions.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.store import ClaimedAttempt

ANY_BYTES = "application/octet-stream"


class ArtifactFault(Exception):
    """A file cannot be written or read. A runner may let it pass: the attempt then fails with this kind and message."""

    def __init__(self, message: str, kind: FailureKind = FailureKind.ERROR) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """A file that is being read. Who has read `parts` to the end has what was written, by its checksum."""

    name: str
    media_type: str
    size: int
    parts: AsyncIterator[bytes]


class Artifacts(Protocol):
    """The files of one attempt: what it writes, and what others wrote before it."""

    @property
    def largest(self) -> int:
        """Bytes that one file may have."""
        ...

    async def write(self, content: AsyncIterable[bytes], *, name: str, media_type: str = ANY_BYTES) -> JsonObject:
        """Store `content` and answer the reference to it. Others see the file once the attempt has completed.

        A name that cannot be one of a file is made into one. Raises `ArtifactFault`: `invalid_output` when the
        content is too large, `error` when there is no room; what `content` raises passes.
        """
        ...

    def open(self, reference: JsonValue) -> AbstractAsyncContextManager[OpenArtifact]:
        """Read the file that a reference, or an id alone, names. It may be opened again.

        Raises `ArtifactFault`: `invalid_input` when there is no such file, `error` when it is lost or damaged.
        """
        ...


class AttemptArtifacts(Artifacts, Protocol):
    async def publish(self) -> None:
        """Write the rows of the files written. They count from when the attempt is committed as completed."""
        ...


class ArtifactDesk(Protocol):
    """What a worker asks for the files of an attempt."""

    def of_attempt(self, attempt: ClaimedAttempt) -> AttemptArtifacts: ...


class NoArtifacts:
    """Meets `AttemptArtifacts` and `ArtifactDesk` where there is no place for files."""

    largest = 0

    def of_attempt(self, _attempt: ClaimedAttempt) -> "NoArtifacts":
        return self

    async def write(self, content: AsyncIterable[bytes], *, name: str, media_type: str = ANY_BYTES) -> JsonObject:
        raise ArtifactFault("this worker has no place for files", FailureKind.REFUSED)

    @asynccontextmanager
    async def open(self, reference: JsonValue) -> AsyncIterator[OpenArtifact]:
        raise ArtifactFault("this worker has no place for files", FailureKind.REFUSED)
        yield

    async def publish(self) -> None:
        return None


NO_ARTIFACTS = NoArtifacts()


def artifact_id(reference: JsonValue) -> str | None:
    """The id that a reference names; `None` for what is no reference."""
    named = reference.get("artifact") if isinstance(reference, dict) else reference
    return named if isinstance(named, str) and named else None

"""The port for the object store: bytes under a key, written once and never changed. A local folder or S3 meets it.

Objects are no truth of their own. One is written before the row that refers to it is committed, so a row never refers
to nothing; one that no row refers to is an orphan, and is swept when it is a day old.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from millrace.core.values import Instant

LONGEST_KEY = 512

OWNER = "owner"
"""What keeps the id of the installation that the objects belong to: no object of `list`, and never deleted by us."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,127}")


class ObjectStoreError(Exception):
    """For people; holds no secret."""


class ObjectUnreadable(ObjectStoreError):
    """The object is not there, or is not what was written: its size or its checksum differs."""


class ObjectTooLarge(ObjectStoreError):
    """More content came than the limit given to `put`."""


class ObjectStoreUnavailable(ObjectStoreError):
    """The store cannot work now: no room, no right to write, an I/O error. Trying again later may help."""


class ObjectInaccessible(ObjectStoreUnavailable):
    """This one object cannot be read now: no right to read it, an I/O error. The store itself works."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What must be remembered of an object to read it back and to know that it is the same."""

    key: str
    size: int
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    key: str
    size: int
    stored_at: Instant


class ObjectStore(Protocol):
    async def check(self) -> None:
        """Raises `ObjectStoreUnavailable` if nothing can be read here now, whatever it is."""
        ...

    async def claim(self, owner: str) -> str:
        """Note that the objects here belong to `owner`, an installation's id, unless that is noted of any; answers
        whose they are. Raises `ObjectStoreUnavailable`."""
        ...

    async def owner(self) -> str | None:
        """Whose the objects here are, if anybody has claimed them. Raises `ObjectStoreUnavailable`."""
        ...

    async def put(self, key: str, content: AsyncIterable[bytes], *, limit: int) -> StoredObject:
        """Store all of `content`; durable when this returns, and nothing is there under the key before.

        Memory is bounded whatever the size. Raises `ObjectTooLarge` beyond `limit` bytes, and
        `ObjectStoreUnavailable`; what `content` raises passes. Putting the same content twice is harmless.
        """
        ...

    def open(
        self, stored: StoredObject, *, first: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The object's bytes in parts, from byte `first` on, at most `length` of them.

        Raises `ObjectUnreadable` on entry when the object is missing or has another size; now or while reading
        `ObjectInaccessible` when this one object cannot be read, and else `ObjectStoreUnavailable`.

        Read from the beginning to the end it is checked against its checksum, and its last part is held back until
        that agrees: who got all bytes got the right ones. A part of an object is not checked, since that would cost
        reading the whole.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Remove the object; answers whether there was one."""
        ...

    def list(self, folder: str) -> AsyncGenerator[ListedObject]:
        """All objects whose key is in `folder` or below.

        Those of one folder come together, with what is below it; neither they nor the folders are in an order, for
        that would take all of their names in memory, however many there are. What comes or goes meanwhile may be
        listed or not. Close it (`contextlib.aclosing`) when leaving it early.
        """
        ...

    async def forget_unfinished(self, before: Instant) -> int:
        """Remove what was left by uploads that began before then and never ended; answers how many."""
        ...


def checked_key(key: str) -> str:
    """The key. Raises `ValueError` for one that could lead out of the store, or that some store could not keep."""
    if len(key) > LONGEST_KEY or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise ValueError(f"{key[:100]!r} cannot be the key of an object")
    return key

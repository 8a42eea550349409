"""Large payloads in the object store. Meets `ports.payloads.Payloads`."""

import hashlib
import logging
from collections.abc import AsyncIterator

from millrace.app.artifacts import keys
from millrace.ports.objects import ObjectStore, ObjectStoreUnavailable, ObjectUnreadable
from millrace.ports.payloads import PayloadLost, spilled, text_for
from millrace.ports.store import ClaimedAttempt

logger = logging.getLogger(__name__)


class StoredPayloads:
    def __init__(self, objects: ObjectStore, largest_in_row: int) -> None:
        self._objects = objects
        self.largest_in_row = largest_in_row

    async def put_away_of_attempt(self, attempt: ClaimedAttempt, name: str, content: bytes) -> str | None:
        return await self._put(keys.of_attempt(attempt, name), content)

    async def put_away_of_run(self, run_id: str, name: str, content: bytes) -> str | None:
        """By its hash, since two engines may come to different ends of a run and one of them commits."""
        return await self._put(keys.of_run(run_id, f"{name}.{hashlib.sha256(content).hexdigest()[:32]}"), content)

    async def _put(self, key: str, content: bytes) -> str | None:
        async def whole() -> AsyncIterator[bytes]:
            yield content

        try:
            return text_for(await self._objects.put(key, whole(), limit=len(content)))
        except ObjectStoreUnavailable as error:
            logger.warning("a large value goes into the database: %s", error)
            return None

    async def read(self, text: str) -> bytes:
        stored = spilled(text)
        if stored is None:
            return text.encode()
        try:
            async with self._objects.open(stored) as parts:
                return b"".join([part async for part in parts])
        except ObjectUnreadable as error:
            raise PayloadLost(f"a stored value cannot be read back: {error}") from error

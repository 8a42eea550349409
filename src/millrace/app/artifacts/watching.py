"""Whether the object store can be used, asked again and again, so that `/health/ready` and the log can tell."""

import asyncio
import logging

from millrace.engine.service import Service
from millrace.ports.objects import ObjectStore, ObjectStoreUnavailable

logger = logging.getLogger(__name__)

ANSWERS_WITHIN = 5.0
AGAIN_WHEN_AWAY = 2.0


class ObjectStoreWatch(Service):
    interval = 30.0

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__()
        self._objects = objects
        self.trouble: str | None = None
        """Why the store cannot be used, as of the last round."""

    async def run_once(self) -> float | None:
        before, self.trouble = self.trouble, await self._found()
        if self.trouble is None and before is not None:
            logger.info("artifacts and large payloads: the store can be used again")
        elif self.trouble is not None and before != self.trouble:
            logger.error("artifacts and large payloads: %s", self.trouble)
        return None if self.trouble is None else AGAIN_WHEN_AWAY

    async def _found(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._objects.check()
        except ObjectStoreUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"their store does not answer within {ANSWERS_WITHIN:g} s"
        return None

"""The bus of one process: followers of a run wait on a future that the next commit of that run resolves."""

import asyncio
from collections import defaultdict

from millrace.ports.bus import ANY_RUN


class LocalBus:
    """Meets `ports.bus.Bus` for readers in the process that commits."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def publish(self, run_id: str) -> None:
        for key in (run_id, ANY_RUN):
            self._wake(key)

    def publish_all(self) -> None:
        """Say that rows of any run may have been committed."""
        for key in list(self._waiting):
            self._wake(key)

    def _wake(self, key: str) -> None:
        for waiter in self._waiting.pop(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, run_id: str, timeout: float) -> bool:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[run_id].add(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(run_id)
            if waiting is not None:
                waiting.discard(waiter)
                if not waiting:
                    del self._waiting[run_id]
        return True

"""A loop of the engine: `run_once()` does all there is to do, `run()` repeats it when woken or after an interval.

Being woken is an optimisation; the interval alone must suffice, since a wake-up may be lost. Tests call
`run_once()` and never wait.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from millrace.ports.objects import ObjectStoreUnavailable
from millrace.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)


class Service(ABC):
    interval: float
    """Seconds between two rounds when nothing wakes the service."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.turn: Callable[[], AbstractAsyncContextManager[bool]] | None = None
        """Whether the next round is for this process to do, where other processes run the same service and one of them
        is enough."""

    @abstractmethod
    async def run_once(self) -> float | None:
        """Do one round; answer the seconds until the next if that is sooner than `interval`."""

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Repeat until cancelled. A store that is away is waited for; a defect is logged and does not end the loop."""
        while True:
            pause: float | None = None
            self._woken.clear()
            try:
                pause = await self._in_turn()
            except StoreUnavailable as error:
                logger.warning("%s: the store is unavailable, trying again: %s", type(self).__name__, error)
            except ObjectStoreUnavailable as error:
                logger.warning("%s: put off until the next round: %s", type(self).__name__, error)
            except Exception:
                logger.exception("%s: a round failed", type(self).__name__)
            delay = self.interval if pause is None else min(pause, self.interval)
            # At rest this is most of what a service costs: no exception, and no task is cancelled.
            waking = asyncio.get_running_loop().call_later(max(delay, 0.001), self._woken.set)
            try:
                await self._woken.wait()
            finally:
                waking.cancel()

    async def _in_turn(self) -> float | None:
        if self.turn is None:
            return await self.run_once()
        async with self.turn() as mine:
            return await self.run_once() if mine else None

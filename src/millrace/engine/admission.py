"""Admission: lets waiting runs start when their workflow's limit has room. Occupancy is counted, never stored."""

import heapq
from typing import TYPE_CHECKING

from millrace.core.values import SECOND, Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.store import Store

if TYPE_CHECKING:
    from millrace.engine.inbox import InboxReader

BATCH = 500


class Admission(Service):
    """One round admits every run that may start. Woken when a limited run arrives or finishes; 1 s is the floor."""

    interval = 1.0

    def __init__(self, store: Store, inbox: "InboxReader", clock: Clock) -> None:
        super().__init__()
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._expected: list[Instant] = []
        """A heap of times at which runs that this process delayed may start."""

    def expect(self, at: Instant) -> None:
        """A run may start at `at`."""
        heapq.heappush(self._expected, at)
        if self._expected[0] == at:
            self.wake()

    async def run_once(self) -> float | None:
        now = self._clock.now()
        while self._expected and self._expected[0] <= now:
            heapq.heappop(self._expected)
        admitted = await self._store.admit(BATCH)
        if admitted:
            self._inbox.wake()
        if len(admitted) == BATCH:
            return 0.0
        return max(0.0, (self._expected[0] - self._clock.now()) / SECOND) if self._expected else None

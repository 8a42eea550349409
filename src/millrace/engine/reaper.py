"""The reaper: declares workers lost whose lease is over, and brings the loss to the runs they worked for.

A lease is compared with the store's clock alone. But if this process itself stood still, if the store was away, or if
the wall clock jumped, then every lease may look over although the workers live; so after such a gap the reaper waits
one full lease before it declares anyone lost.
"""

import logging
from typing import TYPE_CHECKING

from millrace.core.values import SECOND, Duration
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.store import LostAttempt, Store

if TYPE_CHECKING:
    from millrace.engine.engine import Engine

logger = logging.getLogger(__name__)

BATCH = 500
OVERDUE_GRACE: Duration = 15 * SECOND
"""How long after its deadline an attempt is left to its worker, which ends it and reports."""


class Reaper(Service):
    interval = 2.0

    def __init__(self, store: Store, engine: "Engine", clock: Clock, lease: Duration) -> None:
        super().__init__()
        self._store = store
        self._engine = engine
        self._clock = clock
        self._lease_seconds = lease / SECOND
        self._last = self._times()
        """Of the last round that the store answered."""
        self._hold_until = 0.0

    async def run_once(self) -> float | None:
        gone: list[LostAttempt] = []
        if not self._on_hold():
            for incarnation_id in await self._store.reap():
                logger.warning("worker incarnation %s is lost: its lease is over", incarnation_id)
            # It may still be at work: as after a lost worker, `on_crash: false` forbids to start it beside itself.
            gone += await self._store.overdue_attempts(OVERDUE_GRACE, BATCH)
        gone += await self._store.lost_attempts(BATCH)
        for attempt in gone:
            self._engine.lost(attempt.run_id, attempt.path, attempt.number)
        self._last = self._times()
        return None

    def _on_hold(self) -> bool:
        wall, steady = self._times()
        last_wall, last_steady = self._last
        stood_still = steady - last_steady > self.interval + self._lease_seconds / 2
        jumped = abs((wall - last_wall) - (steady - last_steady)) > 1.0
        if stood_still or jumped:
            logger.warning("no round for long, or a jump of the clock; nobody is lost for %g s", self._lease_seconds)
            self._hold_until = steady + self._lease_seconds
        return steady < self._hold_until

    def _times(self) -> tuple[float, float]:
        return self._clock.now() / SECOND, self._clock.monotonic()

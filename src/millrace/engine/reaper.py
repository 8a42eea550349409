"""The reaper: declares workers lost whose lease is over, and brings the loss to the runs they worked for.

A lease is compared with the store's clock alone. But if this process itself stood still, if the store was away, or if
the store's clock jumped, then every lease may look over although the workers live; so after such a gap the reaper waits
one full lease before it declares anyone lost.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.core.values import SECOND, Duration, Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.incarnations import LostAttempt
from millrace.ports.store import Store

if TYPE_CHECKING:
    from millrace.engine.engine import Engine

logger = logging.getLogger(__name__)

BATCH = 500
OVERDUE_GRACE: Duration = 15 * SECOND
"""How long after its deadline an attempt is left to its worker, which ends it and reports."""
TOLERANCE = 1.0
"""Seconds by which two clocks may come apart between two rounds; those that are set all the time do so slowly."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the store's clock said, and this process's steady one just before and after."""

    now: Instant
    before: float
    after: float

    def jumped_since(self, last: "Look") -> bool:
        """Whether the store's clock went on by more or less than there was time for."""
        passed = (self.now - last.now) / SECOND
        return not self.before - last.after - TOLERANCE <= passed <= self.after - last.before + TOLERANCE


class Reaper(Service):
    interval = 2.0

    def __init__(
        self,
        store: Store,
        engine: "Engine",
        clock: Clock,
        lease: Duration,
        *,
        beside_others: bool = False,
        after_loss: Callable[[], None] | None = None,
    ) -> None:
        """`beside_others`: workers of other processes may live that this one knows nothing of. `after_loss` is told at
        once that workers were lost."""
        super().__init__()
        self._after_loss = after_loss
        self._store = store
        self._engine = engine
        self._clock = clock
        self._lease_seconds = lease / SECOND
        self._beside_others = beside_others
        self._last: Look | None = None
        """Of the last round that the store answered."""
        self._hold_until = 0.0

    async def run_once(self) -> float | None:
        gone: list[LostAttempt] = []
        look = await self._look()
        if not self._on_hold(look):
            # Not by the clock as it is by then: it may jump in between.
            reaped = await self._store.reap(look.now)
            for incarnation_id in reaped:
                logger.warning("worker incarnation %s is lost: its lease is over", incarnation_id)
            if reaped and self._after_loss is not None:
                self._after_loss()
            # It may still be at work: as after a lost worker, `on_crash: false` forbids to start it beside itself.
            gone += await self._store.overdue_attempts(OVERDUE_GRACE, BATCH)
        gone += await self._store.lost_attempts(BATCH)
        for attempt in gone:
            self._engine.lost(attempt.run_id, attempt.path, attempt.number)
        self._last = look
        return None

    async def _look(self) -> Look:
        before = self._clock.monotonic()
        now = await self._store.now()
        return Look(now, before, self._clock.monotonic())

    def _on_hold(self, look: Look) -> bool:
        seconds = self._lease_seconds
        if self._last is None:
            # The clock may have jumped just before this process began.
            self._hold_until = look.after + seconds if self._beside_others else 0.0
        elif look.after - self._last.after > self.interval + seconds / 2 or look.jumped_since(self._last):
            logger.warning("no round for long, or a jump of the store's clock; nobody is lost for %g s", seconds)
            self._hold_until = look.after + seconds
        return look.after < self._hold_until

"""Time: fires timers that are due, takes back attempts that queued too long, looks for work whose delay is over."""

from typing import TYPE_CHECKING

from millrace.core.values import SECOND, Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.store import Store

if TYPE_CHECKING:
    from millrace.engine.engine import Engine

BATCH = 500


class Lookout(Service):
    """Looks for work whose delay is over, once a second or when something is known to become due sooner.

    For workers that leave the timers of runs to others.
    """

    interval = 1.0

    def __init__(self, store: Store, engine: "Engine", clock: Clock) -> None:
        super().__init__()
        self._store = store
        self._engine = engine
        self._clock = clock
        self._next: Instant | None = None

    def expect(self, at: Instant) -> None:
        if self._next is None or at < self._next:
            self._next = at
            self.wake()

    async def run_once(self) -> float | None:
        left = await self._known()
        self._engine.look_for_work()
        return left

    async def _known(self) -> float | None:
        """Seconds until the next is due. Asked before what is due: nothing falls between the two questions."""
        left = await self._store.next_wake()
        self._next = None if left is None else self._clock.now() + left
        return None if left is None else max(0.0, left / SECOND)


class Timers(Lookout):
    """One round brings every due timer to its run. Between rounds it sleeps until the next known one, 1 s at most.

    A timer that was fired and not yet committed is fired again by the next round; the core calls that stale.
    """

    def __init__(self, store: Store, engine: "Engine", clock: Clock) -> None:
        super().__init__(store, engine, clock)
        self._none_at: int | None = None
        """How much had been written when nothing was due."""

    async def run_once(self) -> float | None:
        written, now = self._store.written, self._clock.now()
        if written is not None and written == self._none_at and (self._next is None or self._next > now):
            return None if self._next is None else (self._next - now) / SECOND
        left = await self._known()
        due = await self._store.due_timers(BATCH)
        for timer in due:
            self._engine.fire(timer.run_id, timer.kind, timer.path)
        expired = await self._store.expire_attempts(BATCH)
        self._engine.receive(expired)
        self._engine.look_for_work()
        self._none_at = None if due or expired else written
        return left

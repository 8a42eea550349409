"""The heartbeat: extends the lease of the worker's incarnation, and learns what to stop and what was lost.

Where other processes share the database they may take over what a worker does as soon as its lease ends. So it ends its
attempts by itself a little earlier, by its own clock, when the lease could not be extended: the database is away, or
the process stood still. It is a dead incarnation then, and comes back as a new one.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from millrace.core.values import SECOND, Duration
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.incarnations import Incarnation
from millrace.ports.store import IncarnationDead, Store
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)

BEATS_IN_A_LEASE = 5
LONGEST_INTERVAL = 3.0
"""Seconds; the heartbeat also tells a worker what to stop, however long its lease is."""
MARGIN = 2 / 15
"""Before the end of its lease a worker that could not extend it ends what it runs; as a part of the lease."""
FORCE_MARGIN = MARGIN / 3
"""Before the end of its lease it ends by force what has not ended yet when it was asked to."""


class Heartbeat(Service):
    def __init__(
        self,
        store: Store,
        worker: Worker,
        lease: Duration,
        *,
        watched_by: Clock | None = None,
        end_by_force: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`watched_by`: the clock by which the worker ends its attempts with its lease; none if nobody else is there
        who could take them. `end_by_force`: ends the child processes of an incarnation of this worker."""
        super().__init__()
        self.interval = min(LONGEST_INTERVAL, lease / SECOND / BEATS_IN_A_LEASE)
        self._store = store
        self._worker = worker
        self._lease = lease
        self._clock = watched_by
        self._end_by_force = end_by_force
        self._safe_until = 0.0
        self._extended = asyncio.Event()

    async def register(self, *, sole: bool) -> None:
        """Write this incarnation's row. `sole`: no other process may live, so all earlier ones are lost at once."""
        worker, asked_at = self._worker, self._now()
        row = Incarnation(worker.incarnation_id, socket.gethostname(), os.getpid(), worker.queues, worker.slots)
        await self._store.register(row, self._lease, sole=sole)
        self._extend(asked_at)

    async def run(self) -> None:
        if self._clock is None:
            await super().run()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run())
            tasks.create_task(self._watch())

    async def run_once(self) -> float | None:
        if self._worker.is_dead:
            await self._come_back()
        asked, asked_at = self._worker.held, self._now()
        try:
            reply = await self._store.heartbeat(self._worker.incarnation_id, self._lease)
        except IncarnationDead:
            logger.warning("this worker was declared lost; it ends its attempts and comes back as a new incarnation")
            self._worker.declared_dead()
            await self._come_back()
            return None
        if self._worker.is_dead:
            # Its lease was over by its own clock while the answer was on its way; others may have been told so, too.
            return 0.0
        self._extend(asked_at)
        self._worker.compare(reply, asked)
        return None

    def stop_wanted(self, run_id: str) -> None:
        """Attempts of this run are to be ended: ask at once which, if any run here. `*` stands for every run."""
        if run_id == "*" or self._worker.works_for(run_id):
            self.wake()

    async def _come_back(self) -> None:
        """As another one; what the dead one ran may run elsewhere by now, so it gets no more time to end."""
        await self._force(self._worker.incarnation_id)
        self._worker.reborn()
        await self.register(sole=False)
        self._worker.revive()

    async def _force(self, incarnation_id: str) -> None:
        if self._end_by_force is not None:
            await self._end_by_force(incarnation_id)

    # --- the lease ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            left = self._safe_until - self._now()
            if left > 0:
                await asyncio.sleep(left)
                continue
            self._extended.clear()
            if not self._worker.is_dead:
                logger.warning("the lease could not be extended; this worker ends its attempts before others take them")
                self._worker.declared_dead()
                await self._end_in_time(self._worker.incarnation_id)
            await self._extended.wait()

    async def _end_in_time(self, incarnation_id: str) -> None:
        """Children have been asked to end; those that take their time are not waited for beyond the lease."""
        ends = self._safe_until + self._lease / SECOND * (MARGIN - FORCE_MARGIN)
        await asyncio.sleep(max(0.0, ends - self._now()))
        await self._force(incarnation_id)

    def _extend(self, asked_at: float) -> None:
        """The database counts from a moment after the question was asked."""
        self._safe_until = asked_at + self._lease / SECOND * (1 - MARGIN)
        self._extended.set()

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock.monotonic()

"""The heartbeat: extends the lease of the worker's incarnation, and learns what to stop and what was lost.

Where other processes share the database they may take over what a worker does as soon as its lease ends. So it ends its
attempts by itself a little earlier, by its own clock, when the lease could not be extended: the database is away, or
the process stood still. It is a dead incarnation then, and comes back as a new one.
"""

import asyncio
import logging
import os
import socket

from millrace.core.values import SECOND, Duration
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.store import Incarnation, IncarnationDead, Store
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)

MARGIN_SECONDS = 2.0
"""Before the end of its lease a worker that could not extend it ends what it runs."""


class Heartbeat(Service):
    interval = 3.0

    def __init__(self, store: Store, worker: Worker, lease: Duration, *, watched_by: Clock | None = None) -> None:
        """`watched_by`: the clock by which the worker ends its attempts with its lease; none if nobody else is there
        who could take them."""
        super().__init__()
        self._store = store
        self._worker = worker
        self._lease = lease
        self._clock = watched_by
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
        self._worker.reborn()
        await self.register(sole=False)
        self._worker.revive()

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
            await self._extended.wait()

    def _extend(self, asked_at: float) -> None:
        """The database counts from a moment after the question was asked."""
        self._safe_until = asked_at + self._lease / SECOND - MARGIN_SECONDS
        self._extended.set()

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock.monotonic()

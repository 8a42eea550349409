"""The heartbeat: extends the lease of the worker's incarnation, and learns what to stop and what was lost."""

import logging
import os
import socket

from millrace.core.values import Duration
from millrace.engine.service import Service
from millrace.ports.store import Incarnation, IncarnationDead, Store
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)


class Heartbeat(Service):
    interval = 3.0

    def __init__(self, store: Store, worker: Worker, lease: Duration) -> None:
        super().__init__()
        self._store = store
        self._worker = worker
        self._lease = lease

    async def register(self, *, sole: bool) -> None:
        """Write this incarnation's row. `sole`: no other process may live, so all earlier ones are lost at once."""
        worker = self._worker
        row = Incarnation(worker.incarnation_id, socket.gethostname(), os.getpid(), worker.queues, worker.slots)
        await self._store.register(row, self._lease, sole=sole)

    async def run_once(self) -> float | None:
        if self._worker.is_dead:
            await self._come_back()
        asked = self._worker.held
        try:
            reply = await self._store.heartbeat(self._worker.incarnation_id, self._lease)
        except IncarnationDead:
            logger.warning("this worker was declared lost; it ends its attempts and comes back as a new incarnation")
            self._worker.declared_dead()
            await self._come_back()
            return None
        self._worker.compare(reply, asked)
        return None

    async def _come_back(self) -> None:
        self._worker.reborn()
        await self.register(sole=False)
        self._worker.revive()

"""Admission: lets waiting runs start when their workflow's limit has room. Occupancy is counted, never stored."""

from typing import TYPE_CHECKING

from millrace.engine.service import Service
from millrace.ports.store import Store

if TYPE_CHECKING:
    from millrace.engine.inbox import InboxReader

BATCH = 500


class Admission(Service):
    """One round admits every run that may start. Woken when a limited run arrives or finishes; 1 s is the floor."""

    interval = 1.0

    def __init__(self, store: Store, inbox: "InboxReader") -> None:
        super().__init__()
        self._store = store
        self._inbox = inbox

    async def run_once(self) -> float | None:
        admitted = await self._store.admit(BATCH)
        if admitted:
            self._inbox.wake()
        return 0.0 if len(admitted) == BATCH else None

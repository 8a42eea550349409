"""The worker: a number of slots, and the attempts in them.

It takes what commits have claimed for it (`reserve`, `launch`), runs it, frees the slot and reports to the engine.
It lives as an *incarnation*: one row with a lease that heartbeats extend. An incarnation that was declared lost is
dead for ever; the worker then ends everything it runs, reports nothing of it, and comes back under a new id.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from millrace.core.failures import FailureKind
from millrace.ports.incarnations import HeartbeatReply
from millrace.ports.store import ClaimedAttempt
from millrace.worker.attempt import AttemptRunner, Surroundings

logger = logging.getLogger(__name__)

Key = tuple[str, str, int]

MISSED_SECONDS = 2.0
"""Heartbeats are 3 s apart, but the next may come at any moment when there is something to stop."""

STOP_MESSAGES = {
    FailureKind.CANCELLED: "ended because the run was cancelled or its time was over",
    FailureKind.WORKER_STOPPED: "ended because the worker is stopping",
}


@dataclass(slots=True)
class Slot:
    """An attempt that needs an asyncio task, and why it was ended if it was."""

    runner: AttemptRunner
    incarnation_id: str
    task: "asyncio.Task[None] | None" = None
    ending: FailureKind | None = None
    begun: bool = False
    """Whether the task has had its first turn. One that is cancelled before never gets to its own end."""
    disowned: bool = False
    """Whether the attempt has ended for everybody else, so that there is nothing to report of it."""


class Worker:
    """Meets `ports.worker.ClaimHost`."""

    def __init__(
        self,
        around: Surroundings,
        *,
        slots: int,
        queues: tuple[str, ...],
        new_id: Callable[[], str],
        installation_id: str,
    ) -> None:
        self._around = around
        self._new_id = new_id
        self._installation_id = installation_id
        self._incarnation_id = new_id()
        self._queues = queues
        self._slots = slots
        self._free = slots
        self._draining = False
        self._overtime = False
        self._dead = False
        self._running: dict[Key, Slot] = {}
        self._missed: dict[Key, float] = {}
        """Attempts that the database alone knows, and since when by the steady clock."""
        self._tasks: asyncio.TaskGroup | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the asyncio tasks of all attempts until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.Event().wait()

    async def drain(self, limit: float) -> None:
        """Take nothing more; give what runs `limit` seconds, then end it. Ended attempts start again elsewhere."""
        self.stop_claiming()
        try:
            async with asyncio.timeout(limit):
                await self._idle.wait()
        except TimeoutError:
            # A commit under way may still hand over what it claimed; that is ended as soon as it comes.
            self._overtime = True
            self.end_all()
            await self._idle.wait()

    def stop_claiming(self) -> None:
        """Take no new work from now on."""
        self._draining = True

    def end_all(self) -> None:
        """End everything that runs, now; it starts again elsewhere."""
        for slot in list(self._running.values()):
            self._end(slot, FailureKind.WORKER_STOPPED)

    def declared_dead(self) -> None:
        self._dead = True
        self.end_all()

    @property
    def is_dead(self) -> bool:
        return self._dead

    def reborn(self) -> str:
        """Take a new incarnation id, to be registered before `revive`."""
        self._incarnation_id = self._new_id()
        return self._incarnation_id

    def revive(self) -> None:
        self._dead = False

    # --- slots ----------------------------------------------------------------------------------------------------

    @property
    def incarnation_id(self) -> str:
        return self._incarnation_id

    @property
    def queues(self) -> tuple[str, ...]:
        return self._queues

    @property
    def slots(self) -> int:
        return self._slots

    def reserve(self, wanted: int) -> int:
        if self._draining or self._dead:
            return 0
        granted = min(wanted, self._free)
        self._free -= granted
        if granted:
            self._idle.clear()
        return granted

    def release(self, count: int) -> None:
        self._free += count
        if self._free == self._slots:
            self._idle.set()

    def launch(self, attempt: ClaimedAttempt, claimed_by: str) -> None:
        runner = AttemptRunner(attempt, self._around, self._environment(attempt))
        report = runner.run_at_once()
        if report is not None:
            self.release(1)
            self._around.desk.report(report)
            return
        if self._dead or claimed_by != self._incarnation_id:
            # Claimed in a commit that was under way when that incarnation died; others take it.
            self.release(1)
            self._around.desk.abandoned(attempt.run_id)
            return
        assert self._tasks is not None, "a worker is running when work is claimed for it"  # noqa: S101
        slot = Slot(runner, self._incarnation_id)
        self._running[attempt.run_id, attempt.path, attempt.number] = slot
        slot.task = self._tasks.create_task(self._occupy(slot))
        if self._overtime:
            self._end(slot, FailureKind.WORKER_STOPPED)

    def stop(self, run_id: str, path: str, number: int) -> bool:
        slot = self._running.get((run_id, path, number))
        if slot is None:
            return False
        self._end(slot, FailureKind.CANCELLED)
        return True

    def works_for(self, run_id: str) -> bool:
        """Whether attempts of the run are running here."""
        return any(key[0] == run_id for key in self._running)

    # --- heartbeats -----------------------------------------------------------------------------------------------

    @property
    def held(self) -> frozenset[Key]:
        """The attempts that run here."""
        return frozenset(self._running)

    def compare(self, reply: HeartbeatReply, asked: frozenset[Key]) -> None:
        """Hold what runs here against what the database believes runs here.

        `asked` is what ran here when the database was asked: what was launched since, it could not know.
        An attempt that only the database knows was claimed in a commit whose answer was lost, or it has just been
        claimed or has just ended; so it counts as lost only when every heartbeat for `MISSED_SECONDS` says so.
        """
        here = self.held
        for key in sorted(here & reply.stop):
            self.stop(*key)
        for key in sorted((here & asked) - reply.running):
            logger.warning("attempt %s is not this worker's any more and is ended", key)
            self._running[key].disowned = True
            self.stop(*key)
        now = self._around.clock.monotonic()
        self._missed = {key: self._missed.get(key, now) for key in sorted(reply.running - here)}
        for key, since in self._missed.items():
            if now - since >= MISSED_SECONDS:
                self._around.desk.lost(*key)

    # --- one slot -------------------------------------------------------------------------------------------------

    async def _occupy(self, slot: Slot) -> None:
        slot.begun = True
        try:
            if slot.ending is not None:
                raise asyncio.CancelledError
            report = await slot.runner.run()
        except asyncio.CancelledError:
            if slot.ending is None:
                raise
            report = slot.runner.ended(slot.ending, STOP_MESSAGES[slot.ending])
        finally:
            attempt = slot.runner.attempt
            del self._running[attempt.run_id, attempt.path, attempt.number]
            self.release(1)
        if slot.incarnation_id == self._incarnation_id and not (self._dead or slot.disowned):
            self._around.desk.report(report)
        else:
            self._around.desk.abandoned(attempt.run_id)

    def _end(self, slot: Slot, why: FailureKind) -> None:
        if slot.ending is None and slot.task is not None:
            slot.ending = why
            if slot.begun:
                slot.task.cancel()

    def _environment(self, attempt: ClaimedAttempt) -> dict[str, str]:
        return {"MILLRACE_ATTEMPT": f"{self._installation_id}:{self._incarnation_id}:{attempt.token}"}

"""Routes events: starts a run of each trigger that an event is for, once, however often the event is routed, and tells
tasks that wait for it.

    events that nobody has routed (by an index) → tasks that wait and triggers (waits, router) → tell, fire → mark it

An event is marked when all its triggers are decided. Until then a crash, a lost answer or another process may have it
routed again, which starts nothing twice: the start key of a run is made of the event's id. What is stored is routed;
whoever stores an event only says "look", and polling finds it all the same.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from millrace.app.firing import repository as firings
from millrace.app.firing.occasions import Firer, Occasion
from millrace.app.firing.repository import Decision
from millrace.app.firing.scheduler import KEY_LIFETIME, KEYS
from millrace.app.routing import repository
from millrace.app.routing.repository import Unrouted
from millrace.app.routing.router import Match, Router
from millrace.app.routing.waits import EventWaits
from millrace.app.runs.starting import FiringOutcome
from millrace.core.errors import Unavailable
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import StartKey, StoreUnavailable
from millrace.triggers.event import Event

logger = logging.getLogger(__name__)

MOST_AT_WORK: Final = 200
"""Events that are routed at the same time."""
STARTS_AT_ONCE: Final = 200
"""Of all those events together: so many starts share commits, and none waits long behind another event's."""

PATIENCE = 0.1
"""Seconds that a round waits for its slowest events before it looks for others."""

TRIES: Final = 10
"""How often a trigger may be changed between the look at it and its firing."""

HELD_SECONDS = 60.0
"""How long an event is left alone that could not be routed for a defect."""


class EventRouting(Service):
    interval = 1.0

    def __init__(
        self, database: Database, router: Router, firer: Firer, waits: EventWaits, clock: Clock, ids: Ids
    ) -> None:
        super().__init__()
        self._waits = waits
        self._database = database
        self._router = router
        self._firer = firer
        self._clock = clock
        self._ids = ids
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._at_work: dict[str, asyncio.Task[bool]] = {}
        self._held: dict[str, float] = {}
        """Events that are left alone, and until when by the steady clock."""
        self._none_at: int | None = None
        """How much had been written when no event waited."""

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            for task in self._at_work.values():
                task.cancel()

    async def run_once(self) -> float | None:
        """Route all there are. What others store meanwhile is found before it returns, so one process is enough."""
        while True:
            for one in await self._look():
                self._at_work[one.event.id] = asyncio.create_task(self._route(one))
            if not self._at_work:
                return None
            await asyncio.wait(self._at_work.values(), timeout=PATIENCE)
            await self._mark()

    async def _look(self) -> "list[Unrouted]":
        steady = self._clock.monotonic()
        self._held = {event_id: until for event_id, until in self._held.items() if until > steady}
        free = MOST_AT_WORK - len(self._at_work)
        if free <= 0:
            return []
        without, written = (*self._held, *self._at_work), self._database.written
        if not without and written is not None and written == self._none_at:
            return []
        found = list(await repository.unrouted(self._database, free, without=without))
        self._none_at = None if found or without else written
        return found

    async def _mark(self) -> None:
        """Take up what is done. What is not marked, because the store is away, is routed once more."""
        done = [event_id for event_id, task in self._at_work.items() if task.done()]
        decided = [event_id for event_id in done if self._at_work.pop(event_id).result()]
        if decided:
            await self._database.write(partial(repository.mark_routed, event_ids=decided))

    # --- one event ------------------------------------------------------------------------------------------------

    async def _route(self, unrouted: Unrouted) -> bool:
        """Tell every task that waits for the event, and fire every trigger that it is for; whether all are decided."""
        event = unrouted.event
        try:
            if not unrouted.told:
                await self._waits.tell(event)
            async for page in self._router.waiting(event):
                # Each answers for itself: one that fails must not keep the others of the page from being waited for.
                answers = await asyncio.gather(*(self._fire(match, event) for match in page), return_exceptions=True)
                for answer in answers:
                    if isinstance(answer, BaseException):
                        raise answer
        except (Unavailable, StoreUnavailable) as error:
            logger.warning("event %s must wait to be routed: %s", event.id, error)
            self._hold(event, self.interval)
            return False
        except Exception:  # whatever is wrong with this event, others are routed
            logger.exception("event %s could not be routed", event.id)
            self._hold(event, HELD_SECONDS)
            return False
        return True

    async def _fire(self, match: Match, event: Event) -> None:
        async with self._starts:
            try:
                await self._decide(match, event)
            except (Unavailable, StoreUnavailable):
                raise
            except Exception as error:  # whatever is wrong with this trigger, the others go on
                logger.exception("trigger %s could not be fired for event %s", match.row.id, event.id)
                await self._failed(match, event, f"an error within Millrace: {error!r}")

    async def _decide(self, match: Match, event: Event) -> None:
        for _ in range(TRIES):
            fired = await self._firer.fire(match.row, self._occasion(match, event))
            if fired.outcome is not FiringOutcome.CHANGED:
                return
            found = await self._router.again(match, event)
            if found is None:
                return
            match = found
        raise Unavailable("trigger_changes", f"trigger {match.row.id} is changed again and again")

    def _occasion(self, match: Match, event: Event) -> Occasion:
        name = start_key(event)
        key = StartKey(KEYS, match.row.id, name, name, self._clock.now() + KEY_LIFETIME)
        return Occasion(
            trigger=match.trigger,
            start_key=name,
            key=key,
            causation_depth=event.causation_depth,
            keep_skips=False,
        )

    async def _failed(self, match: Match, event: Event, reason: str) -> None:
        decision = Decision(
            firing_id=self._ids.new(),
            row=match.row,
            next_due_at=None,
            decided_until=0,
            start_key=start_key(event),
            kind="failed",
            reason=reason,
        )
        await self._database.write(partial(firings.note, decision=decision))

    def _hold(self, event: Event, seconds: float) -> None:
        self._held[event.id] = self._clock.monotonic() + seconds


def start_key(event: Event) -> str:
    return f"event:{event.id}"

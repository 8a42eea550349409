"""The event loop of one simulated process, and the clock that all processes share. Nothing here waits.

A loop runs what is ready when it is told to, one turn at a time, and its timers are due when the clock has been moved
there. So `asyncio.sleep`, time limits and the real loops of services work as they are, in no time and in the same order
whenever they are run.
"""

import asyncio
import heapq
import math
from typing import Any

from millrace.core.values import SECOND
from tests.support.clock import FakeClock

MOST_TURNS = 20_000
"""Turns of a loop at one instant, after which it counts as running in circles."""


class ProcessLoop(asyncio.BaseEventLoop):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.faults: list[dict[str, Any]] = []
        """What nobody caught."""
        self.set_exception_handler(lambda _, context: self.faults.append(context))
        self._tasks: dict[asyncio.Task[Any], None] = {}
        """Those that are not done, in the order in which they began."""
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._clock.monotonic()

    @property
    def next_timer(self) -> int | None:
        """When its next timer is due, in microseconds of the steady clock: the first that is later by any rounding."""
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        return math.floor(self._scheduled[0]._when * SECOND) + 1 if self._scheduled else None

    @property
    def is_at_rest(self) -> bool:
        return not self._ready

    def come_to_rest(self) -> None:
        """Run what is ready, and what becomes ready by that, until the loop waits for time or for an answer."""
        turns = 0
        asyncio.events._set_running_loop(self)
        try:
            while self._ready or self._is_timer_due():
                self._turn()
                turns += 1
                assert turns < MOST_TURNS, "a process runs in circles"
        finally:
            asyncio.events._set_running_loop(None)

    def _turn(self) -> None:
        """What `BaseEventLoop._run_once` does where there are no files to wait for and nothing to clean up."""
        now = self.time()
        while self._scheduled and self._scheduled[0]._when <= now:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _is_timer_due(self) -> bool:
        due = self.next_timer
        return due is not None and due <= round(self._clock.monotonic() * SECOND)

    def _new_task(self, loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> "asyncio.Task[Any]":
        """Kept until it is done: `asyncio.all_tasks` looks through those of all processes there ever were."""
        task = asyncio.Task(work, loop=loop, **named)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def end(self) -> None:
        """The process is gone. What its tasks still do on their way out reaches nobody."""
        for _ in range(20):
            if not self._tasks:
                break
            for task in list(self._tasks):
                task.cancel()
            self.come_to_rest()
        self.faults.clear()
        self.close()

"""An event loop whose time is made, not waited for: it moves on when nothing else can happen.

Whatever sleeps, times out or polls on this loop does so in virtual seconds. While work is under way outside the loop (a
thread of the database), time stands still and the loop waits for that work in truth; only when nothing is left to do
does it go to the next moment somebody waits for. So tests of hours take milliseconds, and none of them sleeps.
"""

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from millrace.core.values import SECOND, Duration, Instant

START: Instant = 1_800_000_000 * SECOND
STUCK_AFTER = 60.0
"""Real seconds in which work outside the loop must come to something."""


class VirtualClock:
    """Meets `ports.clock.Clock`. The wall clock goes with the steady one, but for the jumps a test gives it."""

    def __init__(self) -> None:
        self._steady = 1_000.0
        self._offset = START - 1_000 * SECOND

    def now(self) -> Instant:
        return self._offset + round(self._steady * SECOND)

    def monotonic(self) -> float:
        return self._steady

    def advance(self, seconds: float) -> None:
        self._steady += seconds

    def jump(self, by: Duration) -> None:
        """Set the wall clock forward, or back; the steady clock knows nothing of it."""
        self._offset += by


class VirtualSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.outside = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.outside or timeout is None:
            ready = super().select(STUCK_AFTER)
            if not ready:
                raise AssertionError("nothing happens any more: no timer, and no work outside the loop that ends")
            return ready
        self._clock.advance(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._eyes = VirtualSelector(self.clock)
        super().__init__(self._eyes)

    def time(self) -> float:
        return self.clock.monotonic()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Work is under way in a thread: time stands still until the block ends."""
        self._eyes.outside += 1
        try:
            yield
        finally:
            self._eyes.outside -= 1

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> "asyncio.Future[Any]":
        future = super().run_in_executor(executor, func, *args)
        self._eyes.outside += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _future: "asyncio.Future[Any]") -> None:
        self._eyes.outside -= 1


def virtual_loop() -> VirtualLoop:
    """The loop this is called on, which must be a virtual one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "this needs the virtual loop of the folder's conftest"
    return loop

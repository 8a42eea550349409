"""The clock of all processes on one database: that of its server, which each carries on with its own steady clock.

Processes tell each other times through rows: until when a run may take, when a task may be tried again, what was first.
They must not differ by what the clocks of their machines do. Between two looks at the server's clock this one goes on
by itself, so that the time costs no round trip, and a machine whose clock is set notices nothing.
"""

from collections.abc import Awaitable, Callable

from millrace.core.values import SECOND, Instant
from millrace.ports.clock import Clock

LOOKS_AT_FIRST = 3


class ServerClock:
    """Meets `ports.clock.Clock`; it has no time before the first `keep`."""

    def __init__(self, ask: Callable[[], Awaitable[Instant]], steady: Clock) -> None:
        """`ask` answers what the server's clock says; of `steady` only the steady clock is used."""
        self._ask = ask
        self._steady = steady
        self._anchor: tuple[Instant, float] | None = None
        self._doubt = 0.0
        """Seconds by which the anchor may be wrong: half of what the look took."""

    @classmethod
    async def started(cls, ask: Callable[[], Awaitable[Instant]], steady: Clock) -> "ServerClock":
        """Raises what `ask` raises."""
        clock = cls(ask, steady)
        for _ in range(LOOKS_AT_FIRST):
            await clock.keep()
        return clock

    def now(self) -> Instant:
        return self._at(self._steady.monotonic())

    def monotonic(self) -> float:
        return self._steady.monotonic()

    async def keep(self) -> None:
        """Look at the server's clock, and follow it if this one is surely off, or if the look was a quicker one."""
        before = self._steady.monotonic()
        told = await self._ask()
        after = self._steady.monotonic()
        asked, doubt = (before + after) / 2, (after - before) / 2
        if self._anchor is None or doubt < self._doubt or abs(told - self._at(asked)) > doubt * SECOND:
            self._anchor, self._doubt = (told, asked), doubt

    def _at(self, steady: float) -> Instant:
        assert self._anchor is not None, "the server's clock was looked at"  # noqa: S101
        told, asked = self._anchor
        return told + round((steady - asked) * SECOND)

"""Time that a test moves by hand."""

from millrace.core.values import SECOND, Duration, Instant

START: Instant = 1_800_000_000 * SECOND


class FakeClock:
    """Meets `ports.clock.Clock`: stands still until it is moved."""

    def __init__(self, now: Instant = START) -> None:
        self._now = now
        self._steady = 0

    def now(self) -> Instant:
        return self._now

    def monotonic(self) -> float:
        return self._steady / SECOND

    def advance(self, by: Duration) -> None:
        """Time passes."""
        self._now += by
        self._steady += by

    def jump(self, by: Duration) -> None:
        """The wall clock is set; no time passes."""
        self._now += by

"""The port for time. Nothing outside the adapters of this port reads a clock."""

from typing import Protocol

from millrace.core.values import Instant


class Clock(Protocol):
    def now(self) -> Instant:
        """Wall-clock time: microseconds since the Unix epoch, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; for limits a process keeps on its own."""
        ...

"""The adapters for time and identifiers of a real machine (tests bring their own), and what we ask of Python itself."""

import gc
import os
import time
from threading import Lock

from millrace.core.values import Instant


class SystemClock:
    """Meets `ports.clock.Clock`."""

    def now(self) -> Instant:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()


DRAWN_AT_ONCE = 256
"""Random tails of ids."""


class Uuid7Ids:
    """Meets `ports.ids.Ids`: UUIDv7 (RFC 9562), in order of creation within the process.

    The 12 bits after the milliseconds hold the fraction of the millisecond (method 3 of the RFC); an id that would
    not be greater than the one before takes the next value instead, so a clock that stands still or goes back does
    not break the order.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()
        self._tails: list[str] = []
        """Drawn many at a time: each drawing lets another thread have the interpreter, in the midst of a request."""
        os.register_at_fork(after_in_child=self._tails.clear)

    def new(self) -> str:
        nanoseconds = time.time_ns()
        millis, rest = divmod(nanoseconds, 1_000_000)
        stamp = (millis << 12) | (rest * 4096 // 1_000_000)
        with self._lock:
            if stamp <= self._last:
                stamp = self._last + 1
            self._last = stamp
            if not self._tails:
                drawn = os.urandom(8 * DRAWN_AT_ONCE).hex()
                self._tails.extend(drawn[start : start + 16] for start in range(0, len(drawn), 16))
            tail = self._tails.pop()
        head = f"{stamp >> 12:012x}"
        variant = "89ab"[int(tail[0], 16) & 3]
        return f"{head[:8]}-{head[8:]}-7{stamp & 0xFFF:03x}-{variant}{tail[1:4]}-{tail[4:]}"


COLLECT_AFTER = 20_000
"""New objects that may be in cycles, before the collector looks at them (Python's default is 700)."""


def leave_start_behind() -> None:
    """Tell the collector of cycles that the start is over: what it made stays and need not be looked at ever again.

    The state of live runs is some ten thousand objects, hardly ever in cycles. At Python's defaults a tenth of the
    processor time under load goes into looking at them again and again.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    gc.enable()

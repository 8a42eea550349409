"""Log lines of attempts: masked, rate-limited, in order, and on their way to the store while the attempt runs.

Lines that are still here when the attempt ends are handed in with its outcome, in the same commit; so whoever sees
a finished task sees all of its lines.
"""

import logging
from collections.abc import Sequence
from typing import get_args

from millrace.core.values import InvalidValue, JsonObject
from millrace.engine.service import Service
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.runner import LogLevel
from millrace.ports.secrets import Masker
from millrace.ports.store import LogLine, Store
from millrace.worker.handed_in import encoded, readable

logger = logging.getLogger(__name__)

LINES_PER_SECOND = 1_000
BURST = 5_000
"""Lines an attempt may log at once; below `LINES_PER_SECOND` on average nothing is ever lost."""

LARGEST_METADATA = 65_536
"""Bytes of JSON beside a line."""

MOST_WAITING = 4 * 1024 * 1024
"""Characters an attempt's log holds until they are stored."""

MOST_LATE = 20_000
"""Lines kept of attempts that ended while the store was away; the oldest beyond them are dropped."""

BETWEEN_SHIPMENTS = 0.2
AT_REST = 60.0
"""Seconds between two looks for lines: while attempts run or lines wait for the store, and otherwise."""

LEVELS = frozenset(get_args(LogLevel))


class AttemptLog:
    """The `LogSink` of one attempt."""

    def __init__(self, run_id: str, path: str, attempt: int, *, masker: Masker, clock: Clock) -> None:
        self.run_id = run_id
        self._path = path
        self._attempt = attempt
        self._masker = masker
        self._clock = clock
        self._lines: list[LogLine] = []
        self._waiting = 0
        """Characters in them."""
        self._allowance = float(BURST)
        self._refilled_at = clock.monotonic()
        self._dropped = 0

    def __call__(self, text: str, *, level: LogLevel = "info", metadata: JsonObject | None = None) -> None:
        if not self._allowed():
            self._dropped += 1
            return
        self._note_dropped()
        self._append(self._masker.text(text), level, metadata)

    def take(self) -> Sequence[LogLine]:
        """The lines that nobody has taken yet, oldest first."""
        if self._dropped:
            self._note_dropped()
        lines, self._lines, self._waiting = self._lines, [], 0
        return lines

    def put_back(self, lines: Sequence[LogLine]) -> None:
        """They could not be stored yet."""
        self._lines[:0] = lines
        self._waiting += sum(len(line.text) for line in lines)

    def _append(self, text: str, level: LogLevel, metadata: JsonObject | None = None) -> None:
        self._waiting += len(text)
        self._lines.append(
            LogLine(
                run_id=self.run_id,
                path=self._path,
                attempt=self._attempt,
                at=self._clock.now(),
                level=level if level in LEVELS else "info",
                text=readable(text),
                metadata=None if metadata is None else self._storable(metadata),
            )
        )

    def _storable(self, metadata: JsonObject) -> JsonObject:
        """The metadata, masked; what cannot be stored is replaced by the reason, for the line must not be lost."""
        try:
            encoded(metadata, path="metadata", limit=LARGEST_METADATA)
            masked = self._masker.value(metadata)
        except InvalidValue as error:
            masked = {"invalid": self._masker.text(str(error))}
        return masked if isinstance(masked, dict) else {"value": masked}

    def _allowed(self) -> bool:
        now = self._clock.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._refilled_at) * LINES_PER_SECOND)
        self._refilled_at = now
        if self._allowance < 1 or self._waiting > MOST_WAITING:
            return False
        self._allowance -= 1
        return True

    def _note_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._append(
                f"{dropped} lines were dropped: more than {LINES_PER_SECOND} lines a second, "
                f"or {MOST_WAITING} characters while the database was away",
                "warning",
            )


class LogShipper(Service):
    """Stores the lines of running attempts a few times a second; rests while nothing runs."""

    interval = AT_REST

    def __init__(self, store: Store, bus: Bus) -> None:
        super().__init__()
        self._store = store
        self._bus = bus
        self._open: set[AttemptLog] = set()
        self._late: list[LogLine] = []
        """Lines that could not be stored before their attempt ended."""

    def open(self, log: AttemptLog) -> None:
        self._open.add(log)
        if self.interval != BETWEEN_SHIPMENTS:
            self.interval = BETWEEN_SHIPMENTS
            self.wake()

    def close(self, log: AttemptLog) -> Sequence[LogLine]:
        """Stop shipping for this attempt; the caller hands in what is left."""
        self._open.discard(log)
        return log.take()

    async def run_once(self) -> float | None:
        late, self._late = self._late, []
        taken = [(log, log.take()) for log in self._open]
        lines = [*late, *(line for _, of_one in taken for line in of_one)]
        if lines:
            try:
                await self._store.append_logs(lines)
            except Exception:
                self._keep(late, taken)
                raise
            for run_id in {line.run_id for line in lines}:
                self._bus.publish(run_id)
        self.interval = BETWEEN_SHIPMENTS if self._open else AT_REST
        return None

    def _keep(self, late: Sequence[LogLine], taken: Sequence[tuple[AttemptLog, Sequence[LogLine]]]) -> None:
        self._late += late
        for log, lines in taken:
            if log in self._open:
                log.put_back(lines)
            else:
                self._late += lines
        if len(self._late) > MOST_LATE:
            logger.warning("%d log lines of ended attempts are given up", len(self._late) - MOST_LATE)
            del self._late[:-MOST_LATE]

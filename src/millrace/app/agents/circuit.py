"""The circuit of an agent: closed, open after so many failures in a row, half open when that time is over. Pure.

It is a part of the agent's row, so all processes share it. Nothing is written for a call that works while nothing had
failed before; a failure and a change of state are one small write each.
"""

from dataclasses import dataclass
from enum import StrEnum

from millrace.core.values import SECOND, Duration, Instant

TRIAL: Duration = 30 * SECOND
"""So long at least nobody else tries, after one has begun: it may never tell how that went."""


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitRule:
    failures: int
    """In a row, after which the circuit opens."""
    open_for: Duration


@dataclass(frozen=True, slots=True)
class Circuit:
    failures: int = 0
    """In a row."""
    open_until: Instant | None = None
    trial_until: Instant | None = None

    def state(self, now: Instant) -> CircuitState:
        if self.open_until is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self.open_until else CircuitState.HALF_OPEN

    def free_at(self, now: Instant) -> Instant | None:
        """When the next call may be tried, if not now."""
        later = [until for until in (self.open_until, self.trial_until) if until is not None and until > now]
        return max(later) if later else None

    def with_trial(self, now: Instant, timeout: Duration) -> "Circuit":
        return Circuit(self.failures, self.open_until, now + max(TRIAL, timeout))

    def after_failure(self, rule: CircuitRule, now: Instant, *, trial: bool) -> "Circuit":
        """A call that had begun before the circuit opened, and fails later, does not keep it open for longer."""
        if self.open_until is not None and not trial:
            return self
        failures = self.failures + 1
        if not trial and failures < rule.failures:
            return Circuit(failures)
        return Circuit(failures, open_until=now + rule.open_for)

    def after_success(self, *, trial: bool) -> "Circuit":
        """Only the trial closes an open circuit: other calls had begun while it still worked."""
        return Circuit() if trial or self.open_until is None else self

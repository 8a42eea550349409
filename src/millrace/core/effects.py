"""Wishes of the core: what must follow once the transition that carries them is committed, and the records of it.

`Evaluate` alone is answered before the commit, in the same fold. All others become rows of the same
transaction as the state they follow from; nothing is acted on before that.
"""

from dataclasses import dataclass
from typing import TypeAlias

from millrace.core.events import TimerKind
from millrace.core.states import RunStatus
from millrace.core.values import Duration, Instant, JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class ScheduleAttempt:
    """A new attempt that a worker may claim from `available_at` on."""

    path: str
    number: int
    available_at: Instant
    queue: str
    timeout: Duration | None
    """Limit of the attempt from its claim."""
    expires_at: Instant | None
    """When the task's total time is over, whatever the attempt's own limit."""
    queue_until: Instant | None = None
    """When a worker must have claimed it."""


@dataclass(frozen=True, slots=True)
class WithdrawAttempt:
    """Take the attempt back if no worker has claimed it; leave it alone otherwise (the run is paused)."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Take the attempt back if no worker has claimed it, else have its worker end it (the run is ending)."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    kind: TimerKind
    fire_at: Instant


@dataclass(frozen=True, slots=True)
class ClearTimers:
    """No timer of this run is of use any more."""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Find the value of a task's `if` (`template` is CEL source) or, for path `None`, of the run's output mapping."""

    path: str | None
    template: JsonValue


@dataclass(frozen=True, slots=True)
class AnnounceFinished:
    """Tell everyone who waits for this run: callers, the next run in line, later a parent."""

    status: RunStatus


Effect: TypeAlias = ScheduleAttempt | WithdrawAttempt | StopAttempt | SetTimer | ClearTimers | AnnounceFinished


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a run's history. Its number is given by the database, in commit order and without gaps."""

    type: str
    at: Instant
    path: str | None = None
    data: JsonObject | None = None

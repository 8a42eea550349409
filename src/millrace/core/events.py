"""Facts that happened to a run: the only input of the core after a run's start.

Every event has an identity (a task's path and attempt number, a timer's key, the run itself), so that applying
it twice is answered `ALREADY_APPLIED` and changes nothing. Payloads (outputs) are carried, never looked at.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from millrace.core.failures import Failure
from millrace.core.states import RunStatus
from millrace.core.values import Instant, JsonObject, JsonValue


class Verdict(StrEnum):
    """The core's answer to one event. Only `APPLIED` changed anything."""

    APPLIED = "applied"
    ALREADY_APPLIED = "already_applied"
    REFUSED = "refused"


class TimerKind(StrEnum):
    """What a timer of a run is for. A timer of another phase than the run's current one is stale and ignored."""

    START = "start"
    """A delayed start: the run is admitted when it fires."""
    RUN_TIMEOUT = "run_timeout"
    ON_FAILURE_TIMEOUT = "on_failure_timeout"
    ROLLBACK_TIMEOUT = "rollback_timeout"
    FINALLY_TIMEOUT = "finally_timeout"
    TASK = "task"
    """Of a task, whose path goes with it: the end of a sleep, or the limit of a wait or of a control task."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The run got its place under its workflow's concurrency limit and may start."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The run is not to start before `until`."""

    until: Instant


@dataclass(frozen=True, slots=True)
class AttemptCompleted:
    path: str
    number: int
    output: JsonValue = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt ended without success: a failure, a timeout, a stop on request (`cancelled`, `worker_stopped`)."""

    path: str
    number: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """The worker that ran the attempt is dead; nobody will report for it."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class AttemptWithdrawn:
    """The attempt was taken back before any worker claimed it."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class AttemptExpired:
    """The attempt was taken back because no worker had claimed it within the task's `queue_timeout`."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class WaitTerms:
    """How long a task waits, and how that may end; for what is known outside."""

    until: Instant | None = None
    """When a sleep is over. A time that has passed ends it at once."""
    decides: bool = False
    """It waits for a decision."""
    default: bool | None = None
    """With that: what counts as decided when the time is over; `None` is a timeout."""
    signal: str | None = None
    """The name of the signal it waits for."""
    child: str | None = None
    """The id of the run that is started for it."""
    detached: bool = False
    """With that: it waits for the start of that run, not for its end."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The answer to `effects.Evaluate` of the same fold: a value, or the failure to have one.

    `path` is the task that asks, or `None` for the run's output.
    """

    path: str | None
    value: JsonValue = None
    failure: Failure | None = None
    terms: WaitTerms | None = None


@dataclass(frozen=True, slots=True)
class EventArrived:
    """An event came that the task waits for, by its type and key. `event` is as expressions see it."""

    path: str
    event: JsonObject


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A signal to this run. Tasks that wait for one of the name take it; without any it is kept for the next."""

    name: str
    data: JsonValue = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """Somebody approved or rejected what the task asks for."""

    path: str
    approved: bool
    by: str | None = None
    comment: str | None = None
    form: JsonValue = None


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """The run of a sub-workflow task was started."""

    path: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ChildRefused:
    """It cannot be started."""

    path: str
    run_id: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class ChildFinished:
    """It has finished. Its output is asked for (`Question.CHILD`), since it may be large."""

    path: str
    run_id: str
    status: RunStatus
    failure: Failure | None = None


class Cascade(StrEnum):
    """What the run whose sub-workflow this is means by its cancel."""

    FIRST = "first"
    """It ends what it waits for: asks a run to end that nobody has asked yet, and is no second cancel by itself."""
    AGAIN = "again"
    """It was cancelled again while this run is being ended, so this is to end at once, too."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    by: str | None = None
    reason: str | None = None
    cascade: Cascade | None = None
    """`None`: it does not come from the run whose sub-workflow this is."""


@dataclass(frozen=True, slots=True)
class PauseRequested:
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    by: str | None = None


@dataclass(frozen=True, slots=True)
class TimerFired:
    kind: TimerKind
    path: str | None = None
    """The task, for `TimerKind.TASK`."""


Event: TypeAlias = (
    Admitted
    | Delayed
    | AttemptCompleted
    | AttemptFailed
    | AttemptLost
    | AttemptWithdrawn
    | AttemptExpired
    | Evaluated
    | EventArrived
    | SignalReceived
    | Decided
    | ChildStarted
    | ChildRefused
    | ChildFinished
    | CancelRequested
    | PauseRequested
    | ResumeRequested
    | TimerFired
)

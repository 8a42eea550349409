"""Wishes of the core: what must follow once the transition that carries them is committed, and the records of it.

`Evaluate` alone is answered before the commit, in the same fold. All others become rows of the same
transaction as the state they follow from; nothing is acted on before that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from millrace.core.events import Cascade, TimerKind
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
    """No timer of this run is of use any more, nor of any of its tasks, and none of them waits."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Fire a timer of the task at `fire_at`; a task has at most one, and a second takes the place of the first."""

    path: str
    fire_at: Instant


@dataclass(frozen=True, slots=True)
class Park:
    """The task waits for what `Evaluated.terms` were made of: have it found when that comes. `fire_at` as `Alarm`."""

    path: str
    fire_at: Instant | None


@dataclass(frozen=True, slots=True)
class Unpark:
    """The task waits no more, neither for anything nor for a timer."""

    path: str


@dataclass(frozen=True, slots=True)
class CancelChild:
    """Ask the run that a sub-workflow task waits for to cancel; its end is told as any other."""

    path: str
    run_id: str
    cascade: Cascade = Cascade.FIRST


@dataclass(frozen=True, slots=True)
class TellRun:
    """Send the signal that the answer to `Question.SIGNAL` was made of."""

    path: str


class Question(StrEnum):
    """What `Evaluate` asks, and what `Evaluated.value` must then be."""

    IF = "if"
    """The task's `if` (CEL source): true or false."""
    BRANCH = "branch"
    """The `if` of a condition (CEL source): true or false. The value of a switch (template): text, number or these."""
    ITEMS = "items"
    """The items of a foreach (template): their number. They become the task's input, with their keys."""
    AGAIN = "again"
    """Whether iteration `number` of a while (CEL source) is to run: true or false. Without a source it is known to:
    asked is only that what the iterations before came to is noted, and true is the answer. `came`: how many of those
    were adopted, if the while begins with them."""
    RESULTS = "results"
    """What a loop comes to (template for each iteration), `number` of which have begun: its output."""
    DECIDED = "decided"
    """What a wait came to whose block an earlier run has entered: its output."""
    WAIT = "wait"
    """What a wait is for (template): its `terms`. The rendered config becomes the task's input."""
    FILTER = "filter"
    """Whether what `came` is what a wait is for (CEL source): true or false."""
    CHILD = "child"
    """What the run of a sub-workflow came to: its output. `came` names the run, as `run_id`."""
    SIGNAL = "signal"
    """Whom to signal what (template). The rendered config becomes the task's input."""
    OUTPUT = "output"
    """The run's output mapping; the one question with no path."""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Find a value, and tell it as `Evaluated` in the same fold."""

    path: str | None
    template: JsonValue
    what: Question = Question.IF
    number: int = 0
    came: JsonValue = None


@dataclass(frozen=True, slots=True)
class AnnounceFinished:
    """Tell everyone who waits for this run: callers, the next run in line, the run whose sub-workflow it is."""

    status: RunStatus


Effect: TypeAlias = (
    ScheduleAttempt
    | WithdrawAttempt
    | StopAttempt
    | SetTimer
    | ClearTimers
    | Alarm
    | Park
    | Unpark
    | CancelChild
    | TellRun
    | AnnounceFinished
)


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a run's history. Its number is given by the database, in commit order and without gaps."""

    type: str
    at: Instant
    path: str | None = None
    data: JsonObject | None = None

"""A run as the core sees it: statuses and counts, never payloads. Immutable; a fold makes the next one.

Persisted are the fields of `TaskRun` and of `RunState` down to `ahead`. What comes after them follows from them and
the plan, and is counted anew by `counting.restored` when a run is loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from millrace.core.failures import Failure
from millrace.core.plan import Phase, Plan
from millrace.core.readiness import Ending, Tally
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.table import Table
from millrace.core.values import Instant, JsonValue


class SkipReason(StrEnum):
    CONDITION = "condition"
    """Its own `if` did not hold."""
    JOIN = "join"
    """Its join rule could not be met any more."""
    PHASE = "phase"
    """Its phase never began: nothing failed, or the run was cancelled."""
    NOTHING_TO_UNDO = "nothing_to_undo"
    """It belongs to `on_rollback` of a task that did not complete."""


class WindUp(StrEnum):
    """Why the current phase is being ended before its time: no task starts any more, live attempts are stopped."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task in one run, or in one iteration of the loops it stands in: `path` says which (`controls`)."""

    path: str
    status: TaskStatus = TaskStatus.PENDING
    attempt: int = 0
    """Number of its latest attempt, lost and withdrawn ones included; 0 before the first."""
    live: bool = False
    """That attempt is scheduled or running, as far as the core was told."""
    failures: int = 0
    """Own failures, timeouts included; counts against `max_attempts`."""
    crashes: int = 0
    """Attempts whose worker was lost."""
    ready_at: Instant | None = None
    available_at: Instant | None = None
    """When the next attempt may start, while the task is ready."""
    skip: SkipReason | None = None
    failure: Failure | None = None
    """Of one that is being ended before its time: what it is to fail with."""
    finished_at: Instant | None = None
    block: str | None = None
    """Of a control task: which of its blocks runs, or ran."""
    size: int | None = None
    """Of a foreach: how many items it has."""
    awaits: str | None = None
    """Of a task that waits: the name of a signal; `approve` or `reject`, if that is decided when its time is over;
    `started`, if a sub-workflow's run need only start; `ended`, when a run whose end is awaited has started."""
    child: str | None = None
    """Of a sub-workflow: its run."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that nobody has waited for yet."""

    name: str
    data: JsonValue = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Rounds:
    """How far a loop has come."""

    begun: int = 0
    """Iterations that have begun; the next has this number."""
    open: int = 0
    """Those of them that have not ended."""
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Ahead:
    """Where an earlier run stopped in a control task that is not taken over as a whole: what was decided then holds."""

    block: str | None = None
    """Which of its blocks ran."""
    size: int | None = None
    """Of a loop: over how many items it went, or, of a while, how many iterations are known to run."""
    child: str | None = None
    """Of a sub-workflow: its run."""
    origin: str | None = None
    """The run that was last at it, where what the task took and answered is needed: the items of a foreach, what the
    iterations of a while came to, what a wait waited for."""


NOTHING_AHEAD: Mapping[str, Ahead] = {}


@dataclass(frozen=True, slots=True)
class RunState:
    id: str
    status: RunStatus
    phase: Phase
    tasks: Table[TaskRun]
    outcome: RunStatus | None = None
    """Decided when the main part ends: completed, failed or cancelled. Only a failed `finally` changes it."""
    failure: Failure | None = None
    wind_up: WindUp | None = None
    cancels: int = 0
    """Cancel requests so far: the first skips `on_failure`, the second skips `finally` too. That a parent ends the run
    is not counted (`events.Cascade`)."""
    started_at: Instant | None = None
    """When the run was admitted."""
    finished_at: Instant | None = None
    signals: tuple[Signal, ...] = ()
    """Signals that are kept for the next task that waits for one of their name, the oldest first."""
    ahead: Mapping[str, Ahead] = field(default_factory=dict)
    """Control tasks that go on where an earlier run left them, by path: told when the run is made, and kept as it is.
    Only a task that has not begun is looked up in it."""
    tallies: Table[Tally] = field(default_factory=lambda: Table({}))
    """How the predecessors of pending tasks ended; of other tasks it is not kept up."""
    unfinished: int = 0
    """Tasks of the current phase, those within others aside, that have not finished."""
    scopes: Table[int] = field(default_factory=lambda: Table({}))
    """How many tasks of a block that has begun have not finished: by the path of its task, or by its iteration."""
    rounds: Table[Rounds] = field(default_factory=lambda: Table({}))
    """Of the loops that have begun, by path."""
    busy: int = 0
    """Tasks that are ready or being ended: something is being done, or may be by any worker."""
    waits: int = 0
    """Tasks that wait."""
    undo: Mapping[str, str] = field(default_factory=dict)
    """In the phase `rollback`: after which task's undoing whose comes next. It follows from when they completed."""


def ending_of(task: TaskRun, *, allow_failure: bool) -> Ending | None:
    """How a task ended, as its dependents see it; `None` while it has not."""
    match task.status:
        case TaskStatus.COMPLETED:
            return Ending.SUCCEEDED
        case TaskStatus.FAILED:
            return Ending.SUCCEEDED if allow_failure else Ending.FAILED
        case TaskStatus.SKIPPED:
            return Ending.SKIPPED_BY_IF if task.skip is SkipReason.CONDITION else Ending.SKIPPED_BY_JOIN
        case TaskStatus.CANCELLED:
            return Ending.CANCELLED
        case _:
            return None


def undo_order(plan: Plan, task_of: Callable[[str], TaskRun]) -> list[str]:
    """The completed tasks that can be undone, the last to complete first."""
    listed = {path: place for place, path in enumerate(plan.rollbacks)}
    completed = [path for path in plan.rollbacks if task_of(path).status is TaskStatus.COMPLETED]
    return sorted(completed, key=lambda path: (task_of(path).finished_at or 0, listed[path]), reverse=True)


def following(order: Sequence[str]) -> Mapping[str, str]:
    return dict(pairwise(order))

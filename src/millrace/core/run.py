"""A run as the core sees it: statuses and counts, never payloads. Immutable; a fold makes the next one.

Persisted are the fields of `TaskRun` and of `RunState` down to `finished_at`. `tallies`, `unfinished` and `undo` follow
from them and the plan, and are counted anew by `restored` when a run is loaded.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from millrace.core.failures import Failure
from millrace.core.plan import Phase, Plan
from millrace.core.readiness import NO_PREDECESSORS, Ending, Tally
from millrace.core.states import FINISHED_TASK, RunStatus, TaskStatus
from millrace.core.table import Table
from millrace.core.values import Instant


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
    """One task in one run."""

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
    finished_at: Instant | None = None


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
    """Cancel requests so far: the first skips `on_failure`, the second skips `finally` too."""
    started_at: Instant | None = None
    """When the run was admitted."""
    finished_at: Instant | None = None
    tallies: Table[Tally] = field(default_factory=lambda: Table({}))
    """How the predecessors of pending tasks ended; of other tasks it is not kept up."""
    unfinished: int = 0
    """Tasks of the current phase that have not finished."""
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


NO_FAILURES: Mapping[str, Failure] = {}


def created(
    plan: Plan,
    run_id: str,
    *,
    adopted: Collection[str] = (),
    failures: Mapping[str, Failure] = NO_FAILURES,
    now: Instant = 0,
) -> RunState:
    """A run that was accepted and waits for its admission.

    `adopted` are tasks of the main part that an earlier run has done with: they count as completed `now`; those of
    `failures`, which their plan allows to fail (`allow_failure`), as failed.
    """
    if adopted:
        tasks = (_adopted(path, failures.get(path), now) if path in adopted else TaskRun(path) for path in plan.tasks)
        return restored(plan, RunState(run_id, RunStatus.PENDING, Phase.MAIN, Table({})), tasks)
    blank = _blank(plan)
    return RunState(
        id=run_id,
        status=blank.status,
        phase=blank.phase,
        tasks=blank.tasks,
        tallies=blank.tallies,
        unfinished=blank.unfinished,
    )


def _adopted(path: str, failure: Failure | None, now: Instant) -> TaskRun:
    status = TaskStatus.COMPLETED if failure is None else TaskStatus.FAILED
    return TaskRun(path, status, failure=failure, finished_at=now)


@lru_cache(maxsize=256)
def _blank(plan: Plan) -> RunState:
    """What all new runs of a plan have in common; shared, since tables never change."""
    return restored(plan, RunState("", RunStatus.PENDING, Phase.MAIN, Table({})), map(TaskRun, plan.tasks))


def restored(plan: Plan, header: RunState, tasks: Iterable[TaskRun]) -> RunState:
    """`header` with `tasks` and with what follows from them: tallies, and the count of unfinished tasks."""
    table = {task.path: task for task in tasks}
    tallies = {
        task.id: Tally.of(ending_of(table[need], allow_failure=plan.tasks[need].allow_failure) for need in task.needs)
        if task.needs
        else NO_PREDECESSORS
        for task in plan.tasks.values()
    }
    undo = following(undo_order(plan, table.__getitem__)) if header.phase is Phase.ROLLBACK else {}
    unfinished = sum(table[path].status not in FINISHED_TASK for path in plan.tasks_of(header.phase))
    return RunState(
        id=header.id,
        status=header.status,
        phase=header.phase,
        tasks=Table(table),
        outcome=header.outcome,
        failure=header.failure,
        wind_up=header.wind_up,
        cancels=header.cancels,
        started_at=header.started_at,
        finished_at=header.finished_at,
        tallies=Table(tallies),
        unfinished=unfinished,
        undo=undo,
    )


def undo_order(plan: Plan, task_of: Callable[[str], TaskRun]) -> list[str]:
    """The completed tasks that can be undone, the last to complete first."""
    listed = {path: place for place, path in enumerate(plan.rollbacks)}
    completed = [path for path in plan.rollbacks if task_of(path).status is TaskStatus.COMPLETED]
    return sorted(completed, key=lambda path: (task_of(path).finished_at or 0, listed[path]), reverse=True)


def following(order: Sequence[str]) -> Mapping[str, str]:
    return dict(pairwise(order))

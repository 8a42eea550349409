"""A run while events are folded into it: the one mutable object of the core, private to one fold.

It offers the primitive moves (change a task, schedule an attempt, write a record) to the files that know the
rules: `attempts`, `phases`, `control`. Each move keeps rows, counts, effects and records in step, and costs only
what it changes. Nothing outside sees a draft before `close` turns it into an immutable `Transition`.
"""

from dataclasses import dataclass, replace
from typing import Any

from millrace.core.effects import Effect, Evaluate, Record, ScheduleAttempt
from millrace.core.failures import Failure
from millrace.core.plan import Phase, Plan
from millrace.core.readiness import Ending, Tally
from millrace.core.run import RunState, SkipReason, TaskRun, WindUp, ending_of
from millrace.core.states import FINISHED_RUN, FINISHED_TASK, RUN_EDGES, TASK_EDGES, RunStatus, TaskStatus, step
from millrace.core.values import Instant, JsonObject

FINISHED_RECORDS = {status: f"task.{status.value}" for status in FINISHED_TASK}


@dataclass(frozen=True, slots=True)
class Transition:
    """What a fold came to: the run afterwards, and what must be committed with it."""

    run: RunState
    tasks: tuple[TaskRun, ...]
    """The task runs that changed, as they are now."""
    effects: tuple[Effect, ...]
    records: tuple[Record, ...]


class Draft:
    __slots__ = (
        "_base",
        "_tallies",
        "_tasks",
        "cancels",
        "effects",
        "failure",
        "finished_at",
        "now",
        "outcome",
        "phase",
        "plan",
        "questions",
        "records",
        "started_at",
        "status",
        "undo",
        "unfinished",
        "wind_up",
    )

    def __init__(self, plan: Plan, run: RunState, now: Instant) -> None:
        self._base = run
        self._tasks: dict[str, TaskRun] = {}
        self._tallies: dict[str, Tally] = {}
        self.plan = plan
        self.now = now
        self.status: RunStatus = run.status
        self.phase: Phase = run.phase
        self.outcome: RunStatus | None = run.outcome
        self.failure: Failure | None = run.failure
        self.wind_up: WindUp | None = run.wind_up
        self.cancels = run.cancels
        self.started_at = run.started_at
        self.finished_at = run.finished_at
        self.unfinished = run.unfinished
        self.undo = run.undo
        self.effects: list[Effect] = []
        self.records: list[Record] = []
        self.questions: dict[str | None, Evaluate] = {}
        """Asked and not yet answered, by task path (`None`: the run's output)."""

    @property
    def run_id(self) -> str:
        return self._base.id

    @property
    def finished(self) -> bool:
        return self.status in FINISHED_RUN

    @property
    def starts_tasks(self) -> bool:
        """Whether a task that may run gets an attempt now; a paused run collects them instead."""
        return self.status is not RunStatus.PAUSED

    def task(self, path: str) -> TaskRun:
        return self._tasks.get(path) or self._base.tasks[path]

    def tally(self, path: str) -> Tally:
        return self._tallies.get(path) or self._base.tallies[path]

    def set_status(self, target: RunStatus) -> None:
        if target is not self.status:
            self.status = step(RUN_EDGES, self.status, target)

    def change(self, task: TaskRun, **fields: Any) -> TaskRun:
        """Write fields of a task other than its status."""
        changed = replace(task, **fields)
        self._tasks[task.path] = changed
        return changed

    def move(self, task: TaskRun, target: TaskStatus, **fields: Any) -> TaskRun:
        """Give a task another status, with the fields that go with it."""
        changed = replace(task, status=step(TASK_EDGES, task.status, target), **fields)
        self._tasks[task.path] = changed
        return changed

    def finish(
        self,
        task: TaskRun,
        target: TaskStatus,
        *,
        failure: Failure | None = None,
        skip: SkipReason | None = None,
    ) -> Ending:
        """End a task for good and say how its dependents see it."""
        ended = self.move(task, target, live=False, available_at=None, finished_at=self.now, failure=failure, skip=skip)
        plan = self.plan.tasks[task.path]
        if plan.phase is self.phase:
            self.unfinished -= 1
        data: JsonObject = {}
        if task.attempt:
            data["attempt"] = task.attempt
        if failure is not None:
            data["error"] = failure.summary()
        if skip is not None:
            data["reason"] = skip.value
        self.record(FINISHED_RECORDS[target], task.path, data)
        ending = ending_of(ended, allow_failure=plan.allow_failure)
        assert ending is not None, "finish was given a status that is not final"  # noqa: S101
        return ending

    def count(self, path: str, ending: Ending) -> Tally:
        """Note for the task at `path` that one more predecessor ended."""
        tally = self.tally(path).plus(ending)
        self._tallies[path] = tally
        return tally

    def make_ready(self, task: TaskRun) -> None:
        """A pending task may run: give it its first attempt."""
        if not self.starts_tasks:
            self.record("task.ready", task.path)
        self._schedule(task, self.now, status=step(TASK_EDGES, task.status, TaskStatus.READY), ready_at=self.now)

    def schedule(self, task: TaskRun, *, at: Instant) -> None:
        """Give a ready task its next attempt, startable from `at` on."""
        self._schedule(task, at)

    def _schedule(self, task: TaskRun, at: Instant, **fields: Any) -> None:
        """A paused run gives no attempts; the task keeps `at` for when the run is resumed."""
        if not self.starts_tasks:
            self.change(task, live=False, available_at=at, **fields)
            return
        plan = self.plan.tasks[task.path]
        number = task.attempt + 1
        task = self.change(task, attempt=number, live=True, available_at=at, **fields)
        expires_at = None if plan.total_timeout is None or task.ready_at is None else task.ready_at + plan.total_timeout
        queue_until = None if plan.queue_timeout is None else at + plan.queue_timeout
        self.effects.append(ScheduleAttempt(task.path, number, at, plan.queue, plan.timeout, expires_at, queue_until))
        self.record(
            "task.scheduled",
            task.path,
            {"attempt": number, "available_at": at} if at > self.now else {"attempt": number},
        )

    def record(self, kind: str, path: str | None = None, data: JsonObject | None = None) -> None:
        self.records.append(Record(kind, self.now, path, data or None))

    def unfinished_tasks(self) -> list[TaskRun]:
        """The tasks of the current phase that have not finished. Costs the size of the phase."""
        tasks = map(self.task, self.plan.tasks_of(self.phase))
        return [task for task in tasks if task.status not in FINISHED_TASK]

    def close(self) -> Transition:
        """The immutable result. Every question must have been answered."""
        if self.questions:
            raise AssertionError(f"unanswered questions of run {self.run_id}: {sorted(map(str, self.questions))}")
        return Transition(self.peek(), tuple(self._tasks.values()), tuple(self.effects), tuple(self.records))

    def peek(self) -> RunState:
        """The run as folded so far: what expressions see that are evaluated before the fold is closed."""
        return RunState(
            id=self._base.id,
            status=self.status,
            phase=self.phase,
            tasks=self._base.tasks.updated(self._tasks),
            outcome=self.outcome,
            failure=self.failure,
            wind_up=self.wind_up,
            cancels=self.cancels,
            started_at=self.started_at,
            finished_at=self.finished_at,
            tallies=self._base.tallies.updated(self._tallies),
            unfinished=self.unfinished,
            undo=self.undo,
        )

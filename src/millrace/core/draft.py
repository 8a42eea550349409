"""A run while events are folded into it: the one mutable object of the core, private to one fold.

It offers the primitive moves (change a task, schedule an attempt, write a record) to the files that know the rules:
`attempts`, `blocks`, `waits`, `phases`, `control`. Each move keeps rows, counts, effects and records in step, and costs
only what it changes. Nothing outside sees a draft before `close` turns it into an immutable `Transition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from millrace.core.controls import id_in
from millrace.core.counting import BUSY, scope_of
from millrace.core.effects import Effect, Evaluate, Record, ScheduleAttempt
from millrace.core.failures import Failure
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.readiness import Ending, Tally
from millrace.core.run import Rounds, RunState, Signal, SkipReason, TaskRun, WindUp, ending_of
from millrace.core.states import FINISHED_RUN, FINISHED_TASK, RUN_EDGES, TASK_EDGES, RunStatus, TaskStatus, step
from millrace.core.values import Instant, JsonObject, JsonValue

FINISHED_RECORDS = {status: f"task.{status.value}" for status in FINISHED_TASK}


_VALUES = attrgetter(*TaskRun.__slots__)
_SETTERS = {name: getattr(TaskRun, name).__set__ for name in TaskRun.__slots__}


def _changed(task: TaskRun, fields: dict[str, Any]) -> TaskRun:
    """A copy with other `fields`. `dataclasses.replace` does the same and was a fifth of what an event cost."""
    copy: TaskRun = object.__new__(TaskRun)
    for write, value in zip(_SETTERS.values(), _VALUES(task), strict=True):
        write(copy, value)
    for name, value in fields.items():
        _SETTERS[name](copy, value)
    return copy


@dataclass(frozen=True, slots=True)
class Transition:
    """What a fold came to: the run afterwards, and what must be committed with it."""

    run: RunState
    tasks: tuple[TaskRun, ...]
    """The task runs that changed or are new, as they are now."""
    effects: tuple[Effect, ...]
    records: tuple[Record, ...]
    added: frozenset[str] = frozenset()
    """Paths of the task runs that are new: those of blocks that have begun."""
    outputs: Mapping[str, JsonValue] = field(default_factory=dict)
    """Outputs of control tasks, by path."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came for a task that waits: an event or a signal, as expressions see it."""

    came: JsonObject
    signal: Signal | None = None
    kept: bool = False
    """The signal was kept before the task came to wait. Such a one is taken by one task only."""


class Draft:
    __slots__ = (
        "_added",
        "_base",
        "_rounds",
        "_scopes",
        "_tallies",
        "_tasks",
        "ahead",
        "arrived",
        "busy",
        "cancels",
        "effects",
        "ended",
        "failure",
        "finished_at",
        "now",
        "outcome",
        "outputs",
        "phase",
        "plan",
        "questions",
        "records",
        "signals",
        "started_at",
        "status",
        "undo",
        "unfinished",
        "waits",
        "wind_up",
    )

    def __init__(self, plan: Plan, run: RunState, now: Instant) -> None:
        self._base = run
        self._tasks: dict[str, TaskRun] = {}
        self._tallies: dict[str, Tally] = {}
        self._scopes: dict[str, int] = {}
        self._rounds: dict[str, Rounds] = {}
        self._added: set[str] = set()
        self.plan = plan
        self.now = now
        # Whether a run that goes on waits is told when the fold is over.
        self.status: RunStatus = RunStatus.RUNNING if run.status is RunStatus.WAITING else run.status
        self.phase: Phase = run.phase
        self.outcome: RunStatus | None = run.outcome
        self.failure: Failure | None = run.failure
        self.wind_up: WindUp | None = run.wind_up
        self.cancels = run.cancels
        self.started_at = run.started_at
        self.finished_at = run.finished_at
        self.unfinished = run.unfinished
        self.undo = run.undo
        self.ahead = run.ahead
        self.busy = run.busy
        self.waits = run.waits
        self.signals = run.signals
        self.outputs: dict[str, JsonValue] = {}
        self.ended: list[tuple[str, Ending]] = []
        """Tasks that have finished, of which nobody has been told yet."""
        self.arrived: dict[str, list[Arrival]] = {}
        """What has come for tasks that wait, and is still to be looked at, by path."""
        self.effects: list[Effect] = []
        self.records: list[Record] = []
        self.questions: dict[str | None, Evaluate] = {}
        """Asked and not yet answered, by task path (`None`: the run's output); a task has one question at a time."""

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

    def has(self, path: str) -> bool:
        """Whether there is such a task run: those within others are there once what is around them has begun."""
        return path in self._tasks or path in self._base.tasks

    def plan_of(self, path: str) -> TaskPlan:
        return self.plan.tasks[id_in(path)]

    def tally(self, path: str) -> Tally:
        return self._tallies.get(path) or self._base.tallies[path]

    def unfinished_in(self, scope: str) -> int:
        """Tasks of a block that have not finished; `scope` as in `counting.scope_of`."""
        return self._scopes[scope] if scope in self._scopes else self._base.scopes[scope]

    def open_scope(self, scope: str, unfinished: int) -> None:
        self._scopes[scope] = unfinished

    def rounds(self, path: str) -> Rounds:
        return self._rounds.get(path) or self._base.rounds[path]

    def set_rounds(self, path: str, rounds: Rounds) -> None:
        self._rounds[path] = rounds

    def set_status(self, target: RunStatus) -> None:
        if target is not self.status:
            self.status = step(RUN_EDGES, self.status, target)

    def add(self, task: TaskRun, tally: Tally) -> None:
        """A task run that was not there, of a block that begins."""
        self._tasks[task.path] = task
        self._added.add(task.path)
        self._tallies[task.path] = tally

    def change(self, task: TaskRun, **fields: Any) -> TaskRun:
        """Write fields of a task other than its status."""
        changed = _changed(task, fields)
        self._tasks[task.path] = changed
        return changed

    def move(self, task: TaskRun, target: TaskStatus, **fields: Any) -> TaskRun:
        """Give a task another status, with the fields that go with it."""
        fields["status"] = step(TASK_EDGES, task.status, target)
        changed = _changed(task, fields)
        self.busy += (target in BUSY) - (task.status in BUSY)
        self.waits += (target is TaskStatus.WAITING) - (task.status is TaskStatus.WAITING)
        self._tasks[task.path] = changed
        return changed

    def finish(
        self,
        task: TaskRun,
        target: TaskStatus,
        *,
        failure: Failure | None = None,
        skip: SkipReason | None = None,
    ) -> None:
        """End a task for good. Its dependents, and what is around it, are told when the fold settles."""
        ended = self.move(task, target, live=False, available_at=None, finished_at=self.now, failure=failure, skip=skip)
        plan = self.plan_of(task.path)
        if plan.parent is not None:
            scope = scope_of(self.plan, plan, task.path)
            self._scopes[scope] = self.unfinished_in(scope) - 1
        elif plan.phase is self.phase:
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
        self.ended.append((task.path, ending))

    def count(self, path: str, ending: Ending) -> Tally:
        """Note for the task at `path` that one more predecessor ended."""
        tally = self.tally(path).plus(ending)
        self._tallies[path] = tally
        return tally

    def ask(self, question: Evaluate) -> None:
        self.questions[question.path] = question

    def make_ready(self, task: TaskRun) -> None:
        """A pending task may run: give it its first attempt."""
        if not self.starts_tasks:
            self.record("task.ready", task.path)
        self.busy += 1
        self._schedule(task, self.now, status=step(TASK_EDGES, task.status, TaskStatus.READY), ready_at=self.now)

    def schedule(self, task: TaskRun, *, at: Instant) -> None:
        """Give a ready task its next attempt, startable from `at` on."""
        self._schedule(task, at)

    def _schedule(self, task: TaskRun, at: Instant, **fields: Any) -> None:
        """A paused run gives no attempts; the task keeps `at` for when the run is resumed."""
        if not self.starts_tasks:
            self.change(task, live=False, available_at=at, **fields)
            return
        plan = self.plan_of(task.path)
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
        """The tasks of the current phase that have not finished, those within others included. Costs the whole run."""
        paths = (*self._base.tasks, *self._added)
        return [
            task
            for path in paths
            if (task := self.task(path)).status not in FINISHED_TASK and self.plan_of(path).phase is self.phase
        ]

    def unfinished_within(self, path: str) -> list[TaskRun]:
        """Those that stand in the task at `path`, at any depth. Costs the whole run."""
        container = id_in(path)
        prefix = path[: -len(container)]
        return [
            task
            for task in self.unfinished_tasks()
            if task.path.startswith(prefix) and self._stands_in(task.path, container) and task.path != path
        ]

    def _stands_in(self, path: str, container: str) -> bool:
        parent = self.plan_of(path).parent
        while parent is not None and parent != container:
            parent = self.plan.tasks[parent].parent
        return parent is not None

    def close(self) -> Transition:
        """The immutable result. Every question must have been answered."""
        if self.questions:
            raise AssertionError(f"unanswered questions of run {self.run_id}: {sorted(map(str, self.questions))}")
        return Transition(
            self.peek(),
            tuple(self._tasks.values()),
            tuple(self.effects),
            tuple(self.records),
            frozenset(self._added),
            self.outputs,
        )

    def peek(self) -> RunState:
        """The run as folded so far: what expressions see that are evaluated before the fold is closed."""
        idle = self.status is RunStatus.RUNNING and self.waits > 0 and self.busy == 0
        return RunState(
            id=self._base.id,
            status=step(RUN_EDGES, self.status, RunStatus.WAITING) if idle else self.status,
            phase=self.phase,
            tasks=self._base.tasks.updated(self._tasks),
            outcome=self.outcome,
            failure=self.failure,
            wind_up=self.wind_up,
            cancels=self.cancels,
            started_at=self.started_at,
            finished_at=self.finished_at,
            signals=self.signals,
            ahead=self.ahead,
            tallies=self._base.tallies.updated(self._tallies),
            unfinished=self.unfinished,
            scopes=self._base.scopes.updated(self._scopes),
            rounds=self._base.rounds.updated(self._rounds),
            busy=self.busy,
            waits=self.waits,
            undo=self.undo,
        )

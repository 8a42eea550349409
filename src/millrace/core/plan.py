"""The plan: a definition compiled to what the core needs to decide, and nothing else.

`definition.compile` makes it once per version; it never changes afterwards, so a run can be folded on
any machine, at any later time, with the same result. The core reads the fields of `TaskPlan` up to
`config`; `config` is carried for the worker and is opaque here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from millrace.core.controls import Control, id_in
from millrace.core.failures import Failure, FailureKind
from millrace.core.redaction import StartRedaction, Steps
from millrace.core.values import SECOND, Duration, JsonValue


class Phase(StrEnum):
    """The parts of a run, in the order they may run. All but the main part are its handlers."""

    MAIN = "main"
    ON_FAILURE = "on_failure"
    ROLLBACK = "rollback"
    """What undoes completed tasks (`on_rollback`), one task after another, the last to complete first."""
    FINALLY = "finally"


class JoinRule(StrEnum):
    """When a task runs, given how its predecessors ended. See `readiness` for the exact table."""

    ALL_SUCCESS = "all_success"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """When a failed attempt is followed by another. `max_attempts` counts the first; 1 means no retry."""

    max_attempts: int = 1
    delay: Duration = SECOND
    multiplier: float = 2.0
    max_delay: Duration = 60 * SECOND
    jitter: float = 0.0
    """Share of the delay (0 to 1) by which it may be shortened or lengthened."""
    on: frozenset[FailureKind] | None = None
    """Failure kinds that are retried; `None` means `RETRIED_BY_DEFAULT`."""
    on_crash: bool = True
    """False forbids a second start after the worker was lost: the task then runs at most once."""
    given: bool = field(default=False, compare=False)
    """Whether the definition says any of this, or all of it is what goes without saying."""


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """At most `size` attempts with this key run at the same time, whatever run and workflow they belong to."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Mock:
    """What a task of a test run answers in place of being done."""

    output: JsonValue = None
    failure: Failure | None = None
    times: int | None = None
    """Only so many attempts, the first ones, fail; `None`: all of them."""

    def failure_of(self, attempt: int) -> Failure | None:
        """How this attempt fails; attempts count from 1."""
        return self.failure if self.times is None or attempt <= self.times else None


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task of a plan. `needs` and `dependents` name tasks of the same list and mirror each other."""

    id: str
    type: str
    phase: Phase
    needs: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    join: JoinRule = JoinRule.ALL_SUCCESS
    condition: str | None = None
    """The CEL source of `if`, without braces; `None` runs always."""
    retry: RetryPlan = RetryPlan()
    timeout: Duration | None = None
    """Limit of one attempt, from its claim."""
    total_timeout: Duration | None = None
    """Limit of the task over all attempts and delays, from when it first became ready."""
    queue_timeout: Duration | None = None
    """Limit of each wait for a worker, from when the attempt may start."""
    allow_failure: bool = False
    queue: str = "default"
    priority: int | None = None
    """Of its attempts among those that wait; `None` takes the run's."""
    limit: TaskLimit | None = None
    undoes: str | None = None
    """For a task of the rollback, not within others: the task of the main part that it undoes."""
    control: Control | None = None
    """What the engine does for it; `None` for a task that a worker runs. `timeout` then limits all it does."""
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The lists of tasks within a control task, by name (`controls`): their ids in listed order, some may be empty."""
    parent: str | None = None
    """The control task in whose blocks it stands; `None` for a task of a list of the definition itself."""
    loops: tuple[str, ...] = ()
    """The loops that it stands in, the outermost first: a task run of it has a path with as many iterations."""
    config: JsonValue = None
    templated: bool = False
    """True when `config` holds expressions, so that the worker must render it for each attempt."""
    secrets: frozenset[str] = frozenset()
    """Names of the secrets that `config` refers to."""
    redact: tuple[Steps, ...] = ()
    """What of its output is not kept."""
    mock: Mock | None = None
    """For a task of a test run that is not done; carried for the worker and for those who look."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A whole definition, compiled. Two plans are equal if they are one."""

    tasks: Mapping[str, TaskPlan]
    """All tasks by id, those within others included, in listed order: a control task before what is in it."""
    phases: Mapping[Phase, tuple[str, ...]]
    """Ids of the tasks of each phase that stand in no other, in listed order; one without tasks is empty or absent."""
    rollbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each task of the main part that can be undone, the tasks of the phase `rollback` that do it."""
    output: JsonValue = None
    """The output mapping, templates included; `None` when the run has no output."""
    timeout: Duration | None = None
    handler_timeout: Duration = 600 * SECOND
    """Limit of each handler phase."""
    max_concurrent_runs: int | None = None
    limited: bool = False
    """Whether any task has a `limit`."""
    has_controls: bool = False
    """Whether any task is a control task."""
    has_loops: bool = False
    """Whether any of them is a loop."""
    redact: StartRedaction = field(default_factory=StartRedaction)

    def task_at(self, path: str) -> TaskPlan:
        """The task that a path leads to: outside of loops its id. Raises `KeyError` for one of no task."""
        return self.tasks[id_in(path)]

    def tasks_of(self, phase: Phase) -> tuple[str, ...]:
        return self.phases.get(phase, ())

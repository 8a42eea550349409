"""A run in a few words, for tests that read as sentences: say what happens, look at what came of it."""

from collections.abc import Collection, Mapping
from typing import Any

from millrace.core.draft import Draft, Transition
from millrace.core.effects import Effect, ScheduleAttempt
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    AttemptWithdrawn,
    Evaluated,
    Event,
    Verdict,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import RunState, TaskRun, created
from millrace.core.transition import fold

NO_VALUE = Failure(FailureKind.EXPRESSION, "no such name")
NOON = 43_200_000_000


def task(path: str, *needs: str, phase: Phase = Phase.MAIN, **fields: Any) -> TaskPlan:
    return TaskPlan(path, "noop", phase, needs=needs, **fields)


def handler(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `on_failure`."""
    return task(path, *needs, phase=Phase.ON_FAILURE, **fields)


def closing(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `finally`."""
    return task(path, *needs, phase=Phase.FINALLY, **fields)


def undoing(path: str, owner: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `on_rollback` of `owner`."""
    return task(path, *needs, phase=Phase.ROLLBACK, undoes=owner, **fields)


def plan_of(*listed: TaskPlan, **fields: Any) -> Plan:
    dependents = {one.id: tuple(other.id for other in listed if one.id in other.needs) for one in listed}
    tasks = {
        one.id: TaskPlan(**{name: getattr(one, name) for name in one.__slots__} | {"dependents": dependents[one.id]})
        for one in listed
    }
    rollbacks = {
        one.id: group for one in listed if (group := tuple(other.id for other in listed if other.undoes == one.id))
    }
    phases = {phase: tuple(one.id for one in listed if one.phase is phase) for phase in Phase}
    return Plan(tasks, phases, rollbacks=rollbacks, **fields)


class Example:
    """A run of these tasks, admitted unless told otherwise. `answers`: the value of each `if`, or a failure."""

    def __init__(
        self,
        *tasks: TaskPlan,
        answers: Mapping[str | None, object] | None = None,
        admitted: bool = True,
        adopted: Collection[str] = (),
        failures: Mapping[str, Failure] | None = None,
        **plan: Any,
    ) -> None:
        self.plan = plan_of(*tasks, **plan)
        self.answers = answers or {}
        self.now = NOON
        self.run: RunState = created(self.plan, "run", adopted=adopted, failures=failures or {}, now=self.now)
        self.verdicts: list[Verdict] = []
        self.records: list[str] = []
        self.last: Transition
        if admitted:
            self.happens(Admitted())

    def happens(self, *events: Event) -> Verdict:
        """Fold all these events at once; the verdict on the last one."""
        draft = Draft(self.plan, self.run, self.now)
        self.verdicts = [fold(draft, event) for event in events]
        while draft.questions:
            path = next(iter(draft.questions))
            value: Any = self.answers[path]
            fold(draft, Evaluated(path, failure=value) if isinstance(value, Failure) else Evaluated(path, value))
        self.last = draft.close()
        self.run = self.last.run
        self.records += [record.type if record.path is None else f"{record.type} {record.path}"
                         for record in self.last.records]  # fmt: skip
        return self.verdicts[-1]

    # --- what happens to the latest attempt of a task -----------------------------------------------------------------

    def completes(self, *paths: str) -> Verdict:
        return self.happens(*(AttemptCompleted(path, self.task(path).attempt) for path in paths))

    def fails(self, path: str, kind: FailureKind = FailureKind.ERROR, message: str = "it broke") -> Verdict:
        return self.happens(AttemptFailed(path, self.task(path).attempt, Failure(kind, message)))

    def loses_its_worker(self, path: str) -> Verdict:
        return self.happens(AttemptLost(path, self.task(path).attempt))

    def waits_too_long(self, path: str) -> Verdict:
        return self.happens(AttemptExpired(path, self.task(path).attempt))

    def is_withdrawn(self, path: str) -> Verdict:
        return self.happens(AttemptWithdrawn(path, self.task(path).attempt))

    # --- what came of it ----------------------------------------------------------------------------------------------

    def task(self, path: str) -> TaskRun:
        return self.run.tasks[path]

    @property
    def statuses(self) -> dict[str, str]:
        return {path: run.status.value for path, run in self.run.tasks.items()}

    @property
    def status(self) -> str:
        return self.run.status.value

    @property
    def error(self) -> str:
        """The message of the run's failure."""
        return self.run.failure.message if self.run.failure else ""

    def effects(self, kind: type[Effect]) -> list[Any]:
        """What the last fold asked for, of one kind."""
        return [effect for effect in self.last.effects if isinstance(effect, kind)]

    @property
    def scheduled(self) -> list[tuple[str, int]]:
        return [(effect.path, effect.number) for effect in self.effects(ScheduleAttempt)]

"""A run in a few words, for tests that read as sentences: say what happens, look at what came of it."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from millrace.core.controls import id_in
from millrace.core.counting import created
from millrace.core.draft import Draft, Transition
from millrace.core.effects import Alarm, ClearTimers, Effect, Evaluate, Park, Question, ScheduleAttempt, Unpark
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    AttemptWithdrawn,
    ChildFinished,
    Decided,
    Evaluated,
    Event,
    EventArrived,
    SignalReceived,
    TimerFired,
    TimerKind,
    Verdict,
    WaitTerms,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.run import NOTHING_AHEAD, Ahead, RunState, TaskRun
from millrace.core.states import RunStatus
from millrace.core.transition import fold
from millrace.core.values import JsonValue
from tests.model.derived import check_counts
from tests.unit.core.plans import Listed, closing, handler, plan_of, task, undoing

__all__ = ["NOON", "NO_VALUE", "Example", "closing", "handler", "plan_of", "task", "undoing"]

NO_VALUE = Failure(FailureKind.EXPRESSION, "no such name")
NOON = 43_200_000_000

Answer: TypeAlias = object | Callable[[Evaluate], object]
Asked: TypeAlias = str | tuple[str, Question] | None

UNLESS_SAID: dict[Question, object] = {
    Question.WAIT: WaitTerms(),
    Question.DECIDED: {"timed_out": False},
    Question.RESULTS: None,
    Question.CHILD: None,
    Question.SIGNAL: None,
}


class Example:
    """A run of these tasks, admitted unless told otherwise.

    `answers` says what is answered to the questions of a task: a value, a failure, `WaitTerms`, or a function of the
    question. It is looked up by path and question, by id and question, by path, and by id.
    """

    def __init__(
        self,
        *tasks: Listed,
        answers: Mapping[Any, Answer] | None = None,
        admitted: bool = True,
        adopted: Collection[str] = (),
        endings: Mapping[str, TaskRun] | None = None,
        ahead: Mapping[str, Ahead] = NOTHING_AHEAD,
        **plan: Any,
    ) -> None:
        self.plan = plan_of(*tasks, **plan)
        self.answers = answers or {}
        self.now = NOON
        self.run: RunState = created(
            self.plan, "run", adopted=adopted, endings=endings or {}, ahead=ahead, now=self.now
        )
        self.verdicts: list[Verdict] = []
        self.records: list[str] = []
        self.asked: list[Evaluate] = []
        self.outputs: dict[str, JsonValue] = {}
        self.timers: dict[str, int | None] = {}
        """Tasks that are parked or have an alarm, each with the time of its timer."""
        self.last: Transition
        if admitted:
            self.happens(Admitted())

    def happens(self, *events: Event) -> Verdict:
        """Fold all these events at once; the verdict on the last one."""
        draft = Draft(self.plan, self.run, self.now)
        self.verdicts = [fold(draft, event) for event in events]
        while draft.questions:
            question = next(iter(draft.questions.values()))
            self.asked.append(question)
            fold(draft, self._answer(question))
        self.last = draft.close()
        self.run = self.last.run
        check_counts(self.plan, self.run)
        self.outputs |= self.last.outputs
        self.records += [record.type if record.path is None else f"{record.type} {record.path}"
                         for record in self.last.records]  # fmt: skip
        for effect in self.last.effects:
            self._keep_timers(effect)
        return self.verdicts[-1]

    def _answer(self, question: Evaluate) -> Evaluated:
        value: Any = self._looked_up(question)
        if callable(value):
            value = value(question)
        match value:
            case Failure():
                return Evaluated(question.path, failure=value)
            case WaitTerms():
                return Evaluated(question.path, terms=value)
            case _:
                return Evaluated(question.path, value)

    def _looked_up(self, question: Evaluate) -> object:
        if question.path is None:
            return self.answers[None]
        path, name, what = question.path, id_in(question.path), question.what
        for key in ((path, what), (name, what), path, name):
            if key in self.answers:
                return self.answers[key]
        return UNLESS_SAID[what]

    def _keep_timers(self, effect: Effect) -> None:
        match effect:
            case Alarm() | Park():
                self.timers[effect.path] = effect.fire_at
            case Unpark():
                self.timers.pop(effect.path, None)
            case ClearTimers():
                self.timers.clear()

    # --- what happens to the latest attempt of a task -----------------------------------------------------------------

    def completes(self, *paths: str) -> Verdict:
        """In one fold; one that gets its first attempt in that fold completes with it."""
        return self.happens(*(AttemptCompleted(path, self.task(path).attempt or 1) for path in paths))

    def fails(self, path: str, kind: FailureKind = FailureKind.ERROR, message: str = "it broke") -> Verdict:
        return self.happens(AttemptFailed(path, self.task(path).attempt, Failure(kind, message)))

    def loses_its_worker(self, path: str) -> Verdict:
        return self.happens(AttemptLost(path, self.task(path).attempt))

    def waits_too_long(self, path: str) -> Verdict:
        return self.happens(AttemptExpired(path, self.task(path).attempt))

    def is_withdrawn(self, path: str) -> Verdict:
        return self.happens(AttemptWithdrawn(path, self.task(path).attempt))

    # --- what comes for a control task --------------------------------------------------------------------------------

    def time_is_up(self, path: str) -> Verdict:
        """Its timer fires when it was set for, or now if it has none."""
        self.now = max(self.now, self.timers.get(path) or 0)
        return self.happens(TimerFired(TimerKind.TASK, path))

    def gets(self, path: str, **event: JsonValue) -> Verdict:
        """An event that a task waits for."""
        return self.happens(EventArrived(path, event))

    def is_signalled(self, name: str, data: JsonValue = None) -> Verdict:
        return self.happens(SignalReceived(name, data))

    def is_approved(self, path: str) -> Verdict:
        return self.happens(Decided(path, True, "ann"))

    def is_rejected(self, path: str, comment: str | None = None) -> Verdict:
        return self.happens(Decided(path, False, "ann", comment))

    def child_ends(self, path: str, status: RunStatus, failure: Failure | None = None) -> Verdict:
        return self.happens(ChildFinished(path, self.task(path).child or "", status, failure))

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

    def error_of(self, path: str) -> str:
        """The message of a task's failure."""
        failure = self.task(path).failure
        return failure.message if failure else ""

    def told(self, kind: str, path: str | None = None) -> list[Any]:
        """What the last fold recorded of one kind: its data."""
        return [record.data for record in self.last.records if (record.type, record.path) == (kind, path)]

    def effects(self, kind: type[Effect]) -> list[Any]:
        """What the last fold asked for, of one kind."""
        return [effect for effect in self.last.effects if isinstance(effect, kind)]

    @property
    def scheduled(self) -> list[tuple[str, int]]:
        return [(effect.path, effect.number) for effect in self.effects(ScheduleAttempt)]

    @property
    def started(self) -> list[str]:
        """Tasks to which the last fold gave an attempt."""
        return [path for path, _ in self.scheduled]

"""What random definitions are answered when they ask: drawn for each question of each task, the same whenever asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from hypothesis import strategies as st

from millrace.core.controls import (
    APPROVAL,
    SLEEP,
    SUB_WORKFLOW,
    WAIT_FOR_EVENT,
    Condition,
    Control,
    ForEach,
    SignalRun,
    Switch,
    Wait,
    While,
    id_in,
)
from millrace.core.effects import Evaluate, Question
from millrace.core.events import Evaluated, WaitTerms
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Plan, TaskPlan
from millrace.core.values import SECOND, Instant

FAILS = "the expression fails"
"""The answer to an expression that has no value."""

TRUTHS: list[object] = [True, True, True, False, False, FAILS, 1, 0, None, "true"]
CASES: list[object] = ["a", "b", "a", "b", "other", 1, True, None, [1], FAILS]
SLEEPS: list[object] = [0, 3 * SECOND, 10 * SECOND, FAILS]
SIGNAL = "go"
MORE_THAN_ONCE = frozenset({Question.AGAIN, Question.FILTER})


@dataclass(frozen=True)
class Answers:
    """Several for each question of each task: which of them is given depends on the path and what is asked about."""

    plan: Plan
    drawn: Mapping[tuple[str | None, Question], list[object]]

    def to(self, path: str | None, what: Question, number: int = 0, came: object = None) -> object:
        choice = self.drawn[None if path is None else id_in(path), what]
        return choice[crc32(f"{path}/{number}/{came}".encode()) % len(choice)]

    def answer(self, question: Evaluate, now: Instant) -> Evaluated:
        path = question.path
        if question.what is Question.AGAIN and question.template is None:
            return Evaluated(path, True)
        value = self.to(path, question.what, question.number, question.came)
        if value is FAILS:
            return Evaluated(path, failure=Failure(FailureKind.EXPRESSION, "no such name"))
        if question.what is Question.WAIT:
            assert path is not None
            return Evaluated(path, terms=self.terms(path, value, now))
        return Evaluated(path, value)  # type: ignore[arg-type]

    def terms(self, path: str, value: object, now: Instant) -> WaitTerms:
        match self.kind_of(path):
            case kind if kind == SLEEP:
                assert isinstance(value, int)
                return WaitTerms(until=now + value)
            case kind if kind == APPROVAL:
                default = value if isinstance(value, bool) and self.plan.task_at(path).timeout is not None else None
                return WaitTerms(decides=True, default=default)
            case kind if kind == SUB_WORKFLOW:
                return WaitTerms(child=f"kid of {path}", detached=value == "detached")
            case _:
                return WaitTerms(signal=SIGNAL if value == "signal" else None)

    def kind_of(self, path: str) -> str:
        control = self.plan.task_at(path).control
        assert isinstance(control, Wait)
        return control.kind


TERMS: dict[str, list[object]] = {
    SLEEP: SLEEPS,
    APPROVAL: [None, True, False, FAILS],
    SUB_WORKFLOW: ["awaited", "awaited", "awaited", "detached", FAILS],
    WAIT_FOR_EVENT: ["event", "signal", "event", "signal", FAILS],
}


def choices_of(task: TaskPlan) -> dict[Question, list[object]]:
    """All that may be answered to a task, for each question that it may ask."""
    return ({} if task.condition is None else {Question.IF: TRUTHS}) | _choices_of(task.control)


def _choices_of(control: Control | None) -> dict[Question, list[object]]:
    results: list[object] = [[], [], [], FAILS]
    match control:
        case Condition():
            return {Question.BRANCH: TRUTHS}
        case Switch():
            return {Question.BRANCH: CASES}
        case ForEach():
            return {Question.ITEMS: [3, 2, 3, 1, 0, FAILS], Question.RESULTS: results}
        case While():
            return {Question.AGAIN: [True, True, True, True, False, FAILS, 1], Question.RESULTS: results}
        case Wait(kind=kind, filter=only):
            asks = {
                Question.WAIT: TERMS[kind],
                Question.CHILD: [{"n": 1}, {"n": 1}, FAILS],
                Question.DECIDED: [{"n": 1}, {"n": 1}, FAILS],
            }
            return asks if only is None else {**asks, Question.FILTER: [True, False, True, False, FAILS, "yes"]}
        case SignalRun():
            return {Question.SIGNAL: [{}, {}, FAILS]}
        case _:
            return {}


@st.composite
def answers_to(draw: st.DrawFn, plan: Plan) -> Answers:
    drawn: dict[tuple[str | None, Question], list[object]] = {
        (None, Question.OUTPUT): [draw(st.sampled_from([{"sum": 2}, {"sum": 2}, FAILS]))]
    }
    for task in plan.tasks.values():
        for what, choice in choices_of(task).items():
            one = st.sampled_from(choice)
            drawn[task.id, what] = [draw(one), draw(one)] if task.loops or what in MORE_THAN_ONCE else [draw(one)]
    return Answers(plan, drawn)

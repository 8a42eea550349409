"""What follows from the end of an attempt: retries, crashes, stops, withdrawals, and facts that come too late."""

from collections.abc import Callable

import pytest

from millrace.core.draft import Transition
from millrace.core.effects import ScheduleAttempt
from millrace.core.events import (
    AttemptCompleted,
    AttemptFailed,
    AttemptLost,
    AttemptWithdrawn,
    CancelRequested,
    Event,
    PauseRequested,
    ResumeRequested,
    Verdict,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, task

TWICE = RetryPlan(max_attempts=2, delay=5 * SECOND)
ONCE_AT_MOST = RetryPlan(max_attempts=3, on_crash=False)


def test_a_chain_is_scheduled_one_task_after_the_other() -> None:
    run = Example(task("a"), task("b", "a", queue="slow", timeout=7 * SECOND))
    assert run.scheduled == [("a", 1)]
    run.completes("a")
    assert run.effects(ScheduleAttempt) == [ScheduleAttempt("b", 1, NOON, "slow", 7 * SECOND, None)]
    run.completes("b")
    assert run.status == "completed"
    assert run.records == [
        "run.started",
        "task.scheduled a",
        "task.completed a",
        "task.scheduled b",
        "task.completed b",
        "run.completed",
    ]


def test_a_failure_is_tried_again_after_its_delay_and_the_last_one_fails_the_task() -> None:
    run = Example(task("a", retry=TWICE))
    run.fails("a")
    (again,) = run.effects(ScheduleAttempt)
    assert (again.number, again.available_at) == (2, NOON + 5 * SECOND)
    assert run.last.records[-1].data == {"attempt": 2, "available_at": NOON + 5 * SECOND}
    run.fails("a")
    assert run.status == "failed"
    assert run.error == "task `a` failed: it broke"
    assert run.task("a").failures == 2


def test_a_crash_does_not_use_up_the_attempts_of_the_task() -> None:
    run = Example(task("a", retry=TWICE))
    run.loses_its_worker("a")
    run.loses_its_worker("a")
    assert run.effects(ScheduleAttempt)[0].available_at == NOON + SECOND
    run.fails("a")
    assert run.scheduled == [("a", 4)]
    run.fails("a")
    assert run.status == "failed"
    assert (run.task("a").crashes, run.task("a").failures, run.task("a").attempt) == (2, 2, 4)


def test_a_task_that_loses_every_worker_fails_at_the_tenth() -> None:
    run = Example(task("a"))
    for _ in range(10):
        run.loses_its_worker("a")
    assert run.status == "failed"
    assert run.run.failure is not None
    assert run.run.failure.kind is FailureKind.WORKER_LOST


def test_a_task_that_must_not_start_twice_fails_when_its_worker_is_lost() -> None:
    run = Example(task("a", retry=ONCE_AT_MOST))
    run.loses_its_worker("a")
    assert run.statuses == {"a": "failed"}


def test_a_task_that_must_not_start_twice_fails_when_its_worker_is_stopped() -> None:
    run = Example(task("a", retry=ONCE_AT_MOST))
    run.fails("a", FailureKind.WORKER_STOPPED)
    assert run.statuses == {"a": "failed"}
    assert run.run.failure is not None
    assert run.run.failure.kind is FailureKind.WORKER_STOPPED
    assert "on_crash: false" in run.error


def test_a_stopped_worker_is_neither_a_failure_nor_a_crash() -> None:
    run = Example(task("a"))
    run.fails("a", FailureKind.WORKER_STOPPED)
    assert run.effects(ScheduleAttempt)[0].available_at == NOON
    assert (run.task("a").failures, run.task("a").crashes, run.task("a").attempt) == (0, 0, 2)
    assert "task.stopped a" in run.records


def test_the_total_time_ends_the_retries() -> None:
    run = Example(task("a", retry=RetryPlan(max_attempts=9, delay=5 * SECOND), total_timeout=12 * SECOND))
    assert run.effects(ScheduleAttempt)[0].expires_at == NOON + 12 * SECOND
    run.now += 4 * SECOND
    run.fails("a")
    assert run.effects(ScheduleAttempt)[0].expires_at == NOON + 12 * SECOND
    run.now += 5 * SECOND
    run.fails("a")
    assert run.status == "failed"
    assert run.error == "task `a` failed: no attempt fits into the total limit of 12 s; the last one: it broke"
    assert run.run.failure is not None
    assert run.run.failure.kind is FailureKind.TIMEOUT


def test_the_total_time_runs_on_while_the_run_is_paused() -> None:
    run = Example(task("a", total_timeout=12 * SECOND))
    run.happens(PauseRequested())
    run.is_withdrawn("a")
    run.now += 12 * SECOND
    run.happens(ResumeRequested())
    assert run.scheduled == []
    assert run.error == "task `a` failed: no attempt fits into the total limit of 12 s"


def test_a_withdrawn_attempt_of_a_run_that_goes_on_is_scheduled_anew_not_before_its_delay() -> None:
    run = Example(task("a", retry=TWICE))
    run.fails("a")
    run.happens(PauseRequested(), ResumeRequested())
    assert run.scheduled == []
    run.is_withdrawn("a")
    (again,) = run.effects(ScheduleAttempt)
    assert (again.number, again.available_at) == (3, NOON + 5 * SECOND)
    assert "task.withdrawn a" in run.records


End = Callable[[str, int], Event]

ENDS: list[End] = [
    lambda path, number: AttemptCompleted(path, number),
    lambda path, number: AttemptFailed(path, number, Failure(FailureKind.ERROR, "late")),
    lambda path, number: AttemptLost(path, number),
    lambda path, number: AttemptWithdrawn(path, number),
]


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_an_attempt_that_ended_before_changes_nothing(end: End) -> None:
    run = Example(task("a", retry=TWICE))
    run.fails("a")
    before = run.run
    assert run.happens(end("a", 1)) is Verdict.ALREADY_APPLIED
    assert run.run == before
    assert run.last == Transition(before, (), (), ())


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("path", "number"), [("a", 2), ("a", 0), ("a", -1), ("b", 1), ("nowhere", 1), ("", 0)])
def test_the_end_of_an_attempt_that_never_was_is_refused(end: End, path: str, number: int) -> None:
    run = Example(task("a"), task("b", "a"))
    before = run.run
    assert run.happens(end(path, number)) is Verdict.REFUSED
    assert run.run == before


@pytest.mark.parametrize("end", ENDS)
def test_a_finished_task_stays_as_it_is(end: End) -> None:
    run = Example(task("a"))
    run.completes("a")
    assert run.happens(end("a", 1)) is Verdict.ALREADY_APPLIED
    assert run.statuses == {"a": "completed"}


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (AttemptCompleted("a", 1), "completed"),
        (AttemptFailed("a", 1, Failure(FailureKind.ERROR, "by itself")), "failed"),
        (AttemptFailed("a", 1, Failure(FailureKind.CANCELLED, "ended")), "cancelled"),
        (AttemptFailed("a", 1, Failure(FailureKind.WORKER_STOPPED, "ended")), "cancelled"),
        (AttemptLost("a", 1), "cancelled"),
        (AttemptWithdrawn("a", 1), "cancelled"),
    ],
)
def test_an_attempt_that_is_being_stopped_ends_as_its_worker_says_and_is_not_repeated(end: Event, status: str) -> None:
    run = Example(task("a", retry=TWICE), task("b", "a"))
    run.happens(CancelRequested())
    assert run.statuses == {"a": "cancelling", "b": "cancelled"}
    run.happens(end)
    assert run.statuses == {"a": status, "b": "cancelled"}
    assert run.status == "cancelled"
    assert run.scheduled == []

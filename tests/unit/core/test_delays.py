"""Delayed starts, and tasks that wait too long for a worker."""

from millrace.core.effects import ScheduleAttempt, SetTimer
from millrace.core.events import (
    AttemptExpired,
    CancelRequested,
    Delayed,
    PauseRequested,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, task

START = TimerFired(TimerKind.START)


# --- delayed starts ---------------------------------------------------------------------------------------------------


def test_a_delayed_run_waits_for_its_timer_and_starts_once() -> None:
    run = Example(task("a"), admitted=False)
    assert run.happens(Delayed(NOON + SECOND)) is Verdict.APPLIED
    assert (run.status, run.effects(SetTimer)) == ("pending", [SetTimer(TimerKind.START, NOON + SECOND)])
    assert run.happens(START) is Verdict.APPLIED
    assert (run.status, run.scheduled) == ("running", [("a", 1)])
    assert run.happens(START) is Verdict.ALREADY_APPLIED
    assert run.records == ["run.delayed", "run.started", "task.scheduled a"]


def test_a_start_in_the_past_is_a_start_now() -> None:
    run = Example(task("a"), admitted=False)
    run.happens(Delayed(NOON))
    assert (run.status, run.scheduled) == ("running", [("a", 1)])
    assert run.happens(Delayed(NOON + SECOND)) is Verdict.ALREADY_APPLIED


def test_a_delayed_run_can_be_cancelled_and_paused_before_it_starts() -> None:
    run = Example(task("a"), admitted=False)
    run.happens(Delayed(NOON + SECOND))
    run.happens(PauseRequested("ann"))
    run.happens(START)
    assert (run.status, run.scheduled) == ("paused", [])
    other = Example(task("a"), admitted=False)
    other.happens(Delayed(NOON + SECOND))
    other.happens(CancelRequested("ann"))
    assert other.status == "cancelled"
    assert other.happens(START) is Verdict.ALREADY_APPLIED


# --- waiting for a worker ---------------------------------------------------------------------------------------------


def test_each_wait_for_a_worker_has_its_limit() -> None:
    run = Example(task("a", queue_timeout=5 * SECOND, retry=RetryPlan(max_attempts=2, delay=3 * SECOND)))
    (first,) = run.effects(ScheduleAttempt)
    assert first.queue_until == NOON + 5 * SECOND
    run.fails("a")
    (second,) = run.effects(ScheduleAttempt)
    assert second.queue_until == NOON + 8 * SECOND, "from when it may start, not from when it was planned"


def test_a_task_that_no_worker_takes_in_time_fails_and_says_so() -> None:
    run = Example(task("a", queue_timeout=5 * SECOND, retry=RetryPlan(max_attempts=3)))
    assert run.waits_too_long("a") is Verdict.APPLIED
    failure = run.task("a").failure
    assert failure is not None
    assert failure.kind is FailureKind.QUEUE_TIMEOUT, "not repeated unless the policy names it"
    assert failure.message == "no worker took the task within its queue limit of 5 s"
    assert run.status == "failed"


def test_a_policy_that_names_queue_timeouts_repeats_them() -> None:
    policy = RetryPlan(max_attempts=2, on=frozenset({FailureKind.QUEUE_TIMEOUT}))
    run = Example(task("a", queue_timeout=5 * SECOND, retry=policy))
    run.waits_too_long("a")
    assert (run.task("a").failures, run.scheduled) == (1, [("a", 2)])
    run.waits_too_long("a")
    assert run.status == "failed"


def test_an_attempt_that_expires_while_the_run_is_ending_was_never_begun() -> None:
    run = Example(task("a", queue_timeout=5 * SECOND))
    run.happens(CancelRequested("ann"))
    run.waits_too_long("a")
    assert (run.statuses, run.status) == ({"a": "cancelled"}, "cancelled")


def test_an_attempt_that_is_not_live_does_not_expire() -> None:
    run = Example(task("a", queue_timeout=5 * SECOND), task("b"))
    run.completes("a")
    assert run.waits_too_long("a") is Verdict.ALREADY_APPLIED
    assert run.happens(AttemptExpired("nowhere", 1)) is Verdict.REFUSED

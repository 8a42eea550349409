"""Admission, pause and resume, cancel once and twice, time limits."""

import pytest

from millrace.core.counting import created
from millrace.core.draft import Draft
from millrace.core.effects import ScheduleAttempt, StopAttempt, WithdrawAttempt
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    CancelRequested,
    Event,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import FailureKind
from millrace.core.plan import Phase, RetryPlan
from millrace.core.transition import apply, fold
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, closing, handler, plan_of, task

CANCEL, PAUSE, RESUME = CancelRequested("ann", "wrong day"), PauseRequested("ann"), ResumeRequested("ann")
MAIN_LIMIT, HANDLER_LIMIT = TimerFired(TimerKind.RUN_TIMEOUT), TimerFired(TimerKind.ON_FAILURE_TIMEOUT)
FINALLY_LIMIT = TimerFired(TimerKind.FINALLY_TIMEOUT)


# --- admission --------------------------------------------------------------------------------------------------------


def test_a_run_waits_for_its_admission_and_is_admitted_once() -> None:
    run = Example(task("a"), admitted=False)
    assert (run.status, run.run.started_at) == ("pending", None)
    assert run.happens(Admitted()) is Verdict.APPLIED
    assert (run.status, run.run.started_at, run.scheduled) == ("running", NOON, [("a", 1)])
    assert run.happens(Admitted()) is Verdict.ALREADY_APPLIED


def test_apply_is_one_event_folded_and_closed() -> None:
    plan = plan_of(task("a"))
    transition = apply(plan, created(plan, "run"), Admitted(), NOON)
    assert [task.path for task in transition.tasks] == ["a"]


def test_a_fold_with_an_unanswered_question_cannot_be_closed() -> None:
    plan = plan_of(task("a", condition="input.go"))
    draft = Draft(plan, created(plan, "run"), NOON)
    fold(draft, Admitted())
    with pytest.raises(AssertionError, match=r"unanswered questions of run run: \['a'\]"):
        draft.close()


# --- pause and resume -------------------------------------------------------------------------------------------------


def test_a_pause_takes_back_what_may_be_unclaimed_and_starts_nothing() -> None:
    run = Example(task("a"), task("b"), task("c", "b"))
    run.happens(PAUSE)
    assert run.effects(WithdrawAttempt) == [WithdrawAttempt("a", 1), WithdrawAttempt("b", 1)]
    run.is_withdrawn("a")
    run.completes("b")
    assert run.status == "paused"
    assert run.statuses == {"a": "ready", "b": "completed", "c": "ready"}
    assert run.scheduled == []
    assert "task.ready c" in run.records


def test_resume_gives_every_held_task_its_next_attempt() -> None:
    run = Example(task("a", retry=RetryPlan(max_attempts=2, delay=30 * SECOND)), task("b"))
    run.happens(PAUSE)
    run.fails("a")
    run.is_withdrawn("b")
    run.now += SECOND
    run.happens(RESUME)
    assert {(effect.path, effect.number, effect.available_at) for effect in run.effects(ScheduleAttempt)} == {
        ("a", 2, NOON + 30 * SECOND),
        ("b", 2, NOON + SECOND),
    }
    assert run.status == "running"


def test_a_run_may_be_paused_before_it_is_admitted_and_admitted_while_it_is_paused() -> None:
    run = Example(task("a"), admitted=False)
    run.happens(PAUSE)
    run.happens(Admitted())
    assert (run.status, run.statuses, run.scheduled) == ("paused", {"a": "ready"}, [])
    run.happens(RESUME)
    assert (run.status, run.scheduled) == ("running", [("a", 1)])


def test_a_run_that_is_resumed_before_its_admission_waits_for_it_again() -> None:
    run = Example(task("a"), admitted=False)
    run.happens(PAUSE)
    run.happens(RESUME)
    assert (run.status, run.statuses) == ("pending", {"a": "pending"})


def test_the_last_outcome_of_a_paused_run_finishes_it() -> None:
    run = Example(task("a"))
    run.happens(PAUSE)
    run.completes("a")
    assert run.status == "completed"


def test_pausing_twice_and_resuming_twice_change_nothing_the_second_time() -> None:
    run = Example(task("a"))
    run.happens(PAUSE)
    assert run.happens(PAUSE) is Verdict.ALREADY_APPLIED
    run.happens(RESUME)
    assert run.happens(RESUME) is Verdict.ALREADY_APPLIED


def test_a_run_that_is_being_cancelled_cannot_be_paused() -> None:
    run = Example(task("a"))
    run.happens(CANCEL)
    assert run.happens(PAUSE) is Verdict.REFUSED


@pytest.mark.parametrize("event", [CANCEL, PAUSE, RESUME])
def test_nothing_can_be_asked_of_a_finished_run(event: Event) -> None:
    run = Example()
    assert run.happens(event) is Verdict.REFUSED


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_a_run_that_is_cancelled_before_its_admission_never_starts_not_even_finally() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"), admitted=False)
    run.happens(CANCEL)
    assert run.status == "cancelled"
    assert run.statuses == {"a": "cancelled", "tell": "skipped", "tidy": "skipped"}
    assert run.happens(Admitted()) is Verdict.ALREADY_APPLIED


def test_cancel_stops_what_runs_skips_on_failure_and_runs_finally() -> None:
    run = Example(task("a"), task("b", "a"), handler("tell"), closing("tidy"))
    run.happens(CANCEL)
    assert run.effects(StopAttempt) == [StopAttempt("a", 1)]
    assert (run.status, run.statuses["a"], run.statuses["b"]) == ("cancelling", "cancelling", "cancelled")
    assert run.records[-3:] == ["run.cancel_requested", "task.cancelling a", "task.cancelled b"]
    run.fails("a", FailureKind.CANCELLED)
    assert (run.status, run.scheduled) == ("cancelling", [("tidy", 1)])
    run.completes("tidy")
    assert run.status == "cancelled"
    assert run.statuses["tell"] == "skipped"


def test_a_second_cancel_skips_finally() -> None:
    run = Example(task("a"), closing("tidy"))
    run.happens(CANCEL, CANCEL)
    run.fails("a", FailureKind.CANCELLED)
    assert (run.status, run.statuses["tidy"]) == ("cancelled", "skipped")


def test_a_second_cancel_ends_a_finally_that_runs() -> None:
    run = Example(task("a"), closing("tidy"))
    run.happens(CANCEL)
    run.is_withdrawn("a")
    run.happens(CANCEL)
    assert run.effects(StopAttempt) == [StopAttempt("tidy", 1)]
    run.is_withdrawn("tidy")
    assert run.status == "cancelled"


def test_a_cancel_during_on_failure_ends_it_and_goes_on_to_finally() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"))
    run.fails("a")
    run.happens(CANCEL)
    run.is_withdrawn("tell")
    assert run.scheduled == [("tidy", 1)]
    run.completes("tidy")
    assert run.status == "failed"


def test_a_first_cancel_during_finally_lets_it_end_and_a_second_one_ends_it_without_failing_the_run() -> None:
    run = Example(task("a"), closing("tidy"))
    run.completes("a")
    run.happens(CANCEL)
    assert (run.status, run.last.effects) == ("cancelling", ())
    run.happens(CANCEL)
    run.fails("tidy", FailureKind.CANCELLED)
    assert (run.status, run.statuses["tidy"]) == ("completed", "cancelled")


def test_a_cancel_during_a_paused_finally_lets_it_go_on() -> None:
    run = Example(task("a"), closing("tidy"))
    run.happens(PAUSE)
    run.completes("a")
    assert (run.run.phase, run.status, run.scheduled) == (Phase.FINALLY, "paused", [])
    run.happens(CANCEL)
    assert (run.status, run.scheduled) == ("cancelling", [("tidy", 1)])


def test_a_cancel_in_the_fold_that_asks_for_the_output_wins() -> None:
    run = Example(task("a"), output={"n": "{{ 1 }}"})
    run.happens(AttemptCompleted("a", 1), CANCEL)
    assert run.status == "cancelled"


def test_the_record_says_who_cancelled_and_why() -> None:
    run = Example(task("a"))
    run.happens(CANCEL)
    assert run.last.records[0].data == {"by": "ann", "reason": "wrong day"}


# --- time limits ------------------------------------------------------------------------------------------------------


def test_the_time_limit_of_a_run_ends_the_main_part_and_on_failure_tells() -> None:
    run = Example(task("a"), task("b", "a"), handler("tell"), timeout=60 * SECOND)
    run.happens(MAIN_LIMIT)
    assert run.statuses == {"a": "cancelling", "b": "cancelled", "tell": "pending"}
    run.fails("a", FailureKind.CANCELLED)
    assert run.scheduled == [("tell", 1)]
    run.completes("tell")
    assert (run.status, run.error) == ("failed", "the run took longer than its limit of 60 s")


def test_time_limits_run_on_while_a_run_is_paused() -> None:
    run = Example(task("a"), timeout=60 * SECOND)
    run.happens(PAUSE)
    run.is_withdrawn("a")
    run.happens(MAIN_LIMIT)
    assert (run.status, run.statuses) == ("failed", {"a": "cancelled"})


def test_a_paused_run_whose_time_is_over_goes_on_to_its_handlers() -> None:
    run = Example(task("a"), handler("tell"), timeout=60 * SECOND)
    run.happens(PAUSE)
    run.happens(MAIN_LIMIT)
    assert (run.status, run.statuses["a"]) == ("running", "cancelling")
    run.fails("a", FailureKind.CANCELLED)
    assert run.scheduled == [("tell", 1)]


def test_a_pause_while_a_phase_is_being_ended_takes_nothing_back_twice() -> None:
    run = Example(task("a"), closing("tidy"), timeout=60 * SECOND)
    run.happens(MAIN_LIMIT)
    run.happens(PAUSE)
    assert run.last.effects == ()
    run.fails("a", FailureKind.CANCELLED)
    assert (run.status, run.statuses["tidy"], run.scheduled) == ("paused", "ready", [])


def test_a_cancel_while_the_time_limit_is_ending_the_main_part_skips_on_failure() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"), timeout=60 * SECOND)
    run.happens(MAIN_LIMIT, CANCEL)
    run.fails("a", FailureKind.CANCELLED)
    assert run.scheduled == [("tidy", 1)]
    run.completes("tidy")
    assert (run.status, run.statuses["tell"]) == ("failed", "skipped")


def test_a_finally_that_takes_too_long_fails_a_completed_run() -> None:
    run = Example(closing("tidy"), handler_timeout=9 * SECOND)
    run.happens(FINALLY_LIMIT)
    run.is_withdrawn("tidy")
    assert (run.status, run.error) == ("failed", "`finally` took longer than its limit of 9 s")


def test_an_on_failure_that_takes_too_long_is_ended_and_finally_follows() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"))
    run.fails("a")
    run.happens(HANDLER_LIMIT)
    run.is_withdrawn("tell")
    assert run.scheduled == [("tidy", 1)]


def test_a_timer_of_another_phase_is_stale() -> None:
    run = Example(task("a"), closing("tidy"), timeout=60 * SECOND)
    assert run.happens(FINALLY_LIMIT) is Verdict.ALREADY_APPLIED
    run.completes("a")
    assert run.happens(MAIN_LIMIT) is Verdict.ALREADY_APPLIED
    assert run.statuses["tidy"] == "ready"


def test_a_timer_that_was_never_set_is_refused() -> None:
    unlimited = Example(task("a"))
    assert unlimited.happens(MAIN_LIMIT) is Verdict.REFUSED
    not_admitted = Example(task("a"), admitted=False, timeout=60 * SECOND)
    assert not_admitted.happens(MAIN_LIMIT) is Verdict.REFUSED
    assert not_admitted.status == "pending"

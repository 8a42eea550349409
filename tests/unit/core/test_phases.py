"""Conditions, joins and skips, the phases of a run, and its outcome."""

import pytest

from millrace.core.effects import AnnounceFinished, ClearTimers, SetTimer
from millrace.core.events import Admitted, AttemptCompleted, Evaluated, Event, TimerKind, Verdict
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import JoinRule
from millrace.core.run import SkipReason
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.unit.core.example import NO_VALUE, NOON, Example, closing, handler, task


def test_a_run_without_tasks_completes_when_it_is_admitted() -> None:
    run = Example()
    assert run.status == "completed"
    assert run.last.effects == (ClearTimers(), AnnounceFinished(RunStatus.COMPLETED))
    assert (run.run.started_at, run.run.finished_at) == (NOON, NOON)


# --- conditions and joins -------------------------------------------------------------------------------------------


def test_a_task_whose_if_is_false_is_skipped_and_satisfies_all_success() -> None:
    run = Example(task("a", condition="input.go"), task("b", "a"), answers={"a": False})
    assert run.statuses == {"a": "skipped", "b": "ready"}
    assert run.task("a").skip is SkipReason.CONDITION


def test_a_task_whose_join_cannot_be_met_is_skipped_and_passes_the_skip_on() -> None:
    run = Example(task("a"), task("b", "a"), task("c", "b"), task("d", "c", join=JoinRule.ALL_DONE), task("e"))
    run.fails("a")
    assert run.statuses == {"a": "failed", "b": "skipped", "c": "skipped", "d": "ready", "e": "ready"}
    assert run.task("c").skip is SkipReason.JOIN
    run.completes("d", "e")
    assert run.status == "failed"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (NO_VALUE, "no such name"),
        (1, "`if` must be true or false, but its value is of type int"),
        (None, "`if` must be true or false, but its value is of type NoneType"),
        ("true", "`if` must be true or false, but its value is of type str"),
    ],
)
def test_an_if_without_a_truth_value_fails_its_task(answer: object, message: str) -> None:
    run = Example(task("a", condition="input.go"), answers={"a": answer})
    assert run.statuses == {"a": "failed"}
    assert run.error == f"task `a` failed: {message}"
    assert run.task("a").attempt == 0


def test_a_join_waits_for_all_its_predecessors() -> None:
    run = Example(task("a"), task("b"), task("c", "a", "b"))
    run.completes("a")
    assert run.statuses["c"] == "pending"
    run.completes("b")
    assert run.scheduled == [("c", 1)]


def test_an_if_is_asked_only_once_the_join_rule_is_met() -> None:
    run = Example(task("a"), task("b", "a", condition="tasks.a.output"), answers={"b": True})
    assert run.statuses["b"] == "pending"
    run.completes("a")
    assert run.statuses["b"] == "ready"


def test_a_task_that_runs_at_the_first_success_is_not_started_again_by_the_second() -> None:
    first = JoinRule.ONE_SUCCESS
    run = Example(task("a"), task("b"), task("c", "a", "b", join=first, condition="x"), answers={"c": True})
    run.completes("a", "b")
    assert run.scheduled == [("c", 1)]


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    run = Example(task("a", condition="input.go"), answers={"a": True})
    assert run.happens(Evaluated("a", False)) is Verdict.ALREADY_APPLIED
    assert run.happens(Evaluated("nowhere", False)) is Verdict.ALREADY_APPLIED
    assert run.happens(Evaluated(None, {})) is Verdict.ALREADY_APPLIED
    assert run.statuses == {"a": "ready"}


# --- the outcome ----------------------------------------------------------------------------------------------------


def test_after_a_failure_tasks_that_do_not_depend_on_it_go_on_and_the_first_failure_is_told() -> None:
    run = Example(task("a"), task("b"), task("c", "b"))
    run.now += SECOND
    run.fails("b", message="the first")
    run.now += SECOND
    run.fails("a", message="the second")
    assert run.error == "task `b` failed: the first"
    assert run.run.failure is not None
    assert run.run.failure.details == {"task": "b"}


def test_an_allowed_failure_counts_as_success() -> None:
    run = Example(task("a", allow_failure=True), task("b", "a"))
    run.fails("a")
    assert run.statuses == {"a": "failed", "b": "ready"}
    run.completes("b")
    assert run.status == "completed"


def test_a_failure_that_is_handled_by_a_later_task_fails_the_run_all_the_same() -> None:
    run = Example(task("a"), task("mend", "a", join=JoinRule.ONE_FAILED))
    run.fails("a")
    run.completes("mend")
    assert run.status == "failed"


def test_the_output_is_asked_for_when_the_main_part_has_succeeded() -> None:
    run = Example(task("a"), output={"n": "{{ 1 }}"}, answers={None: {"n": 1}})
    run.completes("a")
    assert run.status == "completed"


def test_an_output_without_a_value_fails_the_run() -> None:
    run = Example(task("a"), handler("tell"), output={"n": "{{ x }}"}, answers={None: NO_VALUE})
    run.completes("a")
    assert run.statuses["tell"] == "ready"
    run.completes("tell")
    assert (run.status, run.error) == ("failed", "no such name")


def test_the_output_of_a_failed_run_is_not_asked_for() -> None:
    run = Example(task("a"), output={"n": "{{ x }}"})
    run.fails("a")
    assert run.error == "task `a` failed: it broke"


# --- handlers -------------------------------------------------------------------------------------------------------


def test_on_failure_runs_after_a_failed_main_part_and_finally_after_it() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"), timeout=60 * SECOND, handler_timeout=9 * SECOND)
    assert run.effects(SetTimer) == [SetTimer(TimerKind.RUN_TIMEOUT, NOON + 60 * SECOND)]
    run.fails("a")
    assert run.statuses == {"a": "failed", "tell": "ready", "tidy": "pending"}
    assert run.effects(SetTimer) == [SetTimer(TimerKind.ON_FAILURE_TIMEOUT, NOON + 9 * SECOND)]
    run.completes("tell")
    assert run.effects(SetTimer) == [SetTimer(TimerKind.FINALLY_TIMEOUT, NOON + 9 * SECOND)]
    run.completes("tidy")
    assert (run.status, run.error) == ("failed", "task `a` failed: it broke")
    assert run.records.count("run.phase_started") == 2


def test_handlers_that_had_no_reason_to_run_are_skipped_when_the_run_finishes() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"))
    run.completes("a")
    assert run.statuses == {"a": "completed", "tell": "pending", "tidy": "ready"}
    run.completes("tidy")
    assert run.statuses == {"a": "completed", "tell": "skipped", "tidy": "completed"}
    assert run.task("tell").skip is SkipReason.PHASE
    assert run.task("tell").finished_at == NOON


def test_handlers_cannot_mend_the_outcome_nor_change_its_reason() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"))
    run.fails("a")
    run.fails("tell", message="no mail")
    run.fails("tidy", message="no broom")
    assert (run.status, run.error) == ("failed", "task `a` failed: it broke")


def test_a_failed_finally_fails_a_completed_run() -> None:
    run = Example(task("a"), handler("tell"), closing("tidy"))
    run.completes("a")
    run.fails("tidy")
    assert (run.status, run.error) == ("failed", "task `tidy` failed: it broke")
    assert run.statuses["tell"] == "skipped"


def test_an_allowed_failure_in_finally_does_not() -> None:
    run = Example(closing("tidy", allow_failure=True))
    run.fails("tidy")
    assert run.status == "completed"


def test_all_that_happens_in_one_fold_gives_what_it_gives_one_by_one() -> None:
    events: list[Event] = [Admitted(), AttemptCompleted("a", 1), AttemptCompleted("b", 1), AttemptCompleted("tidy", 1)]
    together = Example(task("a"), task("b", "a"), closing("tidy"), admitted=False)
    together.happens(*events)
    one_by_one = Example(task("a"), task("b", "a"), closing("tidy"), admitted=False)
    for event in events:
        one_by_one.happens(event)
    assert together.run == one_by_one.run
    assert together.records == one_by_one.records


def test_a_failure_of_an_attempt_is_kept_on_the_task_with_its_details() -> None:
    run = Example(task("a"))
    run.fails("a", FailureKind.REFUSED, "host not allowed")
    assert run.task("a").failure == Failure(FailureKind.REFUSED, "host not allowed")
    assert run.last.records[0].data == {
        "attempt": 1,
        "error": {"kind": "refused", "message": "host not allowed"},
    }

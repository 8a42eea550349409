"""Runs that begin with tasks which an earlier run has completed."""

from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import JoinRule
from millrace.core.run import TaskRun
from millrace.core.states import TaskStatus
from tests.unit.core.example import Example, closing, task

BROKEN = Failure(FailureKind.ERROR, "it broke")


def test_what_comes_after_adopted_tasks_starts_at_once() -> None:
    run = Example(task("a"), task("b", "a"), task("c", "b"), adopted=["a"])
    assert run.scheduled == [("b", 1)]
    run.completes("b")
    assert run.scheduled == [("c", 1)]
    run.completes("c")
    assert (run.status, run.task("a").attempt) == ("completed", 0)


def test_tasks_beside_adopted_ones_start_too() -> None:
    run = Example(task("a"), task("b"), task("c", "a", "b"), adopted=["a"])
    assert run.scheduled == [("b", 1)]
    run.completes("b")
    assert run.scheduled == [("c", 1)]


def test_a_run_whose_tasks_are_all_adopted_is_over_at_once() -> None:
    run = Example(task("a"), closing("z"), adopted=["a"])
    assert (run.run.phase.value, run.scheduled) == ("finally", [("z", 1)])
    run.completes("z")
    assert run.status == "completed"


def test_an_adopted_success_also_skips_who_waited_for_a_failure() -> None:
    run = Example(
        task("a"), task("repair", "a", join=JoinRule.ONE_FAILED), task("told", "repair"), task("b", "a"), adopted=["a"]
    )
    assert run.statuses == {"a": "completed", "repair": "skipped", "told": "skipped", "b": "ready"}
    assert run.scheduled == [("b", 1)]


def test_an_if_after_an_adopted_task_is_asked_for() -> None:
    run = Example(task("a"), task("b", "a", condition="input.go"), answers={"b": False}, adopted=["a"])
    assert run.statuses == {"a": "completed", "b": "skipped"}
    assert run.status == "completed"


def test_an_adopted_failure_that_is_allowed_counts_as_success_and_stays_a_failure() -> None:
    run = Example(
        task("a", allow_failure=True), task("b", "a"), task("repair", "a", join=JoinRule.ONE_FAILED),
        adopted=["a"], endings={"a": TaskRun("a", TaskStatus.FAILED, failure=BROKEN)},
    )  # fmt: skip
    assert run.statuses == {"a": "failed", "b": "ready", "repair": "skipped"}
    assert run.task("a").failure == BROKEN
    run.completes("b")
    assert (run.status, run.run.failure) == ("completed", None)

"""Groups: a list of tasks that counts as one task."""

from millrace.core.events import AttemptCompleted, CancelRequested
from millrace.core.plan import JoinRule
from millrace.core.values import SECOND
from tests.unit.core.example import Example, task
from tests.unit.core.plans import group


def test_a_parallel_group_runs_its_tasks_at_once_and_completes_with_the_last() -> None:
    run = Example(group("both", of=[task("a"), task("b")]), task("next", "both"))
    assert run.started == ["a", "b"]
    run.completes("b")
    assert run.statuses == {"both": "running", "next": "pending", "a": "ready", "b": "completed"}
    run.completes("a")
    assert run.started == ["next"]
    assert run.records[:3] == ["run.started", "task.entered both", "task.scheduled a"]


def test_a_sequential_group_runs_its_tasks_one_after_another() -> None:
    run = Example(group("line", of=[task("a"), task("b", "a")]))
    assert run.statuses == {"line": "running", "a": "ready", "b": "pending"}
    run.completes("a")
    assert run.started == ["b"]
    run.completes("b")
    assert run.status == "completed"


def test_a_group_without_tasks_is_over_at_once() -> None:
    run = Example(group("none"), task("next", "none"))
    assert run.statuses == {"none": "completed", "next": "ready"}


def test_a_failure_in_a_group_lets_the_others_go_on_and_then_fails_it_by_the_first() -> None:
    run = Example(group("both", of=[task("a"), task("b"), task("c")]))
    run.now += SECOND
    run.fails("b", message="the first")
    run.now += SECOND
    run.fails("a", message="the second")
    assert run.status == "running"
    run.completes("c")
    assert run.error == "task `b` failed: the first"
    failure = run.run.failure
    assert failure is not None
    assert failure.details == {"task": "b"}


def test_tasks_after_a_group_join_over_it_as_over_any_other() -> None:
    run = Example(
        group("g", of=[task("a")]), task("b"),
        task("any", "g", "b", join=JoinRule.ONE_SUCCESS), task("all", "g", "b", join=JoinRule.ALL_DONE),
    )  # fmt: skip
    run.fails("a")
    assert (run.statuses["g"], run.statuses["any"], run.statuses["all"]) == ("failed", "pending", "pending")
    run.completes("b")
    assert (run.statuses["any"], run.statuses["all"]) == ("ready", "ready")


def test_the_last_tasks_of_a_group_may_end_in_one_fold() -> None:
    run = Example(group("g", of=[task("a"), task("b"), task("c", "a", "b")]))
    run.happens(AttemptCompleted("a", 1), AttemptCompleted("b", 1), AttemptCompleted("c", 1))
    assert (run.status, run.records.count("task.completed g")) == ("completed", 1)


def test_the_end_of_a_task_in_a_group_after_it_was_cancelled_ends_the_group_cancelled() -> None:
    run = Example(group("g", of=[task("a"), task("b", "a")]), task("next", "g"))
    run.happens(CancelRequested("ann"))
    assert run.statuses == {"g": "cancelling", "next": "cancelled", "a": "cancelling", "b": "cancelled"}
    assert run.records[3:] == [
        "run.cancel_requested", "task.cancelling g", "task.cancelled next", "task.cancelling a", "task.cancelled b",
    ]  # fmt: skip
    run.completes("a")
    assert (run.status, run.statuses["g"], run.statuses["a"]) == ("cancelled", "cancelled", "completed")

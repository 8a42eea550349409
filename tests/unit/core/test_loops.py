"""Loops: which iterations run when, and what the loop comes to."""

import pytest

from millrace.core.effects import Evaluate, Question
from millrace.core.events import AttemptCompleted, AttemptFailed, CancelRequested, PauseRequested, ResumeRequested
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import JoinRule
from tests.unit.core.example import NO_VALUE, Example, task
from tests.unit.core.plans import foreach, group, loop

BROKEN = Failure(FailureKind.ERROR, "it broke")


def items(path: str, number: object, result: object = None) -> dict[object, object]:
    return {(path, Question.ITEMS): number, (path, Question.RESULTS): result}


# --- foreach ----------------------------------------------------------------------------------------------------------


def test_a_foreach_runs_its_block_for_each_item_at_most_so_many_at_once() -> None:
    run = Example(foreach("f", of=[task("a")], at_once=2), task("next", "f"), answers=items("f", 4, result=["x"]))
    assert run.told("task.entered", "f") == [{"items": 4}]
    assert run.statuses == {"f": "running", "next": "pending", "f[0].a": "ready", "f[1].a": "ready"}
    run.completes("f[1].a")
    assert run.started == ["f[2].a"]
    run.completes("f[0].a")
    assert run.started == ["f[3].a"]
    run.completes("f[2].a", "f[3].a")
    assert run.asked[-1] == Evaluate("f", None, Question.RESULTS, 4)
    assert run.outputs == {"f": ["x"]}
    assert (run.statuses["f"], run.started) == ("completed", ["next"])


def test_a_foreach_without_items_is_over_at_once() -> None:
    run = Example(foreach("f", of=[task("a")]), answers=items("f", 0, result=[]))
    assert (run.status, run.statuses, run.outputs) == ("completed", {"f": "completed"}, {"f": []})


def test_a_foreach_whose_items_have_no_value_fails() -> None:
    run = Example(foreach("f", of=[task("a")]), answers=items("f", NO_VALUE))
    assert (run.statuses, run.error) == ({"f": "failed"}, "task `f` failed: no such name")


def test_the_tasks_of_an_iteration_wait_for_each_other_and_not_for_those_of_another() -> None:
    run = Example(foreach("f", of=[task("a"), task("b", "a")], at_once=2), answers=items("f", 2))
    run.completes("f[1].a")
    assert run.started == ["f[1].b"]
    assert run.statuses["f[0].b"] == "pending"
    run.completes("f[1].b", "f[0].a", "f[0].b")
    assert run.status == "completed"


def test_failed_iterations_let_the_others_run_and_fail_the_loop_with_their_numbers() -> None:
    run = Example(foreach("f", of=[task("a")], at_once=3), answers=items("f", 3, result=[1, None, None]))
    run.fails("f[2].a", FailureKind.REFUSED, "no")
    run.fails("f[1].a", message="broken")
    assert run.statuses["f"] == "running"
    run.completes("f[0].a")
    failure = run.task("f").failure
    assert failure is not None
    assert failure.message == "2 of 3 iterations failed; task `f[1].a` failed: broken"
    assert failure.details == {"failed": [1, 2], "iterations": 3, "task": "f[1].a"}
    assert run.outputs == {"f": [1, None, None]}, "what the others came to is not lost"


def test_at_most_a_hundred_failed_iterations_are_named() -> None:
    run = Example(foreach("f", of=[task("a")], at_once=150), answers=items("f", 150))
    run.completes("f[0].a")
    run.happens(*(AttemptFailed(f"f[{index}].a", 1, BROKEN) for index in range(1, 150)))
    failure = run.task("f").failure
    assert failure is not None
    assert failure.message.startswith("149 of 150 iterations failed; ")
    assert failure.details == {"failed": list(range(1, 101)), "iterations": 150, "task": "f[1].a"}


def test_stop_on_failure_begins_no_further_iteration_and_lets_those_that_run_end() -> None:
    run = Example(foreach("f", of=[task("a")], at_once=2, stops=True), answers=items("f", 9))
    run.fails("f[0].a")
    assert (run.scheduled, run.statuses["f"]) == ([], "running")
    run.completes("f[1].a")
    assert run.asked[-1] == Evaluate("f", None, Question.RESULTS, 2)
    assert run.error_of("f") == "1 of 9 iterations failed; task `f[0].a` failed: it broke"
    failure = run.task("f").failure
    assert failure is not None
    assert failure.details == {"failed": [0], "iterations": 2, "task": "f[0].a"}


def test_an_iteration_has_failed_only_when_all_of_it_has_ended() -> None:
    run = Example(foreach("f", of=[task("a"), task("b")], at_once=2, stops=True), answers=items("f", 3))
    run.fails("f[0].a")
    run.completes("f[1].a", "f[1].b")
    assert run.started == ["f[2].a", "f[2].b"]


def test_a_failure_that_is_allowed_in_an_iteration_is_none_of_the_loop() -> None:
    run = Example(foreach("f", of=[task("a", allow_failure=True)], stops=True), answers=items("f", 2))
    run.fails("f[0].a")
    run.fails("f[1].a")
    assert run.status == "completed"


def test_a_failure_within_an_iteration_may_be_mended_by_no_task_of_it() -> None:
    run = Example(foreach("f", of=[task("a"), task("b", "a", join=JoinRule.ONE_FAILED)]), answers=items("f", 1))
    run.fails("f[0].a")
    run.completes("f[0].b")
    assert run.status == "failed"


def test_results_without_a_value_fail_a_loop_that_did_not_fail_by_itself() -> None:
    run = Example(foreach("f", of=[task("a")]), answers=items("f", 1, result=NO_VALUE))
    run.completes("f[0].a")
    assert (run.status, run.error, run.outputs) == ("failed", "task `f` failed: no such name", {})
    both = Example(foreach("f", of=[task("a")]), answers=items("f", 1, result=NO_VALUE))
    both.fails("f[0].a")
    assert both.error_of("f") == "1 of 1 iteration failed; task `f[0].a` failed: it broke"


def test_an_iteration_whose_tasks_are_all_skipped_is_over_at_once() -> None:
    run = Example(
        foreach("f", of=[task("a", condition="x")], at_once=2),
        answers={**items("f", 5), "f[0].a": True, "f[4].a": True, ("a", Question.IF): False},
    )
    assert run.statuses == {"f": "completed"} | {f"f[{index}].a": "skipped" for index in range(5)}


def test_the_answers_for_one_iteration_are_not_those_for_another() -> None:
    answers = {**items("f", 2), ("f[0].a", Question.IF): True, ("f[1].a", Question.IF): False}
    run = Example(foreach("f", of=[task("a", condition="x")], at_once=2), answers=answers)
    assert run.statuses == {"f": "running", "f[0].a": "ready", "f[1].a": "skipped"}


def test_ten_thousand_iterations_that_end_at_once_do_not_nest() -> None:
    run = Example(foreach("f", of=[group("g")], at_once=3), answers=items("f", 10_000))
    assert (run.status, len(run.run.tasks)) == ("completed", 10_001)


# --- while ------------------------------------------------------------------------------------------------------------


def until(times: int) -> dict[object, object]:
    return {("w", Question.AGAIN): lambda question: question.number < times}


def test_a_while_asks_before_each_iteration_and_runs_one_after_another() -> None:
    run = Example(loop("w", of=[task("a"), task("b", "a")]), answers=until(2))
    assert run.statuses == {"w": "running", "w[0].a": "ready", "w[0].b": "pending"}
    run.completes("w[0].a", "w[0].b")
    assert run.started == ["w[0].b", "w[1].a"]
    run.completes("w[1].a", "w[1].b")
    assert (run.status, run.statuses["w"]) == ("completed", "completed")
    asked = [(question.what, question.number) for question in run.asked]
    assert asked == [(Question.AGAIN, 0), (Question.AGAIN, 1), (Question.AGAIN, 2), (Question.RESULTS, 2)]


def test_a_while_that_is_not_to_run_is_over_at_once() -> None:
    run = Example(loop("w", of=[task("a")]), answers={**until(0), ("w", Question.RESULTS): []})
    assert (run.status, run.statuses, run.outputs) == ("completed", {"w": "completed"}, {"w": []})


def test_a_while_that_was_to_go_on_after_its_last_iteration_fails() -> None:
    run = Example(loop("w", of=[task("a")], most=2), answers=until(3))
    run.completes("w[0].a")
    run.completes("w[1].a")
    failure = run.task("w").failure
    assert failure is not None
    assert (failure.kind, failure.message) == (
        FailureKind.ITERATIONS,
        "it was to go on after 2 iterations, which are all that `max_iterations` allows",
    )
    exact = Example(loop("w", of=[task("a")], most=2), answers=until(2))
    exact.completes("w[0].a")
    exact.completes("w[1].a")
    assert exact.status == "completed"


def test_a_failed_iteration_ends_a_while_without_asking_again() -> None:
    run = Example(loop("w", of=[task("a")]), answers=until(9))
    run.completes("w[0].a")
    run.fails("w[1].a")
    assert [question.what for question in run.asked].count(Question.AGAIN) == 2
    assert run.error_of("w") == "1 iteration failed; task `w[1].a` failed: it broke"


@pytest.mark.parametrize(
    ("answer", "message"),
    [(NO_VALUE, "no such name"), (1, "the `condition` of a while must be true or false, but its value is of type int")],
)
def test_a_while_whose_condition_has_no_truth_value_fails(answer: object, message: str) -> None:
    run = Example(
        loop("w", of=[task("a")]), answers={("w", Question.AGAIN): lambda question: question.number == 0 or answer}
    )
    run.completes("w[0].a")
    assert run.error == f"task `w` failed: {message}"


# --- pauses and ends --------------------------------------------------------------------------------------------------


def test_a_loop_of_a_paused_run_comes_to_its_next_iteration_and_waits_there() -> None:
    for shape, answers in (
        (foreach("w", of=[task("a")]), items("w", 2)),
        (loop("w", of=[task("a")]), until(2)),
    ):
        run = Example(shape, answers=answers)
        run.happens(PauseRequested("ann"))
        run.completes("w[0].a")
        assert (run.status, run.statuses["w[1].a"], run.scheduled) == ("paused", "ready", [])
        run.happens(ResumeRequested("ann"))
        assert run.started == ["w[1].a"]
        run.completes("w[1].a")
        assert run.status == "completed"


def test_a_paused_run_begins_no_loop_and_does_when_it_is_resumed() -> None:
    for shape, answers in (
        (foreach("w", "first", of=[task("a")]), items("w", 1)),
        (loop("w", "first", of=[task("a")]), until(1)),
    ):
        run = Example(task("first"), shape, answers=answers)
        run.happens(PauseRequested("ann"))
        run.completes("first")
        assert (run.statuses, run.asked) == ({"first": "completed", "w": "ready"}, [])
        run.happens(ResumeRequested("ann"))
        assert run.started == ["w[0].a"]


def test_a_cancelled_loop_begins_nothing_more_and_ends_with_what_runs_in_it() -> None:
    run = Example(foreach("f", of=[task("a"), task("b", "a")], at_once=2), answers=items("f", 9))
    run.happens(CancelRequested("ann"))
    run.completes("f[0].a")
    assert (run.status, run.statuses["f"]) == ("cancelling", "cancelling")
    run.is_withdrawn("f[1].a")
    assert (run.status, run.statuses["f"], len(run.run.tasks)) == ("cancelled", "cancelled", 5)


def test_a_cancel_in_the_fold_in_which_a_loop_asks_wins() -> None:
    for shape, answers in (
        (foreach("w", of=[task("a")]), items("w", 1)),
        (loop("w", of=[task("a")]), until(2)),
    ):
        run = Example(shape, answers=answers)
        asked = len(run.asked)
        run.happens(AttemptCompleted("w[0].a", 1), CancelRequested("ann"))
        assert (run.status, run.statuses["w"], len(run.asked)) == ("cancelled", "cancelled", asked)

"""Conditions and switches: which of their blocks runs, and what the task comes to by that."""

import pytest

from millrace.core.effects import Question
from millrace.core.plan import JoinRule
from millrace.core.run import SkipReason
from tests.unit.core.example import NO_VALUE, Example, task
from tests.unit.core.plans import condition, group, switch


def test_a_condition_runs_the_block_that_its_expression_says_and_never_makes_the_other() -> None:
    for answer, block, taken, left in ((True, "then", "yes", "no"), (False, "else", "no", "yes")):
        run = Example(
            condition("check", then=[task("yes")], otherwise=[task("no")]), task("next", "check"),
            answers={"check": answer},
        )  # fmt: skip
        assert run.statuses == {"check": "running", "next": "pending", taken: "ready"}
        assert run.task("check").block == block
        assert run.outputs == {"check": {"branch": block}}
        assert run.told("task.entered", "check") == [{"block": block}]
        run.completes(taken)
        assert run.statuses["check"] == "completed"
        assert run.started == ["next"]
        run.completes("next")
        assert run.status == "completed"
        assert left not in run.run.tasks


def test_a_condition_whose_block_has_no_tasks_is_over_at_once() -> None:
    run = Example(condition("check", then=[task("yes")]), task("next", "check"), answers={"check": False})
    assert run.statuses == {"check": "completed", "next": "ready"}
    assert run.records == ["run.started", "task.entered check", "task.completed check", "task.scheduled next"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (NO_VALUE, "no such name"),
        (1, "the `if` of a condition must be true or false, but its value is of type int"),
        (None, "the `if` of a condition must be true or false, but its value is of type NoneType"),
    ],
)
def test_a_condition_without_a_truth_value_fails_and_runs_no_block(answer: object, message: str) -> None:
    run = Example(condition("check", then=[task("yes")], otherwise=[task("no")]), answers={"check": answer})
    assert run.statuses == {"check": "failed"}
    assert run.error == f"task `check` failed: {message}"


@pytest.mark.parametrize(
    ("answer", "name"),
    [("day", "day"), (7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"), ("night", None), (0, None), ("", None)],
)
def test_a_switch_runs_the_case_that_is_called_like_the_text_of_its_value(answer: object, name: str | None) -> None:
    cases = {case: [task(f"on-{number}")] for number, case in enumerate(["day", "7", "1.5", "true", "false"])}
    run = Example(switch("which", cases=cases, default=[task("other")]), answers={"which": answer})
    taken = "other" if name is None else f"on-{list(cases).index(name)}"
    assert run.statuses == {"which": "running", taken: "ready"}
    assert run.task("which").block == ("default" if name is None else f"cases.{name}")
    assert run.outputs == {"which": {"case": name}}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (NO_VALUE, "no such name"),
        (None, "the `value` of a switch must be text, a number, or true or false, but it is null"),
        ([1], "the `value` of a switch must be text, a number, or true or false, but it is a list"),
        ({}, "the `value` of a switch must be text, a number, or true or false, but it is a mapping"),
    ],
)
def test_a_switch_on_what_has_no_text_fails(answer: object, message: str) -> None:
    run = Example(switch("which", cases={"a": [task("a")]}), answers={"which": answer})
    assert (run.statuses, run.error) == ({"which": "failed"}, f"task `which` failed: {message}")


def test_a_switch_without_the_case_and_without_a_default_is_over_at_once() -> None:
    run = Example(switch("which", cases={"a": [task("a")]}), answers={"which": "b"})
    assert (run.status, run.statuses) == ("completed", {"which": "completed"})


def test_the_if_of_a_condition_task_is_asked_before_what_it_decides() -> None:
    answers = {("check", Question.IF): True, ("check", Question.BRANCH): False}
    run = Example(condition("check", then=[task("yes")], condition="input.go"), answers=answers)
    assert [question.what for question in run.asked] == [Question.IF, Question.BRANCH]
    assert run.status == "completed"


def test_a_control_task_whose_if_is_false_is_skipped_with_all_that_is_in_it() -> None:
    run = Example(
        condition("check", then=[task("yes")], condition="input.go"), task("next", "check"),
        answers={("check", Question.IF): False},
    )  # fmt: skip
    assert run.statuses == {"check": "skipped", "next": "ready"}
    assert run.task("check").skip is SkipReason.CONDITION


def test_a_failure_in_the_branch_fails_the_task_and_those_that_join_over_it_know() -> None:
    run = Example(
        condition("check", then=[task("yes"), task("after", "yes"), task("beside")]),
        task("next", "check"), task("mend", "check", join=JoinRule.ONE_FAILED),
        answers={"check": True},
    )  # fmt: skip
    run.fails("yes")
    assert run.statuses["after"] == "skipped"
    assert run.statuses["check"] == "running", "what else is in it goes on"
    run.completes("beside")
    assert run.statuses["check"] == "failed"
    assert (run.statuses["next"], run.statuses["mend"]) == ("skipped", "ready")
    run.completes("mend")
    assert (run.status, run.error) == ("failed", "task `yes` failed: it broke")


def test_an_allowed_failure_in_the_branch_and_one_of_the_branch_itself_count_as_success() -> None:
    inside = Example(condition("check", then=[task("yes", allow_failure=True)]), answers={"check": True})
    inside.fails("yes")
    assert (inside.status, inside.statuses["check"]) == ("completed", "completed")
    outside = Example(
        condition("check", then=[task("yes")], allow_failure=True), task("next", "check"), answers={"check": True}
    )
    outside.fails("yes")
    assert outside.statuses == {"check": "failed", "next": "ready", "yes": "failed"}
    outside.completes("next")
    assert outside.status == "completed"


def test_tasks_in_a_branch_have_ifs_and_joins_of_their_own() -> None:
    run = Example(
        condition("check", then=[task("a", condition="x"), task("b", "a"), group("g", "b", of=[task("c")])]),
        answers={"check": True, "a": False},
    )  # fmt: skip
    assert run.statuses == {"check": "running", "a": "skipped", "b": "ready", "g": "pending"}
    run.completes("b")
    assert run.statuses["c"] == "ready"
    run.completes("c")
    assert run.status == "completed"


def test_a_branch_in_which_everything_is_skipped_is_completed() -> None:
    run = Example(condition("check", then=[task("a", condition="x")]), answers={"check": True, "a": False})
    assert (run.status, run.statuses) == ("completed", {"check": "completed", "a": "skipped"})

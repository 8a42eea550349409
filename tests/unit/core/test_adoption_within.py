"""Runs that begin with tasks within others which an earlier run has completed."""

import pytest

from millrace.core.controls import DEFAULT, TASKS, case_block
from millrace.core.counting import container_of
from millrace.core.effects import Question
from millrace.core.events import Admitted, PauseRequested, ResumeRequested, WaitTerms
from millrace.core.failures import Failure, FailureKind
from millrace.core.run import Ahead, TaskRun
from millrace.core.states import TaskStatus
from tests.model.derived import loaded
from tests.unit.core.example import Example, task
from tests.unit.core.plans import approval, child, condition, foreach, group, loop, switch, wait

FAILED = TaskRun("a", TaskStatus.FAILED, failure=Failure(FailureKind.ERROR, "it broke"))


GROUP = Ahead(TASKS)
THEN, ELSE = Ahead("then"), Ahead("else")


def until(times: int) -> dict[object, object]:
    """Without a source it is known that the iteration runs, and the answer must say so."""
    return {("w", Question.AGAIN): lambda question: question.template is None or question.number < times}


def items(size: int) -> Ahead:
    """A loop of which so many iterations are known."""
    return Ahead(TASKS, size)


def test_a_block_that_was_half_adopted_goes_on_with_the_other_half() -> None:
    run = Example(group("g", of=[task("a"), task("b", "a"), task("c")]), adopted=["a"])
    assert run.started == ["b", "c"]
    run.completes("b", "c")
    assert (run.status, run.task("a").attempt) == ("completed", 0)


def test_a_block_that_was_adopted_as_a_whole_is_over_when_it_is_entered() -> None:
    for shape, before in (
        (group("g", of=[task("a"), task("b", "a")]), GROUP),
        (condition("g", then=[task("b"), task("a")]), THEN),
    ):
        run = Example(shape, task("next", "g"), adopted=["a", "b"], ahead={"g": before})
        assert run.statuses == {"g": "completed", "next": "ready", "a": "completed", "b": "completed"}
        assert run.started == ["next"]


def test_a_control_task_that_was_adopted_itself_enters_nothing() -> None:
    run = Example(condition("c", then=[task("a")]), task("next", "c"), adopted=["c", "a"])
    assert (run.asked, run.started) == ([], ["next"])


@pytest.mark.parametrize("adopted", [["a"], []])
def test_a_branch_that_was_taken_is_taken_again_without_a_question(adopted: list[str]) -> None:
    run = Example(
        condition("c", then=[task("a"), task("b", "a")], otherwise=[task("d")]), adopted=adopted, ahead={"c": THEN}
    )
    assert (run.asked, run.outputs) == ([], {"c": {"branch": "then"}})
    assert run.started == (["b"] if adopted else ["a"])
    assert run.told("task.entered", "c") == [{"block": "then", "why": "adopted"}]


def test_a_case_that_was_taken_is_taken_again_and_so_is_the_default() -> None:
    for adopted, block, case in (("a", case_block("eu"), "eu"), ("b", DEFAULT, None)):
        shape = switch("s", cases={"eu": [task("a"), task("c", "a")]}, default=[task("b"), task("d", "b")])
        run = Example(shape, adopted=[adopted], ahead={"s": Ahead(block)})
        assert (run.asked, run.outputs) == ([], {"s": {"case": case}})


def test_what_goes_on_does_not_ask_whether_it_is_to_run() -> None:
    inner = condition("c", then=[task("a"), task("b", "a")], condition="true")
    shape = condition("outer", then=[inner], condition="true")
    run = Example(shape, adopted=["a"], ahead={"outer": THEN, "c": THEN})
    assert (run.asked, run.started) == ([], ["b"])


def test_what_does_not_go_on_is_asked_although_something_in_it_was_adopted() -> None:
    run = Example(condition("c", then=[task("a")], otherwise=[task("d")]), answers={"c": False}, adopted=["a"])
    assert (run.started, run.outputs) == (["d"], {"c": {"branch": "else"}})


def test_a_loop_goes_on_with_what_is_around_its_adopted_tasks() -> None:
    run = Example(
        foreach("f", of=[condition("c", then=[task("a"), task("b", "a")])]), answers={"f": 1},
        adopted=["f[0].a"], ahead={"f": items(1), "f[0].c": THEN},
    )  # fmt: skip
    assert run.started == ["f[0].b"]
    run.completes("f[0].b")
    assert run.status == "completed"


def test_a_failure_that_is_allowed_is_adopted_as_one() -> None:
    run = Example(group("g", of=[task("a", allow_failure=True), task("b", "a")]), adopted=["a"], endings={"a": FAILED})
    assert (run.statuses["a"], run.started) == ("failed", ["b"])
    whole = Example(group("g", of=[task("a", allow_failure=True)]), adopted=["a"], endings={"a": FAILED})
    assert whole.status == "completed"


def test_what_was_decided_before_is_not_asked_again() -> None:
    run = Example(group("g", of=[approval("ask", then=[task("a")]), task("b", "ask")]), adopted=["ask"])
    assert (run.asked, run.started) == ([], ["b"])


def test_iterations_that_were_adopted_are_not_run_again() -> None:
    run = Example(foreach("f", of=[task("a")], at_once=2), answers={"f": 5}, adopted=["f[0].a", "f[1].a", "f[3].a"])
    assert run.started == ["f[2].a", "f[4].a"]
    run.completes("f[2].a", "f[4].a")
    assert run.status == "completed"
    assert run.asked[-1].number == 5


def test_an_iteration_that_was_half_adopted_goes_on_where_it_stood() -> None:
    run = Example(foreach("f", of=[task("a"), task("b", "a")]), answers={"f": 2}, adopted=["f[0].a", "f[1].a"])
    assert run.started == ["f[0].b"]
    run.completes("f[0].b")
    assert run.started == ["f[1].b"]
    run.completes("f[1].b")
    assert run.status == "completed"


def test_a_loaded_run_knows_which_iterations_have_begun_from_those_that_were_only_adopted() -> None:
    """The iterations 1 and 2 have not begun when the run is loaded, though there are task runs of the third."""
    of = [task("a"), task("b", "a")]
    run = Example(foreach("f", of=of), answers={"f": 5}, adopted=["f[2].a", "f[3].a", "f[3].b"])
    assert run.started == ["f[0].a"]
    run.run = loaded(run.plan, run.run)
    run.completes("f[0].a", "f[0].b")
    assert run.started[-1] == "f[1].a"
    run.completes("f[1].a", "f[1].b")
    assert run.started[-1] == "f[2].b"
    run.run = loaded(run.plan, run.run)
    run.completes("f[2].b")
    assert run.started == ["f[4].a"]
    run.completes("f[4].a", "f[4].b")
    assert run.status == "completed"


def test_an_adopted_iteration_takes_no_place_among_those_that_run_at_the_same_time() -> None:
    run = Example(foreach("f", of=[task("a")]), answers={"f": 3}, adopted=["f[1].a"])
    assert (run.started, run.run.rounds["f"].begun) == (["f[0].a"], 2)
    run.completes("f[0].a")
    assert run.started == ["f[2].a"]


def test_what_was_adopted_of_items_that_are_no_more_is_not_counted() -> None:
    run = Example(foreach("f", of=[task("a")]), answers={"f": 1}, adopted=["f[1].a", "f[2].a"])
    assert (run.started, run.run.rounds["f"].begun) == (["f[0].a"], 1)
    run.completes("f[0].a")
    assert (run.status, run.asked[-1].number) == ("completed", 1)


def test_what_was_adopted_counts_for_a_loop_that_stops_on_failure() -> None:
    run = Example(foreach("f", of=[task("a")], stops=True), answers={"f": 4}, adopted=["f[1].a"])
    run.fails("f[0].a")
    assert (run.status, run.asked[-1].number) == ("failed", 2)


def test_a_while_passes_the_iterations_that_were_adopted_and_asks_about_the_next() -> None:
    run = Example(loop("w", of=[task("a")]), answers=until(4), adopted=["w[0].a", "w[1].a"], ahead={"w": items(2)})
    assert [(question.number, question.template, question.came) for question in run.asked] == [(2, "input.on", 2)]
    assert run.started == ["w[2].a"]
    assert run.told("task.entered", "w") == [{"adopted": 2}]
    run.run = loaded(run.plan, run.run)
    run.completes("w[2].a")
    run.completes("w[3].a")
    assert run.status == "completed"


@pytest.mark.parametrize("adopted", [["w[0].a", "w[0].b", "w[1].a"], ["w[0].a", "w[0].b"]])
def test_an_iteration_of_a_while_that_had_begun_runs_whatever_the_condition_says_now(adopted: list[str]) -> None:
    run = Example(loop("w", of=[task("a"), task("b", "a")]), answers=until(0), adopted=adopted, ahead={"w": items(2)})
    assert [(question.number, question.template) for question in run.asked] == [(1, None)]
    assert run.started == (["w[1].b"] if len(adopted) == 3 else ["w[1].a"])
    run.run = loaded(run.plan, run.run)
    run.completes(*[path for path in ("w[1].a", "w[1].b") if path not in adopted])
    assert (run.status, run.asked[1].template, run.asked[1].number) == ("completed", "input.on", 2)
    assert [question.came for question in run.asked[:2]] == [1, None]


def test_a_while_fails_where_what_its_iterations_came_to_is_lost() -> None:
    lost = Failure(FailureKind.INVALID_INPUT, "it is gone")
    run = Example(loop("w", of=[task("a")]), answers={"w": lost}, adopted=["w[0].a"], ahead={"w": items(2)})
    assert (run.status, run.error_of("w")) == ("failed", "it is gone")


def test_a_while_that_comes_again_in_a_loop_knows_its_own_iterations() -> None:
    run = Example(
        foreach("f", of=[loop("w", of=[task("a")])]), answers={"f": 2, **until(2)},
        adopted=["f[0].w[0].a"], ahead={"f": items(2), "f[0].w": items(2)},
    )  # fmt: skip
    assert run.started == ["f[0].w[1].a"]
    run.completes("f[0].w[1].a")
    assert run.started == ["f[1].w[0].a"]


def test_a_while_begins_an_adopted_iteration_only_after_the_one_before_it() -> None:
    run = Example(loop("w", of=[task("a")]), answers=until(3), adopted=["w[1].a"])
    run.run = loaded(run.plan, run.run)
    assert run.run.rounds["w"].begun == 1
    run.completes("w[0].a")
    assert run.started == ["w[2].a"]


def test_adopted_tasks_deeper_within_are_found_under_their_paths() -> None:
    inner = group("g", of=[task("a"), foreach("i", "a", of=[task("b")], at_once=2)])
    run = Example(
        foreach("f", of=[inner], at_once=2), answers={"f": 2, "i": 2}, adopted=["f[0].a", "f[0].i[1].b", "f[1].a"]
    )
    assert run.started == ["f[0].i[0].b", "f[1].i[0].b", "f[1].i[1].b"]
    run.completes(*run.started)
    assert run.status == "completed"


def test_ten_thousand_adopted_iterations_do_not_nest() -> None:
    each = Example(
        foreach("f", of=[task("a")]), answers={"f": 10_001}, adopted=[f"f[{index}].a" for index in range(10_000)]
    )
    assert each.started == ["f[10000].a"]
    again = Example(
        loop("w", of=[task("a")], most=20_000), answers=until(10_000),
        adopted=[f"w[{index}].a" for index in range(10_000)], ahead={"w": items(10_000)},
    )  # fmt: skip
    assert again.status == "completed"


def test_a_chain_of_a_thousand_adopted_groups_does_not_nest() -> None:
    groups = [group(f"g{n}", *([f"g{n - 1}"] if n else []), of=[task(f"a{n}")]) for n in range(1_000)]
    run = Example(*groups, adopted=[f"a{n}" for n in range(1_000)])
    assert run.status == "completed"
    assert run.plan.tasks["g0"].blocks[TASKS] == ("a0",)


# --- waits that were over ---------------------------------------------------------------------------------------------

ANSWER = {"approved": True, "by": "ann", "comment": None, "form": None, "timed_out": False}
DECIDED = {("ask", Question.DECIDED): ANSWER}


@pytest.mark.parametrize("adopted", [["a"], []])
def test_what_was_decided_is_not_asked_again(adopted: list[str]) -> None:
    shape = approval("ask", then=[task("a"), task("b", "a")], otherwise=[task("c")], condition="true")
    run = Example(shape, answers=DECIDED, adopted=adopted, ahead={"ask": THEN})
    assert [question.what for question in run.asked] == [Question.DECIDED]
    assert (run.outputs, run.timers) == ({"ask": ANSWER}, {})
    assert run.told("task.entered", "ask") == [{"block": "then", "why": "adopted"}]
    assert run.started == (["b"] if adopted else ["a"])
    assert "task.waiting ask" not in run.records


def test_a_wait_that_was_given_up_goes_on_with_its_else() -> None:
    run = Example(wait("w", then=[task("a")], otherwise=[task("b")], timeout=5), ahead={"w": ELSE})
    assert (run.started, run.outputs) == (["b"], {"w": {"timed_out": False}})
    run.completes("b")
    assert run.status == "completed"


def test_a_decision_is_taken_when_the_run_is_resumed_and_after_it_was_loaded() -> None:
    run = Example(approval("ask", then=[task("a")]), answers=DECIDED, ahead={"ask": THEN}, admitted=False)
    run.happens(PauseRequested(), Admitted())
    assert (run.statuses, run.asked) == ({"ask": "ready"}, [])
    run.run = loaded(run.plan, run.run)
    run.happens(ResumeRequested())
    assert run.started == ["a"]


def test_a_decision_within_a_loop_and_a_branch_is_found_under_its_path() -> None:
    inner = condition("c", then=[approval("ask", then=[task("a")])])
    run = Example(
        foreach("f", of=[inner], at_once=2), answers={"f": 2, "c": True, **DECIDED},
        ahead={"f": items(2), "f[1].c": THEN, "f[1].ask": THEN},
    )  # fmt: skip
    assert (run.started, run.statuses["f[0].ask"]) == (["f[1].a"], "waiting")


def test_a_wait_fails_where_what_it_came_to_is_lost() -> None:
    lost = Failure(FailureKind.INVALID_INPUT, "it is gone")
    run = Example(approval("ask", then=[task("a")]), answers={"ask": lost}, ahead={"ask": THEN})
    assert (run.status, run.error_of("ask")) == ("failed", "it is gone")


def test_a_sub_workflow_waits_for_a_run_of_its_own_also_when_it_goes_on() -> None:
    terms = WaitTerms(child="new")
    run = Example(child("s"), answers={"s": terms}, ahead={"s": Ahead(child="old")})
    assert (run.statuses, run.task("s").child) == ({"s": "waiting"}, "new")


def test_what_is_around_a_task_run_is_told_by_its_path() -> None:
    inner = group("g", of=[task("a"), loop("w", of=[task("b")])])
    plan = Example(foreach("f", of=[inner]), answers={"f": 0}).plan
    paths = ["f", "f[3].g", "f[3].a", "f[3].w[1].b"]
    assert [container_of(plan, path) for path in paths] == [None, "f", "f[3].g", "f[3].w"]

"""Runs that begin with tasks within others which an earlier run has completed."""

from millrace.core.controls import TASKS
from millrace.core.effects import Question
from millrace.core.failures import Failure, FailureKind
from millrace.core.run import TaskRun
from millrace.core.states import TaskStatus
from tests.model.derived import loaded
from tests.unit.core.example import Example, task
from tests.unit.core.plans import approval, condition, foreach, group, loop, switch

FAILED = TaskRun("a", TaskStatus.FAILED, failure=Failure(FailureKind.ERROR, "it broke"))


def until(times: int) -> dict[object, object]:
    return {("w", Question.AGAIN): lambda question: question.number < times}


def test_a_block_that_was_half_adopted_goes_on_with_the_other_half() -> None:
    run = Example(group("g", of=[task("a"), task("b", "a"), task("c")]), adopted=["a"])
    assert run.started == ["b", "c"]
    run.completes("b", "c")
    assert (run.status, run.task("a").attempt) == ("completed", 0)


def test_a_block_that_was_adopted_as_a_whole_is_over_when_it_is_entered() -> None:
    for shape in (group("g", of=[task("a"), task("b", "a")]), condition("g", then=[task("b"), task("a")])):
        run = Example(shape, task("next", "g"), answers={"g": True}, adopted=["a", "b"])
        assert run.statuses == {"g": "completed", "next": "ready", "a": "completed", "b": "completed"}
        assert run.started == ["next"]


def test_a_control_task_that_was_adopted_itself_enters_nothing() -> None:
    run = Example(condition("c", then=[task("a")]), task("next", "c"), adopted=["c", "a"])
    assert (run.asked, run.started) == ([], ["next"])


def test_a_branch_in_which_tasks_were_adopted_is_taken_again_without_a_question() -> None:
    run = Example(condition("c", then=[task("a"), task("b", "a")], otherwise=[task("d")]), adopted=["a"])
    assert (run.asked, run.started, run.outputs) == ([], ["b"], {"c": {"branch": "then"}})
    run.completes("b")
    assert run.status == "completed"


def test_a_case_in_which_tasks_were_adopted_is_taken_again_and_so_is_the_default() -> None:
    for adopted, case in (("a", "eu"), ("b", None)):
        shape = switch("s", cases={"eu": [task("a"), task("c", "a")]}, default=[task("b"), task("d", "b")])
        run = Example(shape, adopted=[adopted])
        assert (run.asked, run.outputs) == ([], {"s": {"case": case}})


def test_what_is_around_an_adopted_task_does_not_ask_whether_it_is_to_run() -> None:
    inner = condition("c", then=[task("a"), task("b", "a")], condition="true")
    run = Example(condition("outer", then=[inner], condition="true"), adopted=["a"])
    assert (run.asked, run.started) == ([], ["b"])


def test_a_loop_goes_on_with_what_is_around_its_adopted_tasks() -> None:
    run = Example(
        foreach("f", of=[condition("c", then=[task("a"), task("b", "a")])]), answers={"f": 1}, adopted=["f[0].a"]
    )
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


def test_a_while_asks_for_each_iteration_that_was_adopted_and_goes_on_after_them() -> None:
    run = Example(loop("w", of=[task("a")]), answers=until(4), adopted=["w[0].a", "w[1].a"])
    assert [question.number for question in run.asked] == [0, 1, 2]
    assert run.started == ["w[2].a"]
    run.run = loaded(run.plan, run.run)
    run.completes("w[2].a")
    run.completes("w[3].a")
    assert run.status == "completed"


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
        adopted=[f"w[{index}].a" for index in range(10_000)],
    )  # fmt: skip
    assert again.status == "completed"


def test_a_chain_of_a_thousand_adopted_groups_does_not_nest() -> None:
    groups = [group(f"g{n}", *([f"g{n - 1}"] if n else []), of=[task(f"a{n}")]) for n in range(1_000)]
    run = Example(*groups, adopted=[f"a{n}" for n in range(1_000)])
    assert run.status == "completed"
    assert run.plan.tasks["g0"].blocks[TASKS] == ("a0",)

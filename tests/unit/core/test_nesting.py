"""Control tasks within one another, and in the handlers of a run."""

from millrace.core.controls import id_in, iteration_of, iterations_around, loop_and_index, prefix_of
from millrace.core.counting import created
from millrace.core.effects import CancelChild, Question, StopAttempt
from millrace.core.events import (
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    TimerKind,
    WaitTerms,
)
from millrace.core.failures import FailureKind
from millrace.core.plan import Phase
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, closing, handler, plan_of, task, undoing
from tests.unit.core.plans import Nest, approval, child, condition, foreach, group, loop, sleep, switch, wait

CANCEL, PAUSE, RESUME = CancelRequested("ann"), PauseRequested("ann"), ResumeRequested("ann")
LIMIT = 60 * SECOND


def times(number: int) -> object:
    return lambda question: question.number < number if question.what is Question.AGAIN else None


def test_a_path_tells_the_task_and_the_iterations_around_it() -> None:
    path = "outer[2].inner[10].load"
    assert (id_in(path), prefix_of(path), iteration_of(path)) == ("load", "outer[2].inner[10].", "outer[2].inner[10]")
    assert list(iterations_around(path)) == [("outer", 2), ("outer[2].inner", 10)]
    assert loop_and_index("outer[2].inner[10]") == ("outer[2].inner", 10)
    assert (id_in("load"), prefix_of("load"), iteration_of("load"), list(iterations_around("load"))) == (
        "load", "", "", [],
    )  # fmt: skip


def test_a_new_run_has_only_the_tasks_that_stand_in_no_other() -> None:
    plan = plan_of(group("g", of=[task("a")]), foreach("f", of=[task("b")]))
    assert list(created(plan, "run").tasks) == ["g", "f"]
    assert (plan.task_at("g"), plan.task_at("f[3].b").loops) == (plan.tasks["g"], ("f",))


def test_loops_within_loops_have_paths_for_each_iteration_of_each() -> None:
    run = Example(
        foreach("f", of=[loop("w", of=[foreach("i", of=[task("a")], at_once=2)])], at_once=2),
        answers={"f": 2, "w": times(2), "i": 2},
    )  # fmt: skip
    assert run.started == ["f[0].w[0].i[0].a", "f[0].w[0].i[1].a", "f[1].w[0].i[0].a", "f[1].w[0].i[1].a"]
    run.completes("f[1].w[0].i[0].a", "f[1].w[0].i[1].a")
    assert run.started == ["f[1].w[1].i[0].a", "f[1].w[1].i[1].a"]
    run.completes(*run.started)
    assert (run.statuses["f[1].w"], run.statuses["f[0].w"], run.statuses["f"]) == ("completed", "running", "running")
    run.completes("f[0].w[0].i[0].a", "f[0].w[0].i[1].a")
    run.completes(*run.started)
    assert run.status == "completed"


def test_a_failure_deep_within_fails_everything_around_it_and_is_told_where_it_began() -> None:
    run = Example(
        foreach("f", of=[condition("c", then=[group("g", of=[task("a")])])]), answers={"f": 1, "c": True}
    )  # fmt: skip
    run.fails("f[0].a")
    assert run.error == "task `f[0].a` failed: it broke"
    assert run.error_of("f") == "1 of 1 iteration failed; task `f[0].a` failed: it broke"
    assert run.error_of("f[0].c") == run.error_of("f[0].g") == run.error
    assert run.run.failure is not None
    assert run.run.failure.details == {"task": "f[0].a"}


def test_empty_blocks_within_each_other_are_over_at_once() -> None:
    deep: Nest = group("g0")
    for depth in range(1, 20):
        deep = group(f"g{depth}", of=[deep])
    run = Example(deep, switch("s", cases={"a": [group("h")]}), answers={"s": "a"})
    assert (run.status, set(run.statuses.values())) == ("completed", {"completed"})


def everything() -> list[Nest]:
    """A loop of branches of a group in which something runs, something waits, and something is to come."""
    of = [task("a"), wait("w", then=[task("b")]), child("sub"), sleep("s", "a"), task("z", "w")]
    return [foreach("f", of=[condition("c", then=[group("g", of=of)])], at_once=2)]


EVERYTHING = {
    "f": 2, "c": True, ("sub", Question.WAIT): lambda question: WaitTerms(child=f"kid of {question.path}"),
    "s": WaitTerms(NOON + LIMIT),
}  # fmt: skip


def test_a_cancel_ends_all_that_is_within_and_waits_for_what_cannot_end_at_once() -> None:
    run = Example(*everything(), closing("tidy"), answers=EVERYTHING)
    run.gets("f[1].w")
    run.happens(CANCEL)
    stops = [StopAttempt("f[0].a", 1), StopAttempt("f[1].a", 1), StopAttempt("f[1].b", 1)]
    assert sorted(run.effects(StopAttempt), key=lambda effect: effect.path) == stops
    assert [effect.path for effect in run.effects(CancelChild)] == ["f[0].sub", "f[1].sub"]
    for path in ("f[0].a", "f[1].a", "f[1].b"):
        run.fails(path, FailureKind.CANCELLED)
    run.child_ends("f[0].sub", RunStatus.CANCELLED)
    assert (run.statuses["f[0].c"], run.statuses["f[1].c"], run.statuses["f"]) == (
        "cancelled", "cancelling", "cancelling",
    )  # fmt: skip
    run.child_ends("f[1].sub", RunStatus.CANCELLED)
    assert (run.statuses["f"], run.started) == ("cancelled", ["tidy"])
    run.completes("tidy")
    assert (run.status, set(run.statuses.values())) == ("cancelled", {"cancelled", "completed"})


def test_the_time_limit_of_the_run_ends_all_that_is_within() -> None:
    run = Example(*everything(), answers=EVERYTHING, timeout=LIMIT)
    run.happens(TimerFired(TimerKind.RUN_TIMEOUT))
    for path in ("f[0].a", "f[1].a"):
        run.is_withdrawn(path)
    for path in ("f[0].sub", "f[1].sub"):
        assert run.status == "running"
        run.child_ends(path, RunStatus.CANCELLED)
    assert (run.status, run.error) == ("failed", "the run took longer than its limit of 60 s")


def test_a_paused_run_holds_all_that_would_begin_and_begins_it_when_it_is_resumed() -> None:
    shapes = [
        group("g", "first", of=[task("a")]), condition("c", "first", then=[task("b")]),
        foreach("f", "first", of=[task("d")]), loop("w", "first", of=[task("e")]), approval("ask", "first"),
    ]  # fmt: skip
    answers = {"c": True, "f": 1, "w": times(1), "ask": WaitTerms(decides=True)}
    run = Example(task("first"), *shapes, answers=answers)
    run.happens(PAUSE)
    run.completes("first")
    assert run.statuses == {
        "first": "completed",
        "g": "ready",
        "c": "ready",
        "f": "ready",
        "w": "ready",
        "ask": "ready",
    }
    assert (run.asked, run.status) == ([], "paused")
    run.happens(RESUME)
    assert run.started == ["a", "b", "f[0].d", "w[0].e"]
    assert run.statuses["ask"] == "waiting"


def test_a_paused_run_that_is_cancelled_ends_control_tasks_that_had_not_begun() -> None:
    run = Example(task("first"), group("g", "first", of=[task("a")]))
    run.happens(PAUSE)
    run.completes("first")
    run.happens(CANCEL)
    assert (run.status, run.statuses) == ("cancelled", {"first": "completed", "g": "cancelled"})


def test_a_pause_and_a_resume_in_the_fold_that_asks_begin_nothing_twice() -> None:
    run = Example(
        condition("c", then=[task("a")]), group("g", of=[task("b")]), admitted=False, answers={"c": True}
    )  # fmt: skip
    run.happens(PAUSE)
    run.happens(RESUME)
    run.happens(PAUSE)
    run.happens(TimerFired(TimerKind.START), RESUME)
    assert (run.started, len(run.asked)) == (["b", "a"], 1)


# --- handlers ---------------------------------------------------------------------------------------------------------


def test_handlers_may_hold_control_tasks() -> None:
    tell = Nest(handler("tell", control=group("x").own.control), {"tasks": (task("mail"),)})
    tidy = foreach("tidy", of=[task("sweep")], phase=Phase.FINALLY)
    run = Example(task("a"), tell, tidy, answers={"tidy": 2})
    assert run.plan.tasks["mail"].phase is Phase.ON_FAILURE
    run.fails("a")
    assert (run.run.phase, run.started) == (Phase.ON_FAILURE, ["mail"])
    run.completes("mail")
    assert (run.run.phase, run.started) == (Phase.FINALLY, ["tidy[0].sweep"])
    run.completes("tidy[0].sweep")
    run.completes("tidy[1].sweep")
    assert (run.status, run.error) == ("failed", "task `a` failed: it broke")


def test_a_failure_within_finally_fails_a_completed_run() -> None:
    run = Example(task("a"), group("tidy", of=[task("sweep")], phase=Phase.FINALLY))
    run.completes("a")
    run.fails("sweep")
    assert (run.status, run.error) == ("failed", "task `sweep` failed: it broke")


def test_a_handler_may_wait_and_its_limit_ends_the_wait() -> None:
    run = Example(task("a"), approval("ask", phase=Phase.ON_FAILURE), answers={"ask": WaitTerms(decides=True)})
    run.fails("a")
    assert (run.status, run.statuses["ask"]) == ("waiting", "waiting")
    run.happens(TimerFired(TimerKind.ON_FAILURE_TIMEOUT))
    assert (run.status, run.statuses["ask"]) == ("failed", "cancelled")


def test_a_first_cancel_lets_a_finally_go_on_to_wait_and_a_second_ends_it() -> None:
    run = Example(
        closing("tidy"), sleep("s", "tidy", phase=Phase.FINALLY), answers={"s": WaitTerms(NOON + LIMIT)}
    )  # fmt: skip
    run.happens(PAUSE)
    run.completes("tidy")
    assert run.statuses["s"] == "ready"
    run.happens(CANCEL)
    assert (run.status, run.statuses["s"]) == ("cancelling", "waiting")
    run.happens(CANCEL)
    assert (run.status, run.statuses["s"]) == ("completed", "cancelled")


def test_what_undoes_a_task_may_hold_others_and_all_of_it_ends_before_the_next_is_undone() -> None:
    undo_b = Nest(undoing("undo_b", "b", control=group("x").own.control), {"tasks": (task("one"), task("two", "one"))})
    undo_a = Nest(undoing("undo_a", "a", control=foreach("x", of=[]).own.control), {"tasks": (task("three"),)})
    run = Example(task("a"), group("b", of=[task("in")]), task("c", "b"), undo_b, undo_a, answers={"undo_a": 1})
    run.completes("a")
    run.now += SECOND
    run.completes("in")
    run.fails("c")
    assert (run.run.phase, run.started) == (Phase.ROLLBACK, ["one"])
    run.completes("one")
    assert (run.started, run.statuses["undo_a"]) == (["two"], "pending")
    run.fails("two")
    assert (run.statuses["undo_b"], run.started) == ("failed", ["undo_a[0].three"])
    run.completes("undo_a[0].three")
    assert (run.status, run.error) == ("failed", "task `c` failed: it broke")

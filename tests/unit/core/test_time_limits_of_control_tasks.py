"""What becomes of all that is in a control task when its time is over."""

from millrace.core.effects import Alarm, CancelChild, StopAttempt, Unpark
from millrace.core.events import (
    AttemptCompleted,
    CancelRequested,
    Evaluated,
    PauseRequested,
    TimerFired,
    TimerKind,
    Verdict,
    WaitTerms,
)
from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, RetryPlan
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, task
from tests.unit.core.plans import approval, child, condition, foreach, group, loop, sleep, switch, wait

LIMIT, PAUSE = 60 * SECOND, PauseRequested("ann")
OF_TASK = TimerKind.TASK


def test_a_control_task_has_its_alarm_from_when_it_begins_until_it_ends() -> None:
    run = Example(group("g", of=[task("a")], timeout=LIMIT), task("next", "g"))
    assert run.effects(Alarm) == [Alarm("g", NOON + LIMIT)]
    run.completes("a")
    assert run.effects(Unpark) == [Unpark("g")]


def test_every_kind_that_holds_tasks_has_a_limit() -> None:
    run = Example(
        condition("c", then=[task("a")], timeout=LIMIT), switch("s", cases={"x": [task("b")]}, timeout=LIMIT),
        foreach("f", of=[task("d")], timeout=LIMIT), loop("w", of=[task("e")], timeout=LIMIT),
        answers={"c": True, "s": "x", "f": 1, "w": True},
    )  # fmt: skip
    assert run.timers == dict.fromkeys(["c", "s", "f", "w"], NOON + LIMIT)


def test_when_its_time_is_over_all_that_is_in_it_is_ended_and_it_fails_when_that_has_ended() -> None:
    run = Example(
        group("g", of=[task("a"), task("b"), task("c", "b")], timeout=LIMIT),
        task("next", "g"), task("mend", "g", join=JoinRule.ONE_FAILED), task("beside"),
    )  # fmt: skip
    run.completes("a")
    run.time_is_up("g")
    assert run.effects(StopAttempt) == [StopAttempt("b", 1)]
    assert run.statuses == {
        "g": "cancelling", "next": "pending", "mend": "pending", "beside": "ready",
        "a": "completed", "b": "cancelling", "c": "cancelled",
    }  # fmt: skip
    error = {"kind": "timeout", "message": "it took longer than its limit of 60 s"}
    assert run.told("task.cancelling", "g") == [{"error": error}]
    run.fails("b", FailureKind.CANCELLED)
    assert (run.statuses["g"], run.statuses["next"], run.statuses["mend"]) == ("failed", "skipped", "ready")
    assert run.told("task.failed", "g") == [{"error": error}]
    assert "g" not in run.timers


def test_a_limit_of_a_task_in_which_nothing_goes_on_any_more_fails_it_at_once() -> None:
    run = Example(
        group("g", of=[sleep("s"), approval("ask")], timeout=LIMIT), answers={"s": WaitTerms(NOON + 2 * LIMIT)}
    )
    run.time_is_up("g")
    assert (run.status, run.statuses) == ("failed", {"g": "failed", "s": "cancelled", "ask": "cancelled"})
    assert run.error == "task `g` failed: it took longer than its limit of 60 s"


def test_a_limit_ends_the_run_of_a_sub_workflow_first() -> None:
    run = Example(group("g", of=[child("sub")], timeout=LIMIT), answers={"sub": WaitTerms(child="kid")})
    run.time_is_up("g")
    assert run.effects(CancelChild) == [CancelChild("sub", "kid")]
    assert run.statuses == {"g": "cancelling", "sub": "cancelling"}
    run.child_ends("sub", RunStatus.CANCELLED)
    assert (run.status, run.statuses) == ("failed", {"g": "failed", "sub": "cancelled"})


def test_a_limit_ends_what_stands_deeper_within_and_nothing_beside_it() -> None:
    inner = [condition("c", then=[task("a"), group("h", of=[task("b")])])]
    run = Example(
        foreach("f", of=[group("g", of=inner, timeout=LIMIT)], at_once=2), answers={"f": 2, "c": True}
    )  # fmt: skip
    run.time_is_up("f[0].g")
    assert run.effects(StopAttempt) == [StopAttempt("f[0].a", 1), StopAttempt("f[0].b", 1)]
    assert (run.statuses["f[0].c"], run.statuses["f[1].c"], run.statuses["f[1].a"]) == (
        "cancelling",
        "running",
        "ready",
    )
    run.fails("f[0].a", FailureKind.CANCELLED)
    run.fails("f[0].b", FailureKind.CANCELLED)
    assert (run.statuses["f[0].h"], run.statuses["f[0].c"], run.statuses["f[0].g"]) == (
        "cancelled", "cancelled", "failed",
    )  # fmt: skip


def test_a_limit_of_a_loop_begins_no_further_iteration_and_waits_for_those_that_run() -> None:
    run = Example(foreach("f", of=[task("a"), task("b", "a")], at_once=2, timeout=LIMIT), answers={"f": 9})
    run.time_is_up("f")
    assert run.statuses == {
        "f": "cancelling", "f[0].a": "cancelling", "f[0].b": "cancelled", "f[1].a": "cancelling", "f[1].b": "cancelled",
    }  # fmt: skip
    run.completes("f[0].a")
    assert run.statuses["f"] == "cancelling"
    run.fails("f[1].a", FailureKind.CANCELLED)
    assert (run.status, run.statuses["f"], len(run.run.tasks)) == ("failed", "failed", 5)


def test_the_limit_of_a_loop_comes_before_what_it_was_about_to_ask() -> None:
    for shape in (foreach("f", of=[task("a")], timeout=LIMIT), loop("f", of=[task("a")], timeout=LIMIT)):
        run = Example(shape, answers={"f": lambda question: question.what.value == "again" or 1})
        run.happens(AttemptCompleted("f[0].a", 1), TimerFired(OF_TASK, "f"))
        assert (run.status, run.error) == ("failed", "task `f` failed: it took longer than its limit of 60 s")


def test_a_limit_within_a_limit_and_a_cancel_after_both_end_nothing_twice() -> None:
    run = Example(group("outer", of=[group("inner", of=[task("a")], timeout=LIMIT)], timeout=2 * LIMIT))
    run.time_is_up("inner")
    run.time_is_up("outer")
    assert run.effects(StopAttempt) == []
    assert run.statuses == {"outer": "cancelling", "inner": "cancelling", "a": "cancelling"}
    run.happens(CancelRequested("ann"))
    assert run.effects(StopAttempt) == []
    run.fails("a", FailureKind.CANCELLED)
    assert run.statuses == {"outer": "failed", "inner": "failed", "a": "cancelled"}
    assert run.status == "cancelled"


def test_a_task_that_is_to_be_tried_again_is_not_after_the_limit() -> None:
    policy = RetryPlan(max_attempts=3, delay=2 * LIMIT)
    run = Example(group("g", of=[task("a", retry=policy)], timeout=LIMIT))
    run.fails("a")
    run.time_is_up("g")
    assert run.effects(StopAttempt) == [StopAttempt("a", 2)]
    run.is_withdrawn("a")
    assert (run.status, run.task("a").attempt) == ("failed", 2)


def test_a_limit_that_is_allowed_to_pass_counts_as_success() -> None:
    run = Example(group("g", of=[sleep("s")], timeout=LIMIT, allow_failure=True), task("next", "g"),
                  answers={"s": WaitTerms(NOON + 2 * LIMIT)})  # fmt: skip
    run.time_is_up("g")
    assert (run.statuses["g"], run.statuses["next"]) == ("failed", "ready")


def test_timers_of_tasks_that_are_over_are_none_or_have_none_change_nothing() -> None:
    run = Example(
        group("g", of=[task("a")], timeout=LIMIT),
        group("free", of=[task("b")]),
        task("plain"),
        wait("w"),
        task("z", "w"),
    )
    run.completes("a")
    for path in ("g", "free", "plain", "w", "z", "nowhere", "g[0].a"):
        before = run.run
        assert run.happens(TimerFired(OF_TASK, path)) is Verdict.ALREADY_APPLIED, path
        assert (run.run, run.last.records, run.last.effects) == (before, (), ())
    assert run.happens(TimerFired(OF_TASK)) is Verdict.ALREADY_APPLIED


def test_the_timer_of_a_task_that_is_being_ended_and_of_a_finished_run_change_nothing() -> None:
    run = Example(group("g", of=[task("a")], timeout=LIMIT))
    run.time_is_up("g")
    assert run.time_is_up("g") is Verdict.ALREADY_APPLIED
    run.fails("a", FailureKind.CANCELLED)
    assert run.time_is_up("g") is Verdict.ALREADY_APPLIED


def test_an_alarm_of_a_paused_run_ends_the_task_and_the_run_stays_paused_while_something_is_being_ended() -> None:
    run = Example(group("g", of=[task("a")], timeout=LIMIT), task("next", "g", join=JoinRule.ALL_DONE))
    run.happens(PAUSE)
    run.time_is_up("g")
    run.fails("a", FailureKind.CANCELLED)
    assert (run.status, run.statuses["g"], run.statuses["next"]) == ("paused", "failed", "ready")
    assert run.scheduled == []


def test_what_was_asked_for_a_task_within_is_not_asked_any_more() -> None:
    run = Example(
        group("g", of=[task("a"), condition("c", "a", then=[task("b")], condition="x")], timeout=LIMIT), answers={}
    )
    run.happens(AttemptCompleted("a", 1), TimerFired(OF_TASK, "g"))
    assert (run.asked, run.statuses) == ([], {"g": "failed", "a": "completed", "c": "cancelled"})
    assert run.happens(Evaluated("c", True)) is Verdict.ALREADY_APPLIED

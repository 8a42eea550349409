"""Tasks that wait: until when, for what, and what follows when it comes, comes too late or does not come."""

import pytest

from millrace.core.effects import Park, Question, Unpark
from millrace.core.events import (
    AttemptCompleted,
    CancelRequested,
    ChildFinished,
    ChildRefused,
    ChildStarted,
    Decided,
    Event,
    EventArrived,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    TimerKind,
    Verdict,
    WaitTerms,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.unit.core.example import NO_VALUE, NOON, Example, task
from tests.unit.core.plans import approval, child, group, sleep, wait

LIMIT = 60 * SECOND
BROKEN = Failure(FailureKind.ERROR, "it broke")
DECIDES = WaitTerms(decides=True)


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_sleep_holds_up_what_comes_after_it_and_the_run_waits_meanwhile() -> None:
    run = Example(sleep("s"), task("next", "s"), answers={"s": WaitTerms(NOON + LIMIT)})
    assert (run.status, run.statuses) == ("waiting", {"s": "waiting", "next": "pending"})
    assert run.effects(Park) == [Park("s", NOON + LIMIT)]
    assert run.told("task.waiting", "s") == [{"for": "sleep", "until": NOON + LIMIT}]
    run.time_is_up("s")
    assert run.effects(Unpark) == [Unpark("s")]
    assert (run.status, run.statuses, run.started) == ("running", {"s": "completed", "next": "ready"}, ["next"])


def test_a_time_that_has_passed_is_not_waited_for() -> None:
    run = Example(sleep("s"), task("next", "s"), answers={"s": WaitTerms(NOON)})
    assert (run.statuses, run.timers) == ({"s": "completed", "next": "ready"}, {})


def test_a_sleep_that_is_longer_than_its_limit_fails_at_the_limit() -> None:
    run = Example(sleep("s", timeout=LIMIT), answers={"s": WaitTerms(NOON + 2 * LIMIT)})
    assert run.timers == {"s": NOON + LIMIT}
    run.time_is_up("s")
    assert run.error == "task `s` failed: what it waits for did not come within its limit of 60 s"


def test_a_sleep_that_is_shorter_than_its_limit_is_over_at_its_end() -> None:
    run = Example(sleep("s", timeout=2 * LIMIT), answers={"s": WaitTerms(NOON + LIMIT)})
    assert run.timers == {"s": NOON + LIMIT}
    run.time_is_up("s")
    assert run.status == "completed"


def test_a_wait_whose_terms_have_no_value_fails() -> None:
    run = Example(sleep("s"), answers={"s": NO_VALUE})
    assert (run.statuses, run.error) == ({"s": "failed"}, "task `s` failed: no such name")


# --- events -----------------------------------------------------------------------------------------------------------


def test_an_event_ends_the_wait_for_it() -> None:
    run = Example(wait("w"), task("next", "w"))
    assert run.effects(Park) == [Park("w", None)]
    assert run.told("task.waiting", "w") == [{"for": "wait_for_event"}]
    assert run.gets("w", n=1) is Verdict.APPLIED
    assert run.outputs == {"w": {"event": {"n": 1}, "timed_out": False}}
    assert run.started == ["next"]


def test_what_follows_an_event_runs_before_the_task_is_over() -> None:
    run = Example(wait("w", then=[task("a")], otherwise=[task("b")], timeout=LIMIT), task("next", "w"))
    run.gets("w", n=1)
    assert run.statuses == {"w": "running", "next": "pending", "a": "ready"}
    assert run.told("task.entered", "w") == [{"block": "then", "why": "came"}]
    assert run.timers == {}, "its limit was that of the wait"
    assert run.time_is_up("w") is Verdict.ALREADY_APPLIED, "a timer that had fired meanwhile"
    run.completes("a")
    assert run.started == ["next"]


def test_a_failure_in_what_follows_fails_the_wait() -> None:
    run = Example(wait("w", then=[task("a")]))
    run.gets("w")
    run.fails("a")
    assert run.error == "task `a` failed: it broke"


def test_an_event_that_does_not_come_in_time_fails_the_wait_for_it() -> None:
    run = Example(wait("w", then=[task("a")], timeout=LIMIT))
    run.time_is_up("w")
    assert run.outputs == {"w": {"timed_out": True}}
    assert run.error == "task `w` failed: what it waits for did not come within its limit of 60 s"
    assert run.run.failure is not None
    assert run.run.failure.kind is FailureKind.TIMEOUT


def test_with_an_else_even_an_empty_one_it_does_not_fail() -> None:
    run = Example(wait("w", otherwise=[task("b")], timeout=LIMIT), wait("v", otherwise=[], timeout=LIMIT))
    run.time_is_up("w")
    run.time_is_up("v")
    assert run.statuses == {"w": "running", "v": "completed", "b": "ready"}
    assert run.told("task.entered", "v") == [{"block": "else", "why": "timed out"}]
    run.completes("b")
    assert run.status == "completed"


def test_a_filter_says_which_events_count() -> None:
    answers = {("w", Question.FILTER): lambda question: question.came["n"] > 1}
    run = Example(wait("w", only="event.n > 1"), answers=answers)
    run.gets("w", n=1)
    assert (run.status, run.timers) == ("waiting", {"w": None})
    run.gets("w", n=2)
    assert (run.status, run.outputs["w"]) == ("completed", {"event": {"n": 2}, "timed_out": False})


def test_of_several_events_in_one_fold_the_first_that_the_filter_accepts_counts() -> None:
    answers = {("w", Question.FILTER): lambda question: question.came["n"] > 1}
    run = Example(wait("w", only="event.n > 1"), answers=answers)
    run.happens(*(EventArrived("w", {"n": n}) for n in (0, 1, 2, 3)))
    assert [question.came for question in run.asked[1:]] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert run.outputs["w"] == {"event": {"n": 2}, "timed_out": False}


@pytest.mark.parametrize(
    ("answer", "message"),
    [(NO_VALUE, "no such name"), ("yes", "a `filter` must be true or false, but its value is of type str")],
)
def test_a_filter_without_a_truth_value_fails_the_wait(answer: object, message: str) -> None:
    run = Example(wait("w", only="event.n", otherwise=[task("b")]), answers={("w", Question.FILTER): answer})
    run.happens(EventArrived("w", {}), EventArrived("w", {}))
    assert (run.statuses, run.error, run.timers) == ({"w": "failed"}, f"task `w` failed: {message}", {})


def test_a_wait_whose_time_is_over_before_the_filter_is_asked_is_over() -> None:
    run = Example(wait("w", only="event.n", timeout=LIMIT), answers={("w", Question.FILTER): True})
    run.happens(EventArrived("w", {}), TimerFired(TimerKind.TASK, "w"))
    assert (run.statuses, run.asked[1:]) == ({"w": "failed"}, [])


# --- decisions --------------------------------------------------------------------------------------------------------


def test_an_approval_waits_for_a_decision_and_says_who_decided_what() -> None:
    run = Example(approval("ask"), task("next", "ask"), answers={"ask": DECIDES})
    assert run.status == "waiting"
    assert run.happens(Decided("ask", True, "ann", "fine", {"n": 1})) is Verdict.APPLIED
    assert run.outputs == {
        "ask": {"approved": True, "by": "ann", "comment": "fine", "form": {"n": 1}, "timed_out": False}
    }
    assert run.told("task.decided", "ask") == [{"approved": True, "by": "ann"}]
    assert run.started == ["next"]


def test_a_rejection_fails_an_approval_without_an_else() -> None:
    run = Example(approval("ask", then=[task("a")]), answers={"ask": DECIDES})
    run.is_rejected("ask", "too dear")
    assert run.error == "task `ask` failed: it was rejected: too dear"
    assert run.run.failure is not None
    assert run.run.failure.kind is FailureKind.REJECTED
    nobody = Example(approval("ask"), answers={"ask": DECIDES})
    nobody.happens(Decided("ask", False))
    assert nobody.error == "task `ask` failed: it was rejected"
    assert nobody.told("task.decided", "ask") == [{"approved": False}]


def test_then_follows_an_approval_and_else_a_rejection() -> None:
    run = Example(
        approval("one", then=[task("a")], otherwise=[task("b")]),
        approval("two", then=[task("c")], otherwise=[task("d")]),
        answers={"one": DECIDES, "two": DECIDES},
    )  # fmt: skip
    run.is_approved("one")
    run.is_rejected("two")
    assert run.statuses == {"one": "running", "two": "running", "a": "ready", "d": "ready"}


def test_nobody_decides_twice() -> None:
    run = Example(approval("ask", then=[task("a")]), answers={"ask": DECIDES})
    run.is_approved("ask")
    assert run.is_rejected("ask") is Verdict.ALREADY_APPLIED
    assert run.statuses["a"] == "ready"


def test_an_approval_that_nobody_decides_in_time_fails_or_goes_on_with_else() -> None:
    fails = Example(approval("ask", timeout=LIMIT), answers={"ask": DECIDES})
    fails.time_is_up("ask")
    assert fails.error == "task `ask` failed: what it waits for did not come within its limit of 60 s"
    undecided = {"approved": False, "by": None, "comment": None, "form": None, "timed_out": True}
    assert fails.outputs == {"ask": undecided}
    goes_on = Example(approval("ask", otherwise=[task("b")], timeout=LIMIT), answers={"ask": DECIDES})
    goes_on.time_is_up("ask")
    assert (goes_on.statuses["b"], goes_on.outputs) == ("ready", {"ask": undecided})


def test_a_default_decides_when_the_time_is_over() -> None:
    for default, block, told in ((True, "a", "approved"), (False, "b", "rejected")):
        run = Example(
            approval("ask", then=[task("a")], otherwise=[task("b")], timeout=LIMIT),
            answers={"ask": WaitTerms(decides=True, default=default)},
        )
        run.time_is_up("ask")
        assert run.statuses == {"ask": "running", block: "ready"}
        assert run.told("task.entered", "ask")[0]["why"] == told
        assert run.told("task.decided", "ask") == [{"approved": default, "timed_out": True}]
        output = run.outputs["ask"]
        assert isinstance(output, dict)
        assert (output["approved"], output["timed_out"], output["by"]) == (default, True, None)


def test_a_default_that_rejects_without_an_else_fails_as_rejected() -> None:
    run = Example(approval("ask", timeout=LIMIT), answers={"ask": WaitTerms(decides=True, default=False)})
    run.time_is_up("ask")
    assert run.error == "task `ask` failed: it was rejected"


# --- what is for another ----------------------------------------------------------------------------------------------

ANYTHING: list[Event] = [
    EventArrived("w", {}),
    Decided("w", True),
    ChildStarted("w", "kid"),
    ChildRefused("w", "kid", BROKEN),
    ChildFinished("w", "kid", RunStatus.COMPLETED),
]


@pytest.mark.parametrize(
    ("kind", "terms", "fitting"),
    [
        ("sleep", WaitTerms(NOON + LIMIT), ()),
        ("until", WaitTerms(NOON + LIMIT), ()),
        ("wait_for_event", WaitTerms(), (EventArrived,)),
        ("wait_for_event", WaitTerms(signal="go"), ()),
        ("approval", DECIDES, (Decided,)),
        ("approval", WaitTerms(decides=True, default=True), (Decided,)),
        ("sub_workflow", WaitTerms(child="kid"), (ChildStarted, ChildRefused, ChildFinished)),
        ("sub_workflow", WaitTerms(child="another"), ()),
        ("sub_workflow", WaitTerms(child="kid", detached=True), (ChildStarted, ChildRefused, ChildFinished)),
    ],
)
def test_a_task_takes_only_what_it_waits_for(kind: str, terms: WaitTerms, fitting: tuple[type, ...]) -> None:
    for event in ANYTHING:
        run = Example(wait("w", kind=kind), answers={("w", Question.WAIT): terms})
        before = run.run
        applied = run.happens(event) is Verdict.APPLIED
        assert applied == isinstance(event, fitting), event
        if not applied:
            assert (run.run, run.last.records, run.last.effects) == (before, (), ())


@pytest.mark.parametrize("event", ANYTHING)
def test_what_comes_for_a_task_that_does_not_wait_changes_nothing(event: Event) -> None:
    over = Example(wait("w"), task("a"))
    over.gets("w")
    never = Example(task("a"))
    not_yet = Example(task("a"), wait("w", "a"))
    finished = Example(wait("w"))
    finished.happens(CancelRequested("ann"))
    for run in (over, never, not_yet, finished):
        before = run.run
        assert run.happens(event) is Verdict.ALREADY_APPLIED
        assert (run.run, run.last.records, run.last.effects) == (before, (), ())


# --- being ended, and pauses ------------------------------------------------------------------------------------------


def test_a_cancelled_run_waits_for_nothing_any_more() -> None:
    run = Example(wait("w"), sleep("s"), approval("ask", timeout=LIMIT), answers={"s": WaitTerms(NOON + LIMIT)})
    run.happens(CancelRequested("ann"))
    assert run.effects(Unpark) == [Unpark("w"), Unpark("s"), Unpark("ask")]
    assert (run.status, set(run.statuses.values())) == ("cancelled", {"cancelled"})


def test_what_comes_while_a_run_is_paused_counts_and_what_follows_begins_when_it_is_resumed() -> None:
    run = Example(wait("w", then=[task("a")]), task("next", "w"), sleep("s"), answers={"s": WaitTerms(NOON + LIMIT)})
    run.happens(PauseRequested("ann"))
    assert run.status == "paused"
    run.gets("w")
    run.time_is_up("s")
    assert (run.status, run.scheduled) == ("paused", [])
    assert run.statuses == {"w": "running", "next": "pending", "s": "completed", "a": "ready"}
    run.happens(ResumeRequested("ann"))
    assert (run.status, run.started) == ("running", ["a"])


def test_a_paused_run_begins_no_wait_and_does_when_it_is_resumed() -> None:
    run = Example(task("a"), wait("w", "a", timeout=LIMIT))
    run.happens(PauseRequested("ann"))
    run.completes("a")
    assert (run.statuses["w"], run.asked, run.timers) == ("ready", [], {})
    assert "task.ready w" in run.records
    run.now += LIMIT
    run.happens(ResumeRequested("ann"))
    assert (run.status, run.statuses["w"], run.timers) == ("waiting", "waiting", {"w": NOON + 2 * LIMIT})


def test_a_run_is_waiting_only_when_nothing_else_is_to_be_done_in_it() -> None:
    run = Example(wait("w"), task("a"), group("g", of=[wait("v"), task("b")]))
    assert run.status == "running"
    run.completes("a")
    assert run.status == "running"
    run.happens(AttemptCompleted("b", 1))
    assert run.status == "waiting"
    run.happens(PauseRequested("ann"))
    run.happens(ResumeRequested("ann"))
    assert run.status == "waiting"
    run.gets("w")
    assert run.status == "waiting"
    run.gets("v")
    assert run.status == "completed"


def test_a_run_that_is_being_cancelled_is_not_waiting() -> None:
    run = Example(child("sub"), answers={"sub": WaitTerms(child="kid")})
    assert run.status == "waiting"
    run.happens(CancelRequested("ann"))
    assert run.status == "cancelling"

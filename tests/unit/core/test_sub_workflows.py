"""Sub-workflows: a task that waits for a run, or only for its start."""

import pytest

from millrace.core.effects import CancelChild, Evaluate, Park, Question
from millrace.core.events import (
    CancelRequested,
    Cascade,
    ChildFinished,
    ChildRefused,
    ChildStarted,
    Evaluated,
    PauseRequested,
    TimerFired,
    TimerKind,
    Verdict,
    WaitTerms,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Phase
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.unit.core.example import NO_VALUE, NOON, Example, closing, handler, task
from tests.unit.core.plans import child

LIMIT = 60 * SECOND
BROKEN = Failure(FailureKind.ERROR, "it broke")
AWAITED = {("sub", Question.WAIT): WaitTerms(child="kid")}
DETACHED = {("sub", Question.WAIT): WaitTerms(child="kid", detached=True)}
STARTED = ChildStarted("sub", "kid")


def test_a_sub_workflow_completes_with_its_run_and_its_output_is_asked_for_then() -> None:
    run = Example(child("sub"), task("next", "sub"), answers={**AWAITED, ("sub", Question.CHILD): {"n": 1}})
    assert (run.status, run.task("sub").child) == ("waiting", "kid")
    assert run.effects(Park) == [Park("sub", None)]
    assert run.happens(STARTED) is Verdict.APPLIED
    assert run.told("task.child_started", "sub") == [{"run_id": "kid"}]
    assert run.status == "waiting"
    run.child_ends("sub", RunStatus.COMPLETED)
    told = {"run_id": "kid", "status": "completed"}
    assert run.asked[-1] == Evaluate("sub", None, Question.CHILD, came=told)
    assert run.outputs == {"sub": {**told, "output": {"n": 1}}}
    assert (run.started, run.timers) == (["next"], {})


def test_an_output_that_cannot_be_read_fails_the_task() -> None:
    run = Example(child("sub"), answers={**AWAITED, ("sub", Question.CHILD): NO_VALUE})
    run.child_ends("sub", RunStatus.COMPLETED)
    assert (run.status, run.error) == ("failed", "task `sub` failed: no such name")


@pytest.mark.parametrize(
    ("status", "failure", "kind", "message"),
    [
        (RunStatus.FAILED, BROKEN, FailureKind.ERROR, "its run kid failed: it broke"),
        (RunStatus.CANCELLED, None, FailureKind.CANCELLED, "its run kid was cancelled"),
    ],
)
def test_a_sub_workflow_fails_with_its_run(
    status: RunStatus, failure: Failure | None, kind: FailureKind, message: str
) -> None:
    run = Example(child("sub"), answers=AWAITED)
    run.child_ends("sub", status, failure)
    output = {"run_id": "kid", "status": status.value}
    details = output if failure is None else {**output, "cause": {"run_id": "kid", "message": "it broke"}}
    assert run.task("sub").failure == Failure(kind, message, details)
    assert run.outputs == {"sub": output}


def test_a_failure_many_runs_below_is_told_once_with_the_run_where_it_began() -> None:
    failure = BROKEN
    for number in range(10):
        run = Example(child("sub"), answers=AWAITED)
        run.happens(ChildFinished("sub", "kid", RunStatus.FAILED, failure))
        assert run.run.failure is not None
        failure = run.run.failure
        deeper = ", as run kid did" if number else ""
        assert failure.message == f"task `sub` failed: its run kid failed{deeper}: it broke"
        assert failure.details == {"task": "sub", "cause": {"run_id": "kid", "message": "it broke"}}


def test_details_of_a_failure_that_are_no_cause_are_none() -> None:
    run = Example(child("sub"), answers=AWAITED)
    run.happens(ChildFinished("sub", "kid", RunStatus.FAILED, Failure(FailureKind.ERROR, "it broke", {"cause": "x"})))
    assert run.error == "task `sub` failed: its run kid failed: it broke"


def test_a_run_that_cannot_be_started_fails_its_task() -> None:
    for answers in (AWAITED, DETACHED):
        run = Example(child("sub"), answers=answers)
        run.happens(ChildRefused("sub", "kid", BROKEN))
        assert (run.statuses, run.error, run.timers) == ({"sub": "failed"}, "task `sub` failed: it broke", {})


def test_whoever_does_not_wait_for_the_end_is_done_when_the_run_has_started() -> None:
    run = Example(child("sub"), task("next", "sub"), answers=DETACHED)
    assert run.status == "waiting"
    run.happens(STARTED)
    assert (run.outputs, run.started) == ({"sub": {"run_id": "kid"}}, ["next"])


def test_the_end_of_a_run_whose_start_was_not_told_yet_tells_it() -> None:
    for status in (RunStatus.COMPLETED, RunStatus.FAILED):
        run = Example(child("sub"), answers=DETACHED)
        run.child_ends("sub", status, BROKEN if status is RunStatus.FAILED else None)
        assert (run.status, run.outputs) == ("completed", {"sub": {"run_id": "kid"}})
        assert run.happens(STARTED) is Verdict.ALREADY_APPLIED


def test_a_start_that_is_told_twice_is_recorded_once() -> None:
    run = Example(child("sub"), answers=AWAITED)
    assert run.happens(STARTED, STARTED) is Verdict.ALREADY_APPLIED
    assert run.happens(STARTED) is Verdict.ALREADY_APPLIED
    assert run.records.count("task.child_started sub") == 1
    run.child_ends("sub", RunStatus.COMPLETED)
    assert run.happens(STARTED) is Verdict.ALREADY_APPLIED
    assert run.status == "completed"


def test_a_cancelled_run_waits_for_the_end_of_the_run_of_its_sub_workflow() -> None:
    for started in (False, True):
        run = Example(child("sub"), closing("tidy"), answers=AWAITED)
        if started:
            run.happens(STARTED)
        run.happens(CancelRequested("ann"))
        assert run.effects(CancelChild) == [CancelChild("sub", "kid")]
        assert run.told("task.cancelling", "sub") == [{"run_id": "kid"}]
        assert (run.status, run.statuses["sub"], run.timers) == ("cancelling", "cancelling", {"sub": None})
        run.child_ends("sub", RunStatus.CANCELLED)
        assert (run.statuses["sub"], run.started, run.timers) == ("cancelled", ["tidy"], {})
        run.completes("tidy")
        assert run.status == "cancelled"


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED])
def test_a_run_that_had_ended_otherwise_before_it_was_cancelled_changes_nothing(status: RunStatus) -> None:
    run = Example(child("sub"), answers=AWAITED)
    run.happens(CancelRequested("ann"))
    run.child_ends("sub", status, BROKEN if status is RunStatus.FAILED else None)
    assert (run.status, run.statuses["sub"]) == ("cancelled", "cancelled")
    assert run.outputs == {"sub": {"run_id": "kid", "status": status.value}}


def test_a_run_that_was_never_started_ends_its_cancelled_task() -> None:
    run = Example(child("sub"), answers=AWAITED)
    run.happens(CancelRequested("ann"))
    run.happens(ChildRefused("sub", "kid", BROKEN))
    assert (run.status, run.statuses["sub"]) == ("cancelled", "cancelled")


def test_a_second_cancel_is_told_to_the_run_that_is_being_ended() -> None:
    """And a third, as the second may have been the first that this run heard of."""
    for again in (CancelRequested("ann"), CancelRequested(cascade=Cascade.AGAIN)):
        run = Example(child("sub"), task("next"), closing("tidy"), answers=AWAITED)
        run.happens(CancelRequested("ann"))
        for _ in range(2):
            run.happens(again)
            assert run.last.effects == (CancelChild("sub", "kid", Cascade.AGAIN),)
        assert run.status == "cancelling"
        run.child_ends("sub", RunStatus.CANCELLED)
        run.is_withdrawn("next")
        assert (run.status, run.statuses["tidy"]) == ("cancelled", "skipped")


def test_a_run_that_is_waited_for_while_tidying_up_is_spared_its_second_cancel() -> None:
    run = Example(task("a"), child("sub", phase=Phase.FINALLY), answers=AWAITED)
    run.completes("a")
    for effects in ([], [CancelChild("sub", "kid")], [CancelChild("sub", "kid", Cascade.AGAIN)]):
        run.happens(CancelRequested("ann"))
        assert [effect for effect in run.last.effects if isinstance(effect, CancelChild)] == effects


OWN, FIRST, AGAIN = (
    CancelRequested("ann"),
    CancelRequested(cascade=Cascade.FIRST),
    CancelRequested(cascade=Cascade.AGAIN),
)


@pytest.mark.parametrize("cancels", [(FIRST,), (OWN, FIRST), (FIRST, OWN), (FIRST, FIRST), (FIRST, OWN, FIRST)])
def test_a_parent_that_ends_its_run_is_no_second_cancel(cancels: tuple[CancelRequested, ...]) -> None:
    for in_one_fold in (True, False):
        run = Example(task("a"), handler("mend"), closing("tidy"))
        for group in [cancels] if in_one_fold else [(cancel,) for cancel in cancels]:
            run.happens(*group)
        assert run.status == "cancelling"
        run.is_withdrawn("a")
        assert run.started == ["tidy"]
        assert run.happens(FIRST) is Verdict.ALREADY_APPLIED
        run.completes("tidy")
        assert (run.status, run.statuses["mend"]) == ("cancelled", "skipped")


@pytest.mark.parametrize("cancels", [(AGAIN,), (FIRST, AGAIN), (AGAIN, FIRST), (OWN, AGAIN), (FIRST, OWN, OWN)])
def test_a_parent_that_is_cancelled_again_ends_its_run_at_once(cancels: tuple[CancelRequested, ...]) -> None:
    run = Example(task("a"), closing("tidy"))
    for cancel in cancels:
        run.happens(cancel)
    run.is_withdrawn("a")
    assert (run.status, run.statuses["tidy"]) == ("cancelled", "skipped")


def test_a_parent_that_is_cancelled_again_ends_what_its_run_tidies_up() -> None:
    run = Example(task("a"), closing("tidy"))
    run.happens(FIRST)
    run.is_withdrawn("a")
    run.happens(AGAIN)
    run.is_withdrawn("tidy")
    assert run.status == "cancelled"


def test_a_parent_ends_a_run_that_has_not_begun() -> None:
    for cancel in (FIRST, AGAIN):
        run = Example(task("a"), admitted=False)
        run.happens(cancel)
        assert run.status == "cancelled"


def test_a_sub_workflow_that_takes_too_long_has_its_run_cancelled_and_fails() -> None:
    for end in (RunStatus.CANCELLED, RunStatus.COMPLETED):
        run = Example(child("sub", timeout=LIMIT), answers=AWAITED)
        assert run.timers == {"sub": NOON + LIMIT}
        run.time_is_up("sub")
        assert (run.status, run.effects(CancelChild)) == ("running", [CancelChild("sub", "kid")])
        assert run.time_is_up("sub") is Verdict.ALREADY_APPLIED
        run.child_ends("sub", end)
        assert run.error == "task `sub` failed: what it waits for did not come within its limit of 60 s"


def test_a_refusal_after_the_limit_fails_it_by_the_limit() -> None:
    run = Example(child("sub", timeout=LIMIT), answers=AWAITED)
    run.time_is_up("sub")
    run.happens(ChildRefused("sub", "kid", BROKEN))
    assert run.error == "task `sub` failed: what it waits for did not come within its limit of 60 s"


def test_a_start_that_takes_too_long_fails_and_leaves_the_run_alone() -> None:
    run = Example(child("sub", timeout=LIMIT), answers=DETACHED)
    run.time_is_up("sub")
    assert (run.status, run.effects(CancelChild)) == ("failed", [])


def test_a_cancel_before_the_start_was_told_leaves_a_run_alone_that_nobody_waits_for() -> None:
    run = Example(child("sub"), answers=DETACHED)
    run.happens(CancelRequested("ann"))
    assert (run.status, run.statuses["sub"], run.effects(CancelChild)) == ("cancelled", "cancelled", [])


def test_an_end_comes_before_a_limit_or_a_cancel_in_the_same_fold() -> None:
    ended = ChildFinished("sub", "kid", RunStatus.COMPLETED)
    late = Example(child("sub", timeout=LIMIT), answers=AWAITED)
    late.happens(ended, TimerFired(TimerKind.TASK, "sub"))
    assert (late.status, late.effects(CancelChild)) == ("completed", [])
    cancelled = Example(child("sub"), answers=AWAITED)
    cancelled.happens(ended, CancelRequested("ann"))
    assert (cancelled.status, cancelled.statuses["sub"]) == ("cancelled", "cancelled")
    assert cancelled.effects(CancelChild) == []
    assert cancelled.happens(Evaluated("sub", {})) is Verdict.ALREADY_APPLIED


def test_the_end_of_a_run_of_a_paused_parent_counts() -> None:
    run = Example(child("sub"), task("next", "sub"), answers=AWAITED)
    run.happens(PauseRequested("ann"))
    run.child_ends("sub", RunStatus.COMPLETED)
    assert (run.status, run.statuses) == ("paused", {"sub": "completed", "next": "ready"})


def test_the_run_of_another_task_changes_nothing() -> None:
    run = Example(child("sub"), answers=AWAITED)
    before = run.run
    for event in (
        ChildStarted("sub", "other"),
        ChildRefused("sub", "other", BROKEN),
        ChildFinished("sub", "other", RunStatus.FAILED, BROKEN),
        ChildFinished("other", "kid", RunStatus.COMPLETED),
    ):
        assert run.happens(event) is Verdict.ALREADY_APPLIED
        assert (run.run, run.last.records) == (before, ())

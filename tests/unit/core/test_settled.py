"""Tasks of a test run: what is said to come of them comes of them, at once and without a question."""

import pytest

from millrace.core.controls import Settled, Wait
from millrace.core.events import PauseRequested, ResumeRequested, WaitTerms
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Mock
from millrace.core.values import SECOND
from tests.unit.core.example import NOON, Example, task
from tests.unit.core.plans import Block, Nest

NO = Failure(FailureKind.REJECTED, "it was rejected")


def settled(control: Settled, then: Block = ()) -> Nest:
    return Nest(task("s", control=control), {"then": tuple(then)})


def test_a_settled_task_has_its_output_and_is_over() -> None:
    run = Example(settled(Settled({"n": 1})), task("next", "s"))
    assert (run.statuses, run.outputs) == ({"s": "completed", "next": "ready"}, {"s": {"n": 1}})
    assert (Example(settled(Settled())).status, Example(settled(Settled())).outputs) == ("completed", {})


def test_a_settled_task_fails_with_what_it_has_come_to() -> None:
    run = Example(settled(Settled({"approved": False}, failure=NO)))
    assert (run.statuses, run.outputs) == ({"s": "failed"}, {"s": {"approved": False}})
    assert run.error == "task `s` failed: it was rejected"


def test_the_block_that_is_said_runs() -> None:
    run = Example(settled(Settled({"approved": True}, "then"), [task("print")]), task("next", "s"))
    assert run.statuses == {"s": "running", "print": "ready", "next": "pending"}
    assert run.told("task.entered", "s") == [{"block": "then", "why": "mocked"}]
    run.completes("print")
    assert run.started == ["next"]


def test_a_paused_run_settles_nothing() -> None:
    plan = (task("a"), Nest(task("s", "a", control=Settled(1))))
    run = Example(*plan)
    run.happens(PauseRequested())
    run.completes("a")
    assert run.statuses == {"a": "completed", "s": "ready"}
    run.happens(ResumeRequested())
    assert run.status == "completed"


def test_a_sleep_for_which_no_time_passes_is_over_when_its_end_is_known() -> None:
    sleeping = Nest(task("s", control=Wait("sleep", {}, at_once=True)))
    run = Example(sleeping, answers={"s": WaitTerms(NOON + 10**9 * SECOND)})
    assert (run.status, run.timers) == ("completed", {})


@pytest.mark.parametrize(("mock", "failing"), [(Mock(1), []), (Mock(1, NO), [1, 2, 3]), (Mock(1, NO, 2), [1, 2])])
def test_a_mock_fails_as_often_as_it_says(mock: Mock, failing: list[int]) -> None:
    assert [attempt for attempt in (1, 2, 3) if mock.failure_of(attempt) is not None] == failing

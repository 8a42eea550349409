"""`on_rollback`: what completed is undone, the last to complete first, when a run fails or is cancelled."""

from millrace.core.counting import restored
from millrace.core.events import (
    Admitted,
    AttemptFailed,
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    TimerKind,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Phase
from millrace.core.values import SECOND
from tests.unit.core.example import NO_VALUE, Example, closing, handler, task, undoing

STOPPED = Failure(FailureKind.CANCELLED, "ended on request")


def saga(**fields: object) -> Example:
    """Three tasks one after another, of which the first two can be undone."""
    return Example(
        task("a"), task("b", "a"), task("c", "b"),
        undoing("undo_a", "a"), undoing("undo_b", "b"), undoing("undo_b2", "b", "undo_b"), undoing("undo_c", "c"),
        closing("z"), **fields,
    )  # fmt: skip


def failed() -> Example:
    run = saga()
    run.completes("a")
    run.now += SECOND
    run.completes("b")
    run.fails("c")
    return run


def test_the_last_to_complete_is_undone_first_and_finally_comes_after() -> None:
    run = failed()
    assert (run.run.phase, run.scheduled) == (Phase.ROLLBACK, [("undo_b", 1)])
    assert run.statuses["undo_c"] == "skipped", "its task did not complete"
    run.completes("undo_b")
    assert run.scheduled == [("undo_b2", 1)]
    run.completes("undo_b2")
    assert run.scheduled == [("undo_a", 1)]
    run.completes("undo_a")
    assert (run.run.phase, run.scheduled) == (Phase.FINALLY, [("z", 1)])
    run.completes("z")
    assert (run.status, run.error) == ("failed", "task `c` failed: it broke")


def test_tasks_that_completed_at_once_are_undone_in_the_reverse_of_their_list() -> None:
    run = Example(task("a"), task("b"), task("c", "a", "b"), undoing("undo_a", "a"), undoing("undo_b", "b"))
    run.completes("a", "b")
    run.fails("c")
    assert run.scheduled == [("undo_b", 1)]


def test_what_cannot_be_undone_does_not_keep_the_rest_from_being_undone() -> None:
    run = failed()
    run.fails("undo_b")
    assert (run.statuses["undo_b2"], run.scheduled) == ("skipped", [("undo_a", 1)])
    run.completes("undo_a")
    run.completes("z")
    assert (run.status, run.error) == ("failed", "task `c` failed: it broke"), "the run tells its own failure"


def test_an_if_of_an_undoing_task_is_asked_for() -> None:
    for answer, status in ((False, "skipped"), (NO_VALUE, "failed")):
        run = Example(
            task("a"), task("b", "a"), undoing("undo_a", "a", condition="input.go"), answers={"undo_a": answer}
        )
        run.completes("a")
        run.fails("b")
        assert (run.statuses["undo_a"], run.status) == (status, "failed")


def test_a_completed_run_undoes_nothing() -> None:
    run = saga()
    run.completes("a")
    run.completes("b")
    run.completes("c")
    assert run.run.phase is Phase.FINALLY
    run.completes("z")
    assert (run.status, run.statuses["undo_a"]) == ("completed", "skipped")


def test_a_run_that_completed_nothing_has_no_rollback() -> None:
    run = saga()
    run.fails("a")
    assert run.run.phase is Phase.FINALLY
    assert "run.phase_started" in run.records


def test_on_failure_comes_before_the_rollback() -> None:
    run = Example(task("a"), task("b", "a"), handler("tell"), undoing("undo_a", "a"))
    run.completes("a")
    run.fails("b")
    assert run.scheduled == [("tell", 1)]
    run.completes("tell")
    assert run.scheduled == [("undo_a", 1)]


def test_a_cancelled_run_is_rolled_back_and_a_second_cancel_ends_that() -> None:
    run = saga()
    run.completes("a")
    run.happens(CancelRequested("ann"))
    run.happens(AttemptFailed("b", 1, STOPPED))
    assert (run.run.phase, run.scheduled, run.status) == (Phase.ROLLBACK, [("undo_a", 1)], "cancelling")
    run.happens(CancelRequested("ann"))
    run.happens(AttemptFailed("undo_a", 1, STOPPED))
    assert (run.status, run.statuses["undo_a"], run.statuses["z"]) == ("cancelled", "cancelled", "skipped")


def test_the_first_cancel_spares_a_rollback() -> None:
    run = failed()
    run.happens(CancelRequested("ann"))
    assert run.statuses["undo_b"] == "ready"
    run.completes("undo_b")
    assert run.scheduled == [("undo_b2", 1)]


def test_a_rollback_that_takes_too_long_is_ended() -> None:
    run = failed()
    run.happens(TimerFired(TimerKind.ROLLBACK_TIMEOUT))
    run.happens(AttemptFailed("undo_b", 1, STOPPED))
    assert (run.statuses["undo_a"], run.run.phase) == ("cancelled", Phase.FINALLY)


def test_a_paused_rollback_goes_on_when_it_is_resumed() -> None:
    run = failed()
    run.happens(PauseRequested("ann"))
    run.completes("undo_b")
    assert run.scheduled == []
    run.happens(ResumeRequested("ann"))
    assert run.scheduled == [("undo_b2", 1)]


def test_a_rollback_that_was_loaded_goes_on_in_the_same_order() -> None:
    run = failed()
    run.run = restored(run.plan, run.run, run.run.tasks.values())
    run.completes("undo_b")
    run.completes("undo_b2")
    assert run.scheduled == [("undo_a", 1)]


def test_an_adopted_task_is_undone_too() -> None:
    run = Example(task("a"), task("b", "a"), undoing("undo_a", "a"), adopted=["a"], admitted=False)
    run.happens(Admitted())
    run.fails("b")
    assert run.scheduled == [("undo_a", 1)]

"""Signals: to this run, taken at once or kept for the next who waits for them, and to others."""

from millrace.core.effects import Question, TellRun
from millrace.core.events import (
    AttemptCompleted,
    CancelRequested,
    EventArrived,
    PauseRequested,
    SignalReceived,
    Verdict,
    WaitTerms,
)
from millrace.core.run import Signal
from millrace.core.waits import MOST_SIGNALS
from tests.unit.core.example import NO_VALUE, Example, task
from tests.unit.core.plans import foreach, signal, sleep, wait

GO = WaitTerms(signal="go")


def output(data: object) -> dict[str, object]:
    return {"signal": {"name": "go", "data": data, "by": None}, "timed_out": False}


def test_a_signal_ends_the_wait_for_one_of_its_name() -> None:
    run = Example(wait("w"), wait("v"), answers={"w": GO, "v": WaitTerms(signal="stop")})
    assert run.happens(SignalReceived("go", 7, "ann")) is Verdict.APPLIED
    assert run.told("run.signalled") == [{"name": "go", "by": "ann"}]
    assert run.statuses == {"w": "completed", "v": "waiting"}
    assert run.outputs == {"w": {"signal": {"name": "go", "data": 7, "by": "ann"}, "timed_out": False}}
    assert run.run.signals == ()


def test_every_task_that_waits_for_a_signal_takes_it() -> None:
    run = Example(wait("w"), foreach("f", of=[wait("v")], at_once=2), answers={"w": GO, "f": 2, "v": GO})
    run.is_signalled("go")
    assert (run.status, run.run.signals) == ("completed", ())


def test_a_signal_that_nobody_waits_for_is_kept_for_the_next_who_does() -> None:
    run = Example(task("a"), wait("w", "a"), wait("v", "w"), answers={"w": GO, "v": GO})
    run.is_signalled("go", 1)
    run.is_signalled("other")
    run.is_signalled("go", 2)
    assert run.told("run.signalled") == [{"name": "go"}]
    run.completes("a")
    assert run.outputs == {"w": output(1), "v": output(2)}, "the oldest first"
    assert run.run.signals == (Signal("other"),)


def test_a_run_that_has_not_begun_and_one_that_is_paused_keep_signals_too() -> None:
    run = Example(wait("w"), admitted=False, answers={"w": GO})
    run.happens(PauseRequested("ann"))
    run.is_signalled("go", 1)
    assert run.run.signals == (Signal("go", 1),)


def test_a_finished_run_refuses_signals() -> None:
    run = Example()
    assert run.is_signalled("go") is Verdict.REFUSED
    assert run.last.records == ()


def test_so_many_signals_are_kept_and_the_others_are_recorded_as_dropped() -> None:
    run = Example(task("a"))
    run.happens(*(SignalReceived("go", number) for number in range(MOST_SIGNALS + 1)))
    assert len(run.run.signals) == MOST_SIGNALS
    assert run.run.signals[-1].data == MOST_SIGNALS - 1
    assert run.told("run.signal_dropped") == [{"name": "go", "kept": MOST_SIGNALS}]


def test_an_event_is_no_signal_and_a_sleep_waits_for_none() -> None:
    run = Example(wait("w"), sleep("s"), answers={"w": GO, "s": WaitTerms(10**18)})
    assert run.happens(EventArrived("w", {"name": "go"})) is Verdict.ALREADY_APPLIED
    run.is_signalled("stop")
    assert run.statuses == {"w": "waiting", "s": "waiting"}


# --- filters ----------------------------------------------------------------------------------------------------------


def more_than(path: str, least: int) -> dict[object, object]:
    return {
        (path, Question.WAIT): GO,
        (path, Question.FILTER): lambda question: question.came["data"] > least,
    }


def test_a_signal_that_a_filter_refuses_is_kept() -> None:
    run = Example(wait("w", only="x"), answers=more_than("w", 1))
    run.is_signalled("go", 1)
    assert (run.status, run.run.signals) == ("waiting", (Signal("go", 1),))
    run.is_signalled("go", 2)
    assert (run.status, run.outputs, run.run.signals) == ("completed", {"w": output(2)}, (Signal("go", 1),))


def test_of_those_that_are_kept_the_first_that_the_filter_accepts_is_taken() -> None:
    run = Example(task("a"), wait("w", "a", only="x"), answers=more_than("w", 1))
    run.happens(*(SignalReceived("go", number) for number in (0, 1, 2, 3)))
    run.completes("a")
    assert run.outputs == {"w": output(2)}
    assert [kept.data for kept in run.run.signals] == [0, 1, 3]


def test_a_filter_without_a_value_fails_the_wait_and_the_signal_stays() -> None:
    run = Example(wait("w", only="x"), answers={("w", Question.WAIT): GO, ("w", Question.FILTER): NO_VALUE})
    run.is_signalled("go")
    assert (run.status, run.run.signals) == ("failed", (Signal("go"),))


def test_who_has_no_filter_takes_a_signal_from_who_refuses_it() -> None:
    run = Example(wait("w", only="x"), wait("v"), answers={**more_than("w", 1), "v": GO})
    run.is_signalled("go", 0)
    assert (run.statuses, run.run.signals) == ({"w": "waiting", "v": "completed"}, ())


def test_several_that_wait_with_filters_each_take_the_same_signal() -> None:
    run = Example(wait("w", only="x"), wait("v", only="x"), answers={**more_than("w", 1), **more_than("v", 2)})
    run.is_signalled("go", 2)
    assert (run.statuses, run.run.signals) == ({"w": "completed", "v": "waiting"}, ())
    run.is_signalled("go", 3)
    assert run.status == "completed"


def test_a_signal_that_two_take_does_not_take_away_another_that_is_just_like_it() -> None:
    together = Example(
        wait("w", only="x"), wait("v", only="x"), task("a"), answers={**more_than("w", 0), **more_than("v", 0)}
    )
    together.happens(SignalReceived("go", 1), SignalReceived("go", 1))
    apart = Example(
        wait("w", only="x"), wait("v", only="x"), task("a"), answers={**more_than("w", 0), **more_than("v", 0)}
    )
    apart.is_signalled("go", 1)
    apart.is_signalled("go", 1)
    assert together.run.signals == apart.run.signals == (Signal("go", 1),)


def test_a_kept_signal_is_taken_by_one_of_those_who_come_to_wait_in_one_fold() -> None:
    answers = {**more_than("w", 0), **more_than("v", 0), "u": GO}
    run = Example(task("a"), wait("w", "a", only="x"), wait("v", "a", only="x"), answers=answers)
    run.is_signalled("go", 1)
    run.completes("a")
    assert (run.statuses["w"], run.statuses["v"], run.run.signals) == ("completed", "waiting", ())
    mixed = Example(
        task("a"), wait("w", "a", only="x"), wait("u", "a"), wait("t", "a"), answers={**answers, "t": GO}
    )  # fmt: skip
    mixed.is_signalled("go", 1)
    mixed.is_signalled("go", 2)
    mixed.completes("a")
    assert mixed.statuses == {"a": "completed", "w": "waiting", "u": "completed", "t": "completed"}
    assert mixed.run.signals == ()


def test_a_signal_in_the_fold_in_which_a_task_comes_to_wait_is_taken() -> None:
    run = Example(task("a"), wait("w", "a"), answers={"w": GO})
    run.happens(AttemptCompleted("a", 1), SignalReceived("go", 1))
    assert (run.status, run.outputs) == ("completed", {"w": output(1)})


def test_a_signal_whose_filter_was_not_asked_before_the_cancel_is_too_late() -> None:
    run = Example(wait("w", only="x"), answers=more_than("w", 0))
    run.happens(SignalReceived("go", 1), CancelRequested("ann"))
    assert (run.status, run.asked[1:]) == ("cancelled", [])


# --- signals to others ------------------------------------------------------------------------------------------------


def test_a_task_that_signals_another_run_is_done_with_that() -> None:
    run = Example(signal("tell"), task("next", "tell"))
    assert run.effects(TellRun) == [TellRun("tell")]
    assert run.statuses == {"tell": "completed", "next": "ready"}


def test_a_signal_whose_config_has_no_value_fails_and_tells_nobody() -> None:
    run = Example(signal("tell"), answers={"tell": NO_VALUE})
    assert (run.status, run.effects(TellRun)) == ("failed", [])

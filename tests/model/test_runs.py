"""Random runs of random definitions, in random order: the proof that the rules of the engine hold.

Hypothesis chooses what happens: workers succeed, fail, stop and die; people cancel, pause and resume; time passes;
facts come twice, late, in the wrong order, several at once, and about things that never were. After every step the
rules of `rules` are asserted; at the end the run is driven home and must finish soon, as the oracle says.
"""

from random import Random
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from millrace.core.controls import SLEEP
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    AttemptWithdrawn,
    CancelRequested,
    ChildFinished,
    ChildRefused,
    ChildStarted,
    Decided,
    Delayed,
    Evaluated,
    Event,
    EventArrived,
    PauseRequested,
    ResumeRequested,
    SignalReceived,
    TimerFired,
    TimerKind,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from tests.model import rules
from tests.model.answering import SIGNAL
from tests.model.budget import BUDGET, TIME_LIMIT
from tests.model.endings import check_end
from tests.model.plans import ITEMS, Scenario, scenarios
from tests.model.playing import Child, Key, Playing
from tests.model.standing import check_run

HOLD = st.sampled_from([False, False, False, True])
"""Whether the run's next fold waits, so that several facts are folded at once."""

PLACE = st.integers(0, 1000)
KINDS = st.sampled_from(FailureKind)
SURPRISING_PATHS = st.sampled_from(["", "nowhere", "main_0", "main_1", "on_failure_0", "finally_0"])
SURPRISING_NUMBERS = st.integers(-1, 4)
T = TypeVar("T")


def failure(kind: FailureKind) -> Failure:
    return Failure(kind, f"a {kind.value} for the test")


SURPRISES = st.one_of(
    st.builds(AttemptCompleted, SURPRISING_PATHS, SURPRISING_NUMBERS),
    st.builds(AttemptFailed, SURPRISING_PATHS, SURPRISING_NUMBERS, st.builds(failure, KINDS)),
    st.builds(AttemptLost, SURPRISING_PATHS, SURPRISING_NUMBERS),
    st.builds(AttemptWithdrawn, SURPRISING_PATHS, SURPRISING_NUMBERS),
    st.builds(AttemptExpired, SURPRISING_PATHS, SURPRISING_NUMBERS),
    st.builds(Evaluated, st.sampled_from(["", "nowhere"]), st.booleans()),
    st.builds(TimerFired, st.sampled_from(TimerKind)),
    st.builds(EventArrived, SURPRISING_PATHS, st.just({"n": 1})),
    st.builds(Decided, SURPRISING_PATHS, st.booleans()),
    st.builds(ChildStarted, SURPRISING_PATHS, st.just("nobody's")),
    st.builds(ChildFinished, SURPRISING_PATHS, st.just("nobody's"), st.just(RunStatus.COMPLETED)),
    st.builds(ChildRefused, SURPRISING_PATHS, st.just("nobody's"), st.builds(failure, KINDS)),
)


class Runs(RuleBasedStateMachine):
    playing: Playing

    @initialize(scenario=scenarios(), start=st.sampled_from(["admitted", "admitted", "delayed", "waits"]))
    def start(self, scenario: Scenario, start: str) -> None:
        self.playing = Playing(scenario)
        check_run(self.playing)
        if start == "admitted":
            self.deliver(Admitted())
        elif start == "delayed":
            self.deliver(Delayed(self.playing.now + 20 * SECOND))

    # --- workers ------------------------------------------------------------------------------------------------------

    def running(self) -> list[Key]:
        return [key for key, attempt in self.playing.live.items() if attempt.running]

    def scheduled(self) -> list[Key]:
        return [key for key, attempt in self.playing.live.items() if not attempt.running]

    @precondition(lambda self: self.scheduled())
    @rule(place=PLACE)
    def a_worker_claims_an_attempt(self, place: int) -> None:
        self.playing.claim(chosen(self.scheduled(), place))
        check_run(self.playing)

    @precondition(lambda self: self.playing.live)
    @rule(place=PLACE, hold=HOLD)
    def an_attempt_completes(self, place: int, hold: bool) -> None:
        self.deliver(AttemptCompleted(*self.claimed(place), {"n": place}), hold)

    @precondition(lambda self: self.playing.live)
    @rule(hold=HOLD)
    def everything_completes(self, hold: bool) -> None:
        for key in self.playing.live:
            self.playing.claim(key)
        self.deliver_all([AttemptCompleted(*key) for key in self.playing.live], hold)

    @precondition(lambda self: self.playing.live)
    @rule(place=PLACE, kind=st.just(FailureKind.ERROR) | KINDS, hold=HOLD)
    def an_attempt_fails(self, place: int, kind: FailureKind, hold: bool) -> None:
        self.deliver(AttemptFailed(*self.claimed(place), failure(kind)), hold)

    @precondition(lambda self: self.playing.live)
    @rule(place=PLACE, hold=HOLD)
    def a_worker_is_lost(self, place: int, hold: bool) -> None:
        self.deliver(AttemptLost(*self.claimed(place)), hold)

    @precondition(lambda self: any(attempt.asked_to_stop for attempt in self.playing.live.values()))
    @rule(hold=HOLD)
    def workers_stop_what_they_were_told_to(self, hold: bool) -> None:
        keys = [key for key, attempt in self.playing.live.items() if attempt.asked_to_stop]
        self.deliver_all([AttemptFailed(*key, failure(FailureKind.CANCELLED)) for key in keys], hold)

    @precondition(lambda self: any(self.waits_too_long(key) for key in self.scheduled()))
    @rule(hold=HOLD)
    def nobody_claims_an_attempt_in_time(self, hold: bool) -> None:
        """The store takes it back as it takes back what a pause withdraws: in the transaction that leaves the fact."""
        expired = [key for key in self.scheduled() if self.waits_too_long(key)]
        for key in expired:
            del self.playing.live[key]
        self.deliver_all([AttemptExpired(*key) for key in expired], hold)

    def waits_too_long(self, key: Key) -> bool:
        until = self.playing.live[key].effect.queue_until
        return until is not None and until <= self.playing.now

    def claimed(self, place: int) -> Key:
        key = chosen(list(self.playing.live), place)
        self.playing.claim(key)
        return key

    # --- people -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.playing.story.admitted)
    @rule(hold=HOLD)
    def the_run_is_admitted(self, hold: bool) -> None:
        self.deliver(Admitted(), hold)

    @rule(hold=HOLD, times=st.sampled_from([0, 0, 1, 1, 2]))
    def somebody_cancels(self, hold: bool, times: int) -> None:
        self.deliver_all([CancelRequested("somebody", "for the test")] * times, hold)

    @rule(hold=HOLD)
    def somebody_pauses(self, hold: bool) -> None:
        self.deliver(PauseRequested("somebody"), hold)

    @precondition(lambda self: self.playing.run.status is RunStatus.PAUSED)
    @rule(hold=HOLD)
    def somebody_resumes(self, hold: bool) -> None:
        self.deliver(ResumeRequested("somebody"), hold)

    # --- what comes for tasks that wait -------------------------------------------------------------------------------

    @precondition(lambda self: self.playing.parked)
    @rule(place=PLACE, n=st.integers(0, 3), hold=HOLD)
    def an_event_comes(self, place: int, n: int, hold: bool) -> None:
        self.deliver(EventArrived(chosen(sorted(self.playing.parked), place), {"n": n}), hold)

    @rule(n=st.integers(0, 3), times=st.sampled_from([1, 1, 2]), hold=HOLD)
    def a_signal_comes(self, n: int, times: int, hold: bool) -> None:
        self.deliver_all([SignalReceived(SIGNAL, n)] * times, hold)

    @precondition(lambda self: self.playing.parked)
    @rule(place=PLACE, approved=st.booleans(), hold=HOLD)
    def somebody_decides(self, place: int, approved: bool, hold: bool) -> None:
        self.deliver(Decided(chosen(sorted(self.playing.parked), place), approved, "somebody"), hold)

    def children(self) -> list[Child]:
        return [child for child in self.playing.children.values() if not child.ended]

    @precondition(lambda self: self.children())
    @rule(place=PLACE, hold=HOLD)
    def a_child_starts(self, place: int, hold: bool) -> None:
        child = chosen(self.children(), place)
        child.told = True
        self.deliver(ChildStarted(child.path, child.run_id), hold)

    @precondition(lambda self: any(not child.told for child in self.children()))
    @rule(place=PLACE, hold=HOLD)
    def a_child_cannot_start(self, place: int, hold: bool) -> None:
        child = chosen([child for child in self.children() if not child.told], place)
        child.ended = True
        self.deliver(ChildRefused(child.path, child.run_id, failure(FailureKind.REFUSED)), hold)

    @precondition(lambda self: self.children())
    @rule(place=PLACE, status=st.sampled_from([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED]), hold=HOLD)
    def a_child_ends(self, place: int, status: RunStatus, hold: bool) -> None:
        child = chosen(self.children(), place)
        child.ended = True
        why = failure(FailureKind.ERROR) if status is RunStatus.FAILED else None
        self.deliver(ChildFinished(child.path, child.run_id, status, why), hold)

    @precondition(lambda self: self.playing.alarms)
    @rule(place=PLACE, hold=HOLD)
    def the_time_of_a_task_passes(self, place: int, hold: bool) -> None:
        path = chosen(sorted(self.playing.alarms), place)
        self.playing.now = max(self.playing.now, self.playing.alarms[path])
        self.deliver(TimerFired(TimerKind.TASK, path), hold)

    def limited(self) -> list[str]:
        """Tasks with others in them that have a time limit."""
        return sorted(self.playing.alarms.keys() - self.playing.parked)

    @precondition(lambda self: self.limited())
    @rule(place=PLACE, cancelled=st.sampled_from([False, False, True]), hold=HOLD)
    def the_limit_of_all_that_is_in_a_task_passes(self, place: int, cancelled: bool, hold: bool) -> None:
        path = chosen(self.limited(), place)
        self.playing.now = max(self.playing.now, self.playing.alarms[path])
        self.deliver_all([TimerFired(TimerKind.TASK, path), *[CancelRequested("somebody")] * cancelled], hold)

    @precondition(lambda self: self.strangers())
    @rule(place=PLACE, what=st.sampled_from(["timer", "event", "decision", "child"]), hold=HOLD)
    def something_comes_for_a_task_that_does_not_wait(self, place: int, what: str, hold: bool) -> None:
        path = chosen(self.strangers(), place)
        events: dict[str, Event] = {
            "timer": TimerFired(TimerKind.TASK, path),
            "event": EventArrived(path, {"n": 1}),
            "decision": Decided(path, True),
            "child": ChildFinished(path, "nobody's", RunStatus.COMPLETED),
        }
        self.deliver(events[what], hold)

    def strangers(self) -> list[str]:
        known = {*self.playing.parked, *self.playing.alarms}
        return [path for path in self.playing.run.tasks if path not in known]

    # --- time and disorder --------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 45]), hold=HOLD)
    def time_passes(self, seconds: int, hold: bool) -> None:
        self.playing.now += seconds * SECOND
        self.deliver_all(self.playing.due(), hold)

    @precondition(lambda self: self.playing.timers)
    @rule(hold=HOLD)
    def the_latest_time_limit_passes(self, hold: bool) -> None:
        timer = self.playing.timers[-1]
        self.playing.now = max(self.playing.now, timer.fire_at)
        self.deliver(TimerFired(timer.kind), hold)

    @precondition(lambda self: self.playing.told)
    @rule(place=PLACE, hold=HOLD)
    def an_old_fact_comes_again(self, place: int, hold: bool) -> None:
        event = chosen(self.playing.told, place)
        if not isinstance(event, CancelRequested | Delayed):
            self.deliver(event, hold)

    @rule(event=SURPRISES, hold=HOLD)
    def a_surprise_comes(self, event: Event, hold: bool) -> None:
        self.deliver(event, hold)

    @precondition(lambda self: len(self.playing.mailbox) > 1)
    @rule(order=st.randoms(use_true_random=False))
    def facts_come_in_another_order(self, order: Random) -> None:
        order.shuffle(self.playing.mailbox)

    # --- the engine ---------------------------------------------------------------------------------------------------

    def deliver(self, event: Event, hold: bool = False) -> None:
        self.deliver_all([event], hold)

    def deliver_all(self, events: list[Event], hold: bool) -> None:
        self.playing.mailbox += events
        if not hold:
            self.fold()

    def fold(self) -> None:
        """One fold and its commit, with every rule checked."""
        playing = self.playing
        tasks, tallies = dict(playing.run.tasks), dict(playing.run.tallies)
        base = playing.run
        folded = playing.fold(base, playing.mailbox)
        rules.check_fold(playing, folded)
        assert dict(base.tasks) == tasks, "a fold changed its input"
        assert dict(base.tallies) == tallies, "a fold changed its input"
        playing.commit(folded)
        check_run(playing)

    def teardown(self) -> None:
        """Drive the run home: everyone does what is asked of them, and nothing new goes wrong."""
        if not hasattr(self, "playing"):
            return
        playing = self.playing
        # Every task of every iteration there may be, twice to be tried again, and something for the run itself.
        rounds = sum(3 * ITEMS ** len(task.loops) for task in playing.scenario.plan.tasks.values()) + 10
        for number in range(2 * rounds):
            if playing.finished:
                break
            if number == rounds:
                # What waits for what its filter never accepts waits for ever, unless somebody ends it.
                playing.mailbox += [CancelRequested(), CancelRequested()]
            self.one_round(number)
        assert playing.finished, f"not finished after {2 * rounds} rounds of everyone doing their best"
        assert not playing.live, "attempts outlived their run"
        assert not playing.parked, "waits outlived their run"
        check_end(playing)

    def one_round(self, number: int) -> None:
        playing = self.playing
        if playing.run.status is RunStatus.PAUSED:
            playing.mailbox.append(ResumeRequested())
        if not playing.story.admitted:
            playing.mailbox.append(Admitted())
        for key, attempt in list(playing.live.items()):
            playing.claim(key)
            stopped = AttemptFailed(*key, failure(FailureKind.CANCELLED))
            playing.mailbox.append(stopped if attempt.asked_to_stop else AttemptCompleted(*key))
        for path in sorted(playing.parked):
            playing.mailbox += [EventArrived(path, {"n": number}), Decided(path, True)]
            if playing.scenario.answers.kind_of(path) == SLEEP:
                playing.now = max(playing.now, playing.alarms[path])
        if playing.parked:
            playing.mailbox.append(SignalReceived(SIGNAL, number))
        for child in self.children():
            child.ended = child.told
            status = RunStatus.CANCELLED if child.asked_to_cancel else RunStatus.COMPLETED
            ended = ChildFinished(child.path, child.run_id, status)
            playing.mailbox.append(ended if child.told else ChildStarted(child.path, child.run_id))
            child.told = True
        playing.mailbox += playing.due()
        self.fold()


def chosen(among: list[T], place: int) -> T:
    return among[place % len(among)]


@pytest.mark.timeout(TIME_LIMIT)
class TestRuns(Runs.TestCase):  # type: ignore[valid-type,misc]
    settings = BUDGET

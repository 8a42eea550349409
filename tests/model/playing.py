"""One run, played: this file stands in for the store, the workers and the clock, in as few lines as they allow.

It takes the effects of each fold as the real store does (attempts are claimed or withdrawn by compare-and-set, the
end of an attempt is written once), remembers what was told to whom, and folds what comes in. It decides nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from millrace.core.controls import Wait
from millrace.core.counting import created
from millrace.core.draft import Draft, Transition
from millrace.core.effects import (
    Alarm,
    AnnounceFinished,
    CancelChild,
    ClearTimers,
    Effect,
    Evaluate,
    Park,
    Question,
    Record,
    ScheduleAttempt,
    SetTimer,
    StopAttempt,
    Unpark,
    WithdrawAttempt,
)
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    AttemptWithdrawn,
    CancelRequested,
    Delayed,
    Evaluated,
    Event,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.run import RunState, TaskRun
from millrace.core.states import FINISHED_RUN, TaskStatus
from millrace.core.transition import fold
from tests.model.oracle import Story
from tests.model.plans import Scenario

Key = tuple[str, int]

STOPPED_ON_REQUEST = "stopped on request"


@dataclass
class Attempt:
    """A live row of `attempts`."""

    effect: ScheduleAttempt
    running: bool = False
    asked_to_stop: bool = False


@dataclass
class Child:
    """A run that was started for a sub-workflow task."""

    path: str
    run_id: str
    told: bool = False
    """Its start was told."""
    asked_to_cancel: bool = False
    ended: bool = False


@dataclass
class Step:
    """What one event did to a run: the run before and after, and what was written down meanwhile."""

    event: Event
    verdict: Verdict
    before: RunState
    after: RunState
    effects: list[Effect]
    records: list[Record]
    asked: Evaluate | None = None
    """The question, of an event that answers one."""


@dataclass
class Folded:
    transition: Transition
    steps: list[Step]


@dataclass
class Playing:
    scenario: Scenario
    now: int = 1_000_000_000
    run: RunState = field(init=False)
    live: dict[Key, Attempt] = field(default_factory=dict)
    mailbox: list[Event] = field(default_factory=list)
    timers: list[SetTimer] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)
    """Tasks that wait, as the store knows them."""
    alarms: dict[str, int] = field(default_factory=dict)
    """Timers of tasks."""
    children: dict[str, Child] = field(default_factory=dict)
    """Runs of sub-workflows, by the path of their task."""
    ways_out: dict[str, Step] = field(default_factory=dict)
    """Of each task that waited: the step in which it ceased to."""
    out_of_time: set[str] = field(default_factory=set)
    """Tasks with others in them that were ended by their time limit."""
    told: list[Event] = field(default_factory=list)
    """All that was ever delivered, to be delivered again."""
    ended: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """How the attempts of each task ended, in order, as far as the run took notice."""
    announced: list[AnnounceFinished] = field(default_factory=list)
    story: Story = field(default_factory=Story)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.run = created(scenario.plan, "run", adopted=scenario.adopted, ahead=scenario.ahead, now=self.now)

    @property
    def finished(self) -> bool:
        return self.run.status in FINISHED_RUN

    def fold(self, run: RunState, events: Sequence[Event]) -> Folded:
        """Fold events and answer what is asked, one question at a time. Changes nothing here."""
        draft = Draft(self.scenario.plan, run, self.now)
        steps = [self._one(draft, event) for event in events]
        while draft.questions:
            question = next(iter(draft.questions.values()))
            steps.append(self._one(draft, self.scenario.answers.answer(question, self.now), question))
        return Folded(draft.close(), steps)

    def _one(self, draft: Draft, event: Event, asked: Evaluate | None = None) -> Step:
        before, effects, records = draft.peek(), len(draft.effects), len(draft.records)
        verdict = fold(draft, event)
        return Step(event, verdict, before, draft.peek(), draft.effects[effects:], draft.records[records:], asked)

    # --- the store ----------------------------------------------------------------------------------------------------

    def commit(self, folded: Folded) -> None:
        """Write what a fold came to: ends of attempts first, then new ones, then withdrawals."""
        self.told += self.mailbox
        self.mailbox = []
        for step in folded.steps:
            if step.verdict is Verdict.APPLIED:
                self._note(step)
                self._note_waits(step)
            for effect in step.effects:
                if isinstance(effect, ScheduleAttempt):
                    assert not any(path == effect.path for path, _ in self.live), f"two live attempts of {effect.path}"
                    self.live[effect.path, effect.number] = Attempt(effect)
        self.run = folded.transition.run
        for effect in folded.transition.effects:
            self._carry_out(effect)
        if self.scenario.claimed_at_once:
            for attempt in self.live.values():
                attempt.running = attempt.running or attempt.effect.available_at <= self.now

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case WithdrawAttempt(path=path, number=number):
                self._withdraw(path, number)
            case StopAttempt(path=path, number=number):
                self._withdraw(path, number)
                if (path, number) in self.live:
                    self.live[path, number].asked_to_stop = True
            case SetTimer():
                self.timers.append(effect)
            case ClearTimers():
                self.timers.clear()
                self.parked.clear()
                self.alarms.clear()
            case AnnounceFinished():
                self.announced.append(effect)
            case _:
                self._carry_out_for_task(effect)

    def _carry_out_for_task(self, effect: Effect) -> None:
        match effect:
            case Alarm(path=path, fire_at=fire_at):
                self.alarms[path] = fire_at
            case Park(path=path, fire_at=fire_at):
                self.parked.add(path)
                if fire_at is not None:
                    self.alarms[path] = fire_at
                if child := self.run.tasks[path].child:
                    self.children[path] = Child(path, child)
            case Unpark(path=path):
                self.parked.discard(path)
                self.alarms.pop(path, None)
            case CancelChild(path=path, run_id=run_id):
                assert self.children[path].run_id == run_id
                self.children[path].asked_to_cancel = True

    def _note(self, step: Step) -> None:
        match step.event:
            case AttemptCompleted(path=path, number=number):
                self._end(path, number, "completed")
            case AttemptFailed(path=path, number=number, failure=failure):
                self._end(path, number, self._told(step.before.tasks[path], failure))
            case AttemptLost(path=path, number=number):
                self._end(path, number, "lost")
            case AttemptWithdrawn(path=path, number=number):
                self._end(path, number, "withdrawn")
            case AttemptExpired(path=path, number=number):
                self._end(path, number, self._told_expired(step.before.tasks[path]))
            case _:
                self._note_of_run(step)

    def _note_waits(self, step: Step) -> None:
        """Which tasks ceased to wait by this step, or came to wait for what was there already."""
        for path, task in step.after.tasks.items():
            before = step.before.tasks.get(path)
            waited = before is not None and before.status is TaskStatus.WAITING
            parks = step.asked is not None and step.asked.path == path and step.asked.what is Question.WAIT
            if (waited or parks) and task.status is not TaskStatus.WAITING:
                self.ways_out[path] = step
        match step.event:
            case TimerFired(TimerKind.TASK, path=str(path)):
                if not isinstance(self.scenario.plan.task_at(path).control, Wait):
                    self.out_of_time.add(path)

    def _note_of_run(self, step: Step) -> None:
        match step.event:
            case Admitted() | TimerFired(TimerKind.START):
                self.story.admitted = True
            case Delayed(until=until):
                self.story.admitted = until <= self.now
            case CancelRequested():
                self.story.asked.append((step.before.phase, "cancel"))
            case TimerFired(TimerKind.TASK):
                pass
            case TimerFired():
                self.story.asked.append((step.before.phase, "timeout"))
            case Evaluated(path=None, failure=failure):
                self.story.output_failed = failure is not None

    @staticmethod
    def _told_expired(task: TaskRun) -> str:
        return "withdrawn" if task.status is TaskStatus.CANCELLING else FailureKind.QUEUE_TIMEOUT.value

    @staticmethod
    def _told(task: TaskRun, failure: Failure) -> str:
        if task.status is TaskStatus.CANCELLING:
            return STOPPED_ON_REQUEST
        return "stopped" if failure.kind is FailureKind.WORKER_STOPPED else failure.kind.value

    def _end(self, path: str, number: int, how: str) -> None:
        self.live.pop((path, number), None)
        self.ended[path].append(how)

    def _withdraw(self, path: str, number: int) -> None:
        """The compare-and-set: only an attempt that no worker has claimed."""
        attempt = self.live.get((path, number))
        if attempt is not None and not attempt.running:
            del self.live[path, number]
            self.mailbox.append(AttemptWithdrawn(path, number))

    # --- workers and clocks -------------------------------------------------------------------------------------------

    def claim(self, key: Key) -> None:
        attempt = self.live[key]
        self.now = max(self.now, attempt.effect.available_at)
        attempt.running = True

    def due(self) -> list[TimerFired]:
        """All timers whose time has come. A store fires each once and again until it is acted upon."""
        of_run = [TimerFired(timer.kind) for timer in self.timers if timer.fire_at <= self.now]
        of_tasks = [TimerFired(TimerKind.TASK, path) for path, fire_at in self.alarms.items() if fire_at <= self.now]
        return [*of_run, *of_tasks]

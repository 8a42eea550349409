"""The core: one pure, total function from a run and an event to the run afterwards and what must follow.

    apply(plan, run, event, now) -> Transition(run, tasks, effects, records)

No I/O, no clock, no randomness, no logging: the same arguments give the same transition, on any machine, for ever.
Every event has an answer in every state. One that does not fit is answered `ALREADY_APPLIED` or `REFUSED` and changes
nothing, so late, doubled and reordered facts need no special code anywhere else.

Reading order: `states` (what there is) → this file (what can happen) → `attempts`, `control`, `waits` (what follows) →
`blocks`, `phases` (what follows from that) → `readiness`, `retry` (the two rules with arithmetic in them) → `draft`
(how a change is written down).

The engine folds all events that wait for a run into one draft and commits once:

    draft = Draft(plan, run, now)
    verdicts = [fold(draft, event) for event in events]
    …answer draft.questions with Evaluated events…
    transition = draft.close()
"""

from typing import assert_never

from millrace.core import attempts, control, waits
from millrace.core.answers import answer
from millrace.core.draft import Draft, Transition
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
    Verdict,
)
from millrace.core.phases import settle
from millrace.core.plan import Plan
from millrace.core.run import RunState
from millrace.core.values import Instant


def fold(draft: Draft, event: Event) -> Verdict:
    """Fold one event into `draft` and say whether it changed anything."""
    verdict = _take(draft, event)
    settle(draft)
    return verdict


def _take(draft: Draft, event: Event) -> Verdict:  # noqa: C901  one flat line an event, to be read as a table
    match event:
        case AttemptCompleted():
            return attempts.completed(draft, event)
        case AttemptFailed():
            return attempts.failed(draft, event)
        case AttemptLost():
            return attempts.lost(draft, event)
        case AttemptWithdrawn():
            return attempts.withdrawn(draft, event)
        case AttemptExpired():
            return attempts.expired(draft, event)
        case Evaluated():
            return answer(draft, event)
        case EventArrived():
            return waits.event_arrived(draft, event)
        case SignalReceived():
            return waits.signal_received(draft, event)
        case Decided():
            return waits.decided(draft, event)
        case ChildStarted():
            return waits.child_started(draft, event)
        case ChildRefused():
            return waits.child_refused(draft, event)
        case ChildFinished():
            return waits.child_finished(draft, event)
        case Admitted():
            return control.admit(draft)
        case Delayed():
            return control.delay(draft, event)
        case CancelRequested():
            return control.cancel(draft, event)
        case PauseRequested():
            return control.pause(draft, event)
        case ResumeRequested():
            return control.resume(draft, event)
        case TimerFired():
            return control.time_out(draft, event)
        case _:
            assert_never(event)


def apply(plan: Plan, run: RunState, event: Event, now: Instant) -> Transition:
    """The transition of one event that asks nothing: for plans without `if` and output mapping, and for tests."""
    draft = Draft(plan, run, now)
    fold(draft, event)
    return draft.close()


__all__ = ["Draft", "Transition", "apply", "fold"]

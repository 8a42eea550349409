"""Tasks that wait, without a worker, until something comes: a time, an event, a signal, a decision, the end of a run.

    open_control ──(what for)──> park ──(it came, and its `filter` holds)──> `then`, or completed
                                  ├───(it did not come in time, was refused)──> `else`, or failed
                                  └───(the run is ending)──> cancelled

Whatever comes for a task that does not wait for it is late or doubled, and changes nothing.
"""

from collections.abc import Sequence

from millrace.core.blocks import enter
from millrace.core.controls import APPROVAL, ELSE, SUB_WORKFLOW, THEN, WAIT_FOR_EVENT, Wait
from millrace.core.draft import Arrival, Draft
from millrace.core.effects import CancelChild, Evaluate, Park, Question, TellRun, Unpark
from millrace.core.events import (
    Cascade,
    ChildFinished,
    ChildRefused,
    ChildStarted,
    Decided,
    Evaluated,
    EventArrived,
    SignalReceived,
    Verdict,
    WaitTerms,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.outcomes import CAUSE
from millrace.core.run import Signal, TaskRun
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.values import SECOND, JsonObject

MOST_SIGNALS = 1_000
"""Signals that a run keeps for tasks that have not come to wait for them."""

STARTED, ENDED = "started", "ended"
"""What a sub-workflow awaits of its run: only that it starts, or, when it is known to have started, that it ends."""


# --- beginning to wait ------------------------------------------------------------------------------------------------


def park(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """What the task waits for is known. Nothing more happens to it until that comes."""
    if event.failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=event.failure)
        return
    terms = event.terms
    assert terms is not None, "the answer says what is waited for"  # noqa: S101
    control = _control(draft, task)
    if terms.until is not None and (control.at_once or terms.until <= draft.now):
        draft.finish(task, TaskStatus.COMPLETED)
        return
    until = terms.until
    timeout = draft.plan_of(task.path).timeout
    if timeout is not None:
        until = draft.now + timeout if until is None else min(until, draft.now + timeout)
    told: JsonObject = {"for": control.kind} if until is None else {"for": control.kind, "until": until}
    task = draft.move(
        task,
        TaskStatus.WAITING,
        ready_at=draft.now,
        available_at=terms.until,
        awaits=_awaits(terms),
        child=terms.child,
    )
    draft.effects.append(Park(task.path, until))
    draft.record("task.waiting", task.path, told)
    if terms.signal is not None:
        _take_kept(draft, task, terms.signal)


def decided_before(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """An earlier run has got what the task waits for, or given it up, and what followed is to go on."""
    before = draft.ahead[task.path]
    assert before.block is not None, "only a wait that was over goes on"  # noqa: S101
    if event.failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=event.failure)
        return
    draft.outputs[task.path] = event.value
    enter(draft, task, before.block, {"why": "adopted"})


def _awaits(terms: WaitTerms) -> str | None:
    """What of the terms must be known later. A wait for a decision, a child or an event is told by its kind."""
    if terms.decides and terms.default is not None:
        return "approve" if terms.default else "reject"
    return STARTED if terms.detached else terms.signal


def signalled(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """A task that signals another run does so with this commit, and is done."""
    if event.failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=event.failure)
        return
    draft.effects.append(TellRun(task.path))
    draft.finish(task, TaskStatus.COMPLETED)


def _take_kept(draft: Draft, task: TaskRun, name: str) -> None:
    """Signals that came before anybody waited for them, the oldest first."""
    kept = [Arrival(as_signal(signal), signal, kept=True) for signal in draft.signals if signal.name == name]
    if kept:
        _came(draft, task, kept)


# --- what comes -------------------------------------------------------------------------------------------------------


def event_arrived(draft: Draft, event: EventArrived) -> Verdict:
    task = _waiting(draft, event.path)
    if task is None or _control(draft, task).kind != WAIT_FOR_EVENT or task.awaits is not None:
        return Verdict.ALREADY_APPLIED
    _came(draft, task, [Arrival(event.event)])
    return Verdict.APPLIED


def signal_received(draft: Draft, event: SignalReceived) -> Verdict:
    """Every task that waits for it takes it; if none does, it is kept for the next one that comes to wait."""
    if draft.finished:
        return Verdict.REFUSED
    data: JsonObject = {"name": event.name} if event.by is None else {"name": event.name, "by": event.by}
    draft.record("run.signalled", data=data)
    signal = Signal(event.name, event.data, event.by)
    tasks = draft.unfinished_tasks() if draft.waits else []
    waiting = [task for task in tasks if _awaits_signal(draft, task, event.name)]
    if all(_control(draft, task).filter is not None for task in waiting):
        # A filter may refuse it; who accepts it takes it away.
        _keep(draft, signal, data)
    for task in waiting:
        _came(draft, task, [Arrival(as_signal(signal), signal)])
    return Verdict.APPLIED


def _keep(draft: Draft, signal: Signal, data: JsonObject) -> None:
    if len(draft.signals) < MOST_SIGNALS:
        draft.signals = (*draft.signals, signal)
    else:
        draft.record("run.signal_dropped", data={**data, "kept": MOST_SIGNALS})


def decided(draft: Draft, event: Decided) -> Verdict:
    task = _waiting(draft, event.path)
    if task is None or _control(draft, task).kind != APPROVAL:
        return Verdict.ALREADY_APPLIED
    _decide(draft, task, event)
    return Verdict.APPLIED


def child_started(draft: Draft, event: ChildStarted) -> Verdict:
    """The run of a sub-workflow is there. Whoever does not wait for its end is done."""
    task = _parent(draft, event.path, event.run_id)
    if task is None or task.awaits == ENDED:
        return Verdict.ALREADY_APPLIED
    draft.record("task.child_started", task.path, {"run_id": event.run_id})
    if task.awaits == STARTED:
        _over(draft, task, TaskStatus.COMPLETED, {"run_id": event.run_id})
    else:
        draft.change(task, awaits=ENDED)
    return Verdict.APPLIED


def child_refused(draft: Draft, event: ChildRefused) -> Verdict:
    task = _parent(draft, event.path, event.run_id)
    if task is None:
        return Verdict.ALREADY_APPLIED
    if task.status is TaskStatus.CANCELLING and task.failure is None:
        _over(draft, task, TaskStatus.CANCELLED, None)
    else:
        _over(draft, task, TaskStatus.FAILED, None, task.failure or event.failure)
    return Verdict.APPLIED


def child_finished(draft: Draft, event: ChildFinished) -> Verdict:
    """The run of a sub-workflow has ended, and its task with it. One that is being ended does not fail by that.

    Of one that waits only for the start it says that the run has started.
    """
    task = _parent(draft, event.path, event.run_id)
    if task is None:
        return Verdict.ALREADY_APPLIED
    if task.awaits == STARTED:
        return child_started(draft, ChildStarted(event.path, event.run_id))
    output: JsonObject = {"run_id": event.run_id, "status": event.status.value}
    if task.status is TaskStatus.CANCELLING:
        target = TaskStatus.CANCELLED if task.failure is None else TaskStatus.FAILED
        _over(draft, task, target, output, task.failure)
    elif event.status is RunStatus.COMPLETED:
        draft.ask(Evaluate(task.path, None, Question.CHILD, came=output))
    else:
        _over(draft, task, TaskStatus.FAILED, output, _failure_of_child(event))
    return Verdict.APPLIED


def child_answered(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """The output of the run of a sub-workflow has been read."""
    if event.failure is None:
        output: JsonObject = {"run_id": task.child, "status": RunStatus.COMPLETED.value, "output": event.value}
        _over(draft, task, TaskStatus.COMPLETED, output)
    else:
        _over(draft, task, TaskStatus.FAILED, None, event.failure)


def _failure_of_child(event: ChildFinished) -> Failure:
    details: JsonObject = {"run_id": event.run_id, "status": event.status.value}
    if event.failure is None:
        return Failure(FailureKind.CANCELLED, f"its run {event.run_id} was cancelled", details)
    deeper = event.failure.details.get(CAUSE) if event.failure.details else None
    if isinstance(deeper, dict):
        message = f"its run {event.run_id} failed, as run {deeper.get('run_id')} did: {deeper.get('message')}"
        return Failure(event.failure.kind, message, {**details, CAUSE: deeper})
    cause: JsonObject = {"run_id": event.run_id, "message": event.failure.message}
    message = f"its run {event.run_id} failed: {event.failure.message}"
    return Failure(event.failure.kind, message, {**details, CAUSE: cause})


def _over(
    draft: Draft, task: TaskRun, target: TaskStatus, output: JsonObject | None, failure: Failure | None = None
) -> None:
    """End a task that waited and has nothing to run after it."""
    _unpark(draft, task)
    if output is not None:
        draft.outputs[task.path] = output
    draft.finish(task, target, failure=failure)


# --- is it what was waited for? ---------------------------------------------------------------------------------------


def _came(draft: Draft, task: TaskRun, came: Sequence[Arrival]) -> None:
    """Take what has come; if the task has a `filter`, one after the other is held against it."""
    if _control(draft, task).filter is None:
        _arrived(draft, task, came[0])
        return
    draft.arrived.setdefault(task.path, []).extend(came)
    if task.path not in draft.questions:
        _ask_next(draft, task)


def _ask_next(draft: Draft, task: TaskRun) -> None:
    queue = draft.arrived[task.path]
    while queue and _is_gone(draft, queue[0]):
        queue.pop(0)
    if queue:
        source = _control(draft, task).filter
        draft.ask(Evaluate(task.path, source, Question.FILTER, came=queue[0].came))


def _is_gone(draft: Draft, arrival: Arrival) -> bool:
    """Whether another task has taken the signal that was kept. Two that are alike are two: what counts is which."""
    return arrival.kept and all(signal is not arrival.signal for signal in draft.signals)


def filtered(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """Whether what came is what the task waits for. It fails by a filter without a value."""
    arrival = draft.arrived[task.path].pop(0)
    failure = event.failure
    if failure is None and not isinstance(event.value, bool):
        message = f"a `filter` must be true or false, but its value is of type {type(event.value).__name__}"
        failure = Failure(FailureKind.EXPRESSION, message)
    if failure is not None:
        _over(draft, task, TaskStatus.FAILED, None, failure)
    elif event.value is True and not _is_gone(draft, arrival):
        _arrived(draft, task, arrival)
    else:
        _ask_next(draft, task)


def _arrived(draft: Draft, task: TaskRun, arrival: Arrival) -> None:
    kind = "event" if arrival.signal is None else "signal"
    draft.signals = tuple(signal for signal in draft.signals if signal is not arrival.signal)
    _follow(draft, task, {kind: arrival.came, "timed_out": False}, "came")


def _follow(draft: Draft, task: TaskRun, output: JsonObject, why: str) -> None:
    """What was waited for came: go on with `then`, if there is any."""
    _unpark(draft, task)
    draft.outputs[task.path] = output
    if draft.plan_of(task.path).blocks.get(THEN):
        enter(draft, task, THEN, {"why": why})
    else:
        draft.finish(task, TaskStatus.COMPLETED)


def _decide(draft: Draft, task: TaskRun, event: Decided, *, timed_out: bool = False) -> None:
    output: JsonObject = {
        "approved": event.approved,
        "by": event.by,
        "comment": event.comment,
        "form": event.form,
        "timed_out": timed_out,
    }
    told: JsonObject = {"approved": event.approved}
    if event.by is not None:
        told["by"] = event.by
    if timed_out:
        told["timed_out"] = True
    draft.record("task.decided", task.path, told)
    if event.approved:
        _follow(draft, task, output, "approved")
    else:
        # Who it was is an id, which the record names to people; the message is for them as it is.
        why = "" if event.comment is None else f": {event.comment}"
        failure = Failure(FailureKind.REJECTED, f"it was rejected{why}")
        _give_up(draft, task, output, failure, "rejected")


def _give_up(draft: Draft, task: TaskRun, output: JsonObject, failure: Failure, why: str) -> None:
    """What was waited for will not come: go on with `else`, if the definition has one, however empty."""
    _unpark(draft, task)
    draft.outputs[task.path] = output
    if ELSE in draft.plan_of(task.path).blocks:
        enter(draft, task, ELSE, {"why": why})
    else:
        draft.finish(task, TaskStatus.FAILED, failure=failure)


def _unpark(draft: Draft, task: TaskRun) -> None:
    """It waits no more; what has come for it and was not looked at is late."""
    draft.effects.append(Unpark(task.path))
    draft.questions.pop(task.path, None)
    draft.arrived.pop(task.path, None)


# --- time -------------------------------------------------------------------------------------------------------------


def time_over(draft: Draft, task: TaskRun) -> Verdict:
    """The timer of a task that waits: its sleep is over, or what it waits for did not come in time.

    One of a task that waits without a limit is of another task, and one that comes with the end of a child too late.
    """
    control, limit = _control(draft, task), draft.plan_of(task.path).timeout
    if (task.available_at is None and limit is None) or _child_has_ended(draft, task):
        return Verdict.ALREADY_APPLIED
    # Which of the two limits the timer was set for is told by which is the nearer, not by a clock, which may differ.
    if task.available_at is not None and (limit is None or task.available_at <= (task.ready_at or 0) + limit):
        _over(draft, task, TaskStatus.COMPLETED, None)
        return Verdict.APPLIED
    assert limit is not None, "it has one if no sleep is over"  # noqa: S101
    seconds = limit / SECOND
    failure = Failure(FailureKind.TIMEOUT, f"what it waits for did not come within its limit of {seconds:g} s")
    if control.kind == SUB_WORKFLOW and task.awaits != STARTED:
        stop_child(draft, task, failure)
    elif control.kind == APPROVAL and task.awaits is not None:
        _decide(draft, task, Decided(task.path, task.awaits == "approve"), timed_out=True)
    else:
        output: JsonObject = {"approved": False, "by": None, "comment": None, "form": None}
        given_up = {**(output if control.kind == APPROVAL else {}), "timed_out": True}
        _give_up(draft, task, given_up, failure, "timed out")
    return Verdict.APPLIED


# --- being ended ------------------------------------------------------------------------------------------------------


def stop_waiting(draft: Draft, task: TaskRun) -> None:
    """End a task that waits, since what it stands in is being ended. A sub-workflow's run that runs is ended first."""
    if task.child is not None and task.awaits != STARTED and not _child_has_ended(draft, task):
        stop_child(draft, task, None)
    else:
        _over(draft, task, TaskStatus.CANCELLED, None)


def _child_has_ended(draft: Draft, task: TaskRun) -> bool:
    """Whether the run of a sub-workflow has completed in this fold, so that only its output is missing."""
    question = draft.questions.get(task.path)
    return question is not None and question.what is Question.CHILD


def stop_child(draft: Draft, task: TaskRun, failure: Failure | None) -> None:
    """Have the run of a sub-workflow cancelled; the task ends when it has."""
    child = task.child
    assert child is not None, "a sub-workflow that waits has a run"  # noqa: S101
    draft.move(task, TaskStatus.CANCELLING, failure=failure)
    draft.effects.append(CancelChild(task.path, child))
    draft.record("task.cancelling", task.path, {"run_id": child})


def hurry_children(draft: Draft) -> None:
    """Have the runs of sub-workflows that are being ended already end at once."""
    for task in draft.unfinished_tasks():
        if task.status is TaskStatus.CANCELLING and task.child is not None:
            draft.effects.append(CancelChild(task.path, task.child, Cascade.AGAIN))


# --- who waits --------------------------------------------------------------------------------------------------------


def _control(draft: Draft, task: TaskRun) -> Wait:
    control = draft.plan_of(task.path).control
    assert isinstance(control, Wait), f"{task.path} does not wait"  # noqa: S101
    return control


def _waiting(draft: Draft, path: str) -> TaskRun | None:
    """The task, if there is such a one and it waits."""
    if not draft.has(path) or draft.finished:
        return None
    task = draft.task(path)
    return task if task.status is TaskStatus.WAITING else None


def _parent(draft: Draft, path: str, run_id: str) -> TaskRun | None:
    """The task that the run was started for, if it has not ended."""
    if not draft.has(path) or draft.finished:
        return None
    task = draft.task(path)
    open_ = task.status in (TaskStatus.WAITING, TaskStatus.CANCELLING)
    return task if open_ and task.child == run_id else None


def _awaits_signal(draft: Draft, task: TaskRun, name: str) -> bool:
    control = draft.plan_of(task.path).control
    is_wait = isinstance(control, Wait) and control.kind == WAIT_FOR_EVENT
    return is_wait and task.status is TaskStatus.WAITING and task.awaits == name


def as_signal(signal: Signal) -> JsonObject:
    """A signal as expressions see it."""
    return {"name": signal.name, "data": signal.data, "by": signal.by}

"""What people and clocks ask of a whole run: admission, delayed starts, cancel, pause, resume, time limits."""

from millrace.core.attempts import again
from millrace.core.blocks import open_control
from millrace.core.controls import Wait
from millrace.core.draft import Draft
from millrace.core.effects import SetTimer, WithdrawAttempt
from millrace.core.events import (
    CancelRequested,
    Cascade,
    Delayed,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.phases import PHASE_TIMER, TIDYING, end_phases, end_within, enter, finish_run, limit_of, wind_up
from millrace.core.plan import Phase
from millrace.core.run import WindUp
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.values import SECOND, JsonObject
from millrace.core.waits import hurry_children, time_over


def admit(draft: Draft) -> Verdict:
    """Start the main part. A run that was paused before its admission collects its first tasks for `resume`."""
    if draft.started_at is not None or draft.finished:
        return Verdict.ALREADY_APPLIED
    if draft.status is RunStatus.PENDING:
        draft.set_status(RunStatus.RUNNING)
    draft.started_at = draft.now
    draft.record("run.started")
    enter(draft, Phase.MAIN)
    if not draft.ended:
        end_phases(draft)
    return Verdict.APPLIED


def delay(draft: Draft, event: Delayed) -> Verdict:
    """Wait for the time the run is to start at; a time that has passed already starts it at once."""
    if draft.started_at is not None or draft.finished:
        return Verdict.ALREADY_APPLIED
    if event.until <= draft.now:
        return admit(draft)
    draft.effects.append(SetTimer(TimerKind.START, event.until))
    draft.record("run.delayed", data={"until": event.until})
    return Verdict.APPLIED


def cancel(draft: Draft, event: CancelRequested) -> Verdict:
    """The first cancel ends the main part or `on_failure` and spares what tidies up; the second ends that, too.

    A parent that ends this run is counted only when it was itself cancelled again: otherwise whoever cancels both
    would skip what tidies up here, in whichever order the two come. A second cancel goes on to the runs that this one
    is ending.

    A rollback or `finally` that was paused goes on: what is being ended must not wait to be resumed.
    """
    if draft.finished:
        return Verdict.REFUSED
    if event.cascade is Cascade.FIRST:
        if draft.status is RunStatus.CANCELLING:
            return Verdict.ALREADY_APPLIED
    else:
        draft.cancels = max(draft.cancels + 1, 2 if event.cascade is Cascade.AGAIN else 1)
    draft.record("run.cancel_requested", data=_who(event.by, event.reason))
    if draft.started_at is None:
        draft.outcome = RunStatus.CANCELLED
        for task in draft.unfinished_tasks():
            draft.finish(task, TaskStatus.CANCELLED)
        finish_run(draft)
        return Verdict.APPLIED
    draft.set_status(RunStatus.CANCELLING)
    if draft.cancels > 1:
        hurry_children(draft)
    if draft.wind_up is None and (draft.phase not in TIDYING or draft.cancels > 1):
        wind_up(draft, WindUp.CANCEL)
    else:
        _start_held(draft)
    return Verdict.APPLIED


def pause(draft: Draft, event: PauseRequested) -> Verdict:
    """Start nothing more and take back what no worker has claimed. What runs, runs on, and its outcome counts."""
    if draft.status is RunStatus.PAUSED:
        return Verdict.ALREADY_APPLIED
    if draft.finished or draft.status is RunStatus.CANCELLING:
        return Verdict.REFUSED
    draft.set_status(RunStatus.PAUSED)
    draft.record("run.paused", data=_who(event.by))
    for task in draft.unfinished_tasks():
        if task.live and task.status is TaskStatus.READY:
            draft.effects.append(WithdrawAttempt(task.path, task.attempt))
    return Verdict.APPLIED


def resume(draft: Draft, event: ResumeRequested) -> Verdict:
    """Go on: every ready task without an attempt gets one, not before its delay is over."""
    if draft.status is not RunStatus.PAUSED:
        return Verdict.REFUSED if draft.finished else Verdict.ALREADY_APPLIED
    draft.set_status(RunStatus.PENDING if draft.started_at is None else RunStatus.RUNNING)
    draft.record("run.resumed", data=_who(event.by))
    _start_held(draft)
    return Verdict.APPLIED


def time_out(draft: Draft, event: TimerFired) -> Verdict:
    """The limit of the current phase passed. A timer of another phase, or of one that is ending already, is stale."""
    if event.kind is TimerKind.START:
        return admit(draft)
    if event.kind is TimerKind.TASK:
        return _time_out_task(draft, event.path or "")
    if draft.started_at is None or limit_of(draft, draft.phase) is None:
        return Verdict.REFUSED
    if draft.finished or PHASE_TIMER[draft.phase] is not event.kind or draft.wind_up is not None:
        return Verdict.ALREADY_APPLIED
    if draft.status is RunStatus.PAUSED:
        draft.set_status(RunStatus.RUNNING)
    draft.record("run.timed_out", data={"phase": draft.phase.value})
    wind_up(draft, WindUp.TIMEOUT)
    return Verdict.APPLIED


def _time_out_task(draft: Draft, path: str) -> Verdict:
    """The timer of a task. One of a task that neither waits nor holds others any more is stale."""
    if draft.finished or not draft.has(path):
        return Verdict.ALREADY_APPLIED
    task = draft.task(path)
    own = draft.plan_of(path)
    if task.status is TaskStatus.WAITING:
        return time_over(draft, task)
    # The limit of a wait is over once it has ended, also while what follows it runs.
    if task.status is not TaskStatus.RUNNING or own.timeout is None or isinstance(own.control, Wait):
        return Verdict.ALREADY_APPLIED
    end_within(
        draft, task, Failure(FailureKind.TIMEOUT, f"it took longer than its limit of {own.timeout / SECOND:g} s")
    )
    return Verdict.APPLIED


def _start_held(draft: Draft) -> None:
    """Go on with every ready task that the pause left: give it its next attempt, or begin what is a control task."""
    for task in draft.unfinished_tasks():
        if task.status is not TaskStatus.READY or task.live:
            continue
        if draft.plan_of(task.path).control is not None:
            open_control(draft, task)
        else:
            again(draft, task, at=max(draft.now, task.available_at or 0))


def _who(by: str | None, reason: str | None = None) -> JsonObject:
    return {key: value for key, value in (("by", by), ("reason", reason)) if value is not None}

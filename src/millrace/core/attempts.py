"""What follows from the end of an attempt: success, failure, a crash of its worker, its withdrawal.

Each function first asks whether the attempt is the live one of its task. If not, the event was applied before, comes
from an attempt that was given up, or speaks of one that never was, and nothing changes: this is the core's half of
fencing (the store's half is the token).
"""

from millrace.core.draft import Draft
from millrace.core.events import AttemptCompleted, AttemptExpired, AttemptFailed, AttemptLost, AttemptWithdrawn, Verdict
from millrace.core.failures import Failure, FailureKind
from millrace.core.retry import delay_after_crash, delay_after_failure
from millrace.core.run import TaskRun
from millrace.core.states import TaskStatus
from millrace.core.values import SECOND, Instant

STOPPED = frozenset({FailureKind.CANCELLED, FailureKind.WORKER_STOPPED})


def completed(draft: Draft, event: AttemptCompleted) -> Verdict:
    task = _live(draft, event.path, event.number)
    if isinstance(task, Verdict):
        return task
    draft.finish(task, TaskStatus.COMPLETED)
    return Verdict.APPLIED


def failed(draft: Draft, event: AttemptFailed) -> Verdict:
    task = _live(draft, event.path, event.number)
    if isinstance(task, Verdict):
        return task
    if task.status is TaskStatus.CANCELLING:
        _end_cancelled(draft, task, event.failure)
    elif event.failure.kind is FailureKind.WORKER_STOPPED:
        _stopped(draft, task, event.failure)
    else:
        _failed(draft, task, event.failure)
    return Verdict.APPLIED


def lost(draft: Draft, event: AttemptLost) -> Verdict:
    task = _live(draft, event.path, event.number)
    if isinstance(task, Verdict):
        return task
    task = draft.change(task, crashes=task.crashes + 1)
    failure = Failure(FailureKind.WORKER_LOST, "the worker was lost during the attempt")
    draft.record("task.lost", task.path, {"attempt": task.attempt, "crashes": task.crashes})
    if task.status is TaskStatus.CANCELLING:
        _end_cancelled(draft, task, failure)
        return Verdict.APPLIED
    delay = delay_after_crash(draft.plan_of(task.path).retry, task.crashes)
    if delay is None:
        draft.finish(task, TaskStatus.FAILED, failure=failure)
    else:
        again(draft, task, at=draft.now + delay, cause=failure)
    return Verdict.APPLIED


def withdrawn(draft: Draft, event: AttemptWithdrawn) -> Verdict:
    task = _live(draft, event.path, event.number)
    if isinstance(task, Verdict):
        return task
    if task.status is TaskStatus.CANCELLING:
        draft.finish(task, TaskStatus.CANCELLED)
        return Verdict.APPLIED
    draft.record("task.withdrawn", task.path, {"attempt": task.attempt})
    # The run may have been resumed since it asked for the attempt back; then the task goes on at once.
    again(draft, task, at=max(draft.now, task.available_at or 0))
    return Verdict.APPLIED


def expired(draft: Draft, event: AttemptExpired) -> Verdict:
    """The attempt never began. It counts as a failure of the task, which its policy may repeat."""
    task = _live(draft, event.path, event.number)
    if isinstance(task, Verdict):
        return task
    if task.status is TaskStatus.CANCELLING:
        draft.finish(task, TaskStatus.CANCELLED)
        return Verdict.APPLIED
    seconds = (draft.plan_of(task.path).queue_timeout or 0) / SECOND
    failure = Failure(FailureKind.QUEUE_TIMEOUT, f"no worker took the task within its queue limit of {seconds:g} s")
    _failed(draft, task, failure)
    return Verdict.APPLIED


def again(draft: Draft, task: TaskRun, *, at: Instant, cause: Failure | None = None) -> None:
    """Schedule the next attempt, unless the task's total time is over before it could start."""
    total = draft.plan_of(task.path).total_timeout
    if total is not None and task.ready_at is not None and at >= task.ready_at + total:
        message = f"no attempt fits into the total limit of {total / SECOND:g} s"
        over = Failure(FailureKind.TIMEOUT, f"{message}; the last one: {cause.message}" if cause else message)
        draft.finish(task, TaskStatus.FAILED, failure=over)
    else:
        draft.schedule(task, at=at)


def _live(draft: Draft, path: str, number: int) -> TaskRun | Verdict:
    """The task, if this attempt of it is live. Otherwise the answer: it ended before, or there never was such a one."""
    if not draft.has(path):
        return Verdict.REFUSED
    task = draft.task(path)
    if task.live and task.attempt == number:
        return task
    return Verdict.ALREADY_APPLIED if 0 < number <= task.attempt else Verdict.REFUSED


def _failed(draft: Draft, task: TaskRun, failure: Failure) -> None:
    """An own failure: it counts, and is followed by another attempt if the policy has one left."""
    task = draft.change(task, failures=task.failures + 1)
    policy = draft.plan_of(task.path).retry
    delay = delay_after_failure(policy, task.failures, failure, seed=f"{draft.run_id}/{task.path}")
    if delay is None:
        draft.finish(task, TaskStatus.FAILED, failure=failure)
    else:
        draft.record("task.retrying", task.path, {"attempt": task.attempt, "error": failure.summary()})
        again(draft, task, at=draft.now + delay, cause=failure)


def _stopped(draft: Draft, task: TaskRun, failure: Failure) -> None:
    """Its worker was told to stop. It had started, so a task that must not start twice is over."""
    draft.record("task.stopped", task.path, {"attempt": task.attempt})
    if draft.plan_of(task.path).retry.on_crash:
        again(draft, task, at=draft.now, cause=failure)
    else:
        message = "its worker was stopped, and `retry.on_crash: false` forbids to start it again"
        draft.finish(task, TaskStatus.FAILED, failure=Failure(failure.kind, message))


def _end_cancelled(draft: Draft, task: TaskRun, failure: Failure) -> None:
    """The attempt of a task that was being stopped is over: by our doing, by the loss of its worker, or by itself."""
    by_us = failure.kind in STOPPED or failure.kind is FailureKind.WORKER_LOST
    target = TaskStatus.CANCELLED if by_us else TaskStatus.FAILED
    draft.finish(task, target, failure=failure)

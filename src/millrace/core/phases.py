"""How a run moves through its phases: tasks that become ready, skips that spread, phases that end, the outcome.

main ──(failed, not cancelled)──> on_failure ──> rollback ──> finally ──> finished
  ├──(cancelled once)────────────────────────────┘              │
  └──(completed)────────────────────────────────────────────────┘

The outcome is decided when the main part ends. Handlers cannot mend it; a failed `finally` fails a completed run.
`rollback` undoes completed tasks, the last to complete first: one after another, whatever comes of each.
"""

from collections.abc import Sequence
from typing import assert_never

from millrace.core.draft import Draft
from millrace.core.effects import AnnounceFinished, ClearTimers, Evaluate, SetTimer, StopAttempt
from millrace.core.events import Evaluated, TimerKind, Verdict
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Phase
from millrace.core.readiness import Decision, Ending, decide
from millrace.core.run import SkipReason, TaskRun, WindUp, following, undo_order
from millrace.core.states import FINISHED_TASK, RunStatus, TaskStatus
from millrace.core.values import SECOND, Duration, JsonObject

PHASE_TIMER = {
    Phase.MAIN: TimerKind.RUN_TIMEOUT,
    Phase.ON_FAILURE: TimerKind.ON_FAILURE_TIMEOUT,
    Phase.ROLLBACK: TimerKind.ROLLBACK_TIMEOUT,
    Phase.FINALLY: TimerKind.FINALLY_TIMEOUT,
}

TIDYING = frozenset({Phase.ROLLBACK, Phase.FINALLY})
"""Phases that the first cancel spares."""


def limit_of(draft: Draft, phase: Phase) -> Duration | None:
    return draft.plan.timeout if phase is Phase.MAIN else draft.plan.handler_timeout


def enter(draft: Draft, phase: Phase) -> None:
    """Begin a phase: set its timer and start the tasks that wait for no other."""
    tasks = draft.plan.tasks_of(phase)
    draft.phase = phase
    draft.wind_up = None
    draft.undo = {}
    adopted = phase is Phase.MAIN and draft.unfinished < len(tasks)
    if not adopted:
        draft.unfinished = len(tasks)
    limit = limit_of(draft, phase)
    if limit is not None:
        draft.effects.append(SetTimer(PHASE_TIMER[phase], draft.now + limit))
    if phase is not Phase.MAIN:
        draft.record("run.phase_started", data={"phase": phase.value})
    if adopted:
        _go_on(draft)
        return
    if phase is Phase.ROLLBACK:
        _begin_rollback(draft)
        return
    for path in tasks:
        if not draft.plan.tasks[path].needs:
            consider(draft, draft.task(path))


def _begin_rollback(draft: Draft) -> None:
    order = undo_order(draft.plan, draft.task)
    draft.undo = following(order)
    for owner in draft.plan.rollbacks.keys() - order:
        for path in draft.plan.rollbacks[owner]:
            draft.finish(draft.task(path), TaskStatus.SKIPPED, skip=SkipReason.NOTHING_TO_UNDO)
    _undo(draft, order[0])


def _undo(draft: Draft, owner: str) -> None:
    """Start what undoes a task."""
    for path in draft.plan.rollbacks[owner]:
        if not draft.plan.tasks[path].needs:
            consider(draft, draft.task(path))


def _undo_next(draft: Draft, path: str) -> None:
    """If what undoes a task has ended with the task at `path`, go on with the task that completed before it."""
    owner = draft.plan.tasks[path].undoes
    assert owner is not None, "a task of the rollback belongs to another"  # noqa: S101
    over = all(draft.task(other).status in FINISHED_TASK for other in draft.plan.rollbacks[owner])
    if over and owner in draft.undo and draft.wind_up is None:
        _undo(draft, draft.undo[owner])


def _go_on(draft: Draft) -> None:
    """Start the main part where an earlier run left it: what waits for adopted tasks only is decided at once."""
    for path in draft.plan.tasks_of(Phase.MAIN):
        task = draft.task(path)
        if task.status is not TaskStatus.PENDING:
            continue
        decision = decide(draft.plan.tasks[path].join, draft.tally(path))
        if decision is Decision.RUN:
            consider(draft, task)
        elif decision is Decision.SKIP:
            spread(draft, path, draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.JOIN))


def consider(draft: Draft, task: TaskRun) -> None:
    """The task's join rule is met: start it, or first ask for the value of its `if`."""
    condition = draft.plan.tasks[task.path].condition
    if condition is None:
        draft.make_ready(task)
    else:
        draft.questions[task.path] = Evaluate(task.path, condition)


def spread(draft: Draft, path: str, ending: Ending) -> None:
    """Tell the dependents of a task how it ended, theirs in turn where skipped, and end the phase if it is over.

    A work list in place of recursion: a chain of ten thousand tasks may be skipped at once.
    """
    ended = [(path, ending)]
    while ended:
        path, ending = ended.pop()
        for dependent in draft.plan.tasks[path].dependents:
            tally = draft.count(dependent, ending)
            task = draft.task(dependent)
            if task.status is not TaskStatus.PENDING:
                continue
            decision = decide(draft.plan.tasks[dependent].join, tally)
            if decision is Decision.RUN:
                consider(draft, task)
            elif decision is Decision.SKIP:
                ended.append((dependent, draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.JOIN)))
    if draft.phase is Phase.ROLLBACK:
        _undo_next(draft, path)
    end_phases(draft)


def answer(draft: Draft, event: Evaluated) -> Verdict:
    """Take the value that was asked for. Whatever is no longer asked for was settled otherwise in the same fold."""
    if draft.questions.pop(event.path, None) is None:
        return Verdict.ALREADY_APPLIED
    if event.path is None:
        _decide(draft, RunStatus.COMPLETED if event.failure is None else RunStatus.FAILED, event.failure)
        end_phases(draft)
        return Verdict.APPLIED
    task = draft.task(event.path)
    failure = event.failure
    if failure is None and not isinstance(event.value, bool):
        kind = type(event.value).__name__
        failure = Failure(FailureKind.EXPRESSION, f"`if` must be true or false, but its value is of type {kind}")
    if failure is not None:
        spread(draft, task.path, draft.finish(task, TaskStatus.FAILED, failure=failure))
    elif event.value:
        draft.make_ready(task)
    else:
        spread(draft, task.path, draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.CONDITION))
    return Verdict.APPLIED


def wind_up(draft: Draft, why: WindUp) -> None:
    """End the current phase before its time: cancel what has not started, stop what has."""
    draft.wind_up = why
    draft.questions.clear()
    for task in draft.unfinished_tasks():
        if task.live:
            draft.move(task, TaskStatus.CANCELLING)
            draft.effects.append(StopAttempt(task.path, task.attempt))
            draft.record("task.cancelling", task.path, {"attempt": task.attempt})
        else:
            draft.finish(task, TaskStatus.CANCELLED)
    end_phases(draft)


def end_phases(draft: Draft) -> None:
    """If nothing of the current phase is left, decide what comes of it and go on to the next, or finish the run."""
    while draft.unfinished == 0 and not draft.questions and not draft.finished:
        match draft.phase:
            case Phase.MAIN:
                if draft.outcome is None and not _conclude_main(draft):
                    return
            case Phase.ON_FAILURE | Phase.ROLLBACK:
                pass
            case Phase.FINALLY:
                _conclude_finally(draft)
            case _:
                assert_never(draft.phase)
        _leave(draft)


def _conclude_main(draft: Draft) -> bool:
    """Decide the outcome; False when the run's output must be evaluated first."""
    if draft.wind_up is WindUp.CANCEL:
        _decide(draft, RunStatus.CANCELLED, None)
    elif failure := _time_out(draft) or _first_failure(draft):
        _decide(draft, RunStatus.FAILED, failure)
    elif draft.plan.output is not None:
        draft.questions[None] = Evaluate(None, draft.plan.output)
        return False
    else:
        _decide(draft, RunStatus.COMPLETED, None)
    return True


def _conclude_finally(draft: Draft) -> None:
    if draft.outcome is RunStatus.COMPLETED and (failure := _time_out(draft) or _first_failure(draft)):
        _decide(draft, RunStatus.FAILED, failure)


def _decide(draft: Draft, outcome: RunStatus, failure: Failure | None) -> None:
    draft.outcome = outcome
    draft.failure = failure


def _time_out(draft: Draft) -> Failure | None:
    if draft.wind_up is not WindUp.TIMEOUT:
        return None
    seconds = (limit_of(draft, draft.phase) or 0) / SECOND
    part = "the run" if draft.phase is Phase.MAIN else f"`{draft.phase.value}`"
    return Failure(FailureKind.TIMEOUT, f"{part} took longer than its limit of {seconds:g} s")


def _first_failure(draft: Draft) -> Failure | None:
    """The earliest failure of the phase that counts, told as the failure of the run."""
    tasks = map(draft.task, draft.plan.tasks_of(draft.phase))
    counting = [
        (task.finished_at or 0, place, task.path, task.failure)
        for place, task in enumerate(tasks)
        if task.failure and task.status is TaskStatus.FAILED and not draft.plan.tasks[task.path].allow_failure
    ]
    if not counting:
        return None
    _, _, path, failure = min(counting, key=lambda entry: entry[:2])
    return Failure(failure.kind, f"task `{path}` failed: {failure.message}", {"task": path})


def _leave(draft: Draft) -> None:
    """Go on to the next phase that has tasks and a reason to run, or finish the run."""
    for phase in _phases_to_come(draft):
        if draft.plan.tasks_of(phase) and (phase is not Phase.ROLLBACK or undo_order(draft.plan, draft.task)):
            enter(draft, phase)
            return
    finish_run(draft)


def _phases_to_come(draft: Draft) -> Sequence[Phase]:
    if draft.cancels > 1:
        return ()
    to_come = [phase for phase in Phase if list(Phase).index(phase) > list(Phase).index(draft.phase)]
    if draft.cancels or draft.outcome is not RunStatus.FAILED:
        to_come = [phase for phase in to_come if phase is not Phase.ON_FAILURE]
    if draft.outcome is RunStatus.COMPLETED:
        to_come = [phase for phase in to_come if phase is not Phase.ROLLBACK]
    return to_come


def finish_run(draft: Draft) -> None:
    """The run is over: give it its outcome as status, drop its timers, and let everyone know."""
    assert draft.outcome is not None, "a run finishes only with an outcome"  # noqa: S101
    _pass_over(draft)
    draft.set_status(draft.outcome)
    draft.finished_at = draft.now
    draft.effects += (ClearTimers(), AnnounceFinished(draft.outcome))
    data: JsonObject = {"error": draft.failure.summary()} if draft.failure else {}
    draft.record(f"run.{draft.outcome.value}", data=data)


def _pass_over(draft: Draft) -> None:
    """Tasks of handlers that never began are skipped, so that a finished run has only finished tasks."""
    for phase in (Phase.ON_FAILURE, Phase.ROLLBACK, Phase.FINALLY):
        for task in map(draft.task, draft.plan.tasks_of(phase)):
            if task.status is TaskStatus.PENDING:
                draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.PHASE)

"""How a run moves through its phases: what has ended is told, phases end, the outcome is decided.

main ──(failed, not cancelled)──> on_failure ──> rollback ──> finally ──> finished
  ├──(cancelled once)────────────────────────────┘              │
  └──(completed)────────────────────────────────────────────────┘

The outcome is decided when the main part ends. Handlers cannot mend it; a failed `finally` fails a completed run.
`rollback` undoes completed tasks, the last to complete first: one after another, whatever comes of each.
"""

from collections.abc import Sequence
from typing import assert_never

from millrace.core.blocks import consider, end_empty, tell
from millrace.core.draft import Draft
from millrace.core.effects import AnnounceFinished, ClearTimers, Evaluate, Question, SetTimer, StopAttempt
from millrace.core.events import TimerKind
from millrace.core.failures import Failure, FailureKind
from millrace.core.outcomes import first_failure
from millrace.core.plan import Phase
from millrace.core.readiness import Decision, decide
from millrace.core.run import SkipReason, TaskRun, WindUp, following, undo_order
from millrace.core.states import FINISHED_TASK, RunStatus, TaskStatus
from millrace.core.values import SECOND, Duration, JsonObject
from millrace.core.waits import stop_waiting

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
        task = draft.task(path)
        if not draft.plan.tasks[path].needs and task.status is TaskStatus.PENDING:
            consider(draft, task)


def _undo_next(draft: Draft, path: str) -> None:
    """If what undoes a task has ended with the task at `path`, go on with the task that completed before it."""
    owner = draft.plan_of(path).undoes
    if owner is None:
        return
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
            draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.JOIN)


def settle(draft: Draft) -> None:
    """Tell of all that has ended in this fold, and of what ends by that, and go on to the phases that follow.

    A work list in place of recursion: a chain of ten thousand tasks may be skipped at once.
    """
    while draft.ended and not draft.finished:
        while draft.ended:
            path, ending = draft.ended.pop()
            tell(draft, path, ending)
            if draft.phase is Phase.ROLLBACK:
                _undo_next(draft, path)
        end_phases(draft)
    draft.ended.clear()


def wind_up(draft: Draft, why: WindUp) -> None:
    """End the current phase before its time: cancel what has not started, stop what has."""
    draft.wind_up = why
    draft.questions.pop(None, None)
    end_all(draft, draft.unfinished_tasks())
    if not draft.ended:
        end_phases(draft)


def end_within(draft: Draft, task: TaskRun, failure: Failure) -> None:
    """End a control task before its time, with all that is in it; it fails when that has ended."""
    draft.record("task.cancelling", task.path, {"error": failure.summary()})
    task = draft.move(task, TaskStatus.CANCELLING, failure=failure)
    draft.questions.pop(task.path, None)
    end_all(draft, draft.unfinished_within(task.path))
    end_empty(draft, task)


def end_all(draft: Draft, tasks: Sequence[TaskRun]) -> None:
    """End each of these tasks: those that hold others end when the others have. What is being ended goes on ending."""
    holding = []
    for task in tasks:
        if task.status is TaskStatus.CANCELLING:
            continue
        if task.live:
            draft.move(task, TaskStatus.CANCELLING)
            draft.effects.append(StopAttempt(task.path, task.attempt))
            draft.record("task.cancelling", task.path, {"attempt": task.attempt})
        elif task.status is TaskStatus.WAITING:
            stop_waiting(draft, task)
        elif task.status is TaskStatus.RUNNING:
            draft.questions.pop(task.path, None)
            draft.record("task.cancelling", task.path)
            holding.append(draft.move(task, TaskStatus.CANCELLING))
        else:
            draft.questions.pop(task.path, None)
            draft.finish(task, TaskStatus.CANCELLED)
    for task in holding:
        end_empty(draft, task)


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
    elif failure := _failure_of_phase(draft):
        _decide(draft, RunStatus.FAILED, failure)
    elif draft.plan.output is not None:
        draft.ask(Evaluate(None, draft.plan.output, Question.OUTPUT))
        return False
    else:
        _decide(draft, RunStatus.COMPLETED, None)
    return True


def take_output(draft: Draft, failure: Failure | None) -> None:
    """The run's output has a value, or none."""
    _decide(draft, RunStatus.COMPLETED if failure is None else RunStatus.FAILED, failure)
    end_phases(draft)


def _conclude_finally(draft: Draft) -> None:
    if draft.outcome is RunStatus.COMPLETED and (failure := _failure_of_phase(draft)):
        _decide(draft, RunStatus.FAILED, failure)


def _decide(draft: Draft, outcome: RunStatus, failure: Failure | None) -> None:
    draft.outcome = outcome
    draft.failure = failure


def _failure_of_phase(draft: Draft) -> Failure | None:
    return _time_out(draft) or first_failure(draft, "", draft.plan.tasks_of(draft.phase))


def _time_out(draft: Draft) -> Failure | None:
    if draft.wind_up is not WindUp.TIMEOUT:
        return None
    seconds = (limit_of(draft, draft.phase) or 0) / SECOND
    part = "the run" if draft.phase is Phase.MAIN else f"`{draft.phase.value}`"
    return Failure(FailureKind.TIMEOUT, f"{part} took longer than its limit of {seconds:g} s")


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
    if draft.status is RunStatus.CANCELLING or draft.outcome is not RunStatus.FAILED:
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

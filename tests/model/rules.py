"""The rules of the engine, as assertions over what an event and a fold did. Checked at every step of every run."""

from dataclasses import replace
from typing import Any

from millrace.core.controls import ForEach, While, iteration_of, loop_and_index, prefix_of
from millrace.core.draft import Draft, Transition
from millrace.core.effects import AnnounceFinished, ClearTimers, Record, ScheduleAttempt, StopAttempt, WithdrawAttempt
from millrace.core.events import (
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    CancelRequested,
    ChildFinished,
    Delayed,
    Evaluated,
    EventArrived,
    PauseRequested,
    SignalReceived,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.plan import Plan
from millrace.core.run import RunState, TaskRun
from millrace.core.states import (
    FINISHED_RUN,
    FINISHED_TASK,
    RUN_EDGES,
    TASK_EDGES,
    RunStatus,
    TaskStatus,
)
from millrace.core.table import Table
from millrace.core.transition import fold
from tests.model.derived import check_counts, loaded
from tests.model.playing import Folded, Playing, Step

ENDS_OF_ATTEMPTS = (AttemptFailed, AttemptLost, AttemptExpired)
"""Events that begin a new delay; under any other, a task that has one keeps it."""

RECORDS_OF_RUN = {
    RunStatus.PENDING: {"run.resumed"},
    RunStatus.RUNNING: {"run.started", "run.resumed", "run.timed_out"},
    RunStatus.PAUSED: {"run.paused"},
    RunStatus.CANCELLING: {"run.cancel_requested"},
    RunStatus.COMPLETED: {"run.completed"},
    RunStatus.FAILED: {"run.failed"},
    RunStatus.CANCELLED: {"run.cancelled"},
}
RECORDS_OF_TASK = {
    TaskStatus.READY: {"task.scheduled", "task.ready"},
    TaskStatus.RUNNING: {"task.entered"},
    TaskStatus.WAITING: {"task.waiting"},
    TaskStatus.CANCELLING: {"task.cancelling"},
    **{status: {f"task.{status.value}"} for status in FINISHED_TASK},
}


def reachable(status: RunStatus) -> set[RunStatus]:
    """By any number of edges: one event may take a run along two, as when a paused run times out and is over."""
    found = {status}
    while more := {target for known in found for target in RUN_EDGES[known]} - found:
        found |= more
    return found


def followed(status: TaskStatus) -> set[TaskStatus]:
    """By one edge, or by two through `ready`: a control task that is ready may begin, and end, by the same event."""
    direct = set(TASK_EDGES[status])
    return direct | set(TASK_EDGES[TaskStatus.READY]) if TaskStatus.READY in direct else direct


# --- one event --------------------------------------------------------------------------------------------------------


def check_step(plan: Plan, step: Step) -> None:
    if step.verdict is not Verdict.APPLIED:
        assert step.before == step.after, f"{step.verdict} and yet something changed"
        assert not step.effects
        assert not step.records
        return
    assert step.before.status not in FINISHED_RUN, f"{step.event} changed a finished run"
    assert step.after.status in reachable(step.before.status)
    if recorded(step.after.status) is not recorded(step.before.status):
        assert RECORDS_OF_RUN[recorded(step.after.status)] & {record.type for record in run_records(step)}
    if step.after.phase is not step.before.phase:
        assert "run.phase_started" in {record.type for record in run_records(step)}
    if isinstance(step.event, TimerFired) and step.event.kind not in (TimerKind.START, TimerKind.TASK):
        assert step.after.status is not RunStatus.PAUSED, "a run whose time is over waits to be resumed"
    for path, after in step.after.tasks.items():
        before = step.before.tasks.get(path)
        if before is None:
            check_new(plan, path, step)
        check_task(before or TaskRun(path), after, step)
    check_restraint(step)
    check_stops(step)


def check_new(plan: Plan, path: str, step: Step) -> None:
    """A task within another is there once what is around it has begun, and not before."""
    task = plan.task_at(path)
    assert task.parent is not None
    around = step.after.tasks[container_of(plan, path)]
    assert around.status not in (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.WAITING), (
        f"{path} has begun too early"
    )
    if not isinstance(plan.tasks[task.parent].control, ForEach | While):
        assert around.block is not None
        assert task.id in plan.tasks[task.parent].blocks[around.block], f"{path} is in no block that was entered"


def container_of(plan: Plan, path: str) -> str:
    """The path of the control task that a task stands in."""
    parent = plan.task_at(path).parent
    assert parent is not None
    if isinstance(plan.tasks[parent].control, ForEach | While):
        return loop_and_index(iteration_of(path))[0]
    return prefix_of(path) + parent


def check_task(before: TaskRun, after: TaskRun, step: Step) -> None:
    if before.status in FINISHED_TASK:
        assert after == before, "a finished task changed"
    if after.status is not before.status:
        assert after.status in followed(before.status), f"{before.path}: {before.status} -> {after.status}"
        types = {record.type for record in task_records(step, after.path)}
        # A control task that is ready was asked what decides about it, in this very fold, unless the run is paused.
        asked = after.status is TaskStatus.READY and after.attempt == 0 and step.after.status is not RunStatus.PAUSED
        assert asked or RECORDS_OF_TASK[after.status] & types, (
            f"{after.path} is {after.status}, but its records are {types}"
        )
    if (
        not isinstance(step.event, ENDS_OF_ATTEMPTS)
        and before.available_at is not None
        and after.available_at is not None
    ):
        assert after.available_at >= before.available_at, "a delay was cut short"
    scheduled = [
        effect.number for effect in step.effects if isinstance(effect, ScheduleAttempt) and effect.path == after.path
    ]
    assert scheduled == list(range(before.attempt + 1, after.attempt + 1)), "attempts are numbered without gaps"
    assert len(scheduled) <= 1
    written = [record.data for record in task_records(step, after.path) if record.type == "task.scheduled"]
    assert [data and data["attempt"] for data in written] == scheduled


def check_restraint(step: Step) -> None:
    """No attempt while the run is paused, nothing at all while the current phase is being ended.

    A control task begins in a paused run only by an answer: it had begun when it was asked about.
    """
    after = step.after
    if after.status is RunStatus.PAUSED or after.wind_up is not None:
        assert not [effect for effect in step.effects if isinstance(effect, ScheduleAttempt)]
    if after.wind_up is not None or (after.status is RunStatus.PAUSED and not isinstance(step.event, Evaluated)):
        begun = (TaskStatus.RUNNING, TaskStatus.WAITING)
        for path, task in after.tasks.items():
            before = step.before.tasks.get(path)
            unbegun = before is None or before.status in (TaskStatus.PENDING, TaskStatus.READY)
            assert not (unbegun and task.status in begun), f"{path} began in a run that begins nothing"


def check_stops(step: Step) -> None:
    """Exactly the attempts of tasks that begin to be cancelled are stopped; a pause takes back what is unclaimed."""
    stopping = {
        (task.path, task.attempt)
        for path, task in step.after.tasks.items()
        if task.status is TaskStatus.CANCELLING and step.before.tasks[path].status is not TaskStatus.CANCELLING
        if task.live
    }
    assert stopping == {(effect.path, effect.number) for effect in step.effects if isinstance(effect, StopAttempt)}
    taken_back = {(effect.path, effect.number) for effect in step.effects if isinstance(effect, WithdrawAttempt)}
    expected = set()
    if isinstance(step.event, PauseRequested):
        expected = {(t.path, t.attempt) for t in step.after.tasks.values() if t.live and t.status is TaskStatus.READY}
    assert taken_back == expected


def recorded(status: RunStatus) -> RunStatus:
    """Whether a run waits is told by its tasks."""
    return RunStatus.RUNNING if status is RunStatus.WAITING else status


def run_records(step: Step) -> list[Record]:
    return [record for record in step.records if record.path is None]


def task_records(step: Step, path: str) -> list[Record]:
    return [record for record in step.records if record.path == path]


# --- one fold ---------------------------------------------------------------------------------------------------------


def check_fold(playing: Playing, folded: Folded) -> None:
    """Before the commit: what a fold must be, whatever it says."""
    plan, base, transition = playing.scenario.plan, playing.run, folded.transition
    for step in folded.steps:
        check_step(plan, step)
        check_repetition(playing, step)
    changed = {task.path: task for task in transition.tasks}
    after = transition.run.tasks
    assert all(after[path] == changed.get(path, base.tasks.get(path)) for path in after)
    assert transition.added == set(after) - set(base.tasks)
    check_counts(plan, transition.run)
    check_schedules(playing, transition)
    finishing = transition.run.status in FINISHED_RUN and base.status not in FINISHED_RUN
    farewell = [effect for effect in transition.effects if isinstance(effect, ClearTimers | AnnounceFinished)]
    assert farewell == ([ClearTimers(), AnnounceFinished(transition.run.status)] if finishing else [])
    assert playing.fold(base, playing.mailbox).transition == transition, "the same arguments, another transition"
    check_reload(playing, base, transition)


def check_repetition(playing: Playing, step: Step) -> None:
    """The same event once more changes nothing. A second cancel is a request of its own; a delay comes but once."""
    if isinstance(step.event, Delayed):
        return
    if isinstance(step.event, CancelRequested | SignalReceived) and step.after.status not in FINISHED_RUN:
        return
    if isinstance(step.event, EventArrived | ChildFinished) and still_waits(step.after, step.event.path):
        # It is not known yet, and perhaps never, that this was what the task waits for.
        return
    draft = Draft(playing.scenario.plan, step.after, playing.now + 1)
    assert fold(draft, step.event) in (Verdict.ALREADY_APPLIED, Verdict.REFUSED)
    again = draft.close()
    assert again == Transition(step.after, (), (), ())


def still_waits(run: RunState, path: str) -> bool:
    return path in run.tasks and run.tasks[path].status is TaskStatus.WAITING


def check_schedules(playing: Playing, transition: Transition) -> None:
    for effect in transition.effects:
        if isinstance(effect, ScheduleAttempt):
            task, policy = transition.run.tasks[effect.path], playing.scenario.plan.task_at(effect.path)
            assert effect.available_at >= playing.now
            assert effect.timeout == policy.timeout
            wait = policy.queue_timeout
            assert effect.queue_until == (None if wait is None else effect.available_at + wait)
            assert task.ready_at is not None
            limit = None if policy.total_timeout is None else task.ready_at + policy.total_timeout
            assert effect.expires_at == limit
            assert limit is None or effect.available_at < limit, "an attempt that is over before it may start"


def check_reload(playing: Playing, base: RunState, transition: Transition) -> None:
    """A run that was stored and loaded goes on as if it had not been."""
    there = playing.fold(loaded(playing.scenario.plan, base), playing.mailbox).transition
    assert replace(there, run=base) == replace(transition, run=base)
    assert stored(there.run) == stored(transition.run)


def stored(run: RunState) -> RunState:
    """Without what is counted: that is compared by itself."""
    nothing = Table[Any]({})
    return replace(run, tallies=nothing, scopes=nothing, rounds=nothing, undo={})

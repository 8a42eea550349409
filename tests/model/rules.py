"""The rules of the engine, as assertions over what a fold did. Each is checked after every step of every run."""

from dataclasses import replace

from millrace.core.draft import Draft, Transition
from millrace.core.effects import AnnounceFinished, ClearTimers, Record, ScheduleAttempt, StopAttempt, WithdrawAttempt
from millrace.core.events import (
    AttemptExpired,
    AttemptFailed,
    AttemptLost,
    CancelRequested,
    Delayed,
    PauseRequested,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import FailureKind
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import RunState, SkipReason, TaskRun, restored
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
from tests.model import oracle
from tests.model.playing import STOPPED_ON_REQUEST, Folded, Playing, Step

KINDS = {kind.value for kind in FailureKind} - {FailureKind.WORKER_STOPPED}

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
    TaskStatus.CANCELLING: {"task.cancelling"},
    **{status: {f"task.{status.value}"} for status in FINISHED_TASK},
}


def reachable(status: RunStatus) -> set[RunStatus]:
    """By any number of edges: one event may take a run along two, as when a paused run times out and is over."""
    found = {status}
    while more := {target for known in found for target in RUN_EDGES[known]} - found:
        found |= more
    return found


# --- one event --------------------------------------------------------------------------------------------------------


def check_step(plan: Plan, step: Step) -> None:
    if step.verdict is not Verdict.APPLIED:
        assert step.before == step.after, f"{step.verdict} and yet something changed"
        assert not step.effects
        assert not step.records
        return
    assert step.before.status not in FINISHED_RUN, f"{step.event} changed a finished run"
    assert step.after.status in reachable(step.before.status)
    if step.after.status is not step.before.status:
        assert RECORDS_OF_RUN[step.after.status] & {record.type for record in run_records(step)}
    if step.after.phase is not step.before.phase:
        assert "run.phase_started" in {record.type for record in run_records(step)}
    if isinstance(step.event, TimerFired) and step.event.kind is not TimerKind.START:
        assert step.after.status is not RunStatus.PAUSED, "a run whose time is over waits to be resumed"
    for path in plan.tasks:
        check_task(step.before.tasks[path], step.after.tasks[path], step)
    check_restraint(step)
    check_stops(step)


def check_task(before: TaskRun, after: TaskRun, step: Step) -> None:
    if before.status in FINISHED_TASK:
        assert after == before, "a finished task changed"
    if after.status is not before.status:
        assert after.status in TASK_EDGES[before.status], f"{before.path}: {before.status} -> {after.status}"
        types = {record.type for record in task_records(step, after.path)}
        assert RECORDS_OF_TASK[after.status] & types, f"{after.path} is {after.status}, but its records are {types}"
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
    """No attempt while the run is paused, or while the current phase is being ended."""
    after = step.after
    if after.status is RunStatus.PAUSED or after.wind_up is not None:
        assert not [effect for effect in step.effects if isinstance(effect, ScheduleAttempt)]


def check_stops(step: Step) -> None:
    """Exactly the attempts of tasks that begin to be cancelled are stopped; a pause takes back what is unclaimed."""
    stopping = {
        (task.path, task.attempt)
        for path, task in step.after.tasks.items()
        if task.status is TaskStatus.CANCELLING and step.before.tasks[path].status is not TaskStatus.CANCELLING
    }
    assert stopping == {(effect.path, effect.number) for effect in step.effects if isinstance(effect, StopAttempt)}
    taken_back = {(effect.path, effect.number) for effect in step.effects if isinstance(effect, WithdrawAttempt)}
    expected = set()
    if isinstance(step.event, PauseRequested):
        expected = {(t.path, t.attempt) for t in step.after.tasks.values() if t.live and t.status is TaskStatus.READY}
    assert taken_back == expected


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
    assert all(transition.run.tasks[path] == changed.get(path, base.tasks[path]) for path in plan.tasks)
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
    if isinstance(step.event, CancelRequested) and step.after.status not in FINISHED_RUN:
        return
    draft = Draft(playing.scenario.plan, step.after, playing.now + 1)
    assert fold(draft, step.event) in (Verdict.ALREADY_APPLIED, Verdict.REFUSED)
    again = draft.close()
    assert again == Transition(step.after, (), (), ())


def check_schedules(playing: Playing, transition: Transition) -> None:
    for effect in transition.effects:
        if isinstance(effect, ScheduleAttempt):
            task, policy = transition.run.tasks[effect.path], playing.scenario.plan.tasks[effect.path]
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
    plan = playing.scenario.plan
    header = replace(base, tasks=Table({}), tallies=Table({}), unfinished=0)
    loaded = restored(plan, header, base.tasks.values())
    assert loaded.unfinished == base.unfinished
    for path, task in base.tasks.items():
        if task.status is TaskStatus.PENDING:
            assert loaded.tallies[path] == base.tallies[path]
    there = playing.fold(loaded, playing.mailbox).transition
    assert (there.tasks, there.effects, there.records) == (transition.tasks, transition.effects, transition.records)
    assert replace(there.run, tallies=Table({})) == replace(transition.run, tallies=Table({}))


# --- the run as it stands ---------------------------------------------------------------------------------------------


def check_run(playing: Playing) -> None:
    """After the commit: what holds of every run at rest."""
    run = playing.run
    assert (run.finished_at is not None) == (run.status in FINISHED_RUN)
    assert (run.started_at is not None) == playing.story.admitted
    assert len(playing.announced) == (run.status in FINISHED_RUN)
    for task in run.tasks.values():
        check_task_run(playing, task)
    check_mover(playing)


def check_task_run(playing: Playing, task: TaskRun) -> None:
    run, ended, policy = playing.run, playing.ended[task.path], playing.scenario.plan.tasks[task.path]
    assert (task.finished_at is not None) == (task.status in FINISHED_TASK)
    if run.status in FINISHED_RUN:
        assert task.status in FINISHED_TASK, "an unfinished task in a finished run"
    assert task.crashes == ended.count("lost")
    assert task.failures == sum(how in KINDS for how in ended)
    assert task.attempt == len(ended) + task.live, "each attempt ends exactly once, and one at most is live"
    if task.path in playing.scenario.adopted:
        assert (task.status, task.attempt) == (TaskStatus.COMPLETED, 0)
    elif task.live:
        assert task.status in (TaskStatus.READY, TaskStatus.CANCELLING)
        assert not ended or not oracle.gives_up(policy.retry, ended), "an attempt that the policy forbids"
    elif task.status is TaskStatus.READY:
        assert run.status is RunStatus.PAUSED, "a ready task without an attempt, and nothing will give it one"
    elif task.status is TaskStatus.COMPLETED:
        assert ended[-1] == "completed"
    elif task.status is TaskStatus.FAILED and ended and ended[-1] != STOPPED_ON_REQUEST:
        assert oracle.gives_up(policy.retry, ended) or total_time_is_over(task, policy), "given up too early"


def total_time_is_over(task: TaskRun, policy: TaskPlan) -> bool:
    assert task.failure is not None
    return policy.total_timeout is not None and "no attempt fits into the total limit" in task.failure.message


def check_mover(playing: Playing) -> None:
    """Something will happen to a run that is not over: an attempt, a fact under way, a person who resumes it, a place.

    Stricter than the rule, which allows a timer alone: no task of this version waits without a worker, so a run that
    only its time limit moves is stuck.
    """
    if playing.run.status not in FINISHED_RUN | {RunStatus.PENDING, RunStatus.PAUSED}:
        assert playing.live or playing.mailbox, "nothing moves this run"


# --- the run at its end -----------------------------------------------------------------------------------------------


def check_end(playing: Playing) -> None:
    """The finished run against the oracle: what came of each task, which phases ran, and how the run ended."""
    run, plan, story = playing.run, playing.scenario.plan, playing.story
    failed = {
        phase: any(run.tasks[path].status is TaskStatus.FAILED and not plan.tasks[path].allow_failure for path in paths)
        for phase, paths in plan.phases.items()
    }
    assert run.status.value == oracle.outcome(story, failed)
    assert (run.failure is not None) == (run.status is RunStatus.FAILED)
    for phase, listed in plan.phases.items():
        paths = [path for path in listed if path not in playing.scenario.adopted]
        if phase is Phase.ROLLBACK:
            paths = check_rollback(playing, ran=oracle.phase_ran(story, phase, failed))
            if not paths:
                continue
        if not oracle.phase_ran(story, phase, failed):
            not_begun = (TaskStatus.CANCELLED, None) if phase is Phase.MAIN else (TaskStatus.SKIPPED, SkipReason.PHASE)
            assert {(run.tasks[path].status, run.tasks[path].skip) for path in paths} <= {not_begun}
            continue
        for path in paths:
            check_fate(playing, run.tasks[path], cut=story.cut(phase) is not None)


def check_rollback(playing: Playing, *, ran: bool) -> list[str]:
    """The order in which completed tasks were undone. Answers the tasks whose fate is that of any other task's."""
    run, plan = playing.run, playing.scenario.plan
    owners = [path for path in plan.rollbacks if run.tasks[path].status is TaskStatus.COMPLETED]
    if not ran or not owners:
        return list(plan.tasks_of(Phase.ROLLBACK)) if owners or not ran else []
    for owner in plan.rollbacks.keys() - owners:
        assert {run.tasks[path].skip for path in plan.rollbacks[owner]} == {SkipReason.NOTHING_TO_UNDO}
    place = list(plan.rollbacks).index
    owners.sort(key=lambda path: (run.tasks[path].finished_at or 0, place(path)), reverse=True)
    over = 0
    for owner in owners:
        group = [run.tasks[path] for path in plan.rollbacks[owner]]
        begun = [task.ready_at for task in group if task.ready_at is not None]
        assert not begun or min(begun) >= over, f"{owner} is undone before what completed later"
        over = max([over, *(task.finished_at or 0 for task in group)])
    return [path for owner in owners for path in plan.rollbacks[owner]]


def check_fate(playing: Playing, task: TaskRun, *, cut: bool) -> None:
    run, plan = playing.run, playing.scenario.plan
    if task.status is TaskStatus.CANCELLED:
        assert cut, "cancelled, though its phase was not ended before its time"
        return
    policy = plan.tasks[task.path]
    predecessors = [told_ending(run.tasks[need], plan.tasks[need]) for need in policy.needs]
    answer = True if policy.condition is None else playing.scenario.answers[task.path]
    match oracle.fate(policy.join, predecessors, answer):
        case oracle.RUNS:
            assert task.attempt > 0 or total_time_is_over(task, policy)
            assert task.status in (TaskStatus.COMPLETED, TaskStatus.FAILED)
        case oracle.FAILURE:
            assert (task.status, task.attempt) == (TaskStatus.FAILED, 0)
            assert task.failure is not None
            assert task.failure.kind is FailureKind.EXPRESSION
        case oracle.SKIPPED_BY_IF:
            assert (task.status, task.skip) == (TaskStatus.SKIPPED, SkipReason.CONDITION)
        case oracle.SKIPPED_BY_JOIN:
            assert (task.status, task.skip) == (TaskStatus.SKIPPED, SkipReason.JOIN)


def told_ending(task: TaskRun, policy: TaskPlan) -> str:
    """The ending of a task in the oracle's words."""
    match task.status:
        case TaskStatus.COMPLETED:
            return oracle.SUCCESS
        case TaskStatus.FAILED:
            return oracle.SUCCESS if policy.allow_failure else oracle.FAILURE
        case TaskStatus.CANCELLED:
            return oracle.CANCELLED
        case _:
            return oracle.SKIPPED_BY_IF if task.skip is SkipReason.CONDITION else oracle.SKIPPED_BY_JOIN

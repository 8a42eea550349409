"""The finished run against the oracle: what came of each task, which phases ran, and how the run ended."""

from collections.abc import Sequence

from millrace.core.controls import (
    APPROVAL,
    SLEEP,
    TASKS,
    WAIT_FOR_EVENT,
    Condition,
    ForEach,
    Group,
    SignalRun,
    Switch,
    Wait,
    While,
    prefix_of,
)
from millrace.core.effects import Question
from millrace.core.events import ChildFinished, ChildRefused, ChildStarted, Decided, EventArrived, SignalReceived
from millrace.core.failures import FailureKind
from millrace.core.plan import Phase, TaskPlan
from millrace.core.run import SkipReason, TaskRun
from millrace.core.states import RunStatus, TaskStatus
from tests.model import oracle
from tests.model.answering import FAILS
from tests.model.playing import Playing, Step
from tests.model.rules import container_of
from tests.model.standing import total_time_is_over


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
            check_fate(playing, run.tasks[path])
    for path, task in run.tasks.items():
        if plan.task_at(path).parent is not None and path not in playing.scenario.adopted:
            check_fate(playing, task)


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


def check_fate(playing: Playing, task: TaskRun) -> None:
    plan = playing.scenario.plan
    policy = plan.task_at(task.path)
    if task.status is TaskStatus.CANCELLED:
        assert was_ended(playing, task), "cancelled, though nothing around it was ended before its time"
        assert task.path not in playing.out_of_time, "what its own limit ended has failed"
        return
    predecessors = told_endings(playing, prefix_of(task.path), policy.needs)
    goes_on = task.path in playing.scenario.ahead
    answer = True if policy.condition is None or goes_on else playing.scenario.answers.to(task.path, Question.IF)
    match oracle.fate(policy.join, predecessors, answer):
        case oracle.RUNS if policy.control is None:
            assert task.attempt > 0 or total_time_is_over(task, policy)
            assert task.status in (TaskStatus.COMPLETED, TaskStatus.FAILED)
        case oracle.RUNS:
            check_control(playing, task, policy)
        case oracle.FAILURE:
            assert (task.status, task.attempt) == (TaskStatus.FAILED, 0)
            assert task.failure is not None
            assert task.failure.kind is FailureKind.EXPRESSION
        case oracle.SKIPPED_BY_IF:
            assert (task.status, task.skip) == (TaskStatus.SKIPPED, SkipReason.CONDITION)
        case oracle.SKIPPED_BY_JOIN:
            assert (task.status, task.skip) == (TaskStatus.SKIPPED, SkipReason.JOIN)


def was_ended(playing: Playing, task: TaskRun) -> bool:
    """Whether its phase, or something that it stands in, was ended before its time."""
    plan = playing.scenario.plan
    own = plan.task_at(task.path)
    if playing.story.cut(own.phase) is not None or not playing.story.admitted:
        return True
    if own.parent is None:
        return False
    around = container_of(plan, task.path)
    return around in playing.out_of_time or was_ended(playing, playing.run.tasks[around])


# --- control tasks ----------------------------------------------------------------------------------------------------


def check_control(playing: Playing, task: TaskRun, own: TaskPlan) -> None:
    """A control task that has begun and was not cancelled."""
    if task.path in playing.out_of_time:
        assert task.status is TaskStatus.FAILED
        assert task.failure is not None
        assert task.failure.kind is FailureKind.TIMEOUT
        return
    expected = what_comes_of(playing, task, own)
    assert task.status is (TaskStatus.COMPLETED if expected == oracle.SUCCESS else TaskStatus.FAILED), task.path


def what_comes_of(playing: Playing, task: TaskRun, own: TaskPlan) -> str:
    answers, path = playing.scenario.answers, task.path
    if path in playing.scenario.ahead and isinstance(own.control, Condition | Switch | Wait):
        lost = isinstance(own.control, Wait) and answers.to(path, Question.DECIDED) is FAILS
        return oracle.FAILURE if lost else of_block(playing, task, own, playing.scenario.ahead[path].block)
    match own.control:
        case Group():
            return of_block(playing, task, own, TASKS)
        case Condition():
            return of_block(playing, task, own, oracle.branch(answers.to(path, Question.BRANCH)))
        case Switch(cases=cases):
            return of_block(playing, task, own, oracle.case(answers.to(path, Question.BRANCH), FAILS, cases))
        case ForEach():
            return of_foreach(playing, task, own, own.control)
        case While():
            return of_while(playing, task, own, own.control)
        case Wait():
            return of_wait(playing, task, own, own.control)
        case SignalRun():
            return oracle.FAILURE if answers.to(path, Question.SIGNAL) is FAILS else oracle.SUCCESS
        case None:
            raise AssertionError("a worker runs it")


def of_block(playing: Playing, task: TaskRun, own: TaskPlan, block: str | None) -> str:
    assert task.block == block, f"{task.path} entered {task.block}, not {block}"
    if block is None:
        return oracle.FAILURE
    return oracle.of_block(told_endings(playing, prefix_of(task.path), own.blocks[block]))


def of_iteration(playing: Playing, task: TaskRun, own: TaskPlan, index: int) -> str:
    return oracle.of_block(told_endings(playing, f"{task.path}[{index}].", own.blocks[TASKS]))


def of_foreach(playing: Playing, task: TaskRun, own: TaskPlan, loop: ForEach) -> str:
    answers, path = playing.scenario.answers, task.path
    size = answers.to(path, Question.ITEMS)
    if size is FAILS:
        return oracle.FAILURE
    assert isinstance(size, int)
    assert task.size == size
    begun = 0
    while begun < size and has_iteration(playing, task, own, begun):
        begun += 1
    outcomes = [of_iteration(playing, task, own, index) for index in range(begun)]
    results = answers.to(path, Question.RESULTS, begun)
    assert not any(made_by_run(playing, task, own, index) for index in range(begun, size))
    return oracle.foreach(size, outcomes, stops=loop.stop_on_failure, results=results, fails=FAILS)


def of_while(playing: Playing, task: TaskRun, own: TaskPlan, loop: While) -> str:
    answers, path = playing.scenario.answers, task.path
    known = playing.scenario.ahead[path].size or 0 if path in playing.scenario.ahead else 0
    begun, outcome = oracle.while_(
        loop.max_iterations,
        lambda number: number < known or answers.to(path, Question.AGAIN, number),
        lambda number: of_iteration(playing, task, own, number),
        lambda number: answers.to(path, Question.RESULTS, number),
        FAILS,
    )
    assert not any(made_by_run(playing, task, own, index) for index in range(begun, loop.max_iterations))
    return outcome


def has_iteration(playing: Playing, task: TaskRun, own: TaskPlan, index: int) -> bool:
    return all(f"{task.path}[{index}].{one}" in playing.run.tasks for one in own.blocks[TASKS])


def made_by_run(playing: Playing, task: TaskRun, own: TaskPlan, index: int) -> bool:
    """Whether there are tasks of an iteration that were not adopted."""
    paths = {f"{task.path}[{index}].{one}" for one in own.blocks[TASKS]}
    return bool(paths & set(playing.run.tasks) - playing.scenario.adopted)


# --- waits ------------------------------------------------------------------------------------------------------------


def of_wait(playing: Playing, task: TaskRun, own: TaskPlan, wait: Wait) -> str:
    step = playing.ways_out[task.path]
    way = answered(step) if step.asked is not None and step.asked.path == task.path else happened(step, own, wait)
    block = oracle.after_wait(way, own.blocks)
    return oracle.without_block(way) if block is None else of_block(playing, task, own, block)


def answered(step: Step) -> str:
    """How a wait ended by an answer to its task."""
    assert step.asked is not None
    path, what = step.asked.path, step.asked.what
    assert path is not None
    failed, value = step.event.failure is not None, step.event.value  # type: ignore[union-attr]
    match what:
        case Question.WAIT if not failed:
            over = step.event.terms.until is not None  # type: ignore[union-attr]
            return oracle.SUCCESS if over else oracle.CAME
        case Question.FILTER if value is True:
            return oracle.CAME
        case Question.CHILD if not failed:
            return oracle.SUCCESS
        case _:
            return oracle.FAILURE


def happened(step: Step, own: TaskPlan, wait: Wait) -> str:
    """How a wait ended by what came, or by its time."""
    before = step.before.tasks[step.event.path] if hasattr(step.event, "path") else None
    match step.event:
        case EventArrived() | SignalReceived():
            assert wait.kind == WAIT_FOR_EVENT, "it waits for no event"
            return oracle.CAME
        case Decided(approved=approved):
            assert wait.kind == APPROVAL, "it waits for no decision"
            return oracle.CAME if approved else oracle.DID_NOT_COME
        case ChildStarted():
            return oracle.SUCCESS
        case ChildFinished():
            assert before is not None
            return oracle.SUCCESS if before.awaits == "started" else oracle.FAILURE
        case ChildRefused():
            return oracle.FAILURE
    assert before is not None
    if wait.kind == SLEEP:
        assert before.available_at is not None
        assert before.ready_at is not None
        in_time = own.timeout is None or before.available_at <= before.ready_at + own.timeout
        return oracle.SUCCESS if in_time else oracle.DID_NOT_COME
    if wait.kind == APPROVAL and before.awaits == "approve":
        return oracle.CAME
    return oracle.DID_NOT_COME


# --- endings in the oracle's words ------------------------------------------------------------------------------------


def told_endings(playing: Playing, prefix: str, ids: Sequence[str]) -> list[str]:
    plan, run = playing.scenario.plan, playing.run
    return [told_ending(run.tasks[prefix + one], plan.tasks[one]) for one in ids]


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

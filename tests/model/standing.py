"""The rules of the engine, as assertions over a run at rest. Checked after every commit of every run."""

from millrace.core.controls import ForEach, While, id_in, iterations_around, prefix_of
from millrace.core.failures import FailureKind
from millrace.core.plan import Phase, TaskPlan
from millrace.core.run import TaskRun
from millrace.core.states import FINISHED_RUN, FINISHED_TASK, RunStatus, TaskStatus
from tests.model import oracle
from tests.model.playing import STOPPED_ON_REQUEST, Playing
from tests.model.rules import container_of

KINDS = {kind.value for kind in FailureKind} - {FailureKind.WORKER_STOPPED}


def check_run(playing: Playing) -> None:
    """After the commit: what holds of every run at rest."""
    run = playing.run
    assert (run.finished_at is not None) == (run.status in FINISHED_RUN)
    assert (run.started_at is not None) == playing.story.admitted
    assert len(playing.announced) == (run.status in FINISHED_RUN)
    for task in run.tasks.values():
        check_place(playing, task)
        check_task_run(playing, task)
        check_mover(playing, task)
    check_waiting(playing)
    check_concurrency(playing)


def check_place(playing: Playing, task: TaskRun) -> None:
    """Its path is one of the plan: it stands in the iterations of the loops that its task stands in."""
    own = playing.scenario.plan.task_at(task.path)
    around = list(iterations_around(task.path))
    assert [id_in(loop) for loop, _ in around] == list(own.loops)
    if task.path in playing.scenario.adopted:
        return
    for loop, index in around:
        control, size = playing.scenario.plan.task_at(loop).control, playing.run.tasks[loop].size
        assert isinstance(control, ForEach | While)
        most = control.max_iterations if isinstance(control, While) else size
        assert most is not None
        assert 0 <= index < most


def check_task_run(playing: Playing, task: TaskRun) -> None:
    run, ended, policy = playing.run, playing.ended[task.path], playing.scenario.plan.task_at(task.path)
    assert (task.finished_at is not None) == (task.status in FINISHED_TASK)
    if run.status in FINISHED_RUN:
        assert task.status in FINISHED_TASK, "an unfinished task in a finished run"
    assert task.crashes == ended.count("lost")
    assert task.failures == sum(how in KINDS for how in ended)
    assert task.attempt == len(ended) + task.live, "each attempt ends exactly once, and one at most is live"
    if task.path in playing.scenario.adopted:
        assert (task.status, task.attempt) == (TaskStatus.COMPLETED, 0)
    elif policy.control is not None:
        assert task.attempt == 0, "no worker runs a control task"
    elif task.live:
        assert task.status in (TaskStatus.READY, TaskStatus.CANCELLING)
        assert not ended or not oracle.gives_up(policy.retry, ended), "an attempt that the policy forbids"
    elif task.status is TaskStatus.COMPLETED:
        assert ended[-1] == "completed"
    elif task.status is TaskStatus.FAILED and ended and ended[-1] != STOPPED_ON_REQUEST:
        assert oracle.gives_up(policy.retry, ended) or total_time_is_over(task, policy), "given up too early"


def total_time_is_over(task: TaskRun, policy: TaskPlan) -> bool:
    assert task.failure is not None
    return policy.total_timeout is not None and "no attempt fits into the total limit" in task.failure.message


# --- what will happen -------------------------------------------------------------------------------------------------


def check_mover(playing: Playing, task: TaskRun) -> None:
    """Something will happen to every task that is not over, in a run that has begun, is not over and is not paused.

    If it holds for each of them it holds for the run: a chain of these reasons ends at an attempt, at a fact under way,
    at a timer or at somebody outside. A run that only its time limit moves would be stuck.
    """
    run, plan = playing.run, playing.scenario.plan
    own = plan.task_at(task.path)
    if not playing.story.admitted or task.status in FINISHED_TASK or own.phase is not run.phase:
        return
    match task.status:
        case TaskStatus.PENDING:
            needs = [run.tasks[prefix_of(task.path) + need] for need in own.needs]
            its_turn_comes = own.phase is Phase.ROLLBACK and own.parent is None
            assert its_turn_comes or any(need.status not in FINISHED_TASK for need in needs), f"{task} waits for nobody"
        case TaskStatus.READY:
            assert task.live or run.status is RunStatus.PAUSED, f"nothing will give {task.path} an attempt"
        case TaskStatus.WAITING:
            assert task.path in playing.parked
        case TaskStatus.RUNNING:
            assert holds_unfinished(playing, task), f"nothing in {task.path} goes on"
        case TaskStatus.CANCELLING:
            child = playing.children.get(task.path)
            awaited = child is not None and child.asked_to_cancel
            assert task.live or awaited or holds_unfinished(playing, task), f"nothing ends {task.path}"


def holds_unfinished(playing: Playing, around: TaskRun) -> bool:
    plan = playing.scenario.plan
    return any(
        task.status not in FINISHED_TASK
        for task in playing.run.tasks.values()
        if plan.task_at(task.path).parent == id_in(around.path) and container_of(plan, task.path) == around.path
    )


def check_waiting(playing: Playing) -> None:
    """Who waits is known to the store and nobody else is; the run waits if nothing is done in it meanwhile."""
    run = playing.run
    waiting = {path for path, task in run.tasks.items() if task.status is TaskStatus.WAITING}
    being_done = [task for task in run.tasks.values() if task.status in (TaskStatus.READY, TaskStatus.CANCELLING)]
    ending = {path for path in playing.parked - waiting if run.tasks[path].status is TaskStatus.CANCELLING}
    assert waiting <= playing.parked, "a task waits that nobody will find"
    assert playing.parked - waiting == ending, "the store would find a task that does not wait"
    assert all(playing.children[path].asked_to_cancel for path in ending)
    assert all(run.tasks[path].status not in FINISHED_TASK for path in playing.alarms), "a timer of what is over"
    if run.status in (RunStatus.RUNNING, RunStatus.WAITING):
        assert (run.status is RunStatus.WAITING) == bool(waiting and not being_done)


def check_concurrency(playing: Playing) -> None:
    """No foreach runs more iterations at the same time than it may, and no while more than one."""
    plan, run = playing.scenario.plan, playing.run
    for path, loop in run.tasks.items():
        control = plan.task_at(path).control
        if not isinstance(control, ForEach | While) or loop.status in FINISHED_TASK:
            continue
        open_iterations = {
            prefix_of(task.path)
            for task in run.tasks.values()
            if task.status not in FINISHED_TASK
            if plan.task_at(task.path).parent == id_in(path) and container_of(plan, task.path) == path
        }
        assert len(open_iterations) <= (control.concurrency if isinstance(control, ForEach) else 1)

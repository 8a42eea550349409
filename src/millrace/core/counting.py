"""Where runs begin and come back: what of a run's state follows from its task runs and the plan, counted from scratch.

A fold keeps these counts up, each change at its own cost; the two must agree after every step (a model test says so).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from millrace.core.controls import TASKS, ForEach, While, iteration_of, loop_and_index, prefix_of
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.readiness import NO_PREDECESSORS, Ending, Tally
from millrace.core.run import NOTHING_AHEAD, Ahead, Rounds, RunState, TaskRun, ending_of, following, undo_order
from millrace.core.states import FINISHED_RUN, FINISHED_TASK, RunStatus, TaskStatus
from millrace.core.table import Table
from millrace.core.values import Instant

PLAINLY_COMPLETED: Mapping[str, TaskRun] = {}

BUSY = frozenset({TaskStatus.READY, TaskStatus.CANCELLING})


def created(
    plan: Plan,
    run_id: str,
    *,
    adopted: Collection[str] = (),
    endings: Mapping[str, TaskRun] = PLAINLY_COMPLETED,
    ahead: Mapping[str, Ahead] = NOTHING_AHEAD,
    now: Instant = 0,
) -> RunState:
    """A run that was accepted and waits for its admission.

    `adopted` are tasks of the main part that an earlier run has done with: they count as completed `now`, or as ended
    as `endings` says: failed, where their plan allows that. Among them may be tasks within others, whether what is
    around them is adopted or is `ahead`: goes on where the earlier run left it.
    """
    if not adopted:
        return replace(_blank(plan), id=run_id, ahead=ahead)
    top = [path for paths in plan.phases.values() for path in paths]
    done = {path: _adopted(path, endings.get(path), now) for path in adopted}
    tasks = {path: TaskRun(path) for path in top} | done
    return restored(plan, RunState(run_id, RunStatus.PENDING, Phase.MAIN, Table({}), ahead=ahead), tasks.values())


def _adopted(path: str, ended: TaskRun | None, now: Instant) -> TaskRun:
    return replace(ended or TaskRun(path, TaskStatus.COMPLETED), finished_at=now)


@lru_cache(maxsize=256)
def _blank(plan: Plan) -> RunState:
    """What all new runs of a plan have in common; shared, since tables never change."""
    listed = (path for path, task in plan.tasks.items() if task.parent is None)
    return restored(plan, RunState("", RunStatus.PENDING, Phase.MAIN, Table({})), map(TaskRun, listed))


def restored(plan: Plan, header: RunState, tasks: Iterable[TaskRun]) -> RunState:
    """`header` with `tasks` and with what follows from them."""
    table = {task.path: task for task in tasks}
    undo = following(undo_order(plan, table.__getitem__)) if header.phase is Phase.ROLLBACK else {}
    counts = _Counts()
    for task in table.values():
        counts.add(plan, task)
    over = header.status in FINISHED_RUN
    return replace(
        header,
        tasks=Table(table),
        tallies=Table({} if over else {path: _tally(plan, table, path) for path in counts.pending}),
        unfinished=sum(table[path].status not in FINISHED_TASK for path in plan.tasks_of(header.phase)),
        scopes=Table(dict(counts.open)),
        rounds=Table(counts.rounds(plan)),
        busy=counts.busy,
        waits=counts.waits,
        undo=undo,
    )


def container_of(plan: Plan, path: str) -> str | None:
    """The path of the control task around a task, if it stands in one."""
    own = plan.task_at(path)
    if own.parent is None:
        return None
    scope = scope_of(plan, own, path)
    return loop_and_index(scope)[0] if is_loop(plan, own.parent) else scope


def is_loop(plan: Plan, task_id: str) -> bool:
    return isinstance(plan.tasks[task_id].control, ForEach | While)


def _tally(plan: Plan, table: Mapping[str, TaskRun], path: str) -> Tally:
    task = plan.task_at(path)
    if not task.needs:
        return NO_PREDECESSORS
    prefix = prefix_of(path)
    return Tally.of(
        ending_of(table[prefix + need], allow_failure=plan.tasks[need].allow_failure) for need in task.needs
    )


@dataclass(slots=True)
class _Counts:
    """What is counted in one pass over the task runs of a run."""

    pending: list[str] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    failed: set[str] = field(default_factory=set)
    """Iterations in which a task failed."""
    loops: list[TaskRun] = field(default_factory=list)
    """Those that run."""
    iterations: defaultdict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Of each loop, those of which there are tasks: all that have begun, and some that were adopted."""
    made: Counter[str] = field(default_factory=Counter)
    """How many tasks there are of an iteration."""
    busy: int = 0
    waits: int = 0

    def add(self, plan: Plan, task: TaskRun) -> None:
        status, own = task.status, plan.task_at(task.path)
        if status is TaskStatus.PENDING:
            self.pending.append(task.path)
        self.busy += status in BUSY
        self.waits += status is TaskStatus.WAITING
        if isinstance(own.control, ForEach | While) and status in (TaskStatus.RUNNING, TaskStatus.CANCELLING):
            self.loops.append(task)
        if own.parent is not None:
            self._add_to_scope(plan, own, task)

    def _add_to_scope(self, plan: Plan, own: TaskPlan, task: TaskRun) -> None:
        assert own.parent is not None, "only tasks within others have a scope"  # noqa: S101
        scope = scope_of(plan, own, task.path)
        self.open[scope] += task.status not in FINISHED_TASK
        if is_loop(plan, own.parent):
            loop, index = loop_and_index(scope)
            self.iterations[loop][index] = scope
            self.made[scope] += 1
            if ending_of(task, allow_failure=own.allow_failure) is Ending.FAILED:
                self.failed.add(scope)

    def rounds(self, plan: Plan) -> dict[str, Rounds]:
        return {loop.path: self._rounds_of(plan.task_at(loop.path), loop) for loop in self.loops}

    def _rounds_of(self, own: TaskPlan, loop: TaskRun) -> Rounds:
        """How far a loop has come.

        Iterations begin in their order, each with all its tasks at once; where the first of them is missing, there may
        be tasks of later ones that were adopted. A while has begun none after one that is open.
        """
        size, scopes, begun = len(own.blocks[TASKS]), self.iterations[loop.path], 0
        while begun != loop.size and begun in scopes and self.made[scopes[begun]] == size:
            begun += 1
            if isinstance(own.control, While) and self.open[scopes[begun - 1]]:
                break
        still_open = [self.open[scopes[index]] > 0 for index in range(begun)]
        failed = sum(scopes[index] in self.failed for index in range(begun) if not still_open[index])
        return Rounds(begun, sum(still_open), failed)


def scope_of(plan: Plan, task: TaskPlan, path: str) -> str:
    """What a task within another counts for: the iteration it stands in, or else the path of the task around it."""
    assert task.parent is not None, "a task of a list of the definition counts for its phase"  # noqa: S101
    if is_loop(plan, task.parent):
        return iteration_of(path)
    return prefix_of(path) + task.parent

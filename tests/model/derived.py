"""What follows from the task runs of a run and its plan: kept up by folds or counted from scratch, it is the same.

Compared is what still matters. Nobody asks for the tally of a task that has been decided, nor for what is open in a
block that is over.
"""

from dataclasses import replace

from millrace.core.controls import ForEach, While
from millrace.core.counting import restored
from millrace.core.plan import Plan
from millrace.core.run import RunState, TaskRun
from millrace.core.states import FINISHED_RUN, TaskStatus
from millrace.core.table import Table


def loaded(plan: Plan, run: RunState) -> RunState:
    """The run as it comes back from a store that keeps its task runs and its header."""
    header = replace(
        run,
        tasks=Table({}),
        tallies=Table({}),
        scopes=Table({}),
        rounds=Table({}),
        unfinished=0,
        busy=0,
        waits=0,
        undo={},
    )
    return restored(plan, header, run.tasks.values())


def check_counts(plan: Plan, folded: RunState) -> None:
    counted = loaded(plan, folded)
    for name in ("unfinished", "busy", "waits"):
        assert getattr(counted, name) == getattr(folded, name), f"{name}: {counted} is not {folded}"
    assert folded.status in FINISHED_RUN or counted.undo == folded.undo
    for path, task in folded.tasks.items():
        if task.status is TaskStatus.PENDING:
            assert counted.tallies[path] == folded.tallies[path], path
        elif task.status in (TaskStatus.RUNNING, TaskStatus.CANCELLING) and holds(plan, task):
            check_what_is_open(plan, task, counted, folded)


def holds(plan: Plan, task: TaskRun) -> bool:
    """Whether tasks within this one run: it has entered a block, or is a loop."""
    return task.block is not None or isinstance(plan.task_at(task.path).control, ForEach | While)


def check_what_is_open(plan: Plan, task: TaskRun, counted: RunState, folded: RunState) -> None:
    if not isinstance(plan.task_at(task.path).control, ForEach | While):
        assert counted.scopes[task.path] == folded.scopes[task.path], task.path
        return
    rounds = folded.rounds[task.path]
    assert counted.rounds[task.path] == rounds, task.path
    iterations = [f"{task.path}[{index}]" for index in range(rounds.begun)]
    still_open = [iteration for iteration in iterations if counted.scopes[iteration]]
    assert len(still_open) == rounds.open, task.path
    assert all(counted.scopes[iteration] == folded.scopes[iteration] for iteration in still_open)

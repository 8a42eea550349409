"""A page of the task runs of a run: paths in their order, looked up until the page is full.

A page looks at a bounded number of paths, as lists of runs do at rows: where they end, the page ends too, and the next
one goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.runs.repository import RunHead
from millrace.app.runs.tasks import repository
from millrace.app.runs.tasks.order import Inside, TaskOrder, place_of
from millrace.core.controls import TASKS, ForEach, id_in, iteration_of, loop_and_index
from millrace.core.counting import is_loop
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.plan import Plan

AT_ONCE = 500
"""Paths looked up by one statement."""
AT_MOST = 20 * AT_ONCE
"""Paths looked at for a page."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list of task runs may be narrowed to."""

    within: str | None = None
    """The path of a control task, or of an iteration of a loop."""
    status: Sequence[str] = ()
    into_loops: bool = True
    """Without it a loop stands for all that is in it, and how many of its iterations have begun is told."""


@dataclass(frozen=True, slots=True)
class TaskRows:
    rows: Sequence[RowMapping] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What those loops took whose items have keys, as it is stored."""
    begun: Mapping[str, int] = field(default_factory=dict)
    """How many iterations have begun of those loops that nothing in them is shown of."""
    next: str | None = None
    """The next page goes on behind this path; `None` when there is nothing left to look at."""


class TaskReader:
    """Reads the task runs of one run, in one snapshot."""

    def __init__(self, connection: Connection, plan: Plan, run: RunHead) -> None:
        self._connection = connection
        self._plan = plan
        self._run = run

    def page(self, narrow: TaskFilter, *, after: str | None, limit: int) -> TaskRows:
        """Raises `InvalidRequest` for `within` an iteration that there is not."""
        if narrow.within is not None and after is None:
            self._refuse_absent(narrow.within)
        order = TaskOrder(self._plan, self._look, into_loops=narrow.into_loops)
        paths = order.paths(within=narrow.within, after=after)
        rows: list[RowMapping] = []
        looked_at = 0
        while looked_at < AT_MOST:
            # Nearly all exist: the first look takes what the page needs, and one more to see whether there is a next.
            some = list(islice(paths, AT_ONCE if rows or looked_at else min(limit + 1, AT_ONCE)))
            found = repository.task_runs_of(self._connection, self._run.id, some, narrow.status)
            rows += [found[path] for path in some if path in found]
            if len(rows) > limit:
                return self._shown(rows[:limit], rows[limit - 1]["path"], narrow)
            if not some:
                return self._shown(rows, None, narrow)
            looked_at += len(some)
        return self._shown(rows, some[-1], narrow)

    def _refuse_absent(self, within: str) -> None:
        iteration = within if within.endswith("]") else iteration_of(within)
        while iteration:
            loop, index = loop_and_index(iteration)
            begun = self._look(loop).iterations
            if index >= begun:
                raise _no_iteration(iteration, loop, begun)
            iteration = iteration_of(loop)

    def one(self, path: str) -> TaskRows:
        row = repository.find_task_run(self._connection, self._run.id, path)
        return TaskRows() if row is None else self._shown([row], None, TaskFilter())

    def _shown(self, rows: Sequence[RowMapping], following: str | None, narrow: TaskFilter) -> TaskRows:
        loops = {loop for row in rows if (loop := place_of(self._plan, row["path"])[1]) is not None}
        keyed = [loop for loop in loops if has_keys(self._plan, loop)]
        inputs = repository.inputs_of(self._connection, self._run.id, keyed) if keyed else {}
        closed = [] if narrow.into_loops else [row["path"] for row in rows if is_loop(self._plan, id_in(row["path"]))]
        return TaskRows(rows, inputs, {loop: self._look(loop).iterations for loop in closed}, following)

    def _look(self, path: str) -> Inside:
        inside = repository.look_inside(self._connection, self._run.id, path)
        own = self._plan.task_at(path)
        if not is_loop(self._plan, own.id):
            return inside
        # In a run that repeats another there are task runs of iterations that have not begun.
        if isinstance(own.control, ForEach) and self._run.retry_of is not None:
            return inside
        return Inside(inside.block, self._begun(path, own.blocks[TASKS][0]))

    def _begun(self, loop: str, first: str) -> int:
        """How many iterations have begun: one after the other, each with its first task. Found by doubling, halving."""

        def has(index: int) -> bool:
            return repository.is_there(self._connection, self._run.id, f"{loop}[{index}].{first}")

        if not has(0):
            return 0
        least, most = 0, 1
        while has(most):
            least, most = most, 2 * most
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if has(middle) else (least, middle)
        return most


def _no_iteration(iteration: str, loop: str, begun: int) -> InvalidRequest:
    if begun == 0:
        message, remedy = f"no iteration of {loop!r} has begun", "look at the loop itself, or again later"
    elif begun == 1:
        message, remedy = f"{iteration!r} is not there: of {loop!r} 1 iteration has begun", f"write {loop}[0]"
    else:
        message = f"{iteration!r} is not there: of {loop!r} {begun:,} iterations have begun"
        remedy = f"write one from {loop}[0] to {loop}[{begun - 1}]"
    fault = Fault("query.within", "unknown_task", message, remedy)
    return InvalidRequest("unknown_task", "there is no such iteration in the run", faults=[fault])


def has_keys(plan: Plan, loop: str) -> bool:
    control = plan.task_at(loop).control
    return isinstance(control, ForEach) and control.key is not None

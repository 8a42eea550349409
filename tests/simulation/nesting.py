"""What must hold of control tasks after every single write, asked of the rows alone.

Who waits has a row that says for what, and nobody else has; a task stands in a block that its control task has entered;
loops begin their iterations in order, and no more at a time than they may; the run of a sub-workflow ends before the
task that waits for it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.core.controls import TASKS, ForEach, Group, While, iteration_of, loop_and_index, prefix_of
from millrace.core.plan import Plan, TaskPlan

if TYPE_CHECKING:
    from tests.simulation.world import World

MOVERLESS = """
select id, status from runs r where finished_at is null and started_at is not null and status <> 'paused'
  and not exists (select 1 from attempts a where a.run_id = r.id and a.finished_at is null)
  and not exists (select 1 from waits w where w.run_id = r.id and w.kind is not null)
  and not exists (select 1 from inbox i where i.run_id = r.id)"""
"""Stricter than the doctor: that a time limit will end it is no way for a run to go on."""
WAITING_WITHOUT_ROW = """
select t.run_id, t.path from task_runs t where t.status = 'waiting'
  and not exists (select 1 from waits w where w.run_id = t.run_id and w.path = t.path and w.kind is not null)"""
ROW_WITHOUT_WAITING = """
select w.run_id, w.path || ' ' || coalesce(t.status, 'missing') from waits w
left join task_runs t on t.run_id = w.run_id and t.path = w.path
where case when t.status is null then 1
  when w.kind is null then w.fire_at is null or t.status not in ('running', 'cancelling')
  when w.kind = 'child' then t.status not in ('waiting', 'cancelling') or t.child_run_id is not w.child_run_id
  else t.status <> 'waiting' end"""
ROUTE_WITHOUT_WAIT = """
select o.run_id, o.path from wait_routes o
where not exists (select 1 from waits w where w.run_id = o.run_id and w.path = o.path and w.kind = 'event')"""
UNFOUND_EVENT = """
select w.run_id, w.path from waits w
where w.kind = 'event' and not exists (select 1 from wait_routes o where o.run_id = w.run_id and o.path = w.path)"""
TWO_CHILDREN = """
select parent_run_id, parent_path from runs where parent_path is not null
group by parent_run_id, parent_path having count(*) > 1"""
STRANGE_CHILD = """
select c.id, c.parent_path from runs c
left join task_runs t on t.run_id = c.parent_run_id and t.path = c.parent_path
where c.parent_path is not null and t.child_run_id is not c.id"""
CHILD_OUTLIVES_TASK = """
select t.run_id, t.path || ' ' || t.status || ' ' || c.id from runs c
join task_runs t on t.run_id = c.parent_run_id and t.path = c.parent_path
where c.finished_at is null and t.finished_at is not null"""
SPARED_CHILD = """
select t.run_id, t.path from runs c
join task_runs t on t.run_id = c.parent_run_id and t.path = c.parent_path
where t.status = 'cancelling' and c.finished_at is null and c.status <> 'cancelling'
  and not exists (select 1 from inbox i where i.run_id = c.id and i.kind = 'cancel')"""
QUESTIONS = {
    MOVERLESS: "is in no one's hands",
    WAITING_WITHOUT_ROW: "waits, and no row says for what",
    ROW_WITHOUT_WAITING: "has a row of who waits, and does not",
    ROUTE_WITHOUT_WAIT: "can be found by events, and waits for none",
    UNFOUND_EVENT: "waits for an event, and no event finds it",
    TWO_CHILDREN: "has two runs",
    STRANGE_CHILD: "was started for a task that does not know it",
    CHILD_OUTLIVES_TASK: "has ended, and its run has not",
    SPARED_CHILD: "is being ended, and its run is not asked to end",
}

NESTED = """
select t.run_id, t.path, t.status, t.finished_at is not null, t.block, t.size, t.adopted_from is not null
from task_runs t join runs r on r.id = t.run_id where r.version_id in (select value from json_each(?))
order by t.run_id, t.path"""


@dataclass(frozen=True, slots=True)
class Row:
    path: str
    status: str
    finished: bool
    block: str | None
    size: int | None
    adopted: bool


class NestingChecks:
    def __init__(self, raw: sqlite3.Connection, world: "World") -> None:
        self._raw = raw
        self._world = world

    def faults(self) -> Iterator[str]:
        for question, what in QUESTIONS.items():
            for run_id, detail in self._raw.execute(question):
                yield f"{run_id} {detail} {what}"
        runs: dict[str, dict[str, Row]] = defaultdict(dict)
        for run_id, *row in self._raw.execute(NESTED, (self._world.nested_versions,)):
            runs[run_id][row[0]] = Row(*row)
        for run_id, rows in runs.items():
            for fault in _RunOfRows(self._world.plan_of(run_id), rows).faults():
                yield f"{fault} in run {run_id}"


class _RunOfRows:
    """The task runs of one run, held against its plan."""

    def __init__(self, plan: Plan, rows: dict[str, Row]) -> None:
        self._plan = plan
        self._rows = rows

    def faults(self) -> Iterator[str]:
        blocks: dict[str, list[Row]] = defaultdict(list)
        for row in self._rows.values():
            own = self._plan.task_at(row.path)
            if own.parent is not None:
                blocks[self._container(own, row.path)].append(row)
        for path, inner in blocks.items():
            yield from self._faults_of_block(path, inner)
        for row in self._rows.values():
            own = self._plan.task_at(row.path)
            if own.control is not None and row.status == "running":
                yield from self._faults_of_running(row, own, blocks.get(row.path, ()))

    def _container(self, own: TaskPlan, path: str) -> str:
        assert own.parent is not None
        if isinstance(self._plan.tasks[own.parent].control, ForEach | While):
            return loop_and_index(iteration_of(path))[0]
        return prefix_of(path) + own.parent

    def _faults_of_block(self, path: str, inner: Sequence[Row]) -> Iterator[str]:
        around = self._rows.get(path)
        if around is None or around.block is None:
            # What a run takes over is there from its start.
            made = [row.path for row in inner if not row.adopted]
            if made:
                yield f"{made} are there, and {path} has entered no block"
            return
        own = self._plan.task_at(path)
        ids = own.blocks[around.block]
        strangers = [row.path for row in inner if row.path.rpartition(".")[2] not in ids]
        if strangers:
            yield f"{strangers} are there, and {path} has entered {around.block}"
        open_ = [row for row in inner if not row.finished]
        if around.finished and open_:
            yield f"{path} is {around.status}, and {open_[0].path} is {open_[0].status}"
        if isinstance(own.control, ForEach | While):
            yield from self._faults_of_loop(around, own.control, ids, inner)
        elif not around.adopted and len(inner) != len(ids):
            yield f"{len(inner)} of the {len(ids)} tasks in {path} are there"

    def _faults_of_loop(
        self, loop: Row, control: ForEach | While, ids: Sequence[str], inner: Sequence[Row]
    ) -> Iterator[str]:
        iterations: dict[int, list[Row]] = defaultdict(list)
        for row in inner:
            iterations[loop_and_index(iteration_of(row.path))[1]].append(row)
        # Of those that have not begun there is what was taken over, and nothing else.
        latest = max((index for index, rows in iterations.items() if not all(row.adopted for row in rows)), default=-1)
        if any(len(iterations[index]) != len(ids) for index in range(latest + 1)):
            yield f"an iteration of {loop.path} has not all its tasks, or was passed over"
        at_work = sum(any(not row.finished for row in rows) for rows in iterations.values())
        most = control.concurrency if isinstance(control, ForEach) else 1
        if at_work > most:
            yield f"{at_work} iterations of {loop.path} are at work, and {most} may be"
        begun = loop.size if isinstance(control, ForEach) else control.max_iterations
        if begun is None or max(iterations) >= begun:
            yield f"iteration {max(iterations)} of {loop.path} is there, and {begun} may be"

    def _faults_of_running(self, row: Row, own: TaskPlan, inner: Sequence[Row]) -> Iterator[str]:
        if row.block is None:
            yield f"{row.path} is running, and has entered no block"
        elif all(one.finished for one in inner):
            yield f"{row.path} is running, and nothing in it is"
        elif isinstance(own.control, Group) and row.block != TASKS:
            yield f"{row.path} has entered {row.block}"

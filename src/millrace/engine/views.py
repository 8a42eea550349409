"""What expressions see of a run: the `Scope` of a cell, built lazily so that a large run costs what is read of it.

A name in `tasks` is the id of a task. Within loops it means the task run of the same iteration; a task in a loop has no
meaning outside of it. Of a loop around the reader `item` and `index` can be read, of a wait around it its output.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from millrace.core.controls import ForEach, While, id_in, iterations_around
from millrace.core.draft import Draft
from millrace.core.failures import Failure
from millrace.core.plan import Plan, TaskPlan
from millrace.core.run import TaskRun
from millrace.core.states import FINISHED_TASK, RunStatus, TaskStatus
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso
from millrace.engine.cell import Cell
from millrace.ports.evaluator import Scope
from millrace.ports.payloads import LostPayload

HAVE_OUTPUT = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Payloads:
    """What task runs of a run took and answered, by path."""

    inputs: Mapping[str, JsonValue]
    """Of loops alone: `items`, and `keys` if they have any."""
    outputs: Mapping[str, JsonValue]


class SeenTasks(Protocol):
    """The task runs of a run, by path."""

    def __getitem__(self, path: str, /) -> TaskRun: ...

    def __contains__(self, path: object, /) -> bool: ...


class SeenRun(Protocol):
    """What expressions may see of a run: as it was last committed, or as far as it has been folded."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> RunStatus: ...

    @property
    def started_at(self) -> Instant | None: ...

    @property
    def failure(self) -> Failure | None: ...

    @property
    def tasks(self) -> SeenTasks: ...


class Folding:
    """A run while it is folded, seen without a copy: a fold may ask thousands of questions. Meets both of these."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @property
    def id(self) -> str:
        return self._draft.run_id

    @property
    def status(self) -> RunStatus:
        return self._draft.status

    @property
    def started_at(self) -> Instant | None:
        return self._draft.started_at

    @property
    def failure(self) -> Failure | None:
        return self._draft.failure

    @property
    def tasks(self) -> "Folding":
        return self

    def __getitem__(self, path: str, /) -> TaskRun:
        return self._draft.task(path)

    def __contains__(self, path: object, /) -> bool:
        return isinstance(path, str) and self._draft.has(path)


class VisibleTasks(Mapping[str, JsonObject]):
    """`tasks` of an expression at one place: finished tasks, each as `{status, output}` or `{status, error}`."""

    def __init__(self, plan: Plan, run: SeenRun, payloads: Payloads, place: str) -> None:
        """`place`: the path of the task that reads, or of any in the same iteration."""
        self._plan = plan
        self._run = run
        self._payloads = payloads
        self._place = place

    def __getitem__(self, task_id: str) -> JsonObject:
        own = self._plan.tasks[task_id]
        path = path_from(self._place, own)
        if path is None or path not in self._run.tasks:
            raise KeyError(task_id)
        task = self._run.tasks[path]
        view: JsonObject = {"status": task.status.value}
        if task.status not in FINISHED_TASK:
            if not (self._place and _stands_in(self._plan, id_in(self._place), task_id)):
                raise KeyError(task_id)
            view.update(self._around(own, path))
        if task.status in HAVE_OUTPUT or path in self._payloads.outputs:
            view.update(self._output(path, task.status))
        if task.failure is not None:
            view["error"] = task.failure.to_json()
        return view

    def __iter__(self) -> Iterator[str]:
        return (task_id for task_id in self._plan.tasks if task_id in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, task_id: object) -> bool:
        try:
            return isinstance(task_id, str) and self[task_id] is not None
        except KeyError:
            return False

    def _output(self, path: str, status: TaskStatus) -> JsonObject:
        output = self._payloads.outputs.get(path)
        if isinstance(output, LostPayload):
            output.fail()
        return {} if output is None and status is not TaskStatus.COMPLETED else {"output": output}

    def _around(self, own: TaskPlan, path: str) -> JsonObject:
        if not isinstance(own.control, ForEach | While):
            return {}
        depth = len(own.loops)
        loop, index = list(iterations_around(self._place))[depth]
        return loop_names(own, loop, index, self._payloads)


def path_from(place: str, own: TaskPlan) -> str | None:
    """The path of a task as seen from another place; `None` where it stands in a loop that the place does not."""
    if not own.loops:
        return own.id
    iterations = list(iterations_around(place))
    depth = len(own.loops)
    if [id_in(loop) for loop, _ in iterations[:depth]] != list(own.loops):
        return None
    loop, index = iterations[depth - 1]
    return f"{loop}[{index}].{own.id}"


def _stands_in(plan: Plan, task_id: str, container: str) -> bool:
    parent: str | None = task_id
    while parent is not None and parent != container:
        own = plan.tasks.get(parent)
        parent = None if own is None else own.parent
    return parent is not None and task_id != container


def loop_names(own: TaskPlan, path: str, index: int, payloads: Payloads) -> JsonObject:
    """What the names that a loop binds stand for in one of its iterations."""
    if isinstance(own.control, ForEach | While) and own.control.names is not None:
        return own.control.names
    if isinstance(own.control, While):
        before = payloads.outputs.get(path)
        return {"index": index, "previous": before.get("result") if isinstance(before, dict) else None}
    given = payloads.inputs.get(path)
    if isinstance(given, LostPayload):
        given.fail()
    items = given.get("items") if isinstance(given, dict) else None
    item = items[index] if isinstance(items, list) and 0 <= index < len(items) else None
    return {"item": item, "index": index}


def scope_of(cell: Cell, run: SeenRun, payloads: Payloads, place: str = "") -> Scope:
    """The names for expressions of `run`: the committed state of the cell, or a fold that is under way.

    `place` is the path of the task that reads; of the run's own expressions it is empty.
    """
    new, plan = cell.new, cell.plan
    assert new is not None, "a cell is loaded before its expressions are evaluated"  # noqa: S101
    assert plan is not None, "a cell is loaded before its expressions are evaluated"  # noqa: S101
    about: JsonObject = {
        "id": run.id,
        "status": run.status.value,
        "workflow": {"id": new.workflow_id, "name": cell.workflow_name, "version": cell.version_number},
        "correlation_id": new.correlation_id,
        "created_at": to_iso(new.created_at),
        "started_at": None if run.started_at is None else to_iso(run.started_at),
        "error": None if run.failure is None else run.failure.to_json(),
    }
    names: JsonObject = {}
    for loop, index in iterations_around(place):
        names = loop_names(plan.task_at(loop), loop, index, payloads)
    return Scope(
        input=new.input,
        variables=new.variables,
        tasks=VisibleTasks(plan, run, payloads, place),
        run=about,
        trigger=new.trigger,
        locals=names,
    )

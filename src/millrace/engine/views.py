"""What expressions see of a run: the `Scope` of a cell, built lazily so that a large run costs what is read of it."""

from collections.abc import Iterator, Mapping

from millrace.core.run import RunState, TaskRun
from millrace.core.states import FINISHED_TASK, TaskStatus
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.engine.cell import Cell
from millrace.ports.evaluator import Scope
from millrace.ports.payloads import LostPayload


class FinishedTasks(Mapping[str, JsonObject]):
    """`tasks` of an expression: the finished tasks only, each as `{status, output}` or `{status, error}`."""

    def __init__(self, tasks: Mapping[str, TaskRun], outputs: Mapping[str, JsonValue]) -> None:
        self._tasks = tasks
        self._outputs = outputs

    def __getitem__(self, path: str) -> JsonObject:
        task = self._tasks[path]
        if task.status not in FINISHED_TASK:
            raise KeyError(path)
        view: JsonObject = {"status": task.status.value}
        if task.status is TaskStatus.COMPLETED:
            output = self._outputs.get(path)
            if isinstance(output, LostPayload):
                output.fail()
            view["output"] = output
        if task.failure is not None:
            view["error"] = task.failure.to_json()
        return view

    def __iter__(self) -> Iterator[str]:
        return (path for path, task in self._tasks.items() if task.status in FINISHED_TASK)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scope_of(cell: Cell, run: RunState, outputs: Mapping[str, JsonValue]) -> Scope:
    """The names for expressions of `run`: the committed state of the cell, or a fold that is under way."""
    new = cell.new
    assert new is not None, "a cell is loaded before its expressions are evaluated"  # noqa: S101
    about: JsonObject = {
        "id": run.id,
        "status": run.status.value,
        "workflow": {"id": new.workflow_id, "name": cell.workflow_name, "version": cell.version_number},
        "correlation_id": new.correlation_id,
        "created_at": to_iso(new.created_at),
        "started_at": None if run.started_at is None else to_iso(run.started_at),
        "error": None if run.failure is None else run.failure.to_json(),
    }
    return Scope(
        input=new.input,
        variables=new.variables,
        tasks=FinishedTasks(run.tasks, outputs),
        run=about,
        trigger=new.trigger,
    )

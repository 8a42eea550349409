"""How the failures of tasks become the failure of what they stand in: a block, a loop, a phase of the run."""

from collections.abc import Sequence

from millrace.core.controls import TASKS
from millrace.core.draft import Draft
from millrace.core.failures import Failure
from millrace.core.run import TaskRun
from millrace.core.states import TaskStatus
from millrace.core.values import JsonObject, JsonValue

CAUSE = "cause"
"""In the details of a sub-workflow that failed, and of a run that failed by one: the run where it began, its error."""

TOLD_FAILURES = 100
"""Of a loop, so many failed iterations are named."""


def first_failure(draft: Draft, prefix: str, ids: Sequence[str]) -> Failure | None:
    """The earliest failure among the tasks of a list that counts; `prefix` is that of their paths.

    It tells where it began, however deep: the path of that task says the way, and what is around it would only repeat.
    """
    failed = [
        (task.finished_at or 0, place, task)
        for place, task_id in enumerate(ids)
        if (task := draft.task(prefix + task_id)).status is TaskStatus.FAILED
        and not draft.plan.tasks[task_id].allow_failure
    ]
    if not failed:
        return None
    task, failure = _begun_by(draft, min(failed, key=lambda entry: entry[:2])[2])
    details: JsonObject = {"task": task.path}
    if draft.plan_of(task.path).control is not None and failure.details is not None and CAUSE in failure.details:
        details[CAUSE] = failure.details[CAUSE]
    return Failure(failure.kind, f"task `{task.path}` failed: {failure.message}", details)


def _begun_by(draft: Draft, task: TaskRun) -> tuple[TaskRun, Failure]:
    """The task whose failure made this one fail: itself, or one that stands in it."""
    assert task.failure is not None, "what failed says why"  # noqa: S101
    if draft.plan_of(task.path).blocks and task.failure.details is not None:
        inner = str(task.failure.details.get("task"))
        if draft.has(inner):
            return _begun_by(draft, draft.task(inner))
    return task, task.failure


def failure_of_loop(draft: Draft, task: TaskRun) -> Failure | None:
    """What the failed iterations of a loop come to."""
    rounds = draft.rounds(task.path)
    if not rounds.failed:
        return None
    ids = draft.plan_of(task.path).blocks[TASKS]
    failures = [(index, first_failure(draft, f"{task.path}[{index}].", ids)) for index in range(rounds.begun)]
    failed = [(index, failure) for index, failure in failures if failure is not None]
    first = failed[0][1]
    told: list[JsonValue] = [index for index, _ in failed[:TOLD_FAILURES]]
    of = f" of {task.size}" if task.size is not None else ""
    iterations = "iteration" if (task.size or len(failed)) == 1 else "iterations"
    message = f"{len(failed)}{of} {iterations} failed; {first.message}"
    assert first.details is not None, "it names a task"  # noqa: S101
    return Failure(first.kind, message, {"failed": told, "iterations": rounds.begun, "task": first.details["task"]})

"""How the failures of tasks become the failure of what they stand in: a block, a loop, a phase of the run."""

from collections.abc import Sequence

from millrace.core.controls import TASKS
from millrace.core.draft import Draft
from millrace.core.failures import Failure
from millrace.core.run import TaskRun
from millrace.core.states import TaskStatus
from millrace.core.values import JsonValue

TOLD_FAILURES = 100
"""Of a loop, so many failed iterations are named."""


def first_failure(draft: Draft, prefix: str, ids: Sequence[str]) -> Failure | None:
    """The earliest failure among the tasks of a list that counts; `prefix` is that of their paths."""
    failed = [
        (task.finished_at or 0, place, task)
        for place, task_id in enumerate(ids)
        if (task := draft.task(prefix + task_id)).status is TaskStatus.FAILED
        and not draft.plan.tasks[task_id].allow_failure
    ]
    if not failed:
        return None
    task = min(failed, key=lambda entry: entry[:2])[2]
    assert task.failure is not None, "what failed says why"  # noqa: S101
    return Failure(task.failure.kind, f"task `{task.path}` failed: {task.failure.message}", {"task": task.path})


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
    return Failure(first.kind, message, {"failed": told, "iterations": rounds.begun})

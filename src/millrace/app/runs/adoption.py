"""Which tasks of a finished run a new one may take over, and which it must do again. Pure.

A task is taken over when it completed, is the same task in the plan of the new run, and nothing it comes after is done
again: a result must never be older than what it was made from. A task that failed with `allow_failure` is done with,
too: what came after it went on, so it is taken over as failed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from millrace.core.plan import Phase, Plan, TaskPlan


def adoptable(
    before: Plan, after: Plan, statuses: Mapping[str, str], *, settled: Collection[str], again: Iterable[str] = ()
) -> frozenset[str]:
    """Tasks of the main part of `after` that need not run.

    `statuses`: how each task of the finished run (of plan `before`) ended. `settled`: statuses of tasks that do not
    count as to be done again although they cannot be taken over (`skipped` by an `if` that would answer the same).
    `again`: tasks to be done again whatever they came to.
    """
    main = after.tasks_of(Phase.MAIN)
    asked = set(again)
    same = {path for path in main if path in before.tasks and _same(before.tasks[path], after.tasks[path])}
    done = {
        path
        for path in same - asked
        if _is_done(after.tasks[path], statuses.get(path)) and not _undone(before, path, statuses)
    }
    left = {path for path in same - asked - done if statuses.get(path) in settled}
    repeated = _with_descendants(after, (path for path in main if path not in done and path not in left))
    return frozenset(done - repeated)


def _same(before: TaskPlan, after: TaskPlan) -> bool:
    """Whether the task does the same; what comes after it may differ."""
    return replace(before, dependents=()) == replace(after, dependents=())


def _is_done(task: TaskPlan, status: str | None) -> bool:
    return status == "completed" or (status == "failed" and task.allow_failure)


def _undone(plan: Plan, path: str, statuses: Mapping[str, str]) -> bool:
    """Whether the rollback of the finished run has begun to undo the task: then its output means nothing any more."""
    return any(statuses.get(other) in ("completed", "failed") for other in plan.rollbacks.get(path, ()))


def _with_descendants(plan: Plan, paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    open_ = list(paths)
    while open_:
        path = open_.pop()
        if path not in found:
            found.add(path)
            open_ += plan.tasks[path].dependents
    return found

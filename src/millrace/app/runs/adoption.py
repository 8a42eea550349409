"""Which tasks of a finished run a new one may take over, and which it must do again. Pure.

A task is taken over when it completed, is the same task in the plan of the new run, reads nothing of the input and the
variables that is another now, and nothing it comes after is done again: a result must never be older than what it was
made from. A task that failed with `allow_failure` is done with, too: what came after it went on, so it is taken over
as failed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import orjson

from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.values import JsonObject
from millrace.definition.compiling import reads_of
from millrace.definition.expressions.paths import MISSING, find


@dataclass(frozen=True, slots=True)
class Adoption:
    adopted: frozenset[str]
    """Tasks of the main part that need not run."""
    done_again: Mapping[str, str]
    """Tasks that were done and are done again all the same, in listed order, each with why."""


def adoption(
    before: Plan, after: Plan, statuses: Mapping[str, str], *, settled: Collection[str], again: Mapping[str, str]
) -> Adoption:
    """What of the main part of `after` need not run.

    `statuses`: how each task of the finished run (of plan `before`) ended. `settled`: statuses of tasks that do not
    count as to be done again although they cannot be taken over (`skipped` by an `if` that would answer the same).
    `again`: tasks to be done again whatever they came to, each with why.
    """
    main = after.tasks_of(Phase.MAIN)
    over = {path for path in main if _is_done(after.tasks[path], statuses.get(path))}
    why = dict(again)
    for path in main:
        if path not in before.tasks or not _same(before.tasks[path], after.tasks[path]):
            why.setdefault(path, "it is another task in this version")
        elif path in over and _undone(before, path, statuses):
            why.setdefault(path, "the rollback has undone it")
    left = {path for path in main if path not in why and statuses.get(path) in settled}
    causes = _with_descendants(after, (path for path in main if path in why or path not in over | left))
    told = {path: why.get(path) or f"it comes after {causes[path]}" for path in main if path in causes and path in over}
    return Adoption(frozenset(over - causes.keys()), told)


def changed_reads(plan: Plan, before: Mapping[str, JsonObject], after: Mapping[str, JsonObject]) -> dict[str, str]:
    """Tasks of the main part that read what is another in `after` (`input` and `variables`), each with why."""
    if _text(dict(before)) == _text(dict(after)):
        return {}
    found: dict[str, str] = {}
    for path in plan.tasks_of(Phase.MAIN):
        for read in reads_of(plan.tasks[path]):
            if read.root not in before:
                continue
            then, now = find(before[read.root], read.keys), find(after[read.root], read.keys)
            if _text(then) != _text(now):
                found[path] = f"it reads {read.text}, which is another now"
                break
    return found


def _text(value: object) -> bytes | None:
    """Values are the same if their texts are: for Python `1` equals `true`."""
    return None if value is MISSING else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _same(before: TaskPlan, after: TaskPlan) -> bool:
    """Whether the task does the same; what comes after it may differ."""
    return replace(before, dependents=()) == replace(after, dependents=())


def _is_done(task: TaskPlan, status: str | None) -> bool:
    return status == "completed" or (status == "failed" and task.allow_failure)


def _undone(plan: Plan, path: str, statuses: Mapping[str, str]) -> bool:
    """Whether the rollback of the finished run has begun to undo the task: then its output means nothing any more."""
    return any(statuses.get(other) in ("completed", "failed") for other in plan.rollbacks.get(path, ()))


def _with_descendants(plan: Plan, paths: Iterable[str]) -> dict[str, str]:
    """The tasks and all that come after them, each with the task it directly comes after; themselves for the first."""
    found = {path: path for path in paths}
    open_ = list(found)
    while open_:
        path = open_.pop()
        for dependent in plan.tasks[path].dependents:
            if dependent not in found:
                found[dependent] = path
                open_.append(dependent)
    return found

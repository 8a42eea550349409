"""Which tasks of a finished run a new one may take over, and which it must do again. Pure.

A task is taken over when it completed, is the same task in the plan of the new run, reads nothing of the input and the
variables that is another now, and nothing it comes after is done again: a result must never be older than what it was
made from. A task that failed with `allow_failure` is done with, too: what came after it went on, so it is taken over
as failed. What stands in a task is taken over with it.

A control task that had begun and is not taken over, but comes after nothing that is done again, goes on where it was
(`core.run.Ahead`): what was decided when it began holds, and within it the same rules say what is taken over.

    branch, group             the block that ran
    foreach                   the items that it had: of ten thousand of which three failed, these three are done again
    while                     its iterations up to the first in which something is done again
    wait                      what came, or that nothing came, once `then` or `else` had begun
    sub_workflow              its new run repeats the run that it had, by these very rules

What cannot go on begins anew. Work that is lost by that is told, as is each task that was done and is done again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from millrace.core.controls import (
    ELSE,
    SUB_WORKFLOW,
    TASKS,
    Condition,
    ForEach,
    Group,
    Switch,
    Wait,
    While,
    loop_and_index,
    prefix_of,
)
from millrace.core.counting import container_of
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import Ahead
from millrace.core.values import JsonObject
from millrace.definition.compiling import reads_of
from millrace.definition.expressions.paths import MISSING, find

ANOTHER_TASK = "it is another task in this version"
NOTHING_ELSE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task run of the finished run ended."""

    status: str
    block: str | None = None
    """Which of its blocks ran."""
    size: int | None = None
    """Of a foreach: how many items it had; of a while that did not begin: how many iterations were known to run."""
    child: str | None = None
    """Of a sub-workflow: its run."""
    origin: str | None = None
    """The run that was last at it: the finished one, or one before that, if it took this over or did not come to it."""


@dataclass(slots=True)
class Adoption:
    adopted: dict[str, None] = field(default_factory=dict)
    """Task runs of the main part that need not run, those around others first."""
    ahead: dict[str, Ahead] = field(default_factory=dict)
    """Control tasks that go on where they were."""
    done_again: dict[str, str] = field(default_factory=dict)
    """What was done and is done again all the same, in listed order, each with why."""
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Those of `done_again` of which only runs of sub-workflows may have done something, with these runs."""


def adoption(
    before: Plan,
    after: Plan,
    ended: Mapping[str, Ended],
    *,
    settled: Collection[str],
    again: Mapping[str, str] = NOTHING_ELSE,
    changed: Mapping[str, str] = NOTHING_ELSE,
) -> Adoption:
    """What of the main part of `after` need not run.

    `ended`: the task runs of the finished run (of plan `before`). `settled`: statuses of tasks that do not count as to
    be done again although they cannot be taken over (`skipped` by an `if` that would answer the same). `again`: task
    runs to be done again whatever they came to, by path, and `changed`: tasks, by id, each with why.
    """
    adopting = _Adopting(before, after, ended, settled, again, changed)
    adopting.of_list(after.tasks_of(Phase.MAIN), "")
    return adopting.found


class _Adopting:
    def __init__(
        self,
        before: Plan,
        after: Plan,
        ended: Mapping[str, Ended],
        settled: Collection[str],
        again: Mapping[str, str],
        changed: Mapping[str, str],
    ) -> None:
        self.found = Adoption()
        self._before = before
        self._after = after
        self._ended = ended
        self._settled = settled
        self._again = again
        self._changed = changed
        self._around_again = {around: path for path in again for around in _containers(after, path)}
        self._within: dict[str, list[str]] = {}
        """Task runs by the control task around them."""
        for path in ended:
            if (around := container_of(before, path)) is not None:
                self._within.setdefault(around, []).append(path)
        self._others: dict[str, str | None] = {}

    def of_list(self, ids: Sequence[str], prefix: str) -> None:
        """Look at the tasks of a list, as they ended under this prefix."""
        over = {one for one in ids if self._is_done(prefix + one)}
        why = {one: reason for one in ids if (reason := self._why_again(prefix + one, one, done=one in over))}
        if not why and len(over) == len(ids):
            self._take(prefix + one for one in ids)
            return
        left = {one for one in ids if one not in why and self._status(prefix + one) in self._settled}
        causes = _with_descendants(self._after, (one for one in ids if one in why or one not in over | left))
        for one in ids:
            path = prefix + one
            if one not in causes:
                self._take([path] if one in over else [])
                continue
            before = next((need for need in self._after.tasks[one].needs if need in causes), None)
            goes_on = before is None and self._can_go_on(path, one)
            reason = why.get(one) or (ANOTHER_TASK if before is None else f"it comes after {prefix}{before}")
            if one in over:
                self.found.done_again[path] = reason
            if goes_on:
                self._go_on(path, one)
            elif one not in over:
                self._tell_lost(path, reason)

    def _status(self, path: str) -> str | None:
        return self._ended[path].status if path in self._ended else None

    def _is_done(self, path: str) -> bool:
        status = self._status(path)
        return status == "completed" or (status == "failed" and self._after.task_at(path).allow_failure)

    def _why_again(self, path: str, task_id: str, *, done: bool) -> str | None:
        if path in self._again:
            return self._again[path]
        if path in self._around_again:
            return f"{self._around_again[path]} in it is done again"
        if task_id not in self._others:
            self._others[task_id] = self._is_other(task_id)
        if self._others[task_id] is None and done and self._is_undone(path):
            return "the rollback has undone it"
        return self._others[task_id]

    def _is_other(self, task_id: str) -> str | None:
        """Why the task would not do the same, wherever it stands; or what stands in it."""
        if task_id in self._changed:
            return self._changed[task_id]
        if not self._is_itself(task_id):
            return ANOTHER_TASK
        now, then = self._after.tasks[task_id].blocks, self._before.tasks[task_id].blocks
        if now != then:
            return ANOTHER_TASK
        return next((why for ids in now.values() for inner in ids if (why := self._is_other(inner))), None)

    def _is_itself(self, task_id: str) -> bool:
        """Whether the task is the same, what stands in it aside; what comes after it may differ."""
        then = self._before.tasks.get(task_id)
        return then is not None and _alone(then) == _alone(self._after.tasks[task_id])

    def _is_undone(self, path: str) -> bool:
        """Whether the rollback of the finished run has begun to undo it: then its output means nothing any more."""
        return any(self._status(other) in ("completed", "failed") for other in self._before.rollbacks.get(path, ()))

    def _take(self, paths: Iterable[str]) -> None:
        """Take over task runs and all that stands in them."""
        for path in paths:
            self.found.adopted[path] = None
            if path in self._within:
                self._take(self._within[path])

    def _tell_lost(self, path: str, why: str) -> None:
        """Tell of a task that did not complete and begins anew, if it had decided or done anything."""
        ended = self._ended.get(path)
        if ended is None:
            return
        decided = ended.block is not None and isinstance(self._before.task_at(path).control, Wait)
        children = tuple(self._children_in(path))
        if decided or self._has_done(path):
            self.found.done_again[path] = why
        elif children:
            self.found.done_again[path] = why
            self.found.lost[path] = children

    def _has_done(self, path: str) -> bool:
        """Whether anything in a task has completed."""
        return any(self._status(inner) == "completed" or self._has_done(inner) for inner in self._within.get(path, ()))

    def _children_in(self, path: str) -> Iterable[str]:
        """The runs of sub-workflows that did not complete: of the task, and of those in it."""
        child = self._ended[path].child
        if child is not None:
            yield child
        for inner in self._within.get(path, ()):
            yield from self._children_in(inner)

    # --- going on -----------------------------------------------------------------------------------------------------

    def _can_go_on(self, path: str, task_id: str) -> bool:
        """Whether what was decided when a task began, if it had begun, holds for the new run."""
        ended, own = self._ended.get(path), self._after.tasks[task_id]
        if ended is None or path in self._again or task_id in self._changed:
            return False
        if not self._is_itself(task_id) or self._is_undone(path):
            return False
        if isinstance(own.control, Wait):
            if own.control.kind == SUB_WORKFLOW:
                return ended.child is not None and ended.status != "completed"
            return ended.block is not None and (ended.block != ELSE or ELSE in own.blocks)
        return ended.block is not None and own.control is not None

    def _go_on(self, path: str, task_id: str) -> None:
        """Let a task go on where it was, and take over what is done in it."""
        ended, own = self._ended[path], self._after.tasks[task_id]
        block, origin = ended.block or TASKS, ended.origin
        match own.control:
            case Group() | Condition() | Switch():
                self.found.ahead[path] = Ahead(block)
                self.of_list(own.blocks.get(block, ()), prefix_of(path))
            case ForEach():
                self.found.ahead[path] = Ahead(block, ended.size, origin=origin)
                for index in self._iterations(path):
                    self.of_list(own.blocks[TASKS], f"{path}[{index}].")
            case While():
                self._go_on_with_while(path, own, ended)
            case Wait(kind=kind) if kind == SUB_WORKFLOW:
                self.found.ahead[path] = Ahead(child=ended.child)
            case Wait():
                self.found.ahead[path] = Ahead(block, origin=origin)
                self.of_list(own.blocks.get(block, ()), prefix_of(path))

    def _iterations(self, path: str) -> list[int]:
        """Those of a loop of which there are task runs."""
        return sorted({loop_and_index(prefix_of(inner)[:-1])[1] for inner in self._within.get(path, ())})

    def _go_on_with_while(self, path: str, own: TaskPlan, ended: Ended) -> None:
        """An iteration follows from those before it: up to the first in which something is done again."""
        ids, iterations = own.blocks[TASKS], self._iterations(path)
        known = max([ended.size or 0, *(index + 1 for index in iterations)])
        over = 0
        while over < known and self._is_over(f"{path}[{over}].", ids):
            self._take(f"{path}[{over}].{one}" for one in ids)
            over += 1
        self.found.ahead[path] = Ahead(TASKS, min(known, over + 1), origin=ended.origin)
        self.of_list(ids, f"{path}[{over}].")
        for index in iterations:
            if index > over:
                self._tell_after(f"{path}[{index}].", ids, f"it comes after iteration {over}")

    def _is_over(self, prefix: str, ids: Sequence[str]) -> bool:
        """Whether an iteration of a while has ended well, and nothing in it is to be done again."""
        return all(
            (self._is_done(prefix + one) or (self._status(prefix + one) or "").startswith("skipped"))
            and self._why_again(prefix + one, one, done=True) is None
            for one in ids
        )

    def _tell_after(self, prefix: str, ids: Sequence[str], why: str) -> None:
        for one in ids:
            if self._is_done(prefix + one):
                self.found.done_again[prefix + one] = why
            else:
                self._tell_lost(prefix + one, why)


def changed_reads(plan: Plan, before: Mapping[str, JsonObject], after: Mapping[str, JsonObject]) -> dict[str, str]:
    """Tasks of the main part, by id, that read what is another in `after` (`input` and `variables`), each with why."""
    if _text(dict(before)) == _text(dict(after)):
        return {}
    found: dict[str, str] = {}
    for task in plan.tasks.values():
        for read in reads_of(task) if task.phase is Phase.MAIN else ():
            if read.root not in before:
                continue
            then, now = find(before[read.root], read.keys), find(after[read.root], read.keys)
            if _text(then) != _text(now):
                found[task.id] = f"it reads {read.text}, which is another now"
                break
    return found


def _text(value: object) -> bytes | None:
    """Values are the same if their texts are: for Python `1` equals `true`."""
    return None if value is MISSING else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _alone(task: TaskPlan) -> TaskPlan:
    return replace(task, dependents=(), blocks={})


def _containers(plan: Plan, path: str) -> list[str]:
    """The control tasks around a task, the innermost first."""
    found: list[str] = []
    around = container_of(plan, path)
    while around is not None:
        found.append(around)
        around = container_of(plan, around)
    return found


def _with_descendants(plan: Plan, ids: Iterable[str]) -> set[str]:
    """The tasks and all that come after them."""
    found = set(ids)
    open_ = list(found)
    while open_:
        new = [one for one in plan.tasks[open_.pop()].dependents if one not in found]
        found.update(new)
        open_ += new
    return found

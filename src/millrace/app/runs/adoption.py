"""Which tasks of a finished run a new one may take over, and which it must do again. Pure.

A task is taken over when it completed, is the same task in the plan of the new run, reads nothing of the input and the
variables that is another now, and nothing it comes after is done again: a result must never be older than what it was
made from. A task that failed with `allow_failure` is done with, too: what came after it went on, so it is taken over
as failed. What stands in a task is taken over with it.

A branch, a group or a foreach that is not taken over, but comes after nothing that is done again, goes on where it
was: what was decided when it began holds (which branch runs, over which items), and within it the same rules say what
is taken over. So a loop of ten thousand items of which three failed does these three again. A while and a wait start
anew: an iteration of a while follows from the one before, and what was waited for may have been for its `then` alone.
Since work is lost by that, it is told.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from millrace.core.controls import APPROVAL, Condition, ForEach, Group, Switch, Wait, While, prefix_of
from millrace.core.counting import container_of
from millrace.core.plan import Phase, Plan, TaskPlan
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
    """Of a foreach: how many items it had."""


@dataclass(slots=True)
class Adoption:
    adopted: dict[str, None] = field(default_factory=dict)
    """Task runs of the main part that need not run, those around others first."""
    done_again: dict[str, str] = field(default_factory=dict)
    """Those that were done and are done again all the same, in listed order, each with why."""
    loops: list[str] = field(default_factory=list)
    """Loops that go on, with the items that they had."""


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
            anew = None if one in over else self._starts_anew(path)
            if one in over or anew is not None:
                after = None if causes[one] == one else f"it comes after {prefix}{causes[one]}"
                self.found.done_again[path] = why.get(one) or after or str(anew)
            if causes.keys().isdisjoint(self._after.tasks[one].needs):
                self._go_on(path, one)

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

    def _starts_anew(self, path: str) -> str | None:
        """What is done again of a task that did not complete, if anything in it is lost by that."""
        ended = self._ended.get(path)
        if ended is None or ended.block is None or path not in self._within:
            return None
        match self._before.task_at(path).control:
            case While() if self._has_done(path):
                return "it starts anew: its iterations are done again"
            case Wait(kind=kind):
                return "it starts anew: it is asked again" if kind == APPROVAL else "it starts anew: it waits again"
            case _:
                return None

    def _has_done(self, path: str) -> bool:
        """Whether anything in a task has completed."""
        return any(self._status(inner) == "completed" or self._has_done(inner) for inner in self._within.get(path, ()))

    def _go_on(self, path: str, task_id: str) -> None:
        """Take over what is done in a task that is not."""
        ended, own = self._ended.get(path), self._after.tasks[task_id]
        if ended is None or ended.block is None or path in self._again or task_id in self._changed:
            return
        if not self._is_itself(task_id) or self._is_undone(path):
            return
        ids = own.blocks.get(ended.block, ())
        if isinstance(own.control, Group | Condition | Switch):
            self.of_list(ids, prefix_of(path))
        elif isinstance(own.control, ForEach) and path in self._within:
            self.found.loops.append(path)
            for index in range(ended.size or 0):
                prefix = f"{path}[{index}]."
                if any(prefix + one in self._ended for one in ids):
                    self.of_list(ids, prefix)


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
    found: list[str] = []
    around = container_of(plan, path)
    while around is not None:
        found.append(around)
        around = container_of(plan, around)
    return found


def starts_anew(plan: Plan, path: str) -> str | None:
    """The outermost control task around a path that begins from its start whenever it is not taken over."""
    kinds = Group | Condition | Switch | ForEach
    anew = [one for one in _containers(plan, path) if not isinstance(plan.task_at(one).control, kinds)]
    return anew[-1] if anew else None


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

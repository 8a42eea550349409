"""Who reads, and which tasks and names have a value there.

What a task may read is decided where its way outwards meets that of the other: in the list in which both, or what they
stand in, are siblings. There the one must wait for the other; and no loop may stand between that list and the other
task, which otherwise has as many results as there were iterations.
"""

from dataclasses import dataclass
from enum import Enum, auto

from millrace.definition.controls.kinds import KINDS, Sees, with_article
from millrace.definition.places import TaskPlace

ORDER = ("tasks", "on_failure", "on_rollback", "finally")
"""The parts of a run in the order in which they may run."""


class When(Enum):
    """When it is read that stands in no task."""

    BEFORE_START = auto()
    """Where limits are: their keys are known before any task has run."""
    OUTPUT = auto()
    """When the output of the run is made."""


@dataclass(frozen=True, slots=True)
class CannotRead:
    """Why a task has no value at a place, and what to do."""

    reason: str
    remedy: str = "read another task"
    may_be_absent: bool = True
    """Whether `default(…)` and `has(…)` are of use there: what they ask for may have a value now and then."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A place where expressions stand, and what they may read there: in a task, or elsewhere at some time."""

    path: str
    task: TaskPlace | None = None
    when: When | None = None
    secrets: bool = False
    by_engine: bool = False
    """It stands in the config of a control task."""
    sees: Sees | None = None
    """What it reads besides, if it stands in the config of one."""

    def stands_in(self, other: TaskPlace) -> bool:
        return self.task is not None and any(outer is other for outer in self.task.around())

    def task_fault(self, other: TaskPlace, field: str | None) -> CannotRead | None:
        """`None` if it may read this field of the task; without a field, the whole of it."""
        if self.when is When.BEFORE_START:
            return CannotRead("it is read before the run starts")
        theirs = other.chain()
        if self.task is None:
            part = other.within.part
            if part != "tasks":
                return CannotRead(f"it runs in `{part}`, after the output was made")
            return _in_loop(theirs, 0)
        mine = self.task.chain()
        if mine[0].within is not theirs[0].within:
            return _of_another_part(mine[0].within.part, other.within.part) or _in_loop(theirs, 0)
        common = 0
        while common < min(len(mine), len(theirs)) and mine[common] is theirs[common]:
            common += 1
        if common == len(theirs):
            return (
                CannotRead("a task cannot read its own result") if common == len(mine) else _around(mine, other, field)
            )
        if common == len(mine):
            return self._of_its_own(theirs, common)
        return _of_a_sibling(mine, theirs, common)

    def _of_its_own(self, theirs: list[TaskPlace], common: int) -> CannotRead | None:
        """A task that stands in the one in whose config the reader is."""
        assert self.task is not None  # noqa: S101
        if self.sees is Sees.RESULTS:
            return _in_loop(theirs, common)
        return CannotRead(f"it stands in {self.task.key}, which reads this before any task in it runs")

    def unreadable(self) -> frozenset[str]:
        """Those of the names that an expression may begin with, of which none has a value here."""
        names = {name for name in ("item", "index", "previous") if self.local_fault(name) is not None}
        if self.sees is not Sees.EVENT:
            names.add("event")
        if not self.secrets:
            names.add("secrets")
        if self.when is When.BEFORE_START:
            names |= {"tasks", "run"}
        return frozenset(names)

    def local_fault(self, name: str) -> tuple[str, str] | None:
        """`None` if a name of a loop (`item`, `index`, `previous`) has a value here; else what is wrong, and remedy."""
        loop = self._loop()
        if loop is None:
            kinds = [kind for kind, about in KINDS.items() if name in about.names]
            where = " or a ".join(kinds)
            return f"{name} has a value inside a loop only", f"put the task into the `tasks` of a {where}"
        if not loop.is_loop or name in KINDS[loop.type].names:
            return None
        message = f"{name} has no value in {with_article(loop.type)} such as {loop.key}, the innermost loop around this"
        outer = next((one for one in loop.around() if one.is_loop and name in KINDS[one.type].names), None)
        names = " and ".join(KINDS[loop.type].names)
        return message, f"{names} have one here" if outer is None else f"write tasks.{outer.key}.{name}"

    def _loop(self) -> TaskPlace | None:
        """The loop to whose iteration it belongs, or what may be one."""
        if self.task is None:
            return None
        if self.sees in (Sees.ITERATION, Sees.RESULTS):
            return self.task
        return next((outer for outer in self.task.around() if outer.may_be_loop), None)


def _of_another_part(mine: str, other: str) -> CannotRead | None:
    if mine == other:
        return CannotRead("it undoes another task")
    return None if ORDER.index(other) < ORDER.index(mine) else CannotRead(f"it runs in `{other}`, later than this")


def _around(mine: list[TaskPlace], other: TaskPlace, field: str | None) -> CannotRead | None:
    """What a task may read of one that it stands in: what that knows before it ends."""
    kind = KINDS.get(other.type)
    if kind is None or field in kind.read_within:
        return None
    reason = f"{mine[-1].key} stands in it, and it ends later"
    known = " or ".join(f"tasks.{other.key}.{name}" for name in kind.read_within)
    return CannotRead(reason, f"what it knows before is {known}") if known else CannotRead(reason)


def _in_loop(theirs: list[TaskPlace], common: int) -> CannotRead | None:
    """A fault if a loop stands between a task and the list in which it, or what it stands in, has position `common`."""
    loop = next((outer for outer in theirs[common:-1] if outer.is_loop), None)
    if loop is None:
        return None
    return CannotRead(
        f"it runs once in each iteration of {loop.key}, and this stands outside of it",
        results_of(loop),
        may_be_absent=False,
    )


def results_of(loop: TaskPlace, position: str = "") -> str:
    """How what its iterations came to is read; of the one at a `position`, if the loop keeps all."""
    made = f"config.output of {loop.key} says what that is, else it is the output of the task listed last"
    if loop.type == "while":
        return f"read tasks.{loop.key}.output.result, what the last iteration came to; {made}"
    what = "that iteration" if position else "its iterations"
    return f"read tasks.{loop.key}.output.results{position}, what {what} came to; {made}"


def _of_a_sibling(mine: list[TaskPlace], theirs: list[TaskPlace], common: int) -> CannotRead | None:
    """Both, or what they stand in, stand in one task, if not in one list."""
    me, other = mine[common], theirs[common]
    if me.within is not other.within:
        both = mine[common - 1].key
        reason = f"it stands in another branch of {both}, and one of them runs"
        return CannotRead(reason, f"read it with default(…) in a task that comes after {both}", may_be_absent=False)
    in_loop = _in_loop(theirs, common)
    if in_loop is not None or me.within.ancestors.has(me.key, other.key):
        return in_loop
    if other.within.ancestors.has(other.key, me.key):
        which = f"{other.key}, which comes after it"
        remedy = f"let {other.key} come before it, or read it in a task that comes after {other.key}"
        return CannotRead(f"{me.key} does not wait for {which}", remedy)
    remedy = f"add {other.key} to depends_on{'' if me is mine[-1] else f' of {me.key}'}, or read it with default(…)"
    return CannotRead(f"{me.key} does not wait for {'it' if other is theirs[-1] else other.key}", remedy)

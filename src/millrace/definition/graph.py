"""The order of tasks: who goes before whom within one list, and whether that can be done at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from millrace.definition.faults import FaultList, at
from millrace.definition.model import Task
from millrace.definition.words import hint


@dataclass(frozen=True, slots=True)
class TaskList:
    """One list of tasks (`tasks`, `on_failure`, `finally`): the id of each, or its path if others have the same id."""

    name: str
    tasks: Sequence[str]
    needs: Mapping[str, tuple[str, ...]]


def needs_of(tasks: Sequence[tuple[str, Sequence[str] | None]], *, at_once: bool = False) -> dict[str, tuple[str, ...]]:
    """Who goes before each task: what `depends_on` says, or else the task listed before; `at_once`: or else none."""
    needs: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for task_id, depends_on in tasks:
        needs[task_id] = before if depends_on is None else tuple(depends_on)
        before = () if at_once else (task_id,)
    return needs


def check_dependencies(
    name: str, tasks: Sequence[Task], elsewhere: Mapping[str, str], twice: Set[str], faults: FaultList
) -> None:
    """Every name in `depends_on` is another task of the same list.

    `elsewhere`: ids of all tasks and their lists. `twice`: those that several have, which may mean another task.
    """
    own = [task.id for task in tasks if task.id is not None]
    known = frozenset(own)
    for position, task in enumerate(tasks):
        path = f"{name}[{position}].depends_on"
        seen: set[str] = set()
        for number, need in enumerate(task.depends_on or ()):
            if faults.full:
                return
            place = at(path, number)
            if need == task.id and need not in twice:
                faults.add(place, "cycle", f"{need} depends on itself", "take it out")
            elif need in seen:
                faults.add(place, "duplicate", f"{need} is named twice", "take one of them out")
            elif need not in known and need in elsewhere:
                message = (
                    f"{need} is a task of `{faults.place(elsewhere[need])}`, and dependencies stay within one list"
                )
                holder = _holder(elsewhere[need], name, tasks)
                other = f"name tasks of `{name}`, or move the task"
                faults.add(place, "other_list", message, f"depend on {holder}, in which it stands" if holder else other)
            elif need not in known:
                guess = hint(need, own)
                faults.add(place, "unknown_task", f"there is no task {need!r}{guess}", "name a task of the same list")
            seen.add(need)


def _holder(path: str, name: str, tasks: Sequence[Task]) -> str | None:
    """The task of the list `name` in which, at whatever depth, the list with this path stands."""
    if not path.startswith(f"{name}["):
        return None
    return tasks[int(path[len(name) + 1 :].partition("]")[0])].id


def check_cycles(tasks: TaskList, faults: FaultList) -> None:
    """Tell each cycle once, as the way around it."""
    positions = {task_id: position for position, task_id in enumerate(tasks.tasks)}
    for cycle in _cycles(tasks.needs):
        first = min(cycle, key=lambda task_id: positions[task_id])
        start = cycle.index(first)
        around = [*cycle[start:], *cycle[:start], first]
        shown = around if len(around) <= 12 else [*around[:6], "…", *around[-5:]]
        faults.add(
            f"{tasks.name}[{positions[first]}].depends_on", "cycle",
            f"these tasks wait for each other: {' → '.join(shown)} (each depends on the next)",
            "take one of these dependencies out",
        )  # fmt: skip
        if faults.full:
            break


def _cycles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """One cycle for each knot of tasks that can never start, found without recursion."""
    finished: set[str] = set()
    for root in needs:
        trail: list[str] = []
        on_trail: set[str] = set()
        waiting = [(root, iter(needs[root]))] if root not in finished else []
        if waiting:
            trail.append(root)
            on_trail.add(root)
        while waiting:
            task_id, remaining = waiting[-1]
            need = next((one for one in remaining if one in needs and one not in finished), None)
            if need is None:
                waiting.pop()
                trail.pop()
                on_trail.discard(task_id)
                finished.add(task_id)
            elif need in on_trail:
                yield trail[trail.index(need) :]
                finished.add(need)
            else:
                waiting.append((need, iter(needs[need])))
                trail.append(need)
                on_trail.add(need)


class Ancestors:
    """Which tasks have finished before a task starts. Sets as bits of integers: 10,000 tasks take a few megabytes."""

    def __init__(self, needs: Mapping[str, Sequence[str]], unsure: Iterable[str]) -> None:
        """`unsure`: tasks of which it is not known what goes before them; anything may have finished before these.

        So it may before tasks that wait for each other, and before those that wait for them.
        """
        self._needs = needs
        self._bit = {task_id: 1 << number for number, task_id in enumerate(needs)}
        self._unsure = 0
        for task_id in unsure:
            self._unsure |= self._bit[task_id]

    @cached_property
    def _before(self) -> dict[str, int]:
        """Put together for the first that asks: of many definitions nobody does."""
        before: dict[str, int] = {}
        for task_id in _in_order(self._needs):
            bits = 0
            for need in self._needs[task_id]:
                bits |= self._bit[need] | before[need]
            before[task_id] = bits
        return before

    def has(self, task_id: str, ancestor: str) -> bool:
        """Whether `ancestor` has, or may have, finished before a task starts."""
        before, wanted = self._before.get(task_id), self._bit.get(ancestor)
        if before is None or wanted is None:
            return True
        return bool(before & wanted or (before | self._bit[task_id]) & self._unsure)


def _in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The tasks, each after those it needs; without those on a cycle and behind one."""
    left = {task_id: len(before) for task_id, before in needs.items()}
    dependents: dict[str, list[str]] = {task_id: [] for task_id in needs}
    for task_id, before in needs.items():
        for need in before:
            dependents[need].append(task_id)
    ordered = [task_id for task_id, count in left.items() if count == 0]
    for task_id in ordered:
        for dependent in dependents[task_id]:
            left[dependent] -= 1
            if left[dependent] == 0:
                ordered.append(dependent)
    return ordered

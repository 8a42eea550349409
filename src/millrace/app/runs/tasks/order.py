"""The order in which the task runs of a run are shown: as the definition lists the tasks, iteration after iteration.

A loop may have ten thousand iterations. So paths are made one by one, beginning behind any of them, and what is in a
loop or branch is asked for only when the walk comes to it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from millrace.core.controls import iteration_of, iterations_around, loop_and_index, prefix_of
from millrace.core.counting import container_of, is_loop
from millrace.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Inside:
    """What is in a control task of a run."""

    block: str | None = None
    """Which of its blocks runs, or ran; `None` while that is not known."""
    iterations: int = 0
    """Of a loop: no more than so many have begun."""


LookInside = Callable[[str], Inside]

NOWHERE: Collection[str] = ()


class TaskOrder:
    def __init__(self, plan: Plan, look: LookInside, *, into_loops: bool = True) -> None:
        """`look` says what is in the control task at a path; without `into_loops` what is in loops is passed over."""
        self._plan = plan
        self._look = look
        self._into_loops = into_loops

    def paths(self, *, within: str | None = None, after: str | None = None) -> Iterator[str]:
        """Paths that task runs may have, in order. Not all of them need exist: what has not begun has none.

        `within` a control task or an iteration of a loop, which is opened whatever it is; `after` one of the paths.
        """
        behind = frozenset() if after is None or not is_path(self._plan, after) else frozenset(self._outwards(after))
        if within is None:
            yield from self._list([task.id for task in self._plan.tasks.values() if task.parent is None], "", behind)
        elif within.endswith("]"):
            loop, _ = loop_and_index(within)
            yield from self._iteration(loop, within, behind)
        else:
            yield from self._within(within, behind)

    def _outwards(self, path: str) -> Iterator[str]:
        around: str | None = path
        while around is not None:
            yield around
            around = container_of(self._plan, around)

    def _list(self, ids: Sequence[str], prefix: str, behind: Collection[str]) -> Iterator[str]:
        """The tasks of a list; those of `behind` have been shown, if not all that is in them."""
        first = next((place for place, one in enumerate(ids) if prefix + one in behind), 0)
        for one in ids[first:]:
            path = prefix + one
            shown = path in behind
            if not shown:
                yield path
            if self._plan.tasks[one].blocks and (self._into_loops or not is_loop(self._plan, one)):
                yield from self._within(path, behind if shown else NOWHERE)

    def _within(self, path: str, behind: Collection[str]) -> Iterator[str]:
        own, inside = self._plan.task_at(path), self._look(path)
        if not is_loop(self._plan, own.id):
            known = inside.block is not None and inside.block in own.blocks
            ids = [one for block, listed in own.blocks.items() if not known or block == inside.block for one in listed]
            yield from self._list(ids, prefix_of(path), behind)
            return
        first = max((_index_in(path, one) for one in behind), default=0)
        for index in range(first, inside.iterations):
            yield from self._iteration(path, f"{path}[{index}]", behind if index == first else NOWHERE)

    def _iteration(self, loop: str, iteration: str, behind: Collection[str]) -> Iterator[str]:
        (ids,) = self._plan.task_at(loop).blocks.values()
        yield from self._list(ids, f"{iteration}.", behind)


def _index_in(loop: str, path: str) -> int:
    """The number of the iteration of the loop in which a path stands."""
    return next((index for around, index in iterations_around(path) if around == loop), 0)


def is_path(plan: Plan, path: str) -> bool:
    """Whether a task run may have this path: the id of a task, behind an iteration of each loop that it stands in."""
    try:
        own = plan.task_at(path)
        loops = tuple(plan.task_at(loop).id for loop, _ in iterations_around(path))
    except (KeyError, ValueError):
        return False
    return loops == own.loops


def holds_tasks(plan: Plan, path: str) -> bool:
    """Whether task runs may stand in what has this path: in a control task, or in an iteration of a loop."""
    if not path.endswith("]"):
        return is_path(plan, path) and bool(plan.task_at(path).blocks)
    try:
        loop, index = loop_and_index(path)
    except ValueError:
        return False
    return index >= 0 and is_path(plan, loop) and is_loop(plan, plan.task_at(loop).id)


def place_of(plan: Plan, path: str) -> tuple[str | None, str | None, int | None]:
    """The control task around a task run, and the loop and the number of the innermost iteration that it stands in."""
    iteration = iteration_of(path)
    loop, index = loop_and_index(iteration) if iteration else (None, None)
    return container_of(plan, path), loop, index

"""Where the tasks of a definition stand: in which list, what is around that, and who has finished before whom.

A task that stands in no other is of a list of the definition itself; the lists of a task hold what stands in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace.core.controls import CONTROL_TYPES
from millrace.definition.controls.kinds import is_loop
from millrace.definition.graph import Ancestors

LONGEST_INDEX = len("[99999].")
"""What an iteration adds to the paths of its task runs, besides the id of the loop."""


@dataclass(frozen=True, slots=True, eq=False)
class ListPlace:
    """A list of tasks. Two are the same if they are one."""

    path: str
    part: str
    """The part of the run that it belongs to: `tasks`, `on_failure`, `on_rollback` or `finally`."""
    ancestors: Ancestors
    around: "TaskPlace | None" = None
    depth: int = field(init=False)
    """How many tasks are around it."""
    loops: int = field(init=False)
    """How many of them are loops."""
    prefix: int = field(init=False)
    """The most characters that the iterations around it take in the path of a task run."""

    def __post_init__(self) -> None:
        depth = loops = prefix = 0
        if self.around is not None:
            outer = self.around.within
            depth, loops, prefix = outer.depth + 1, outer.loops, outer.prefix
            if self.around.is_loop:
                loops, prefix = loops + 1, prefix + len(self.around.key) + LONGEST_INDEX
        for name, value in (("depth", depth), ("loops", loops), ("prefix", prefix)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class TaskPlace:
    """A task. Two are the same if they are one, also where they have the same id."""

    key: str
    """Its id, or its path if others have the same id."""
    type: str
    within: ListPlace

    @property
    def is_loop(self) -> bool:
        return is_loop(self.type)

    @property
    def may_be_loop(self) -> bool:
        """Also where it is not known what it is: such a type is told, and what stands in it is not judged by it."""
        return self.is_loop or self.type not in CONTROL_TYPES

    def around(self) -> Iterator["TaskPlace"]:
        """What it stands in, the innermost first."""
        outer = self.within.around
        while outer is not None:
            yield outer
            outer = outer.within.around

    def chain(self) -> list["TaskPlace"]:
        """What it stands in, the outermost first, and the task itself."""
        return [self, *self.around()][::-1]

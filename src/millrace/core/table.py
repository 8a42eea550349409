"""An immutable mapping that is cheap to change a little: the tasks of a run, of which a fold touches a few.

A plain copy costs the size of the run at every event, and a run may have ten thousand tasks. A `Table` shares a
large base and carries a small dict of newer entries, merged into a new base when it outgrows the square root of
the base: a change costs what it changes plus a share of √n that stays far below a microsecond per task.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

V = TypeVar("V")

SMALLEST_MERGE = 32


class Table(Mapping[str, V], Generic[V]):
    __slots__ = ("_base", "_newer")

    def __init__(self, base: dict[str, V], newer: dict[str, V] | None = None) -> None:
        """Take over `base`; the caller must not change it afterwards."""
        self._base = base
        self._newer: dict[str, V] = newer or {}

    def __getitem__(self, key: str) -> V:
        return self._newer[key] if key in self._newer else self._base[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._base
        yield from (key for key in self._newer if key not in self._base)

    def __contains__(self, key: object) -> bool:
        return key in self._newer or key in self._base

    def __len__(self) -> int:
        return len(self._base) + sum(key not in self._base for key in self._newer)

    def updated(self, changes: dict[str, V]) -> "Table[V]":
        """This table with the entries of `changes`, new ones behind the others."""
        if not changes:
            return self
        newer = {**self._newer, **changes}
        if len(newer) > SMALLEST_MERGE and len(newer) ** 2 > len(self._base):
            return Table({**self._base, **newer})
        return Table(self._base, newer)

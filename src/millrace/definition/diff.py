"""What is different between two canonical definitions, in the words of a definition: by task and by field, not by line.

A task is the same one as long as its id is: it can have been added, removed, moved, or changed in some fields. Lists
whose items have ids (triggers) are compared by id as well, other lists item by item where they are equally long.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import at
from millrace.definition.model import TASK_LISTS
from millrace.definition.outline import PlacedTask, nested_keys, placed_tasks


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`old` means nothing where the field was added, `new` nothing where it was removed."""

    path: str
    kind: Kind
    old: JsonValue = None
    new: JsonValue = None


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task of kind `moved` only stands elsewhere. A changed one may stand elsewhere, too: `moved` says so."""

    kind: Kind
    id: str
    before: PlacedTask | None
    after: PlacedTask | None
    moved: bool
    fields: Sequence[FieldChange]


@dataclass(frozen=True, slots=True)
class Difference:
    fields: Sequence[FieldChange]
    tasks: Sequence[TaskChange]

    def __bool__(self) -> bool:
        return bool(self.fields or self.tasks)


def difference(old: JsonObject, new: JsonObject, *, but: Collection[str] = ()) -> Difference:
    """What became of `old` on the way to `new`, but for the top-level fields `but`."""
    apart = {*TASK_LISTS, *but}
    fields = _mapping(
        {key: value for key, value in old.items() if key not in apart},
        {key: value for key, value in new.items() if key not in apart},
        "",
    )
    return Difference(tuple(fields), tuple(_tasks(old, new)))


def _tasks(old: JsonObject, new: JsonObject) -> Iterator[TaskChange]:
    """In the order of the new definition; those that are gone come first."""
    before = {placed.id: placed for placed in placed_tasks(old)}
    after = {placed.id: placed for placed in placed_tasks(new)}
    for task_id, placed in before.items():
        if task_id not in after:
            yield TaskChange(Kind.REMOVED, task_id, placed, None, False, ())
    stayed = _stayed(before, after)
    for task_id, placed in after.items():
        was = before.get(task_id)
        if was is None:
            yield TaskChange(Kind.ADDED, task_id, None, placed, False, ())
            continue
        moved = task_id not in stayed
        fields = tuple(_mapping(_own(was.task), _own(placed.task), ""))
        if moved or fields:
            yield TaskChange(Kind.CHANGED if fields else Kind.MOVED, task_id, was, placed, moved, fields)


def _own(task: JsonObject) -> JsonObject:
    """A task without the tasks within it, which are compared on their own."""
    nested = nested_keys(task)
    return {key: value for key, value in task.items() if key not in nested}


def _stayed(before: Mapping[str, PlacedTask], after: Mapping[str, PlacedTask]) -> set[str]:
    """The tasks that need not have been moved: in each list the longest run of them that is still in the old order."""
    stayed: set[str] = set()
    lists: dict[str, list[str]] = {}
    for task_id, placed in after.items():
        was = before.get(task_id)
        if was is not None and was.within.name == placed.within.name:
            lists.setdefault(placed.within.name, []).append(task_id)
    for ids in lists.values():
        stayed.update(ids[position] for position in longest_rising([before[task_id].index for task_id in ids]))
    return stayed


def longest_rising(numbers: Sequence[int]) -> list[int]:
    """The positions of a longest strictly rising subsequence, in O(n log n)."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for position, number in enumerate(numbers):
        place = bisect_left(tails, number)
        previous.append(ends[place - 1] if place else -1)
        if place == len(tails):
            tails.append(number)
            ends.append(position)
        else:
            tails[place], ends[place] = number, position
    found: list[int] = []
    position = ends[-1] if ends else -1
    while position >= 0:
        found.append(position)
        position = previous[position]
    return found[::-1]


def _mapping(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], path: str) -> Iterator[FieldChange]:
    for key in dict.fromkeys((*old, *new)):
        place = at(path, key)
        if key not in new:
            yield FieldChange(place, Kind.REMOVED, old=old[key])
        elif key not in old:
            yield FieldChange(place, Kind.ADDED, new=new[key])
        else:
            yield from _value(old[key], new[key], place)


def _value(old: JsonValue, new: JsonValue, path: str) -> Iterator[FieldChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _mapping(old, new, path)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list(old, new, path)
    elif old != new or type(old) is not type(new):
        yield FieldChange(path, Kind.CHANGED, old=old, new=new)


def _list(old: list[JsonValue], new: list[JsonValue], path: str) -> Iterator[FieldChange]:
    by_id = _by_id(old), _by_id(new)
    if by_id[0] is not None and by_id[1] is not None:
        yield from _order(by_id[0], by_id[1], path)
        yield from _mapping(by_id[0], by_id[1], path)
    elif len(old) == len(new):
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _value(was, now, at(path, index))
    else:
        yield FieldChange(path, Kind.CHANGED, old=old, new=new)


def _order(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], path: str) -> Iterator[FieldChange]:
    was, now = [name for name in old if name in new], [name for name in new if name in old]
    if was != now:
        yield FieldChange(path, Kind.MOVED, old=[*was], new=[*now])


def _by_id(items: list[JsonValue]) -> dict[str, JsonValue] | None:
    """The items by their ids, if each has one of its own."""
    named: dict[str, JsonValue] = {
        str(item["id"]): item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)
    }
    return named if len(named) == len(items) else None

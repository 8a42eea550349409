"""Collecting faults: everything wrong with a definition is found before anything is said."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from millrace.core.errors import Fault
from millrace.core.values import MAX_DEPTH, JsonObject, JsonValue

MOST_FAULTS = 200
"""Faults told at once; a definition with more has one cause, and 200 show it."""


LONGEST_MESSAGE = 500
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST_KEY = 100
"""Characters of a key that a path shows."""


class InvalidDefinition(Exception):
    """The definition cannot be accepted; `faults` says all that is wrong with it, in the order of the text.

    `canonical` is as much of it as could be brought into the canonical shape, for those who find further faults in it;
    `place` says where a path of that is in the user's own text.
    """

    def __init__(
        self, faults: Sequence[Fault], canonical: JsonObject | None = None, place: Callable[[str], str] | None = None
    ) -> None:
        super().__init__(f"{len(faults)} faults: {faults[0].path}: {faults[0].message}" if faults else "no faults")
        self.faults = tuple(faults)
        self.canonical: JsonObject = canonical or {}
        self.place: Callable[[str], str] = place or _unchanged


class FaultList:
    """Faults, each told once. They are added by canonical path; `place` says where that is in the user's own text."""

    def __init__(self) -> None:
        self._found: dict[Fault, None] = {}
        self.place: Callable[[str], str] = _unchanged

    def add(self, path: str, code: str, message: str, remedy: str) -> None:
        if not self.full:
            self._found.setdefault(Fault(self.place(path), code, _shortened(message), _shortened(remedy)))

    @property
    def full(self) -> bool:
        """Whether looking for more is in vain."""
        return len(self._found) >= MOST_FAULTS

    @property
    def found(self) -> tuple[Fault, ...]:
        return tuple(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)


def _unchanged(path: str) -> str:
    return path


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def at(path: str, key: str | int) -> str:
    """The path of a part: `tasks[2].config`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key) is None or len(key) > LONGEST_KEY:
        return f"{path}[{key[:LONGEST_KEY]!r}]"
    return f"{path}.{key}" if path else key


def in_order(faults: Iterable[Fault], raw: JsonValue) -> list[Fault]:
    """The faults in the order of the text; what is missing stands with the part that it is missing from."""
    found = list(faults)
    ways = [list(_way_to(fault.path)) for fault in found]
    ranks = {path: rank for rank, path in enumerate(_paths(raw, "", 0, _Wanted(path for way in ways for path in way)))}
    order = [next(ranks[path] for path in way if path in ranks) for way in ways]
    return [fault for _, fault in sorted(zip(order, found, strict=True), key=lambda ranked: ranked[0])]


def _way_to(path: str) -> Iterator[str]:
    """The path, and what it is part of, up to the whole."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    yield path


class _Wanted:
    """Paths that are looked for, and by the path of a list the positions in it that are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = frozenset(paths)
        self.positions: dict[str, list[int]] = {}
        for path in self.paths:
            whole, _, last = path.rpartition("[")
            if last[:-1].isdecimal():
                self.positions.setdefault(whole, []).append(int(last[:-1]))


def _paths(value: JsonValue, path: str, depth: int, wanted: _Wanted) -> Iterator[str]:
    """Those paths of `value` that are wanted: a large definition has hundreds of thousands, and few have faults."""
    yield path
    parts: Iterable[tuple[str | int, JsonValue]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        positions = sorted(wanted.positions.get(path, ()))
        parts = [(position, value[position]) for position in positions if position < len(value)]
    for key, part in parts if depth <= MAX_DEPTH else ():
        place = at(path, key)
        if place in wanted.paths:
            yield from _paths(part, place, depth + 1, wanted)


def kind_of(value: object) -> str:
    """What a JSON value is, in the words of a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return type(value).__name__

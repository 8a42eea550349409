"""Plain paths (`tasks.fetch.output.body[0].id`): their text, and the walk from a value along them.

The walk copies nothing and costs the same however large the values beside the path are. It agrees with CEL's
own selection on JSON values; unlike CEL's, its errors say where on the path the name is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from millrace.definition.words import hint

from .faults import Unevaluable, shortened
from .tokens import RESERVED

Key: TypeAlias = str | int

ROOTS = ("input", "variables", "tasks", "run", "trigger", "secrets", "item", "index", "previous", "event")
"""The names an expression may begin with; `item`, `index` and `previous` only in a loop, `event` only in a filter."""

MAY_BE_BOUND = frozenset({"previous", "event"})
"""Those that a comprehension may give to its items: stored expressions may have done so before they had a meaning."""

MISSING: Final = object()
"""What `find` gives for a path that leads nowhere."""

_LISTED = 8
_COMPARED = 100
_LONGEST_KEY = 60
_MAYBE = "write default(PATH, value) or has(PATH) if it may be absent"


@dataclass(frozen=True, slots=True)
class PathRead:
    """A path that an expression reads, as far as it is known before the run.

    `optional` is true inside `has` and `default`, where absence is no error; `offset` is its place in the source;
    `computed`: of a secret, that the value of the expression is made of it and does not just hold it.
    """

    root: str
    keys: tuple[Key, ...]
    offset: int
    optional: bool = False
    computed: bool = False

    @property
    def text(self) -> str:
        return path_text(self.root, self.keys)


def path_text(root: str, keys: Sequence[Key]) -> str:
    """A path as one writes it: `.name` where that is possible, `['odd name']` elsewhere, `[0]` for positions."""
    return root + "".join(key_text(key) for key in keys)


def key_text(key: Key) -> str:
    """One step of a path as one writes it."""
    if isinstance(key, int):
        return f"[{key}]"
    if key.isidentifier() and key.isascii() and key not in RESERVED:
        return f".{key}"
    return f"[{key!r}]"


def find(value: object, keys: Sequence[Key]) -> object:
    """The value at `keys` below `value`, or `MISSING`."""
    for key in keys:
        if isinstance(key, str):
            if not isinstance(value, Mapping) or key not in value:
                return MISSING
            value = value[key]
        else:
            if not isinstance(value, list) or not 0 <= key < len(value):
                return MISSING
            value = value[key]
    return value


def walk(value: object, root: str, keys: Sequence[Key]) -> object:
    """The value at `keys` below `value`, which `root` names. Raises `Absent`."""
    found = find(value, keys)
    if found is MISSING:
        raise Absent(value, root, keys, [key_text(key) for key in keys])
    return found


class Absent(Unevaluable):
    """A path that leads nowhere. Its words are found only when they are read: most absences are caught.

    `texts` are the keys as the user wrote them; a computed key is never shown, since it may be a secret. Neither
    are the names in a computed base (`names_known` is false).
    """

    def __init__(
        self, base: object, root: str, keys: Sequence[Key], texts: Sequence[str], *, names_known: bool = True
    ) -> None:
        super().__init__()
        self._base = base
        self._root = root
        self._keys = keys
        self._texts = texts
        self._names_known = names_known

    def words(self) -> tuple[str, str]:
        position = next(end for end in range(len(self._keys)) if find(self._base, self._keys[: end + 1]) is MISSING)
        value, key = find(self._base, self._keys[:position]), self._keys[position]
        parent = self._root + "".join(map(_short_key, self._texts[:position]))
        last = _short_key(self._texts[position])
        said = f"{parent}{last} is not defined"
        if isinstance(value, Mapping):
            return f"{said}; the value has: {self._names(value, key, position)}", _MAYBE
        if isinstance(value, list) and isinstance(key, int):
            return f"{said}; the list {parent} has {len(value)} items, counted from 0", _MAYBE
        if isinstance(value, list):
            return f"{said}; {parent} is a list", f"write {parent}[0]{last} or {parent}.map(x, …)"
        return f"{said}; {parent} is {type_name(value)}, which has no parts", _MAYBE

    def _names(self, value: Mapping[object, object], key: Key, position: int) -> str:
        if not value:
            return "nothing"
        if not self._names_known:
            return f"{len(value)} names"
        names = [name for name in islice(value, _COMPARED) if isinstance(name, str)]
        more = f", … ({len(value)} in all)" if len(value) > _LISTED else ""
        written = isinstance(key, str) and self._texts[position] == key_text(key)
        guess = hint(str(key), names) if written else ""
        return ", ".join(map(shortened, names[:_LISTED])) + more + guess


def _short_key(text: str) -> str:
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (list, "list"),
    (Mapping, "map"),
)


def type_name(value: object) -> str:
    """The CEL name of a value's type."""
    if value is None:
        return "null"
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return "timestamp" if hasattr(value, "tzinfo") else "duration"

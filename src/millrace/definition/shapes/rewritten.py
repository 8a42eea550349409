"""A definition on its way to the canonical shape, and where each of its parts stands in what the user wrote.

A rewriting knows only the text that it was given itself; `before` is the rewriting that made that text. So faults name
the user's own places, however often a definition was rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from millrace.core.values import JsonObject

Places: TypeAlias = dict[str, str]
"""Path after a rewriting -> path before it, where they differ."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A definition after a rewriting."""

    raw: JsonObject
    places: Mapping[str, str] = field(default_factory=dict)
    before: "Rewritten | None" = None

    def place(self, path: str) -> str:
        """Where a path of `raw` is in the user's own text."""
        known = path
        while known and known not in self.places:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        original = self.places[known] + path[len(known) :] if known else path
        return original if self.before is None else self.before.place(original)

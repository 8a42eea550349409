"""How events are named by those who wait for them, be it a trigger or a task: patterns of types, sources and subjects.

`*` is the one sign with a meaning. In a type it stands at the end, after a dot; elsewhere for any text.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final, LiteralString, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

ANY: Final = "*"
BELOW: Final = ".*"
LONGEST: Final = 255
MOST_PATTERNS: Final = 50

TYPE_REMEDY = "write a type such as orders.imported, a beginning such as orders.*, or * for every type"
TEXT_REMEDY = "write one line of at most 255 characters; * in it stands for any text"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _type_pattern(text: str) -> str:
    if text == ANY:
        return text
    name = text.removesuffix(BELOW)
    if not name or text.strip() != text or _CONTROL.search(text):
        raise _told("event_type", "this is no type of events", TYPE_REMEDY)
    if ANY in name:
        raise _told("event_type", "a * can only stand at the end, after a dot", TYPE_REMEDY)
    return text


def _pattern(text: str) -> str:
    if _CONTROL.search(text):
        raise _told("pattern", "this cannot hold a line break or another control character", TEXT_REMEDY)
    return text


def _told(kind: LiteralString, reason: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "remedy": remedy})


TypePattern: TypeAlias = Annotated[
    str,
    AfterValidator(_type_pattern),
    Field(min_length=1, max_length=LONGEST),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST, "examples": ["orders.imported"]}),
]
Pattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_pattern)]
Types: TypeAlias = Annotated[list[TypePattern], Field(min_length=1, max_length=MOST_PATTERNS)]
Patterns: TypeAlias = Annotated[list[Pattern], Field(min_length=1, max_length=MOST_PATTERNS)]


def listed(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One pattern, several or none, as several."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)

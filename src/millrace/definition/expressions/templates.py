"""Templates: text with `{{ expression }}` in it. Finds the expressions; evaluates nothing.

An expression ends at the first `}}` outside quotes and braces, so `{{ {'a': {'b': 1}} }}` is one. `{{{{` stands
for a literal `{{`. A text that is exactly one expression has that expression's value, of whatever type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from millrace.core.values import JsonValue

from .faults import ExpressionFault
from .limits import MAX_EMBEDDED, MAX_SOURCE
from .paths import key_text
from .tokens import match_at, unreadable

_OPEN, _CLOSE, _ESCAPED = "{{", "}}", "{{{{"
_LONGEST = MAX_SOURCE + 256
"""Characters after which the end of an expression is no longer sought; blanks around it have some room."""
_REMEMBERED, _SHORT = 4096, 512
"""So many texts of at most so many characters are remembered: most are looked at when a definition is checked, when it
is compiled, and when it runs."""


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text, escapes already undone."""

    text: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """An expression without its braces and outer blanks; `offset` is where it begins in the template."""

    source: str
    offset: int


Segment: TypeAlias = Text | Embedded


@dataclass(frozen=True, slots=True)
class Template:
    segments: tuple[Segment, ...]

    @property
    def expressions(self) -> tuple[Embedded, ...]:
        return tuple(segment for segment in self.segments if isinstance(segment, Embedded))

    @property
    def whole(self) -> Embedded | None:
        """The expression that the text consists of, if it is one and nothing else."""
        first = self.segments[0] if len(self.segments) == 1 else None
        return first if isinstance(first, Embedded) else None


def parse_template(text: str) -> Template:
    """The segments of `text`. Raises `ExpressionFault` for braces or quotes that are never closed."""
    return _parsed_before(text) if len(text) <= _SHORT else _parsed(text)


@lru_cache(_REMEMBERED)
def _parsed_before(text: str) -> Template:
    return _parsed(text)


def _parsed(text: str) -> Template:
    segments: list[Segment] = []
    literal: list[str] = []
    position = embedded = 0
    while (opening := text.find(_OPEN, position)) >= 0:
        literal.append(text[position:opening])
        if text.startswith(_ESCAPED, opening):
            literal.append(_OPEN)
            position = opening + len(_ESCAPED)
            continue
        _flush(literal, segments)
        closing = _closing(text, opening)
        segments.append(_embedded(text, opening + len(_OPEN), closing))
        embedded += 1
        if embedded > MAX_EMBEDDED:
            raise ExpressionFault(f"the text holds more than {MAX_EMBEDDED} expressions", opening, "make it a list")
        position = closing + len(_CLOSE)
    literal.append(text[position:])
    _flush(literal, segments)
    return Template(tuple(segments))


def whole_source(text: str) -> str:
    """The source of a text that was checked to be one expression and nothing else."""
    whole = parse_template(text).whole
    assert whole is not None, "it is one expression"  # noqa: S101
    return whole.source


def has_expressions(value: JsonValue) -> bool:
    """Whether rendering `value` could change it: some string in it, at any depth, has `{{`. Keys are no templates."""
    return any(True for _ in templates_in(value))


def templates_in(value: JsonValue, place: str = "") -> Iterator[tuple[str, str]]:
    """Place and text of every string in `value` that has `{{`."""
    match value:
        case str():
            if _OPEN in value:
                yield place, value
        case list():
            for position, item in enumerate(value):
                yield from templates_in(item, place + key_text(position))
        case dict():
            for key, item in value.items():
                yield from templates_in(item, (place + key_text(key)) if place else key_text(key).removeprefix("."))


def _flush(literal: list[str], segments: list[Segment]) -> None:
    text = "".join(literal)
    if text:
        segments.append(Text(text))
    literal.clear()


def _closing(text: str, opening: int) -> int:
    """Where the `}}` stands that ends the expression opened at `opening`."""
    position = opening + len(_OPEN)
    depth = 0
    while position < len(text):
        if depth == 0 and text.startswith(_CLOSE, position):
            return position
        character = text[position]
        depth += (character == "{") - (character == "}" and depth > 0)
        token = match_at(text, position)
        if token is None and character in "'\"":
            raise unreadable(text, position)
        position = token.end() if token is not None and token.lastgroup != "skip" else position + 1
        if position - opening > _LONGEST:
            raise ExpressionFault(f"an expression is longer than {MAX_SOURCE} bytes", opening, "split it, or close it")
    raise ExpressionFault("'{{' is never closed", opening, "end the expression with }}, or write {{{{ for a literal {{")


def _embedded(text: str, start: int, end: int) -> Embedded:
    inner = text[start:end]
    source = inner.strip()
    if not source:
        raise ExpressionFault("the expression between {{ and }} is empty", start, "write one, such as {{ input.name }}")
    return Embedded(source, start + len(inner) - len(inner.lstrip()))

"""The loader behind `reading`: YAML 1.2's core schema for scalars, and nothing that is not JSON.

In a module of its own because the library is loaded only when the first YAML text comes.

Values are put together from the parser's events and not by PyYAML's composer: that one calls itself for every level,
and in C nothing stops it before the stack ends and with it the process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from millrace.core.errors import Unreadable
from millrace.core.values import MAX_DEPTH, JsonObject, JsonValue

LONGEST_NUMBER = 400
"""Digits of a number: more than any that can be stored, and few enough to be read at once."""

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end was not seen yet; `key` waits for its value."""

    made: list[JsonValue] | JsonObject
    key: str | None = None


def load(text: str) -> JsonValue:
    """Raises `Unreadable` with line and column."""
    try:
        documents = _documents(_events(text))
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error.problem or "it cannot be read", error.problem_mark) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise Unreadable("unreadable", f"the text is not YAML: {' '.join(str(error).split())}") from None
    return documents[0] if documents else None


def _events(text: str) -> Iterator[Any]:
    parser = _Parser(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _documents(events: Iterator[Any]) -> list[JsonValue]:
    documents: list[JsonValue] = []
    around = [_Open(documents)]
    for event in events:
        match event:
            case yaml.ScalarEvent():
                _put(around[-1], event, _scalar(event))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if len(around) > MAX_DEPTH:
                    raise _unreadable(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
                _refuse_tag(event)
                made: list[JsonValue] | JsonObject = {} if isinstance(event, yaml.MappingStartEvent) else []
                _put(around[-1], event, made)
                around.append(_Open(made))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                around.pop()
            case yaml.AliasEvent():
                name = str(event.anchor)[:40]
                raise _unreadable(f"aliases (*{name}) are not taken; write the value out", event.start_mark)
            case yaml.DocumentStartEvent() if documents:
                raise _unreadable("a second document begins; write one", event.start_mark)
    return documents


def _put(into: _Open, event: Any, value: JsonValue) -> None:
    """Add a value to a list; to a mapping add it as a key, or as the value of the key before."""
    if isinstance(into.made, list):
        into.made.append(value)
    elif into.key is not None:
        into.made[into.key] = value
        into.key = None
    elif not isinstance(value, str):
        if not isinstance(event, yaml.ScalarEvent):
            raise _unreadable('a key is a mapping or list; an expression stands in quotes: "{{ … }}"', event.start_mark)
        raise _unreadable(f"the key {event.value[:40]} is not text; put it in quotes", event.start_mark)
    elif value in into.made:
        raise _unreadable(f"the key {value[:40]!r} is given twice", event.start_mark)
    else:
        into.key = value


def _scalar(event: Any) -> JsonValue:
    """YAML 1.2's core schema, but for octal and hexadecimal numbers, `.inf` and `.nan`, which stay text."""
    _refuse_tag(event)
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > LONGEST_NUMBER:
            raise _unreadable(f"a number has {len(text)} digits; write it as text, in quotes", event.start_mark)
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _refuse_tag(event: Any) -> None:
    tag: str | None = event.tag
    if tag is not None:
        raise _unreadable(f"tags ({tag[:40]}) are not taken", event.start_mark)


def _unreadable(problem: str, mark: Any) -> Unreadable:
    where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
    return Unreadable("unreadable", f"the text is not the YAML that is taken here: {problem}{where}")

"""Reading JSON, and YAML: the part of it that is JSON with less punctuation. Nothing in a text can run, expand or
surprise.

Refused: tags, aliases (a few lines can expand to gigabytes), keys that are given twice or are not text. Dates and words
such as `on` and `no` stay text; only true, false, null and numbers are not.
"""

import json
from collections import Counter

from millrace.core.errors import Unreadable
from millrace.core.values import JsonObject, JsonValue

LARGEST = 8 * 1024 * 1024


def read_yaml(text: str) -> JsonValue:
    """The values of a YAML text. Raises `Unreadable` with line and column."""
    from millrace.definition.yaml_loader import load

    if len(text) > LARGEST:
        raise Unreadable("unreadable", f"the text is longer than {LARGEST} characters")
    return load(text)


def read_json(text: str, what: str = "the text") -> JsonValue:
    """The values of a JSON text. Raises `Unreadable`, which says `what` it is that cannot be read.

    By the standard library: orjson turns integers beyond 64 bits into floats without a word.
    """
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        raise Unreadable(
            "unreadable", f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise Unreadable("unreadable", f"{what} is nested too deeply") from None
    except ValueError as error:
        raise Unreadable("unreadable", f"{what} is not JSON: {error}") from None
    return value


def _without_doubles(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    """A mapping; that the last of two values with one key wins would hide that somebody meant the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {key[:40]!r} is given twice")
    return made


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON number")

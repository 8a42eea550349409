"""Reading YAML: the part of it that is JSON with less punctuation. Nothing in a text can run, expand or surprise.

Refused: tags, aliases (a few lines can expand to gigabytes), keys that are given twice or are not text. Dates and words
such as `on` and `no` stay text; only true, false, null and numbers are not.
"""

from millrace.core.errors import Unreadable
from millrace.core.values import JsonValue

LARGEST = 8 * 1024 * 1024


def read_yaml(text: str) -> JsonValue:
    """The values of a YAML text. Raises `Unreadable` with line and column."""
    from millrace.definition.yaml_loader import load

    if len(text) > LARGEST:
        raise Unreadable("unreadable", f"the text is longer than {LARGEST} characters")
    return load(text)

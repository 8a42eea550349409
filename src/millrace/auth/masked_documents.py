"""Documents of ours without the values of known secrets: what goes out, and what is archived for years.

Words of our own (ids, states, types, names) and definitions stay readable: a secret with the value `completed` must not
make runs look different, and a definition that was exported with `***` in it would be saved like that.
"""

import orjson

from millrace.core.values import JsonValue
from millrace.ports.secrets import Masker

OPEN = frozenset(
    {
        "at", "code", "config", "content_hash", "definition", "id", "key_id", "kind", "level", "media_type", "name",
        "next_cursor", "omitted", "outcome", "parent", "path", "reference", "retry_of", "root", "sha256", "slug",
        "source", "status", "task", "type", "uid",
    }
)  # fmt: skip
"""Fields, wherever they stand in a document of ours, that programs go on with and nobody who starts runs can write."""
OPEN_ENDS = ("_at", "_id", "_status", "_type")

VALUES = frozenset({"details", "input", "metadata", "output", "trigger_data", "variables"})
"""Fields whose value is the user's own: in them even keys and numbers are masked."""


def masked_document(body: bytes, masker: Masker) -> bytes:
    """A document as it may be seen; `body` itself if there is nothing to hide in it."""
    text = body.decode()
    # JSON in JSON may hide a value from the search behind backslashes; it is masked where it can be read.
    if "\\\\" not in text and masker.value(text) is text:
        return body
    return orjson.dumps(_masked(orjson.loads(body), masker))


def _masked(value: JsonValue, masker: Masker) -> JsonValue:
    if isinstance(value, dict):
        return {key: _field(key, item, masker) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, masker) for item in value]
    return masker.value(value) if isinstance(value, str) else value


def _field(key: str, value: JsonValue, masker: Masker) -> JsonValue:
    if key in VALUES:
        return masker.value(value)
    return value if _is_open(key) else _masked(value, masker)


def _is_open(key: str) -> bool:
    return key in OPEN or (key.endswith(OPEN_ENDS) and key != "correlation_id")

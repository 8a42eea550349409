"""The one sink of all answers: whatever goes out as JSON loses the values of known secrets here.

What is stored stays as it was given, since runs work with it: a run's input may well hold the value of a secret. An
answer without one, which is nearly every answer, is only searched, and goes out as it is. Words of our own (ids,
states, types, names) and definitions stay readable: a secret with the value `completed` must not make runs look
different, and a definition that was exported with `***` in it would be saved like that.
"""

from collections.abc import Mapping

import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from millrace.core.values import JsonObject, JsonValue
from millrace.ports.secrets import Masker, NoSecrets, beginning

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

OF_PROBLEMS = frozenset({"type", "title", "code", "status"})

LONGEST_TEXT = 1000
"""Characters of each text in a problem document."""


class Answer(Response):
    """A JSON document that is masked on its way out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        masked = masked_document(bytes(self.body), masker_of(scope))
        if masked != self.body:
            self.body = masked
            self.headers["Content-Length"] = str(len(masked))
        await super().__call__(scope, receive, send)


class ProblemAnswer(Response):
    """A problem document. Every text in it may quote the request, so all are masked, and then shortened."""

    def __init__(self, document: JsonObject, status: int, headers: Mapping[str, str] | None) -> None:
        super().__init__(_rendered(document, None), status, headers, "application/problem+json")
        self._document = document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = _rendered(self._document, masker_of(scope))
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def masker_of(scope: Scope) -> Masker:
    masker: Masker = scope["app"].state.masker
    return masker


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


def _rendered(document: JsonObject, masker: Masker | None) -> bytes:
    shown = _problem_part(document, masker)
    # A key or a message may hold a lone surrogate that a caller sent; it must not turn the answer into a 500.
    try:
        return orjson.dumps(shown)
    except orjson.JSONEncodeError:
        return orjson.dumps(_cleaned(shown))


def _problem_part(value: JsonValue, masker: Masker | None) -> JsonValue:
    if isinstance(value, dict):
        return {key: item if key in OF_PROBLEMS else _problem_part(item, masker) for key, item in value.items()}
    if isinstance(value, list):
        return [_problem_part(item, masker) for item in value]
    return _shortened(value, masker) if isinstance(value, str) else value


def _shortened(text: str, masker: Masker | None) -> str:
    """A name or a path that a caller sent may be as long as a request; the beginning says which it is."""
    cut = beginning(text, LONGEST_TEXT, masker or NoSecrets())
    shown = masker.text(cut) if masker else cut
    return shown if len(text) <= LONGEST_TEXT else f"{shown}…"


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    return value

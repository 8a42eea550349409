"""The one sink of all answers: whatever goes out as JSON loses the values of known secrets here.

What is stored stays as it was given, since runs work with it: a run's input may well hold the value of a secret. An
answer without one, which is nearly every answer, is only searched, and goes out as it is.
"""

import asyncio
from collections.abc import Mapping

import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from millrace.auth.masked_documents import masked_document
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.secrets import Masker, NoSecrets, beginning

OF_PROBLEMS = frozenset({"type", "title", "code", "status"})

LARGE = 256 * 1024
"""Bytes of a document above which it is searched in a thread: of 6 MB that takes 0.1 s, and 1 s if there is something
to hide."""

LONGEST_TEXT = 1000
"""Characters of each text in a problem document."""


class Answer(Response):
    """A JSON document that is masked on its way out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, masker = bytes(self.body), masker_of(scope)
        if len(body) > LARGE:
            masked = await asyncio.to_thread(masked_document, body, masker)
        else:
            masked = masked_document(body, masker)
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


BREAKS = {b"\r": b" ", b"\n": b" "} | {
    character.encode(): f"\\u{ord(character):04x}".encode() for character in "\x85\u2028\u2029"
}
"""What ends a line, for all or for some. In JSON the first two can only stand between tokens, as stored JSON may have
them, and the others only in a text, where they may be escaped."""


def one_line(document: bytes) -> bytes:
    """The JSON document as one line for everybody who reads it by lines."""
    for end, instead in BREAKS.items():
        document = document.replace(end, instead)
    return document


def masker_of(scope: Scope) -> Masker:
    masker: Masker = scope["app"].state.masker
    return masker


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

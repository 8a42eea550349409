"""The audit log as a file, a part at a time: JSON lines, or CSV for spreadsheets. Known secrets are masked in both.

What a spreadsheet would take for something to be computed gets a `'` in front: names and descriptions are anybody's.
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

import orjson

from millrace.api.masking import one_line
from millrace.auth.masked_documents import masked_document
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.secrets import Masker

Form: TypeAlias = Literal["jsonl", "csv"]
MEDIA_TYPES: Final = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

COLUMNS: Final = (
    "at", "action", "actor_id", "actor", "credential_id", "entity", "entity_id", "entity_name", "before", "after",
    "address", "request_id", "id", "seq", "hash",
)  # fmt: skip
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


async def parts(
    first: Sequence[JsonObject], more: AsyncGenerator[Sequence[JsonObject]], form: Form, masker: Masker
) -> AsyncIterator[bytes]:
    async with aclosing(more):
        if form == "csv":
            yield _lines([COLUMNS])
        yield _part(first, form, masker)
        async for items in more:
            yield _part(items, form, masker)


def _part(items: Sequence[JsonObject], form: Form, masker: Masker) -> bytes:
    documents = [masked_document(orjson.dumps(item), masker) for item in items]
    if form == "csv":
        return _lines(_cells(orjson.loads(document)) for document in documents)
    return b"".join(one_line(document) + b"\n" for document in documents)


def _cells(item: JsonObject) -> Sequence[str]:
    actor = item["actor"]
    who: JsonObject = actor if isinstance(actor, dict) else {}
    flat = {**item, "actor_id": who.get("id"), "actor": who.get("name")}
    return [_defused(_text(flat[name])) for name in COLUMNS]


def _text(value: JsonValue) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode()


def _defused(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULAS) else text


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode(errors="replace")

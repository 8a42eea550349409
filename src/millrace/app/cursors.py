"""Cursors of keyset pagination: opaque to callers, so that what lists are sorted by can change.

A page is asked for with one row more than it shows; the extra row tells whether there is a next page.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import MAX_INTEGER, MIN_INTEGER

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: Sequence[Item]
    next_cursor: str | None


def encode_cursor(key: str | int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode_text(cursor: str | None) -> str | None:
    key = _decode(cursor)
    if key is not None and not isinstance(key, str):
        raise invalid_cursor()
    return key


def decode_number(cursor: str | None) -> int | None:
    key = _decode(cursor)
    if key is not None and (type(key) is not int or not MIN_INTEGER <= key <= MAX_INTEGER):
        raise invalid_cursor()
    return key


def _decode(cursor: str | None) -> object:
    if cursor is None:
        return None
    try:
        return orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise invalid_cursor() from None


def invalid_cursor() -> InvalidRequest:
    fault = Fault("query.cursor", "invalid_cursor", "this is not a cursor", "pass on `next_cursor` of the last page")
    return InvalidRequest("invalid_cursor", "the cursor is not one that a list has answered", faults=[fault])

"""Idempotency keys in requests: the header `Idempotency-Key`, or `idempotency_key` in the body."""

from typing import Annotated, Final

from fastapi import Header
from pydantic import Field

from millrace.api.schemas.texts import NO_NUL
from millrace.core.errors import Fault, InvalidRequest

LONGEST_KEY: Final = 255

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=LONGEST_KEY,
        description="The same key and request within 7 days give the same answer; with another request the key is "
        "refused (409 `idempotency_conflict`).",
    ),
]
"""The header, as the argument `idempotency_key` of a route."""

BodyKey = Annotated[
    str | None,
    Field(min_length=1, max_length=LONGEST_KEY, pattern=NO_NUL, description="As the header Idempotency-Key."),
]


def one_key(header: str | None, body: str | None) -> str | None:
    """The key of a request. Raises `InvalidRequest` when header and body give two."""
    if header is not None and body is not None and header != body:
        fault = Fault("idempotency_key", "value", "the header Idempotency-Key has another value", "send one of them")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return header if header is not None else body

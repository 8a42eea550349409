"""Query parameters that several routes share."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from millrace.app.cursors import decode_number
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import EPOCH, Instant

Limit = Annotated[int, Query(ge=1, le=200, description="At most so many items.")]
ManyLines = Annotated[int, Query(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=1000,
        description="`next_cursor` of the page before. A page looks at a bounded number of rows: where a filter fits "
        "few of them it holds fewer items than `limit`, or none. The list ends where `next_cursor` is null.",
    ),
]
Words = Annotated[
    list[str], Query(default_factory=list, description="May be repeated, or hold a comma-separated list.")
]
Labels = Annotated[
    list[str],
    Query(
        default_factory=list, description="`key:value`; may be repeated, then all must match.", examples=["team:data"]
    ),
]
After = Annotated[int | None, Query(ge=0, le=2**62, description="Only what is numbered above this.")]
WaitSeconds = Annotated[
    float, Query(ge=0, le=30, description="With nothing there yet, wait so long for something to come.")
]
TriggerTypeWord = Annotated[
    str | None,
    Query(description="The type of the trigger that started the run; `manual` for a caller. A retry keeps the word."),
]
Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 with a zone: 2026-03-29T01:00:00Z.")]


def words(name: str, given: Sequence[str], allowed: Iterable[str]) -> list[str]:
    """The words of a filter. Raises `InvalidRequest` for one that is not among `allowed`."""
    wanted = [word.strip() for text in given for word in text.split(",") if word.strip()]
    known = sorted(allowed)
    faults = [
        Fault(f"query.{name}", "value", f"{name} cannot be {word[:40]!r}", f"one of {', '.join(known)}")
        for word in dict.fromkeys(wanted)
        if word not in known
    ]
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)
    return wanted


def known_word(path: str, given: str | None, allowed: Iterable[str]) -> str | None:
    """The one word of a filter. Raises `InvalidRequest` with a fault at `path` if it is not among `allowed`."""
    known = sorted(allowed)
    if given is None or given in known:
        return given
    message = f"{path.rpartition('.')[2]} cannot be {given[:40]!r}"
    fault = Fault(path, "value", message, f"one of {', '.join(known)}")
    raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


def values_of(states: type[StrEnum]) -> list[str]:
    return [state.value for state in states]


def labels(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition(":" if ":" in text else "=") for text in given]
    faults = [
        Fault("query.label", "value", f"{key[:40]!r} is not a label with its value", "write label=key:value")
        for key, found, _ in pairs
        if not key or not found
    ]
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)
    return {key: value for key, _, value in pairs}


def instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def position(after: int | None, cursor: str | None) -> int:
    """Where a list of numbered lines goes on: after the number given, or after the page before."""
    if after is not None:
        return after
    return decode_number(cursor) or 0

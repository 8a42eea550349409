"""Payloads too large for their row: inputs, outputs, trigger data. They lie in the object store, and nobody sees it.

A text column that holds JSON holds `@KEY SIZE SHA256` instead, which is no JSON. The object is written before the row
that refers to it. A payload that cannot be read back is a failure that says so, never another value.
"""

from collections.abc import Iterator, Mapping
from typing import NoReturn, Protocol

from millrace.core.values import JsonValue
from millrace.ports.evaluator import ExpressionError
from millrace.ports.objects import StoredObject
from millrace.ports.store import ClaimedAttempt

MARK = "@"


class PayloadLost(ExpressionError):
    """A payload that was put away is missing or damaged. An expression that reads it has no value."""


class PutAway:
    """A payload that is not in its row, as long as nobody has read it back. It is no JSON, and cannot become any."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class LostPayload(Mapping[str, JsonValue]):
    """Stands where a payload should be that cannot be read back; whoever looks into it hears why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def fail(self) -> NoReturn:
        raise PayloadLost(self.reason)

    def __getitem__(self, _: str) -> NoReturn:
        self.fail()

    def __iter__(self) -> Iterator[str]:
        self.fail()

    def __len__(self) -> int:
        self.fail()

    def __contains__(self, _: object) -> bool:
        self.fail()

    def __eq__(self, _: object) -> bool:
        self.fail()

    __hash__ = None  # type: ignore[assignment]


class Payloads(Protocol):
    @property
    def largest_in_row(self) -> int:
        """Bytes of JSON beyond which a payload is put away."""
        ...

    async def put_away_of_attempt(self, attempt: ClaimedAttempt, name: str, content: bytes) -> str | None:
        """Store the JSON and answer the text that stands for it; `None` when it must stay in its row.

        It stays when the object store has no room now: a row can hold it, too.
        """
        ...

    async def put_away_of_run(self, run_id: str, name: str, content: bytes) -> str | None:
        """The same for what belongs to the run itself. The same name may be used for several contents."""
        ...

    async def read(self, text: str) -> bytes:
        """The JSON that `text` stands for. Raises `PayloadLost`, and `objects.ObjectStoreUnavailable`."""
        ...


def text_for(stored: StoredObject) -> str:
    return f"{MARK}{stored.key} {stored.size} {stored.sha256}"


def spilled(text: str) -> StoredObject | None:
    """The object that a stored text stands for; `None` when the text is the payload itself."""
    if not text.startswith(MARK):
        return None
    key, size, sha256 = text[len(MARK) :].split(" ")
    return StoredObject(key, int(size), sha256)

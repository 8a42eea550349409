"""The inbox: facts for a run from those who do not own it, as rows first and as events of the run afterwards."""

import logging
from typing import TYPE_CHECKING

from millrace.core.events import (
    Admitted,
    AttemptExpired,
    AttemptWithdrawn,
    CancelRequested,
    Cascade,
    ChildFinished,
    ChildRefused,
    ChildStarted,
    Decided,
    Event,
    EventArrived,
    PauseRequested,
    ResumeRequested,
    SignalReceived,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.states import RunStatus
from millrace.core.values import JsonObject
from millrace.engine.service import Service
from millrace.ports.store import InboxItem, Store

if TYPE_CHECKING:
    from millrace.engine.engine import Engine

logger = logging.getLogger(__name__)

BATCH = 500
BETWEEN_BATCHES = 0.05
"""Seconds."""

REMEMBERED = 10_000


class Folded:
    """Ids of inbox rows that commits of this process have deleted lately.

    A poll that read the row just before its deletion, or a sender that is slow to hand it over, brings it once more.
    """

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._ids

    def add(self, item_id: str) -> None:
        self._ids[item_id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]


def event_of(item: InboxItem) -> Event | None:
    """The event that an inbox row stands for; `None` for a kind that this release does not know."""
    match item.kind:
        case "admitted":
            return Admitted()
        case "cancel":
            return CancelRequested(_text(item.data, "by"), _text(item.data, "reason"), _cascade(item.data))
        case "pause":
            return PauseRequested(_text(item.data, "by"))
        case "resume":
            return ResumeRequested(_text(item.data, "by"))
        case "attempt_withdrawn" | "attempt_expired":
            number = item.data["number"]
            assert isinstance(number, int), "written by the store itself"  # noqa: S101
            kind = AttemptWithdrawn if item.kind == "attempt_withdrawn" else AttemptExpired
            return kind(str(item.data["path"]), number)
        case "event" | "signal" | "decision" | "child_started" | "child_refused" | "child_finished":
            return _of_wait(item.kind, item.data)
        case _:
            logger.error("inbox item %s is of the unknown kind %r and stays where it is", item.id, item.kind)
            return None


def _of_wait(kind: str, data: JsonObject) -> Event:
    """What comes for tasks that wait."""
    path, run_id = str(data.get("path", "")), str(data.get("run_id", ""))
    match kind:
        case "event":
            event = data["event"]
            return EventArrived(path, event if isinstance(event, dict) else {})
        case "signal":
            return SignalReceived(str(data["name"]), data.get("data"), _text(data, "by"))
        case "decision":
            approved = data["approved"] is True
            return Decided(path, approved, _text(data, "by"), _text(data, "comment"), data.get("form"))
        case "child_started":
            return ChildStarted(path, run_id)
        case "child_refused":
            return ChildRefused(path, run_id, _failure(data) or Failure(FailureKind.REFUSED, "it cannot be started"))
        case _:
            return ChildFinished(path, run_id, RunStatus(str(data["status"])), _failure(data))


def _failure(data: JsonObject) -> Failure | None:
    error = data.get("error")
    return Failure.from_json(error) if isinstance(error, dict) else None


def _cascade(data: JsonObject) -> Cascade | None:
    """Releases that could not tell them apart wrote the cancel of a parent as anybody's."""
    return next((known for known in Cascade if known.value == data.get("cascade")), None)


def _text(data: JsonObject, key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


class InboxReader(Service):
    """Brings inbox rows to the engine. The sender's own process hands them over at once; this is the floor."""

    interval = 1.0

    def __init__(self, store: Store, engine: "Engine") -> None:
        super().__init__()
        self._store = store
        self._engine = engine
        self._empty_at: int | None = None
        """How much had been written when nothing was found."""

    async def run_once(self) -> float | None:
        written = self._store.written
        if written is not None and written == self._empty_at:
            return None
        items = await self._store.read_inbox(BATCH)
        self._empty_at = None if items else written
        self._engine.receive(items)
        # What has been read is read again until it is committed, which takes a moment.
        return BETWEEN_BATCHES if len(items) == BATCH else None

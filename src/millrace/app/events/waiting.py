"""Tasks that wait for an event (`wait_for_event`): which of them one is for, and the fact that tells them.

    the keys of the event's type, and its correlation key → waits under them, by the index → source, subject → the inbox

Their `filter` is asked by the run itself, when it folds the fact.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from millrace.core.values import JsonObject
from millrace.ports.controls import correlation_text
from millrace.ports.database import Columns
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem
from millrace.triggers.event import Event
from millrace.triggers.globs import fits

CORRELATION_KEY: Final = "correlationkey"
"""The extension of an event that holds its correlation key; without it that is its subject."""


def correlations_of(event: Event) -> Sequence[str]:
    """Under what tasks are found that want the event: without a correlation key, and with its own."""
    return sorted({"", correlation_text(correlation_key(event))})


def facts_for(event: Event, found: Sequence[Columns], ids: Ids) -> Sequence[InboxItem]:
    """What the runs are told of which a task was found that wants the event; one fact for each such task."""
    tasks = {(row["run_id"], row["path"]): None for row in found if _wants(row, event)}
    return [_fact(run_id, path, event, ids) for run_id, path in tasks]


def _fact(run_id: str, path: str, event: Event, ids: Ids) -> InboxItem:
    data: JsonObject = {"path": path, "event": event.shown()}
    return InboxItem(ids.new(), run_id, "event", data)


def correlation_key(event: Event) -> str | None:
    given = event.extensions.get(CORRELATION_KEY)
    return event.subject if given is None else str(given)


def _wants(row: Columns, event: Event) -> bool:
    request = orjson.loads(row["request"])
    return _fits(request.get("source"), event.source) and _fits(request.get("subject"), event.subject or "")


def _fits(patterns: Sequence[str] | None, text: str) -> bool:
    return not patterns or any(fits(pattern, text) for pattern in patterns)

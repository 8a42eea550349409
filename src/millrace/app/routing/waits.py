"""Tasks that wait for an event (`wait_for_event`): those that one is for are told, by a fact in the inbox of their run.

    the keys of the event's type, and its correlation key → waits under them, by the index → source, subject → the inbox

Their `filter` is asked by the run itself, when it folds the fact. An event may be routed more than once: each time by
another fact, of which the first ends the wait, and the rest come late. (Under one id the second would never be folded:
an engine takes a fact that it has folded for a row that it has deleted.)
"""

from collections.abc import Sequence
from typing import Final

import orjson

from millrace.app.dialects import json_list
from millrace.app.routing import repository
from millrace.core.values import JsonObject
from millrace.engine.engine import Engine
from millrace.ports.controls import correlation_text
from millrace.ports.database import Columns, Database
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem, Store
from millrace.triggers.event import Event, keys_of
from millrace.triggers.globs import fits

CORRELATION_KEY: Final = "correlationkey"
"""The extension of an event that holds its correlation key; without it that is its subject."""


class EventWaits:
    def __init__(self, database: Database, store: Store, engine: Engine, ids: Ids) -> None:
        self._database = database
        self._store = store
        self._engine = engine
        self._ids = ids

    async def tell(self, event: Event) -> None:
        """Tell every task that waits for such an event, durably when this returns."""
        values = {
            "routes": json_list(keys_of(event.type)),
            "correlations": json_list(sorted({"", correlation_text(correlation_key(event))})),
            "run_id": "",
            "path": "",
        }
        while found := await self._database.ask(repository.TASKS_WAITING, values):
            tasks = {(row["run_id"], row["path"]): None for row in found if _wants(row, event)}
            facts = {fact.id: fact for fact in (self._fact(*task, event) for task in tasks)}
            if facts:
                taken = await self._store.post(tuple(facts.values()))
                self._engine.receive([facts[fact_id] for fact_id in taken])
            if len(found) < repository.PAGE:
                return
            values |= {"run_id": found[-1]["run_id"], "path": found[-1]["path"]}

    def _fact(self, run_id: str, path: str, event: Event) -> InboxItem:
        data: JsonObject = {"path": path, "event": event.shown()}
        return InboxItem(self._ids.new(), run_id, "event", data)


def correlation_key(event: Event) -> str | None:
    given = event.extensions.get(CORRELATION_KEY)
    return event.subject if given is None else str(given)


def _wants(row: Columns, event: Event) -> bool:
    request = orjson.loads(row["request"])
    return _fits(request.get("source"), event.source) and _fits(request.get("subject"), event.subject or "")


def _fits(patterns: Sequence[str] | None, text: str) -> bool:
    return not patterns or any(fits(pattern, text) for pattern in patterns)

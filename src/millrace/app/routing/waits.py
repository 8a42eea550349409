"""Tells tasks that wait for an event of those that were stored without telling them: very many tasks waited for them.

They are told by facts in the inboxes of their runs. An event may be routed more than once, and a task be found under
two of its keys: each time it is told by another fact, of which the first ends the wait, and the rest come late. (Under
one id the second would never be folded: an engine takes a fact that it has folded for a row that it has deleted.)
"""

from collections.abc import Mapping
from itertools import product
from typing import Final

from millrace.app.events import repository
from millrace.app.events.waiting import correlations_of, facts_for
from millrace.engine.engine import Engine
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import Store
from millrace.triggers.event import Event, keys_of

PAGE: Final = 500
"""Tasks that wait, in one answer."""


class EventWaits:
    def __init__(self, database: Database, store: Store, engine: Engine, ids: Ids) -> None:
        self._database = database
        self._store = store
        self._engine = engine
        self._ids = ids

    async def tell(self, event: Event) -> None:
        """Tell every task that waits for such an event, durably when this returns."""
        for route, correlation in product(keys_of(event.type), correlations_of(event)):
            await self._tell_under(event, {"route": route, "correlation": correlation})

    async def _tell_under(self, event: Event, key: Mapping[str, str]) -> None:
        values: dict[str, object] = {**key, "run_id": "", "path": "", "limit": PAGE}
        while found := await self._database.ask(repository.WAITING_UNDER_ONE, values):
            facts = {fact.id: fact for fact in facts_for(event, found, self._ids)}
            if facts:
                taken = await self._store.post(tuple(facts.values()))
                self._engine.receive([facts[fact_id] for fact_id in taken])
            if len(found) < PAGE:
                return
            values |= {"run_id": found[-1]["run_id"], "path": found[-1]["path"]}

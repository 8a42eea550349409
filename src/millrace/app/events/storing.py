"""Stores an event, and in the same transaction tells the tasks that wait for it.

    the event ─┬─ few tasks wait for it   → told here, so that they go on one commit later
               ├─ very many wait for it   → left to the router, so that nobody's transaction gets long
               └─ a trigger names its type → left to the router, which starts its runs

So an event that no trigger is for is done with when it is stored. A task that comes to wait while the event is being
stored may or may not be told of it, as with two that happen at the same time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from millrace.app.events import repository
from millrace.app.events.repository import EventRow
from millrace.app.events.waiting import correlations_of, facts_for
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem
from millrace.triggers.event import keys_of

FEW: Final = 100
"""Tasks that are told in the transaction that stores the event."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is to be done once the transaction is committed; polling finds all of it, a second later."""

    facts: Sequence[InboxItem] = ()
    """To be brought to their runs."""
    unrouted: bool = False
    """Something is left to the router."""


def together(stored: Iterable[Stored]) -> Stored:
    every = list(stored)
    return Stored([fact for one in every for fact in one.facts], any(one.unrouted for one in every))


class EventStorage:
    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def store(self, connection: Connection, row: EventRow) -> Stored:
        event = repository.event_of(row.columns())
        keys = keys_of(event.type)
        found = repository.tasks_waiting(connection, keys, correlations_of(event), FEW + 1)
        few = len(found) <= FEW
        facts = facts_for(event, found, self._ids) if few else ()
        routed = few and not repository.has_triggers(connection, keys)
        row = replace(row, told_at=row.at if few else None, routed_at=row.at if routed else None)
        repository.insert_event(connection, row)
        if facts:
            repository.post(connection, facts)
        return Stored(facts, unrouted=not routed)

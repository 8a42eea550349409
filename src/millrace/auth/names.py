"""What users are called, by their ids: from memory where it can be, so that showing a run costs no further read.

Ids are what is stored and compared; a name is only shown. So one that was changed elsewhere may be shown for
`FRESH` longer, and nothing is decided by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.auth import repository
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

FRESH = 60.0
"""Seconds for which a name is shown without being read again."""

MAX_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    until: float


class UserNames:
    """Safe to be asked by the threads that read: what is known is replaced, never changed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: Mapping[str, _Known] = {}

    async def of(self, ids: Iterable[str]) -> Mapping[str, str]:
        """The names of these users, in one query at most. An id that belongs to no user is its own name."""
        wanted, known = frozenset(ids), self._known
        if self._stale(wanted, known):
            return await self._database.read(lambda connection: self.within(connection, wanted))
        return {user_id: known[user_id].name for user_id in wanted}

    def within(self, connection: "Connection", ids: Iterable[str]) -> Mapping[str, str]:
        """As `of`, for who is reading already."""
        wanted, known = frozenset(ids), self._known
        if stale := self._stale(wanted, known):
            found = repository.names_of(connection, stale)
            until = self._clock.monotonic() + FRESH
            learned = {user_id: _Known(found.get(user_id, user_id), until) for user_id in stale}
            kept = known if len(known) < MAX_KNOWN else {user_id: known[user_id] for user_id in wanted - stale}
            self._known = known = {**kept, **learned}
        return {user_id: known[user_id].name for user_id in wanted}

    def forget(self, user_id: str) -> None:
        """Have this name read again."""
        self._known = {known: name for known, name in self._known.items() if known != user_id}

    def _stale(self, wanted: frozenset[str], known: Mapping[str, _Known]) -> frozenset[str]:
        now = self._clock.monotonic()
        return frozenset(user_id for user_id in wanted if user_id not in known or known[user_id].until <= now)

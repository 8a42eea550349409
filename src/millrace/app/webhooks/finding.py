"""Finding the trigger of a request as it is now: requests that come while others are being looked up share a look.

A look begins after every request that it is for, so a change of a trigger takes effect with its commit; and however
many come at a time, each read finds all that have come meanwhile.
"""

import asyncio
from collections.abc import Mapping

from sqlalchemy import Connection

from millrace.app.triggers.repository import TriggerRow
from millrace.app.webhooks import repository
from millrace.ports.database import Database
from millrace.triggers.webhook.paths import looks_like_id


class _Look:
    """What several requests ask together, and the answer."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.found: Mapping[str, TriggerRow] | None = None
        self.error: Exception | None = None

    @property
    def answered(self) -> bool:
        return self.found is not None or self.error is not None


class WebhookFinder:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = _Look()
        self._turn = asyncio.Lock()

    async def find(self, path: str) -> TriggerRow | None:
        """The trigger of a path, whether it is active or not. Raises `StoreUnavailable`."""
        look = self._next
        look.paths.add(path)
        async with self._turn:
            if not look.answered:
                await self._take(look)
        if look.error is not None:
            raise look.error
        return (look.found or {}).get(path)

    async def _take(self, look: _Look) -> None:
        """Whoever is cancelled here leaves the look to the next of those who wait for it."""
        if look is self._next:
            self._next = _Look()
        try:
            look.found = await self._database.read(lambda connection: _find(connection, look.paths))
        except Exception as error:  # told to each who asked
            look.error = error


def _find(connection: Connection, paths: set[str]) -> Mapping[str, TriggerRow]:
    found = repository.by_paths(connection, paths)
    for path in paths - found.keys():
        if looks_like_id(path) and (row := repository.only_one_of(connection, path)) is not None:
            found[path] = row
    return found

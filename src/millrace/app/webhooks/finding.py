"""Finding the trigger of a request as it is now: requests that come while others are being looked up share a look."""

from collections.abc import Mapping, Set

from sqlalchemy import Connection

from millrace.app.triggers.repository import TriggerRow
from millrace.app.webhooks import repository
from millrace.engine.looks import SharedLooks
from millrace.ports.database import Database
from millrace.triggers.webhook.paths import looks_like_id


class WebhookFinder:
    def __init__(self, database: Database) -> None:
        async def ask(paths: Set[str]) -> Mapping[str, TriggerRow]:
            return await database.read(lambda connection: _find(connection, paths))

        self._looks = SharedLooks(ask)

    async def find(self, path: str) -> TriggerRow | None:
        """The trigger of a path, whether it is active or not. Raises `StoreUnavailable`."""
        return await self._looks.find(path)


def _find(connection: Connection, paths: Set[str]) -> Mapping[str, TriggerRow]:
    found = dict(repository.by_paths(connection, paths))
    for path in paths - found.keys():
        if looks_like_id(path) and (row := repository.only_one_of(connection, path)) is not None:
            found[path] = row
    return found

"""Seals the rows of the audit log that were committed, each second: it gives them their places in the chain.

Not in the transaction of the change: all changes would stand in one line then, whoever makes them. A process that is
killed in between leaves rows without a seal, which the next round of any process finds.

Of two that seal at a time PostgreSQL lets one commit; the other is done again, and finds the rows sealed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millrace.app.audit import repository
from millrace.app.audit.chain import PURPOSE, hash_of
from millrace.app.audit.repository import AuditRow, Link
from millrace.auth.vault.vault import Vault
from millrace.engine.service import Service
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

AT_ONCE = 500


class AuditSeals(Service):
    interval = 1.0

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__()
        self._database = database
        self._vault = vault
        self._none_at: int | None = None
        """How much had been written when nothing was to be sealed."""

    async def run_once(self) -> float | None:
        written = self._database.written
        if written is not None and written == self._none_at:
            return None
        if not await self._database.ask(repository.ANY_UNSEALED, {}):
            self._none_at = written
            return None
        rows = await self._database.read_for_engine(lambda connection: repository.unsealed(connection, AT_ONCE))
        key_id, key = self._vault.own_key(PURPOSE)
        await self._database.write(lambda connection: seal(connection, rows, key_id, key))
        return 0.0 if len(rows) == AT_ONCE else None


def seal(connection: "Connection", rows: Sequence[AuditRow], key_id: str, key: bytes) -> None:
    """Give these their places at the end of the chain, those that have none yet."""
    last, links = repository.last_link(connection), dict[str, Link]()
    waiting = repository.still_unsealed(connection, [row.id for row in rows])
    for row in rows:
        if row.id in waiting:
            links[row.id] = last = Link(last.seq + 1, hash_of(key, last.hash, row, last.seq + 1))
    repository.seal(connection, links, key_id)

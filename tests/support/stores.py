"""The real store on either database, and what tests put before it to get in its way."""

import asyncio
from collections.abc import Sequence
from typing import Any

from millrace.ports.store import ClaimRequest, CommitReply, RunChange, Store
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.store import PostgresStore
from millrace.storage.sqlite import SqliteStore


def store_on(database: SqliteDatabase | PostgresDatabase) -> Store:
    """A store of its own, as each process has one."""
    return PostgresStore(database) if isinstance(database, PostgresDatabase) else SqliteStore(database)


class OverStore:
    """The real store of a process of its own, which a test gets in the way of."""

    def __init__(self, real: Store) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class GatedStore(OverStore):
    """Commits wait at the gate while it is closed."""

    def __init__(self, real: Store) -> None:
        super().__init__(real)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        if not self.gate.is_set():
            self.waiting.set()
            await self.gate.wait()
        return await self.real.commit(changes, claim)

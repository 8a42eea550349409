"""Either database in virtual time: time stands still while it works."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from tests.support import virtual_postgres
from tests.support.virtual_time import virtual_loop

T = TypeVar("T")


class WatchedDatabase(SqliteDatabase):
    """The real one; virtual time stands still while its writer thread works."""

    async def submit(self, job: Callable[[sqlite3.Connection], T]) -> T:
        with virtual_loop().outside():
            return await super().submit(job)


@asynccontextmanager
async def virtual_database(kind: str, folder: Path) -> AsyncIterator[SqliteDatabase | PostgresDatabase]:
    """An empty database of one of the kinds in `databases`, for as long as the test takes."""
    if kind == "postgres":
        async with virtual_postgres.opened() as server:
            yield server
        return
    clock = virtual_loop().clock
    database = await WatchedDatabase.open(folder / "millrace.db", clock=clock, synchronous="off")
    try:
        yield database
    finally:
        await database.close()

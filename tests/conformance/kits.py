"""What the conformance suite needs of a database: a store on it, a clock to set, and a look at its rows.

One kit per database. Test bodies go through `store`, `rows` and SQLAlchemy statements on the shared tables alone, so
that a new database is one more kit in `conftest` and no change to any test.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Table, insert, select

from millrace.core.values import JsonObject
from millrace.ports.database import Database
from millrace.ports.store import Store
from millrace.storage import tables
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.store import PostgresStore
from millrace.storage.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.support.postgres import DatabaseClock, fresh_database

WORKFLOW, VERSION = "workflow-1", "version-1"
VERSION_NUMBER = 3


class Kit:
    """A store on a fresh database, beside what a test needs to arrange and to look."""

    def __init__(self, store: Store, database: Database, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.database = database

    async def rows(self, table: Table, **where: Any) -> list[dict[str, Any]]:
        """The rows of `table` whose columns have these values, by primary key."""
        query = select(table).filter_by(**where).order_by(*table.primary_key.columns)
        found = await self.database.read(lambda connection: connection.execute(query).mappings().all())
        return [dict(row) for row in found]

    async def row(self, table: Table, **where: Any) -> dict[str, Any]:
        (row,) = await self.rows(table, **where)
        return row

    async def write(self, statement: Executable) -> None:
        """Write behind the store's back."""
        await self.database.write(lambda connection: connection.execute(statement))

    async def add_workflow(self) -> None:
        """The workflow and the version that `load` joins to a run."""
        now = self.clock.now()
        workflow: JsonObject = {
            "id": WORKFLOW, "name": "orders", "slug": "orders", "status": "active", "newest_version": VERSION_NUMBER,
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        version: JsonObject = {
            "id": VERSION, "workflow_id": WORKFLOW, "number": VERSION_NUMBER, "definition": "{}", "content_hash": "0",
            "created_at": now,
        }  # fmt: skip
        await self.write(insert(tables.workflows).values(workflow))
        await self.write(insert(tables.workflow_versions).values(version))


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Kit]:
    clock = FakeClock()
    database = await SqliteDatabase.open(folder / "millrace.db", clock=clock, synchronous="off")
    kit = Kit(SqliteStore(database), database, clock)
    try:
        await kit.add_workflow()
        yield kit
    finally:
        await kit.store.close()
        await database.close()


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[Kit]:
    async with fresh_database() as url:
        clock = DatabaseClock(url)
        database = await PostgresDatabase.open(url)
        kit = Kit(PostgresStore(database), database, clock)
        try:
            await kit.add_workflow()
            yield kit
        finally:
            await kit.store.close()
            await database.close()
            clock.close()

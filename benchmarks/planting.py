"""Fills a database by SQL while no Millrace has it open: the same statements on SQLite and on PostgreSQL.

What is planted goes through a temporary table. On PostgreSQL there are partitions for the months that are planted, as
an installation has them that ran all that time.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy import make_url

Rows = Iterable[tuple[object, ...]]

MONTHS = """
select make_partition(parent, month, 0)
from generate_series(date_trunc('month', to_timestamp($1::bigint / 1000) at time zone 'UTC'),
                     to_timestamp($2::bigint / 1000) at time zone 'UTC', interval '1 month') month,
     unnest(array['records', 'logs']) parent"""


class Planter(Protocol):
    def cover(self, first_ms: int, last_ms: int) -> None:
        """Runs that were made in this time are to come."""

    def fetch(self, query: str) -> Sequence[tuple[Any, ...]]: ...

    def run(self, statement: str) -> None: ...

    def fill(self, table: str, rows: Rows) -> None: ...

    def settle(self) -> None:
        """Do now what the database would do by itself later, while something is measured."""

    def size_mb(self) -> float: ...


class OnSqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cover(self, first_ms: int, last_ms: int) -> None:
        """There are no partitions."""

    def fetch(self, query: str) -> Sequence[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def run(self, statement: str) -> None:
        self._connection.execute(statement)

    def fill(self, table: str, rows: Rows) -> None:
        columns = len(self.fetch(f"pragma table_info({table})"))
        self._connection.executemany(f"insert into {table} values ({', '.join('?' * columns)})", rows)  # noqa: S608

    def settle(self) -> None:
        self.run("pragma wal_checkpoint(truncate)")

    def size_mb(self) -> float:
        ((size,),) = self.fetch("select page_count * page_size from pragma_page_count(), pragma_page_size()")
        return float(size) / 1e6


class OnPostgres:
    def __init__(self, runner: asyncio.Runner, connection: asyncpg.Connection) -> None:
        self._runner = runner
        self._connection = connection

    def cover(self, first_ms: int, last_ms: int) -> None:
        self._runner.run(self._connection.execute(MONTHS.replace("$1", str(first_ms)).replace("$2", str(last_ms))))

    def fetch(self, query: str) -> Sequence[tuple[Any, ...]]:
        return [tuple(row) for row in self._runner.run(self._connection.fetch(query))]

    def run(self, statement: str) -> None:
        self._runner.run(self._connection.execute(statement))

    def fill(self, table: str, rows: Rows) -> None:
        self._runner.run(self._connection.copy_records_to_table(table, records=rows))

    def settle(self) -> None:
        self.run("vacuum (analyze)")
        if self.fetch("select pg_has_role('pg_checkpoint', 'usage')") == [(True,)]:
            self.run("checkpoint")

    def size_mb(self) -> float:
        ((size,),) = self.fetch("select pg_database_size(current_database())")
        return float(size) / 1e6


@contextmanager
def planter(database_url: str) -> Iterator[Planter]:
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database or "", isolation_level=None)) as file:
            for pragma in ("synchronous = off", "cache_size = -400000", "temp_store = memory"):
                file.execute(f"pragma {pragma}")
            yield OnSqlite(file)
        return
    with asyncio.Runner() as runner:
        settings = {"synchronous_commit": "off", "work_mem": "256MB"}
        connection = runner.run(_connected(database_url, settings))
        try:
            yield OnPostgres(runner, connection)
        finally:
            runner.run(connection.close())


async def _connected(database_url: str, settings: dict[str, str]) -> asyncpg.Connection:
    return await asyncpg.connect(database_url, server_settings=settings)


def size_mb(database_url: str) -> float:
    with planter(database_url) as there:
        return there.size_mb()

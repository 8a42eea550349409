"""Backups of a PostgreSQL database: one file in the custom format of `pg_dump`, checked, of one moment of the database.

Running work goes on meanwhile. The line of all changes is left out: its positions are those of one server's
transactions and mean nothing on another.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from millrace.ports.database import CopyFailed
from millrace.storage.backup import Contents
from millrace.storage.database import DatabaseUnusable
from millrace.storage.postgres.programs import find, run
from millrace.storage.postgres.schema import connected, current, known_revisions
from millrace.storage.postgres.trouble import usable
from millrace.storage.schema import HEAD

MAGIC = b"PGDMP"
COUNTS = """
select (select count(*) from workflows where deleted_at is null), (select count(*) from runs),
  (select count(*) from runs where finished_at is null),
  (select count(*) from secrets) + (select count(*) from connections where sealed is not null)"""
LEFT_AFTER_SECONDS = 86_400


class PostgresCopies:
    """Meets `ports.database.DatabaseCopies`."""

    suffix = "dump"

    def __init__(self, url: str, home: Path) -> None:
        self._url = url
        self.place = home / f".millrace.{os.getpid()}.dump"
        """By process: several may share the folder."""

    async def size(self) -> int:
        async with _entered(self._url) as connection:
            size = await connection.exec_driver_sql("select pg_database_size(current_database())")
            return int(size.scalar_one())

    async def copy_to(self, place: Path) -> None:
        for left in self.place.parent.glob(".millrace.*.dump"):
            if left.stat().st_mtime < time.time() - LEFT_AFTER_SECONDS:
                left.unlink(missing_ok=True)
        await dump(self._url, place)


async def dump(url: str, place: Path) -> Contents:
    """Write the database into a new file, and answer what is in it. Raises `CopyFailed`."""
    try:
        os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CopyFailed(f"the copy {place} cannot be written: {error.strerror}") from None
    try:
        async with _entered(url) as connection:
            # The dump sees what is counted here, and goes by this transaction's snapshot as long as that is open.
            await connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            found = await connection.run_sync(contents)
            snapshot = (await connection.exec_driver_sql("select pg_export_snapshot()")).scalar_one()
            options = ("--format=custom", "--no-owner", "--no-privileges", "--exclude-table-data=changes")
            major = await connection.run_sync(major_version)
            program = await find("pg_dump", major)
            await run(program, *options, f"--snapshot={snapshot}", f"--file={place}", url=url)
        # To its end, to see that it is whole.
        await run(await find("pg_restore", major), "--file=/dev/null", str(place))
    except BaseException:
        place.unlink(missing_ok=True)  # noqa: ASYNC240 - a moment, and this may be the end of a cancelled task
        raise
    return found


def contents(connection: Connection) -> Contents:
    """What the database holds. Raises `CopyFailed` if it is not one of Millrace that this release knows."""
    revision = current(connection)
    if revision is None:
        raise CopyFailed("there is nothing of Millrace in the database; `millrace up` makes it")
    if revision not in known_revisions():
        raise CopyFailed(
            f"the database has the schema {revision}, and this release knows only up to {HEAD}; "
            "use the release that wrote it"
        )
    return Contents(revision, *connection.exec_driver_sql(COUNTS).one())


def major_version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("show server_version_num").scalar_one()) // 10_000


@asynccontextmanager
async def _entered(url: str) -> AsyncIterator[AsyncConnection]:
    try:
        with usable(url):
            async with connected(make_url(url)) as connection:
                yield connection
    except DatabaseUnusable as error:
        raise CopyFailed(str(error)) from error

"""Opens the database that the settings name. What else there is to know about which one it is stands here alone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database, DatabaseCopies, DatabaseFile
from millrace.ports.payloads import Payloads
from millrace.ports.store import Store
from millrace.storage.backup import FileCopies
from millrace.storage.database import SqliteDatabase, Synchronous
from millrace.storage.doctor import Doctor
from millrace.storage.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Storage:
    """An open database, whichever it is."""

    database: Database
    store: Callable[[Payloads], Store]
    check: Callable[..., Awaitable[JsonObject]]
    """The doctor's questions."""
    copies: Callable[[Path], DatabaseCopies]
    """For backups; with the folder of this installation."""
    close: Callable[[], Awaitable[None]]
    clock: Clock
    """What time it is to all who share the database."""
    file: DatabaseFile | None = None
    """`None` where it is a server's."""
    shared: bool = False
    """Whether other processes may be at work on it."""
    keep_clock: Callable[[], Awaitable[None]] | None = None
    """Sees to it that `clock` follows that of the server, if there is one."""
    keep_partitions: Callable[[], Awaitable[bool]] | None = None
    """Sees to the partitions of the large tables, if it has some; `False` asks for another try soon."""


async def open_sqlite(path: Path, clock: Clock, synchronous: Synchronous) -> Storage:
    """Raises `DatabaseInUse`, `DatabaseUnusable` and `UnknownSchema`."""
    database = await SqliteDatabase.open(path, clock=clock, synchronous=synchronous)
    return Storage(
        database=database,
        store=lambda payloads: SqliteStore(database, payloads),
        check=Doctor(database).examine,
        copies=lambda home: FileCopies(database),
        close=database.close,
        clock=clock,
        file=database,
    )


async def open_postgres(url: str, steady: Clock) -> Storage:
    """Raises `DatabaseUnusable` and `UnknownSchema`. Of `steady` only the steady clock is used."""
    # Loaded only here: who runs on SQLite does not pay for it at every start.
    from millrace.storage.postgres.clock import ServerClock
    from millrace.storage.postgres.database import PostgresDatabase
    from millrace.storage.postgres.dump import PostgresCopies
    from millrace.storage.postgres.partitions import keep_partitions
    from millrace.storage.postgres.store import PostgresStore
    from millrace.storage.postgres.trouble import usable

    with usable(url):
        database = await PostgresDatabase.open(url)
        clock = await ServerClock.started(database.server_time, steady)
    return Storage(
        database=database,
        store=lambda payloads: PostgresStore(database, payloads),
        check=Doctor(database).examine,
        copies=lambda home: PostgresCopies(url, home),
        close=database.close,
        clock=clock,
        shared=True,
        keep_clock=clock.keep,
        keep_partitions=lambda: keep_partitions(database.engine_pool),
    )

"""The SQLite file: one writing connection in one thread, and reading connections that cannot write.

Every write of Millrace, of the engine and of plain CRUD, is a job of the writer thread, which alone checkpoints the
log: SQLite up to 3.51.2 can corrupt a WAL that two connections write or checkpoint at once. The order of the first
pragmas matters: `auto_vacuum` has an effect only before anything else is written to a new file.
"""

import asyncio
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from millrace.ports.clock import Clock
from millrace.ports.database import Columns, Trouble
from millrace.ports.store import StoreUnavailable
from millrace.storage.backup import copy_of_used
from millrace.storage.lock import DatabaseLock
from millrace.storage.look_up import LookUps

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import RowMapping

logger = logging.getLogger(__name__)

T = TypeVar("T")
Synchronous = Literal["full", "normal", "off"]

LOG_BYTES = 16 * 1024 * 1024
"""Size that the log is given in advance, and that it is kept to by checkpoints."""

PAGES_IN_LOG = LOG_BYTES // 4096
PAGES_OF_A_JOB, PAGES_OF_A_ROW = 8, 0.3
"""What a job adds to the log, roughly: a page of each table and index it touches, and more for many rows."""

DISK_FULL = "disk_full"
FULL_BELOW = 256 * 1024
"""Bytes left on a disk that is full for a database."""

READERS = 4
ENGINE_READERS = 2

STEPS_BETWEEN_LOOKS = 100_000
"""Of SQLite's machine, some milliseconds: then it is asked whether anyone waits for the answer still."""


class DatabaseUnusable(Exception):
    """The file is no database, or cannot be written; the message names it and what may be done."""


class SqliteDatabase:
    """Meets the ports `Database` and `DatabaseFile`, and gives the store the raw writing connection by `submit`."""

    is_shared = False

    def __init__(self, path: Path, clock: Clock, synchronous: Synchronous) -> None:
        self.path = path
        self._clock = clock
        self._synchronous = synchronous
        self._lock = DatabaseLock(path)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="millrace-reader")
        self._engine_readers = ThreadPoolExecutor(ENGINE_READERS, thread_name_prefix="millrace-engine-reader")
        self._look_ups = LookUps(lambda: self._connect(writing=False))
        self._closed = False
        self._trouble: Trouble | None = None
        self._written = 0

    @classmethod
    async def open(cls, path: Path, *, clock: Clock, synchronous: Synchronous = "full") -> "SqliteDatabase":
        """Lock the file, bring its schema up to date, and start the writer.

        Raises `DatabaseInUse` when another process holds the lock, `UnknownSchema` when a newer release wrote it, and
        `DatabaseUnusable` when there is no database to be had at `path`.
        """
        database = cls(path, clock, synchronous)
        try:
            await asyncio.to_thread(database._lock_and_prepare)
        except (sqlite3.Error, DBAPIError, OSError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise DatabaseUnusable(
                f"the database {path} cannot be used: {reason}; make room, give this user the right to write there, "
                "restore a backup, or name another place in MILLRACE_HOME or MILLRACE_DATABASE_URL"
            ) from error
        return database

    def _lock_and_prepare(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.acquire()
        try:
            self._prepare()
        except BaseException:
            self._lock.release()
            raise

    def _prepare(self) -> None:
        from millrace.storage.schema import bring_up_to_date

        # SQLite gives the files beside the database the database's own mode; they hold inputs, outputs and logs.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._raw = self._connect(writing=True)
        bring_up_to_date(self._raw, self.path)
        if self._synchronous == "full":
            self._lay_out_log()
        self._writer: Engine = create_engine("sqlite://", creator=lambda: self._raw, poolclass=StaticPool)
        self._reader: Engine = create_engine(
            "sqlite://",
            creator=lambda: self._connect(writing=False),
            poolclass=SingletonThreadPool,
            pool_size=READERS + ENGINE_READERS,
        )
        self._thread = Thread(target=self._work, name="millrace-writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish the jobs that wait, move the log into the file, and let the lock go."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._look_ups.close()
        self._readers.shutdown()
        self._engine_readers.shutdown()
        self._reader.dispose()
        self._lock.release()

    async def submit(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in the writer thread. It begins and ends its own transactions.

        Raises `StoreUnavailable` when SQLite cannot write now: disk full, read-only, I/O error, closed.
        """
        self._require_open()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            changes = self._raw.total_changes
            try:
                result = job(self._raw)
            except Exception as error:
                self._recover()
                # It may have committed something before.
                self._written += 1
                translated = _translated(error)
                if isinstance(translated, StoreUnavailable):
                    self._trouble = _trouble_of(self.path, str(translated))
                loop.call_soon_threadsafe(_fail, done, translated)
            else:
                if self._raw.total_changes != changes:
                    self._written += 1
                    if not self._is_full_still():
                        self._trouble = None
                loop.call_soon_threadsafe(_resolve, done, result)

        self._jobs.put(run)
        return await done

    async def write(self, work: Callable[[Connection], T]) -> T:
        # What is known of who writes goes along into the thread; on PostgreSQL a greenlet has it by itself.
        context = copy_context()

        def job(_raw: sqlite3.Connection) -> T:
            with self._writer.connect() as connection:
                connection.exec_driver_sql("begin immediate")
                result = context.run(work, connection)
                connection.exec_driver_sql("commit")
                return result

        return await self.submit(job)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._readers, work)

    async def read_for_engine(self, work: Callable[[Connection], T]) -> T:
        """As `read`, on connections of the engine's own: no list of a million runs stands in its way."""
        return await self._read(self._engine_readers, work)

    async def ask(self, question: "Select[Any]", values: Mapping[str, object]) -> "Sequence[RowMapping]":
        return await self.read_for_engine(lambda connection: connection.execute(question, values).mappings().all())

    async def look_up(self, question: "Select[Any]", values: Mapping[str, object]) -> "Sequence[Columns]":
        self._require_open()
        try:
            found = self._look_ups.rows(question, values)
        except sqlite3.Error as error:
            raise _translated(error) from error
        return await self.ask(question, values) if found is None else found

    @property
    def written(self) -> int | None:
        return self._written

    async def free_pages(self) -> int:
        return await self.read(lambda connection: int(connection.exec_driver_sql("pragma freelist_count").scalar_one()))

    async def give_back(self, pages: int) -> float:
        """The file gets shorter with the next checkpoint."""

        def job(raw: sqlite3.Connection) -> float:
            began = time.perf_counter()
            # A page a step, in rows without columns: `execute` would take the first step alone.
            raw.executescript(f"pragma incremental_vacuum({pages})")
            return time.perf_counter() - began

        return await self.submit(job)

    @property
    def trouble(self) -> Trouble | None:
        return self._trouble

    def _is_full_still(self) -> bool:
        """Small writes may find room in what the files have already, where others do not."""
        full = self._trouble is not None and self._trouble.code == DISK_FULL
        return full and shutil.disk_usage(self.path.parent).free < FULL_BELOW

    async def copy_to(self, place: Path) -> None:
        self._require_open()
        await asyncio.to_thread(copy_of_used, self.path, place)

    async def _read(self, readers: ThreadPoolExecutor, work: Callable[[Connection], T]) -> T:
        self._require_open()
        given_up = Event()

        def job() -> T:
            with self._reader.connect() as connection, _ended_by(given_up, connection):
                connection.exec_driver_sql("begin")
                return work(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(readers, job)
        except Exception as error:
            raise _translated(error) from error
        finally:
            given_up.set()

    def _connect(self, *, writing: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=512)
        connection.create_function("now_us", 0, self._clock.now)
        if writing:
            connection.execute("pragma auto_vacuum = incremental")
            connection.execute("pragma journal_mode = wal")
            connection.execute(f"pragma synchronous = {self._synchronous}")
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma wal_autocheckpoint = 0")
            # A long reader, such as a backup, makes the log grow; once it can begin anew it shrinks again.
            connection.execute(f"pragma journal_size_limit = {LOG_BYTES}")
        else:
            connection.execute("pragma query_only = on")
        connection.execute("pragma busy_timeout = 5000")
        connection.execute("pragma cache_size = -16000")
        return connection

    def _lay_out_log(self) -> None:
        """Write the log's file in full before it is used: where each commit is synced, that is.

        A commit into a file that has its size syncs data alone; one that makes the file longer must sync the file
        system's own books too, and takes twice to three times as long. SQLite overwrites the log from its beginning
        after each complete checkpoint, and takes what lies behind its last commit for nothing, zeros included.

        A log that could not be emptied (no room on the disk, a reader of another process) is left as it is: what a
        killed process committed may stand there and nowhere else.
        """
        if not self._checkpoint("truncate"):
            return
        try:
            with _log_of(self.path).open("wb") as log:
                log.write(bytes(LOG_BYTES))
                log.flush()
                os.fsync(log.fileno())
        except OSError as error:
            logger.warning("the log of the database could not be laid out, commits will be slower: %s", error)

    def _work(self) -> None:
        """The writer thread: one job after another, and a checkpoint when the log is full."""
        pages, rows = 0.0, self._raw.total_changes
        while (job := self._jobs.get()) is not None:
            job()
            # SQLite's count begins anew after two thousand million.
            pages += PAGES_OF_A_JOB + PAGES_OF_A_ROW * max(0, self._raw.total_changes - rows)
            rows = self._raw.total_changes
            if pages > PAGES_IN_LOG:
                self._checkpoint("passive")
                pages = 0.0
        self._checkpoint("truncate")
        self._raw.close()

    def _checkpoint(self, mode: Literal["passive", "truncate"]) -> bool:
        """Whether the log was checkpointed as asked; SQLite tells of readers in the way by an answer, not an error."""
        try:
            (busy, *_) = self._raw.execute(f"pragma wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as error:
            logger.warning("the log of the database could not be checkpointed: %s", error)
            return False
        if busy:
            logger.warning("the log of the database could not be checkpointed: another process is reading it")
        return not busy

    def _require_open(self) -> None:
        """Nobody would ever answer a job that comes after the last one."""
        if self._closed:
            raise StoreUnavailable(f"the database {self.path} is closed")

    def _recover(self) -> None:
        """Leave no transaction open behind a job that failed."""
        if self._raw.in_transaction:
            self._raw.rollback()


UNAVAILABLE = ("disk is full", "disk I/O error", "readonly database", "unable to open", "database is locked")


def _translated(error: Exception) -> Exception:
    """SQLite's ways to say that it cannot work now as `StoreUnavailable`; every other error as it is."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.OperationalError) and any(words in str(original) for words in UNAVAILABLE):
        unavailable = StoreUnavailable(str(original))
        unavailable.__cause__ = error
        return unavailable
    return error


def _trouble_of(path: Path, reason: str) -> Trouble:
    """Said to anyone who asks for the health, so it names no place."""
    # Where the index of the log has no room, or an open file became read-only, SQLite speaks of an I/O error.
    if "disk is full" in reason or shutil.disk_usage(path.parent).free < FULL_BELOW:
        return Trouble(DISK_FULL, "the disk of the database is full; make room, and work goes on by itself")
    if "readonly" in reason or not all(os.access(file, os.W_OK) for file in (path, _log_of(path)) if file.exists()):
        return Trouble("database_read_only", "the database is read-only; let it be written, and work goes on by itself")
    return Trouble("database_unusable", f"the database cannot be written: {reason}")


@contextmanager
def _ended_by(given_up: Event, connection: Connection) -> Iterator[None]:
    """Within it, whatever SQLite is at ends with an error soon after nobody waits for it any more."""
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(given_up.is_set, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _resolve(done: "asyncio.Future[T]", result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: "asyncio.Future[T]", error: Exception) -> None:
    if not done.done():
        done.set_exception(error)

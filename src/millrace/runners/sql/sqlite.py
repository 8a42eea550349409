"""A script on SQLite, in a thread: the standard library's driver, with nothing in its way but the guard.

A transaction that may write begins with `begin immediate`, so two tasks wait for each other instead of failing when
one of them turns from reading to writing. While the database is locked a statement is tried again: SQLite's own waiting
cannot be interrupted.
"""

import base64
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from millrace.core.values import MAX_INTEGER, MIN_INTEGER, JsonObject, JsonValue
from millrace.ports.confinement import SystemUser
from millrace.runners.sql.faults import SqlFault, invalid, refused
from millrace.runners.sql.parameters import Bound
from millrace.runners.sql.plan import Script
from millrace.runners.sql.results import Results, Rows, real, written
from millrace.runners.sql.sqlite_files import allowed_file, check_opened
from millrace.runners.sql.sqlite_guard import Guard

READING_WORDS = frozenset({"SELECT", "VALUES", "EXPLAIN", "PRAGMA"})
LONGEST_VALUE = 64 * 1024 * 1024
LOCK_WAIT = 60.0
LOCK_PAUSE = 0.02
STEPS_BETWEEN_CHECKS = 10_000
PRIMARY_CODE = 0xFF


class Stopped(Exception):
    """The attempt was cancelled; nobody waits for a result."""


@dataclass(slots=True)
class SqliteWork:
    """One script on one connection. `run` blocks and belongs to a thread; `stop` may come from any other."""

    path: str
    allowed_dirs: tuple[Path, ...]
    own_database: Path | None
    script: Script
    others: SystemUser | None = None
    """Whom commands run as, where that is not the user of this process."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _guard: Guard = field(default_factory=Guard)

    def stop(self) -> None:
        """End the work at its next step; an open transaction is rolled back."""
        self._stop.set()

    def run(self) -> JsonObject:
        results = Results(self.script.demand)
        connection = self._connect()
        try:
            self._perform(connection, results)
        except sqlite3.Error as error:
            raise self._translated(error) from None
        finally:
            connection.close()
        return results.output()

    def _connect(self) -> sqlite3.Connection:
        real_path = ""
        if self.path:
            real_path = allowed_file(self.path, self.allowed_dirs, self.own_database, self.others)
            name = f"file:{quote(real_path)}?mode={'ro' if self.script.read_only else 'rwc'}"
        else:
            name = "file::memory:"
        try:
            connection = sqlite3.connect(name, timeout=0, isolation_level=None, uri=True, cached_statements=0)
        except sqlite3.Error as error:
            raise SqlFault(f"the SQLite file cannot be opened: {error}") from None
        try:
            check_opened(connection, real_path)
        except SqlFault:
            connection.close()
            raise
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)
        if self.script.read_only:
            connection.execute("pragma query_only = on")
        connection.set_authorizer(self._guard)
        connection.set_progress_handler(self._stop.is_set, STEPS_BETWEEN_CHECKS)
        return connection

    def _perform(self, connection: sqlite3.Connection, results: Results) -> None:
        if self.script.transaction:
            writes = any(bound.statement.first_word not in READING_WORDS for bound in self.script.statements)
            immediate = writes and not self.script.read_only
            self._execute(connection, "begin immediate" if immediate else "begin")
        for bound in self.script.statements:
            self._statement(connection, bound, results)
        results.check()
        if self.script.transaction:
            self._execute(connection, "commit")
        elif connection.in_transaction:
            raise invalid("sql: the script ends inside a transaction that it began; nothing of it was kept")

    def _statement(self, connection: sqlite3.Connection, bound: Bound, results: Results) -> None:
        values = {f"p{number}": _parameter(value) for number, value in enumerate(bound.values)}
        cursor = self._execute(connection, bound.text(lambda slot: f":p{slot}"), values or ())
        if cursor.description is None:
            results.changed(cursor.rowcount)
            return
        names = [column[0] for column in cursor.description]
        _read_rows(cursor, results.begin_rows(names, ["null"] * len(names)), results)
        cursor.close()

    def _execute(
        self, connection: sqlite3.Connection, sql: str, values: dict[str, JsonValue] | tuple[()] = ()
    ) -> sqlite3.Cursor:
        give_up_at = monotonic() + LOCK_WAIT
        while True:
            if self._stop.is_set():
                raise Stopped
            try:
                return connection.execute(sql, values)
            except sqlite3.OperationalError as error:
                if not waits_for_lock(error.sqlite_errorcode) or monotonic() > give_up_at:
                    raise
            self._stop.wait(LOCK_PAUSE)

    def _translated(self, error: sqlite3.Error) -> Exception:
        if self._stop.is_set():
            return Stopped()
        if self._guard.reason:
            return refused(f"sql: {self._guard.reason}")
        if isinstance(error, sqlite3.ProgrammingError):
            return invalid(f"sql: {error} Values for placeholders go into `parameters`.")
        return SqlFault(f"SQLite: {error}")


def waits_for_lock(code: int) -> bool:
    """Whether an extended result code says that another connection is in the way for a while.

    `SQLITE_BUSY_RECOVERY` is met by whoever opens a WAL file just as its last other user closes it. A snapshot that
    others have overtaken (`SQLITE_BUSY_SNAPSHOT`) stays overtaken, however long one waits (sqlite.org/rescode.html).
    """
    return code & PRIMARY_CODE == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT


def _read_rows(cursor: sqlite3.Cursor, rows: Rows, results: Results) -> None:
    for values in cursor:
        if results.demand.none:
            continue
        for position, value in enumerate(values):
            rows.types[position] = _wider(rows.types[position], _storage_class(value))
        if not rows.add([_plain(value) for value in values]):
            break


def _parameter(value: JsonValue) -> JsonValue:
    """JSON as SQLite keeps it: lists and objects as JSON text, integers it has no room for as text."""
    if isinstance(value, list | dict):
        return written(value)
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    return value


def _plain(value: object) -> JsonValue:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return real(value)
    if value is None or isinstance(value, int | str):
        return value
    raise SqlFault(f"SQLite gave a value of type {type(value).__name__}")


def _storage_class(value: object) -> str:
    return {int: "integer", float: "real", str: "text", bytes: "blob"}.get(type(value), "null")


def _wider(known: str, found: str) -> str:
    """The type of a column whose values may differ: SQLite gives each value its own."""
    if found in ("null", known) or known == "any":
        return known
    if known == "null":
        return found
    return "real" if {known, found} == {"integer", "real"} else "any"

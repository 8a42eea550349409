"""The database of a server that does not run, for the command line: copied, put back, its schema changed, all checked.

PostgreSQL has the same in `postgres.offline`. Everything here happens under the lock beside the file, so no server can
start meanwhile, and none may be running.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.doctor import Tell, unheard
from millrace.storage import schema
from millrace.storage.backup import Contents, contents, copy, damage, restore
from millrace.storage.doctor import examine
from millrace.storage.lock import DatabaseLock

RESTORE = "Restore the database from a backup."
REPAIR = "Upgrade a database of an older release; otherwise restore it from a backup, or undo what was changed by hand."


class NoDatabase(Exception):
    """There is no database at the place that the settings name."""


class WouldDestroy(Exception):
    """The step back deletes tables or columns with what is in them; the message says which."""


class OfflineFile:
    """A SQLite database. All but `revision` raise `DatabaseInUse` while a server runs, and `NoDatabase`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def revision(self) -> str | None:
        """The schema of the database, which a server may be using."""
        self._require_file()
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as raw:
            return schema.current(raw)

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema up to this release; answers the revisions before and after."""
        with self._locked(), closing(_writing(self._path)) as raw:
            before = schema.current(raw)
            schema.bring_up_to_date(raw, self._path)
            return before, schema.HEAD

    def downgrade(self, target: str | None, *, stamp: str, confirmed: bool) -> tuple[str, str, Path, Sequence[str]]:
        """Go back to an older schema, the one before by default.

        Answers the revision before and after it, where a copy is, and what was deleted.

        Raises `UnknownSchema` when there is no such step, and `WouldDestroy` unless `confirmed`.
        """
        with self._locked(), closing(_writing(self._path)) as raw:
            before, after = schema.step_back(raw, self._path, target)
            lost = schema.lost_by(raw, after)
            if not confirmed:
                raise WouldDestroy(
                    f"going back from {before} to {after} deletes {', '.join(lost) or 'nothing'}; "
                    "say --yes to do it, a copy of the database is made first"
                )
            aside = self._path.with_name(f"{self._path.name}.before-downgrade-{stamp}")
            copy(raw, aside)
            schema.downgrade(raw, after)
            return before, after, aside, lost

    def backup(self, place: Path) -> Contents:
        """Raises `CopyFailed`, too."""
        with self._locked(), closing(_writing(self._path)) as raw:
            copy(raw, place)
        return contents(place)

    def restore(self, backup: Path, *, stamp: str, as_copy: bool) -> tuple[Contents, Path | None]:
        """As `storage.backup.restore`; there may be no database yet."""
        return restore(backup, self._path, stamp=stamp, as_copy=as_copy)

    def check(self, clock: Clock, tell: Tell = unheard) -> JsonObject:
        """File, references, schema, and what the doctor asks: `{"checks", "problems"}` as the doctor answers."""
        with self._locked():
            try:
                # Moves the log of a killed server into the file, so that the file alone can be looked at.
                with closing(_writing(self._path)) as raw:
                    raw.execute("pragma wal_checkpoint(truncate)").fetchall()
                faults = damage(self._path)
            except sqlite3.DatabaseError as error:
                faults = [str(error)]
            if faults:
                return {"checks": 1, "problems": [problem("database_damaged", line, RESTORE) for line in faults]}
            differences = [problem("schema_differs", line, REPAIR) for line in schema.differences(self._path)]
            if differences:
                return {"checks": 2, "problems": [*differences]}
            report = _doctors_report(self._path, clock, tell)
            return {"checks": 2 + int(str(report["checks"])), "problems": report["problems"]}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._require_file()
        lock = DatabaseLock(self._path)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _require_file(self) -> None:
        if not self._path.exists():
            raise NoDatabase(f"there is no database at {self._path}; `millrace up` makes one")


def _doctors_report(database: Path, clock: Clock, tell: Tell) -> JsonObject:
    with closing(_writing(database)) as raw:
        raw.create_function("now_us", 0, clock.now)
        raw.execute("pragma query_only = on")
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            return examine(connection, at_rest=True, tell=tell)


def _writing(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database, isolation_level=None)


def problem(code: str, message: str, remedy: str) -> JsonObject:
    return {"code": code, "run_id": None, "message": message, "remedy": remedy}

"""The database of a server that does not run, for the command line: its schema changed, the whole of it checked.

Everything here happens under the lock beside the file, so no server can start meanwhile, and none may be running.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.storage import schema
from millrace.storage.backup import copy, damage
from millrace.storage.doctor import examine
from millrace.storage.lock import DatabaseLock

RESTORE = "Restore the database from a backup."
REPAIR = "Upgrade a database of an older release; otherwise restore it from a backup, or undo what was changed by hand."


class NoDatabase(Exception):
    """There is no database at the place that the settings name."""


class WouldDestroy(Exception):
    """The step back deletes tables or columns with what is in them; the message says which."""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Raises `NoDatabase`, and `DatabaseInUse` while a server runs."""
    if not database.exists():
        raise NoDatabase(f"there is no database at {database}; `millrace up` makes one")
    lock = DatabaseLock(database)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def upgrade(database: Path) -> tuple[str | None, str]:
    """Bring the schema up to this release; answers the revisions before and after."""
    with locked(database), closing(_writing(database)) as raw:
        before = schema.current(raw)
        schema.bring_up_to_date(raw, database)
        return before, schema.HEAD


def downgrade(database: Path, target: str | None, *, stamp: str, confirmed: bool) -> tuple[str, str, Path]:
    """Go back to an older schema, the one before by default; answers the revisions, and where a copy from before is.

    Raises `UnknownSchema` when there is no such step, and `WouldDestroy` unless `confirmed`.
    """
    with locked(database), closing(_writing(database)) as raw:
        before, after = schema.step_back(raw, database, target)
        lost = schema.lost_by(raw, after)
        if not confirmed:
            raise WouldDestroy(
                f"going back from {before} to {after} deletes {', '.join(lost) or 'nothing'}; "
                "say --yes to do it, a copy of the database is made first"
            )
        aside = database.with_name(f"{database.name}.before-downgrade-{stamp}")
        copy(raw, aside)
        schema.downgrade(raw, after)
        return before, after, aside


def revision(database: Path) -> str | None:
    """The schema of a database, which a server may be using."""
    if not database.exists():
        raise NoDatabase(f"there is no database at {database}; `millrace up` makes one")
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as raw:
        return schema.current(raw)


def backup(database: Path, place: Path) -> None:
    """Raises `CopyFailed`, too."""
    with locked(database), closing(_writing(database)) as raw:
        copy(raw, place)


def check(database: Path, clock: Clock) -> JsonObject:
    """File, references, schema, and what the doctor asks: `{"checks", "problems"}` as the doctor answers."""
    with locked(database):
        try:
            # Moves the log of a killed server into the file, so that the file alone can be looked at.
            with closing(_writing(database)) as raw:
                raw.execute("pragma wal_checkpoint(truncate)").fetchall()
            faults = damage(database)
        except sqlite3.DatabaseError as error:
            faults = [str(error)]
        if faults:
            return {"checks": 1, "problems": [_problem("database_damaged", line, RESTORE) for line in faults]}
        differences = [_problem("schema_differs", line, REPAIR) for line in schema.differences(database)]
        if differences:
            return {"checks": 2, "problems": [*differences]}
        report = _doctors_report(database, clock)
        return {"checks": 2 + int(str(report["checks"])), "problems": report["problems"]}


def _doctors_report(database: Path, clock: Clock) -> JsonObject:
    with closing(_writing(database)) as raw:
        raw.create_function("now_us", 0, clock.now)
        raw.execute("pragma query_only = on")
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            return examine(connection, at_rest=True)


def _writing(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database, isolation_level=None)


def _problem(code: str, message: str, remedy: str) -> JsonObject:
    return {"code": code, "run_id": None, "message": message, "remedy": remedy}

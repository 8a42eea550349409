"""Copies of the SQLite file: made while others work with it, checked, and put back in its place.

A copy is one file without a log. Nobody reads or replaces a database under a running server: whoever restores holds
the lock beside the file. The file in place is always either the old database or the new one, and the old one is kept.
"""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from millrace.ports.database import CopyFailed, DatabaseFile
from millrace.storage.lock import DatabaseLock
from millrace.storage.schema import HEAD, current, known_revisions

MAGIC = b"SQLite format 3\x00"
MOST_FAULTS = 10
LOG, INDEX = "-wal", "-shm"
"""What SQLite adds to the name of a database for its log, and for the index of that."""


class BackupUnsound(Exception):
    """The file is no backup that this release can put in place; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds, for those who decide whether it is the right one."""

    revision: str
    workflows: int
    runs: int
    unfinished: int
    encrypted: int
    """Secrets and connections that can be read only with the key they were encrypted with."""


class FileCopies:
    """Meets `ports.database.DatabaseCopies`."""

    suffix = "db"

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self.place = file.path.with_name(f".{file.path.name}.backup")

    async def size(self) -> int:
        return self._file.path.stat().st_size

    async def copy_to(self, place: Path) -> None:
        await self._file.copy_to(place)


def copy_of_used(database: Path, place: Path) -> None:
    """Copy a database that this process is working with. Raises `CopyFailed`."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=10)) as source:
            copy(source, place)
    except sqlite3.Error as error:
        raise CopyFailed(f"the database {database} cannot be read: {error}") from None


def copy(source: sqlite3.Connection, place: Path) -> None:
    """Copy a database as it is now, in one reading transaction, and check the copy. Raises `CopyFailed`."""
    try:
        os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CopyFailed(f"the copy {place} cannot be written: {error.strerror}") from None
    try:
        with closing(sqlite3.connect(place)) as target:
            source.backup(target)
            # One file instead of a database with a log.
            target.execute("pragma journal_mode = delete")
        _sync(place)
        faults = damage(place)
    except (sqlite3.Error, OSError) as error:
        place.unlink(missing_ok=True)
        raise CopyFailed(f"the database could not be copied to {place}: {error}") from None
    if faults:
        place.unlink(missing_ok=True)
        raise CopyFailed(f"the copy is damaged, and so is probably the database: {'; '.join(faults)}")


def damage(place: Path) -> Sequence[str]:
    """What SQLite finds wrong with a file that nobody writes to."""
    with closing(_untouched(place)) as raw:
        lines = [str(row[0]) for row in raw.execute(f"pragma integrity_check({MOST_FAULTS})")]
        lines += [f"a row of {row[0]} refers to a missing row of {row[2]}" for row in _broken_references(raw)]
    return [line for line in lines if line != "ok"]


def contents(place: Path) -> Contents:
    """What is in a backup. Raises `BackupUnsound` when it is not whole, or not of this release or an older one."""
    _require_alone(place)
    try:
        revision = _known_revision(place)
        faults = damage(place)
        if faults:
            raise BackupUnsound(f"the backup {place} is damaged: {'; '.join(faults)}")
        with closing(_untouched(place)) as raw:
            return Contents(
                revision,
                workflows=_count(raw, "workflows", "deleted_at is null"),
                runs=_count(raw, "runs"),
                unfinished=_count(raw, "runs", "finished_at is null"),
                encrypted=_count(raw, "secrets") + _count(raw, "connections", "sealed is not null"),
            )
    except sqlite3.Error as error:
        raise BackupUnsound(f"the backup {place} cannot be read: {error}") from None


def restore(backup: Path, database: Path, *, stamp: str, as_copy: bool) -> tuple[Contents, Path | None]:
    """Put a backup in the place of a database that no server uses; answers what is in it, and where the old one is.

    `as_copy`: the original lives on elsewhere, so this one gets an installation id of its own. Raises
    `DatabaseInUse`, `BackupUnsound` and `OSError`; then nothing has changed.
    """
    found = contents(backup)
    database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = DatabaseLock(database)
    lock.acquire()
    staged = database.with_name(f".{database.name}.restoring")
    try:
        staged.unlink(missing_ok=True)
        os.close(os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        shutil.copyfile(backup, staged)
        if as_copy:
            _give_new_identity(staged)
        _sync(staged)
        aside = keep_aside(database, f"before-restore-{stamp}")
        staged.replace(database)
        _sync(database.parent)
    finally:
        staged.unlink(missing_ok=True)
        lock.release()
    return found, aside


def keep_aside(database: Path, why: str) -> Path | None:
    """Give the database a second name, with its log if that could not be moved into it. Its lock must be held."""
    if not database.exists():
        return None
    aside = database.with_name(f"{database.name}.{why}")
    with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as raw:
        raw.execute("pragma wal_checkpoint(truncate)").fetchall()
    os.link(database, aside)
    log = database.with_name(database.name + LOG)
    if log.exists():
        # A log that stays would be taken for that of the database which comes into this place.
        log.replace(aside.with_name(aside.name + LOG))
    database.with_name(database.name + INDEX).unlink(missing_ok=True)
    return aside


def _require_alone(place: Path) -> None:
    try:
        with place.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise BackupUnsound(f"the backup {place} cannot be read: {error.strerror}") from None
    if magic != MAGIC:
        raise BackupUnsound(f"{place} is not a SQLite database, so it is no backup")
    log = place.with_name(place.name + LOG)
    if log.exists() and log.stat().st_size:
        raise BackupUnsound(
            f"{place} has a log beside it, so it is a database in use or a part of one; "
            "make a backup of it with `millrace db backup FILE`"
        )


def _known_revision(place: Path) -> str:
    with closing(_untouched(place)) as raw:
        revision = current(raw)
        tables = {row[0] for row in raw.execute("select name from sqlite_master where type = 'table'")}
    if revision is None or "installation" not in tables:
        raise BackupUnsound(f"{place} is a SQLite database, but not one of Millrace")
    if revision not in known_revisions():
        raise BackupUnsound(
            f"the backup {place} has the schema {revision}, and this release knows only up to {HEAD}; "
            "restore it with the release that wrote it"
        )
    return revision


def _give_new_identity(place: Path) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as raw:
        raw.execute("update installation set id = ?", (str(uuid.uuid4()),))


def _broken_references(raw: sqlite3.Connection) -> Sequence[tuple[str, int, str, int]]:
    return raw.execute("pragma foreign_key_check").fetchmany(MOST_FAULTS)


def _count(raw: sqlite3.Connection, table: str, condition: str = "true") -> int:
    known = raw.execute("select 1 from sqlite_master where type = 'table' and name = ?", (table,)).fetchone()
    if known is None:
        return 0  # It came with a later schema.
    (count,) = raw.execute(f"select count(*) from {table} where {condition}").fetchone()  # noqa: S608 - our own words
    return int(count)


def _untouched(place: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even beside the file."""
    return sqlite3.connect(f"file:{quote(str(place))}?mode=ro&immutable=1", uri=True)


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

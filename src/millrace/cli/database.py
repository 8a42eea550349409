"""Commands about the database as a whole: backup, restore, schema, check.

On SQLite a backup is made by the running server, if there is one, else here. All the others want the server stopped:
they hold the lock beside the database, so that none can start meanwhile. On PostgreSQL only a restore wants that.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.output import counted, progress, say
from millrace.cli.runs import AsJson, Server

MAKING = 3600.0
"""Seconds that the server may take to copy and check before it sends the first byte."""

BackupFile = Annotated[Path, typer.Argument(help="The backup, one file.", show_default=False)]

db = typer.Typer(help="The database: backup, restore, schema, check.", no_args_is_help=True)


@db.command()
def backup(
    file: BackupFile,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    server: Server = None,
) -> None:
    """Write a copy of the database as it is now, checked, with its SHA-256 in FILE.sha256. Running work goes on."""
    if file.exists() and not force:
        raise CommandError(f"{file} is there already; --force writes over it")
    part = file.with_name(f".millrace-{os.getpid()}-{secrets.token_hex(4)}.part")
    with _told():
        try:
            found = None if server or os.environ.get("MILLRACE_URL") else _made_here(part)
            if found is None:
                _fetch(part, server)
                found = _contents(part)
            checksum = _checksum(part)
            part.replace(file)
            _beside(file).write_text(f"{checksum}  {file.name}\n")
        finally:
            part.unlink(missing_ok=True)
    say(f"{file}: {'a dump of PostgreSQL' if found is None else _about(found)}")
    _tell_what_else(found)


@db.command()
def restore(
    file: BackupFile,
    as_copy: Annotated[
        bool, typer.Option("--as-copy", help="The original lives on, elsewhere or here: make this one of its own.")
    ] = False,
) -> None:
    """Put a backup in the place of the database, which is kept beside it. No server may run."""
    with _told():
        _require_checksum(file)
        found, aside = _offline().restore(file.absolute(), stamp=_stamp(), as_copy=as_copy)
    say(f"restored {_about(found)}")
    if aside is not None:
        say(f"the database that was there is kept as {aside}")
    if found.unfinished:
        say("with the next start its unfinished runs go on; what was running then starts again")
    _tell_what_else(found)


@db.command()
def upgrade() -> None:
    """Bring the schema up to this release. `millrace up` does the same by itself. On SQLite no server may run."""
    with _told():
        before, after = _offline().upgrade()
    say(f"the schema is {after}" + ("" if before == after else f"; it was {before or 'none'}"))


@db.command()
def downgrade(
    revision: Annotated[str | None, typer.Argument(help="The older schema; by default the one before.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete what only the newer schema has a place for.")] = False,
) -> None:
    """Go back to an older schema, for an older release. A copy of the database is made first. No server may run."""
    with _told():
        before, after, aside, lost = _offline().downgrade(revision, stamp=_stamp(), confirmed=yes)
    say(f"the schema is {after}; it was {before}. Start the release that {after} belongs to: this one upgrades again")
    say(f"deleted: {', '.join(lost) or 'nothing'}")
    say(f"the database as it was is kept as {aside}")


@db.command()
def current() -> None:
    """Show the schema of the database and the newest that this release knows."""
    from millrace.storage.schema import HEAD

    with _told():
        found = _offline().revision()
    say(f"{found or 'none'} (this release: {HEAD})")


@db.command()
def check(as_json: AsJson = False) -> None:
    """Check file, references, schema and contents of the database. Exit status 1 if anything is found."""
    from millrace.cli.server import print_report

    print_report(checked(), as_json)


def checked() -> dict[str, Any]:
    """What the doctor finds in the database of a server that does not run, and what is wrong with the file."""
    from millrace.cli.server import told
    from millrace.system import SystemClock

    with _told(), progress() as show:
        found: dict[str, Any] = _offline().check(
            SystemClock(), lambda step: show(told(step.check, step.number, step.of))
        )
        return found


# --- backups ----------------------------------------------------------------------------------------------------------


def _made_here(part: Path) -> Any:
    """Copy the database directly, unless it is a file that a server is using. Answers what it holds."""
    from millrace.storage.lock import DatabaseInUse

    try:
        return _offline().backup(part)
    except DatabaseInUse:
        return None


def _fetch(part: Path, server: str | None) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    digest = hashlib.sha256()
    with open(descriptor, "wb") as target, Connection(server) as connection:
        with connection.file("/db/backup", silence=MAKING) as (checksum, parts):
            for some in parts:
                digest.update(some)
                target.write(some)
        target.flush()
        os.fsync(target.fileno())
    if digest.hexdigest() != checksum:
        raise CommandError("the backup did not arrive as it was sent; try again", EXIT_FAILED)


def _contents(file: Path) -> Any:
    """What a file from a server holds; `None` for a dump, which only PostgreSQL can read."""
    from millrace.storage.backup import contents
    from millrace.storage.postgres.dump import MAGIC

    with file.open("rb") as opened:
        is_dump = opened.read(len(MAGIC)) == MAGIC
    return None if is_dump else contents(file)


def _require_checksum(file: Path) -> None:
    """If the file's checksum lies beside it, it must be right."""
    beside = _beside(file)
    if beside.exists() and beside.read_text().split()[:1] != [_checksum(file)]:
        raise CommandError(f"{file} is not what {beside.name} says it was when it was made; it is not restored")


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _about(found: Any) -> str:
    runs = f"{counted(found.runs, 'run')} ({found.unfinished} unfinished)"
    return f"{counted(found.workflows, 'workflow')}, {runs}, schema {found.revision}"


def _tell_what_else(found: Any) -> None:
    settings = _settings()
    if found is None or found.encrypted:
        count = "the" if found is None else found.encrypted
        say(
            f"{count} secrets and connections in it can be read only with the encryption key "
            f"({settings.encryption_key_file or settings.home / 'encryption-key'}), which is not in the backup"
        )
    say(f"artifacts and large inputs and outputs are not in the backup: {settings.artifacts_place}")


# --- where, and what went wrong ---------------------------------------------------------------------------------------


def _settings() -> Any:
    from millrace.config import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        raise CommandError(str(error)) from None


def _offline() -> Any:
    """The database that the settings name, for what is done without a server."""
    settings = _settings()
    if settings.database_path is None:
        from millrace.storage.postgres.offline import OfflineServer

        return OfflineServer(settings.database_url)
    from millrace.storage.offline import OfflineFile

    return OfflineFile(settings.database_path)


def _stamp() -> str:
    """Names what is kept; to the millisecond, since two commands of a script may well run in one second."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z"


@contextmanager
def _told() -> Iterator[None]:
    """What went wrong with the database or a copy of it, said in one line."""
    import sqlite3

    from millrace.ports.database import CopyFailed
    from millrace.storage.backup import BackupUnsound
    from millrace.storage.database import DatabaseUnusable
    from millrace.storage.lock import DatabaseInUse
    from millrace.storage.offline import NoDatabase, WouldDestroy
    from millrace.storage.schema import UnknownSchema

    try:
        yield
    except (BackupUnsound, DatabaseInUse, NoDatabase, UnknownSchema, WouldDestroy) as error:
        raise CommandError(str(error)) from None
    except (CopyFailed, DatabaseUnusable, OSError, sqlite3.Error) as error:
        raise CommandError(str(error), EXIT_FAILED) from None

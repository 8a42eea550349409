"""A backup put back: into a database of its own first, which takes the place and the name of the old one at the end.

So the database is always either the old one, whole, or the new one, and the old one is kept under another name.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import asyncpg
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from millrace.ports.database import CopyFailed
from millrace.storage.backup import BackupUnsound, Contents
from millrace.storage.database import DatabaseUnusable
from millrace.storage.lock import DatabaseInUse
from millrace.storage.postgres.connecting import state_of
from millrace.storage.postgres.dump import MAGIC, contents
from millrace.storage.postgres.programs import find, run
from millrace.storage.postgres.schema import connected
from millrace.storage.postgres.trouble import usable

LONGEST_NAME = 63
MAINTENANCE = ("postgres", "template1")
"""Databases that are there in every server, to be in while others are made and renamed."""
NO_SUCH_DATABASE = "3D000"

ALIVE = """
select host, pid, greatest(lease_until - now_us(), 0) / 1000000 + 1 as seconds from incarnations
where lost_at is null and retired_at is null and lease_until > now_us() order by id limit 1"""
OLD = "select pg_encoding_to_char(encoding), datcollate, datctype from pg_database where datname = $1"
SESSIONS = """
select string_agg(distinct coalesce(nullif(application_name, ''), 'a program without a name'), ', ')
from pg_stat_activity where datname = $1"""


async def restore(backup: Path, url: str, *, stamp: str, as_copy: bool) -> tuple[Contents, str | None]:
    """Put a backup in the place of a database that nobody uses; answers what is in it, and the old one's name now.

    `as_copy`: the original lives on elsewhere, so this one gets an installation id of its own. Raises `BackupUnsound`,
    `DatabaseInUse`, `DatabaseUnusable` and `CopyFailed`; then nothing has changed.
    """
    _require_dump(backup)
    address = make_url(url)
    name = str(address.database)
    staged, aside = _named(name, f"_restoring_{stamp}"), _named(name, f"_before_restore_{stamp}")
    with usable(url):
        await _require_idle(address)
        async with _server(address) as server:
            try:
                old = await _make(server, staged, like=name)
                found = await _fill(backup, address.set(database=staged), server.get_server_version().major, as_copy)
                await _swap(server, name, staged, aside if old else None)
            except BaseException:
                await server.execute(f"drop database if exists {_quoted(staged)}")
                raise
    return found, aside if old else None


async def _make(server: asyncpg.Connection, staged: str, *, like: str) -> bool:
    """An empty database, with the encoding of the old one; answers whether there is one."""
    old = await server.fetchrow(OLD, like)
    words = "encoding 'UTF8'" if old is None else f"encoding '{old[0]}' lc_collate '{old[1]}' lc_ctype '{old[2]}'"
    try:
        await server.execute(f"create database {_quoted(staged)} template template0 {words}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise CopyFailed(
            "the backup is put into a database of its own first, and this user may not make one; "
            "let a superuser say `alter role … createdb`"
        ) from error
    return old is not None


async def _fill(backup: Path, address: URL, major: int, as_copy: bool) -> Contents:
    program = await find("pg_restore", major)
    try:
        listed = (await run(program, "--list", str(backup))).splitlines()
        with NamedTemporaryFile("w", prefix="millrace-", suffix=".list") as wanted:
            # What a superuser has added is no part of it, and could be put back by a superuser only.
            wanted.write("\n".join(line for line in listed if " EXTENSION " not in line))
            wanted.flush()
            options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
            place = (f"--use-list={wanted.name}", f"--dbname={address.database}", str(backup))
            await run(program, *options, *place, url=address.render_as_string(hide_password=False))
    except CopyFailed as error:
        raise BackupUnsound(f"the backup {backup} cannot be put into a database: {error}") from error
    async with connected(address) as connection:
        try:
            found = await connection.run_sync(contents)
        except CopyFailed as error:
            raise BackupUnsound(f"the backup {backup} is not one to restore here: {error}") from error
        await connection.run_sync(lambda raw: _make_new(raw, as_copy=as_copy))
        await connection.commit()
    return found


def _make_new(connection: Connection, *, as_copy: bool) -> None:
    """Undo what held of the old database alone: who was at work on it, and the order of its server's transactions."""
    connection.exec_driver_sql("select renew_line()")
    connection.exec_driver_sql(
        "update incarnations set lost_at = now_us() where lost_at is null and retired_at is null"
    )
    if as_copy:
        connection.execute(text("update installation set id = :id"), {"id": str(uuid.uuid4())})
    connection.exec_driver_sql("analyze")


async def _swap(server: asyncpg.Connection, name: str, staged: str, aside: str | None) -> None:
    """Both names change or none. Nobody can be connected to a database whose name changes."""
    try:
        async with server.transaction():
            if aside is not None:
                await server.execute(f"alter database {_quoted(name)} rename to {_quoted(aside)}")
            await server.execute(f"alter database {_quoted(staged)} rename to {_quoted(name)}")
    except asyncpg.ObjectInUseError as error:
        who = await server.fetchval(SESSIONS, name)
        raise DatabaseInUse(f"somebody is connected to the database {name} ({who}); end that first") from error


async def _require_idle(address: URL) -> None:
    """Raises `DatabaseInUse` while a server is at work on it."""
    try:
        async with connected(address) as connection:
            known = await connection.exec_driver_sql("select to_regclass('incarnations')")
            if known.scalar() is None:
                return
            alive = (await connection.exec_driver_sql(ALIVE)).first()
    except DBAPIError as error:
        if state_of(error) != NO_SUCH_DATABASE:
            raise
        return
    if alive is not None:
        raise DatabaseInUse(
            f"the database is in use by process {alive.pid} on {alive.host}; stop it first. "
            f"One that was killed counts as alive for {alive.seconds} s yet"
        )


@asynccontextmanager
async def _server(address: URL) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the same server, but not to the database."""
    server = await _connected_beside(address)
    try:
        yield server
    finally:
        await server.close()


async def _connected_beside(address: URL) -> asyncpg.Connection:
    for database in MAINTENANCE:
        dsn = address.set(drivername="postgresql", database=database).render_as_string(hide_password=False)
        with suppress(asyncpg.InvalidCatalogNameError):
            return await asyncpg.connect(dsn)
    raise DatabaseUnusable(f"the server has no database {' or '.join(MAINTENANCE)} to work from")


def _require_dump(backup: Path) -> None:
    try:
        with backup.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise BackupUnsound(f"the backup {backup} cannot be read: {error.strerror}") from None
    if magic != MAGIC:
        raise BackupUnsound(
            f"{backup} is not a dump of PostgreSQL in the custom format, so it is no backup of this database"
        )


def _named(name: str, suffix: str) -> str:
    return name[: LONGEST_NAME - len(suffix)] + suffix


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

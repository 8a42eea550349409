"""Which schema a PostgreSQL database has, and what is done about it at start: by one process at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from millrace.storage.database import DatabaseUnusable
from millrace.storage.postgres.catalog import spelled_out
from millrace.storage.schema import HEAD, MIGRATIONS, UnknownSchema

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = MIGRATIONS / "postgres"
LOCK = 0x6D696C6C
"""Of those who migrate; the number means nothing."""
TRIAL = "millrace_trial"
CONNECT_SECONDS = 10.0
"""So long a server may take to answer at the start."""


async def bring_up_to_date(url: URL) -> None:
    """Migrate a new or older database; refuse one that is newer. Raises `UnknownSchema` with what to do.

    Raises `DatabaseUnusable` for one that takes no writes, and what the server and the network have to say as it comes.

    Any number of processes may start at once: the first migrates, the others wait for it. A migration that is cut short
    leaves nothing: it is one transaction.
    """
    async with connected(url) as connection:
        await connection.run_sync(_require_writable)
        if await connection.run_sync(current) != HEAD:
            await connection.exec_driver_sql(f"select pg_advisory_xact_lock({LOCK})")
            await connection.run_sync(_step_up)
        await connection.exec_driver_sql(f"select pg_advisory_xact_lock({LOCK})")
        await connection.exec_driver_sql("select continue_line()")
        await connection.commit()


@asynccontextmanager
async def connected(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection of its own, for what is done once."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def connect() -> asyncpg.Connection:
        # As the pool of the engine does: SQLAlchemy would not understand `?sslmode=…` and its like.
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection


def current(connection: Connection) -> str | None:
    """The revision of the database; `None` for an empty one."""
    # Not by `to_regclass`: a session that has once found nothing may go on to find nothing after another's commit.
    there = connection.exec_driver_sql(
        "select 1 from pg_class where relname = 'alembic_version' and relnamespace = current_schema()::regnamespace"
    )
    if there.scalar() is None:
        return None
    found = connection.exec_driver_sql("select version_num from alembic_version").scalar()
    return None if found is None else str(found)


def known_revisions() -> frozenset[str]:
    return frozenset(file.name.split("_")[0] for file in REVISIONS.glob("[0-9]*.py"))


def _step_up(connection: Connection) -> None:
    revision = current(connection)
    if revision == HEAD:
        return
    if revision is not None and revision not in known_revisions():
        raise UnknownSchema(
            f"the database has the schema {revision}, and this release knows only up to {HEAD}; start the release that "
            "wrote it, restore a backup from before it, or name another database if this one is not Millrace's"
        )
    _require_room(connection, revision)
    from alembic import command

    command.upgrade(_alembic(connection), "head")


def _require_writable(connection: Connection) -> None:
    if connection.exec_driver_sql("show transaction_read_only").scalar() == "on":
        raise DatabaseUnusable(
            "the database can only be read: its server is a standby, or it was made read-only; "
            "name another in MILLRACE_DATABASE_URL"
        )


def _require_room(connection: Connection, revision: str | None) -> None:
    """A database that somebody else uses is not added to: names of tables would meet, or be taken for ours later."""
    if revision is not None:
        return
    there = connection.exec_driver_sql(
        "select relname from pg_class where relnamespace = current_schema()::regnamespace "
        "and relkind in ('r', 'p', 'v') order by relname limit 1"
    ).scalar()
    if there is not None:
        raise UnknownSchema(
            f"the database is not empty, and not Millrace's: it has a table {there}; name a database of its own, "
            "such as one made by `createdb millrace`"
        )


def differences(connection: Connection) -> Sequence[str]:
    """Where the schema of a database is not what the migrations of this release make."""
    revision = current(connection)
    if revision != HEAD:
        return [f"the schema is {revision}, and this release needs {HEAD}"]
    own = str(connection.exec_driver_sql("select current_schema()").scalar())
    present, expected = spelled_out(connection, own), _as_made(connection)
    told = [f"the {name} is missing" for name in sorted(expected.keys() - present.keys())]
    told += [f"the {name} is not of Millrace" for name in sorted(present.keys() - expected.keys())]
    same = expected.keys() & present.keys()
    return told + [f"the {name} is not as it was made" for name in sorted(same) if expected[name] != present[name]]


def _as_made(connection: Connection) -> Mapping[str, str]:
    """What the migrations make: in a schema beside the other, and undone again."""
    from alembic import command

    with connection.begin_nested() as undone:
        connection.exec_driver_sql(f"create schema {TRIAL}")
        connection.exec_driver_sql(f"set local search_path = {TRIAL}")
        config = _alembic(connection)
        config.attributes["trial"] = True
        command.upgrade(config, "head")
        made = spelled_out(connection, TRIAL)
        undone.rollback()
    return made


def _alembic(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(REVISIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

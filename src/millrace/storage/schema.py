"""Which schema a database has, and what is done about it at start.

The revision is read by plain SQL: Alembic is imported only when there is something to migrate, since loading it takes
longer than all the rest of a later start.
"""

import sqlite3
from pathlib import Path

HEAD = "0002"
"""The revision this release knows; a test compares it with the migration scripts."""

MIGRATIONS = Path(__file__).with_name("migrations")


class UnknownSchema(Exception):
    """The database was written by a release that this one does not know."""


def current(raw: sqlite3.Connection) -> str | None:
    """The revision of the database; `None` for a new file."""
    known = raw.execute("select 1 from sqlite_master where type = 'table' and name = 'alembic_version'").fetchone()
    if known is None:
        return None
    row = raw.execute("select version_num from alembic_version").fetchone()
    return None if row is None else str(row[0])


def bring_up_to_date(raw: sqlite3.Connection, path: Path) -> None:
    """Migrate a new or older database; refuse one that is newer. Raises `UnknownSchema` with what to do."""
    revision = current(raw)
    if revision == HEAD:
        return
    if revision is not None and revision not in known_revisions():
        raise UnknownSchema(
            f"the database {path} has the schema {revision}, and this release knows only up to {HEAD}; "
            "start the release that wrote it, or restore a backup from before it"
        )
    migrate(raw)


def known_revisions() -> frozenset[str]:
    return frozenset(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migrate(raw: sqlite3.Connection, target: str = "head") -> None:
    """Run the migrations up to `target` on this connection, in one transaction each."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, target)

"""Which schema a database has, and what is done about it at start.

A new file is given all of it at once, as `scripts/print-schema` has printed it. The revision is read by plain SQL.
Alembic is imported only when there is something to migrate, since loading it takes longer than all the rest of a start.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0019"
"""The revision this release knows; a test compares it with the migration scripts."""

MIGRATIONS = Path(__file__).with_name("migrations")
COMPLETE = MIGRATIONS / "complete.sql"
"""What the migrations make of an empty file; a test compares the two."""


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
    if revision is None:
        make(raw)
        return
    if revision not in known_revisions():
        raise UnknownSchema(
            f"the database {path} has the schema {revision}, and this release knows only up to {HEAD}; "
            "start the release that wrote it, or restore a backup from before it"
        )
    migrate(raw)


def make(raw: sqlite3.Connection) -> None:
    """Give an empty database the whole schema, in one transaction."""
    try:
        raw.executescript(f"begin immediate;{COMPLETE.read_text()}commit;")
    except BaseException:
        if raw.in_transaction:
            raw.rollback()
        raise


def printed() -> str:
    """What `COMPLETE` has to say, for the migrations as they are."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw)
        rows = raw.execute("select sql from sqlite_master where sql is not null order by rowid").fetchall()
    stamp = f"insert into alembic_version values ('{HEAD}')"  # noqa: S608 - of our own
    made = "".join(f"{sql.strip()};\n" for sql in (*(sql for (sql,) in rows), stamp))
    return re.sub(r"[ \t]+\n", "\n", made.replace("\t", "    "))


def known_revisions() -> frozenset[str]:
    return frozenset(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migrate(raw: sqlite3.Connection, target: str = "head") -> None:
    """Run the migrations up to `target` on this connection, in one transaction each."""
    from alembic import command

    with _alembic(raw) as config:
        command.upgrade(config, target)


def downgrade(raw: sqlite3.Connection, target: str) -> None:
    """Undo the migrations after `target` on this connection; what only they have a place for is lost."""
    from alembic import command

    with _alembic(raw) as config:
        command.downgrade(config, target)


def step_back(raw: sqlite3.Connection, path: Path, target: str | None) -> tuple[str, str]:
    """The revision of a database, and the older one to go back to: the one before, if none is named.

    Raises `UnknownSchema` when there is no such step.
    """
    revisions = sorted(known_revisions())
    before = current(raw)
    if before not in revisions:
        raise UnknownSchema(f"the database {path} has the schema {before}, which this release does not know")
    older = revisions[: revisions.index(before)]
    after = target or (older[-1] if older else None)
    if after not in older:
        there_are = f"there are {', '.join(older)}" if older else "it is the first one"
        raise UnknownSchema(
            f"the database {path} has the schema {before}, from which no step leads back to {after}; {there_are}"
        )
    return before, after


def lost_by(raw: sqlite3.Connection, target: str) -> Sequence[str]:
    """What the way back to `target` deletes: tables with their rows, and columns of others."""
    present, then = _columns(raw), _columns_of(target)
    lost = []
    for table in sorted(present.keys() - then.keys()):
        (rows,) = raw.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - a name of our own schema
        if rows:
            lost.append(f"the table {table} with {rows} rows")
    for table in sorted(present.keys() & then.keys()):
        lost += [f"the column {table}.{column}" for column in sorted(present[table] - then[table])]
    return lost


def differences(path: Path) -> Sequence[str]:
    """Where the schema of a database is not what the migrations of this release make."""
    with closing(sqlite3.connect(path)) as raw:
        revision = current(raw)
        if revision != HEAD:
            return [f"the schema is {revision}, and this release needs {HEAD}"]
        present = _objects(raw)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        make(fresh)
        expected = _objects(fresh)
    told = [f"{name} is missing" for name in sorted(expected.keys() - present.keys())]
    told += [f"{name} is not of Millrace" for name in sorted(present.keys() - expected.keys())]
    same = expected.keys() & present.keys()
    return told + [f"{name} is not as it was made" for name in sorted(same) if expected[name] != present[name]]


@contextmanager
def _alembic(raw: sqlite3.Connection) -> "Iterator[Config]":
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config


def _objects(raw: sqlite3.Connection) -> Mapping[str, str]:
    """What the schema has, by kind and name, with the words that made it; SQLite's own tables are left out."""
    rows = raw.execute("select type, name, sql from sqlite_master where sql is not null and name not like 'sqlite_%'")
    return {f"the {kind} {name}": " ".join(sql.split()) for kind, name, sql in rows}


def _columns(raw: sqlite3.Connection) -> Mapping[str, frozenset[str]]:
    names = raw.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'").fetchall()
    return {
        name: frozenset(row[0] for row in raw.execute("select name from pragma_table_info(?)", (name,)))
        for (name,) in names
        if name != "alembic_version"
    }


def _columns_of(target: str) -> Mapping[str, frozenset[str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, target)
        return _columns(raw)

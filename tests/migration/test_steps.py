"""The way through the revisions: each can be reached and left, and Alembic itself sees no difference to the tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, create_engine
from sqlalchemy.pool import StaticPool

from millrace.storage.database import DatabaseUnusable, SqliteDatabase
from millrace.storage.schema import HEAD, MIGRATIONS, current, known_revisions, migrate
from millrace.storage.tables import metadata
from millrace.system import SystemClock


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def downgrade(raw: sqlite3.Connection, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, target)


def schema(raw: sqlite3.Connection) -> dict[str, str]:
    rows = raw.execute("select name, sql from sqlite_master where sql is not null and name not like 'alembic%'")
    return dict(rows.fetchall())


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_alembic_finds_nothing_to_migrate(raw: sqlite3.Connection) -> None:
    """Indexes with an expression are beyond it; `test_schema` compares those, and all CHECKs, by their SQL."""
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    beyond = {index.name for index in indexes if not all(isinstance(part, Column) for part in index.expressions)}
    beyond |= {index.name for index in indexes if index.info.get("dialect") == "postgresql"}
    migrate(raw)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with engine.connect() as connection:
        opts = {
            "compare_type": True,
            "compare_server_default": True,
            "include_object": lambda _object, name, *_: name not in beyond,
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []


def test_every_script_is_known_by_the_number_in_its_file_name() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert {script.revision for script in scripts} == known_revisions()


def test_every_revision_can_be_left_and_reached_again(raw: sqlite3.Connection) -> None:
    migrate(raw)
    newest = schema(raw)
    downgrade(raw, "base")
    assert schema(raw) == {}
    assert current(raw) is None
    migrate(raw)
    assert current(raw) == HEAD
    assert schema(raw) == newest


def test_migrating_again_changes_nothing(raw: sqlite3.Connection) -> None:
    migrate(raw)
    newest = schema(raw)
    raw.execute("insert into limits (key) values ('kept')")
    migrate(raw)
    assert schema(raw) == newest
    assert raw.execute("select key from limits").fetchall() == [("kept",)]


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    text = b"this is a letter, and longer than the header of a database would be: " * 50
    place.write_bytes(text)
    with pytest.raises(DatabaseUnusable, match=r"millrace\.db.*not a database"):
        await SqliteDatabase.open(place, clock=SystemClock())
    assert place.read_bytes() == text
    place.unlink()
    await (await SqliteDatabase.open(place, clock=SystemClock())).close()

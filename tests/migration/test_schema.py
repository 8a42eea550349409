"""The schema: what migrations make is what the tables say, and a database of another release is not touched."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from millrace.storage.database import SqliteDatabase
from millrace.storage.schema import (
    COMPLETE,
    HEAD,
    MIGRATIONS,
    UnknownSchema,
    current,
    known_revisions,
    make,
    migrate,
    printed,
)
from millrace.storage.tables import metadata
from millrace.system import SystemClock


@pytest.fixture
def migrated() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw)
        yield raw


def statements(raw: sqlite3.Connection) -> dict[str, list[str]]:
    """Name and parts of everything in the schema; constraints of a table may stand in any order."""
    rows = raw.execute("select name, sql from sqlite_master where sql is not null").fetchall()
    return {name: sorted(parts(sql)) for name, sql in rows if not name.startswith("alembic")}


def parts(sql: str) -> list[str]:
    plain = re.sub(r"\s+", " ", sql.replace('"', "")).replace(") WITHOUT ROWID", ", CONSTRAINT without rowid")
    return [part.strip(" ,()") for part in re.split(r",\s*(?=[a-z_]+ [A-Z]|CONSTRAINT)|(?=CONSTRAINT)", plain)]


def test_the_migrations_make_what_the_tables_say(migrated: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        metadata.create_all(engine)
        assert statements(migrated) == statements(raw)


def test_the_head_that_the_code_knows_is_the_head_of_the_migrations(migrated: sqlite3.Connection) -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]
    assert current(migrated) == HEAD
    assert HEAD in known_revisions()


def test_a_new_file_is_given_what_the_migrations_make(migrated: sqlite3.Connection) -> None:
    assert COMPLETE.read_text() == printed(), "type: .venv/bin/python scripts/print-schema"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        make(raw)
        assert statements(raw) == statements(migrated)
        assert current(raw) == HEAD


def test_a_file_that_could_not_be_given_all_of_it_is_as_empty_as_before() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.execute("create table mails (of_somebody_else)")
        with pytest.raises(sqlite3.OperationalError):
            make(raw)
        assert [name for (name,) in raw.execute("select name from sqlite_master")] == ["mails"]


async def test_a_new_file_has_its_pragmas(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    database = await SqliteDatabase.open(place, clock=SystemClock())
    await database.close()
    with closing(sqlite3.connect(place)) as raw:
        assert raw.execute("pragma auto_vacuum").fetchone() == (2,), "incremental"
        assert raw.execute("pragma journal_mode").fetchone() == ("wal",)


async def test_the_writer_syncs_every_commit_unless_told_otherwise(tmp_path: Path) -> None:
    for name, setting, expected in (("a", "full", 2), ("b", "normal", 1), ("c", "off", 0)):
        database = await SqliteDatabase.open(tmp_path / f"{name}.db", clock=SystemClock(), synchronous=setting)  # type: ignore[arg-type]
        try:
            found = await database.submit(lambda raw: raw.execute("pragma synchronous").fetchone())
            assert found == (expected,)
        finally:
            await database.close()


async def test_a_database_of_a_newer_release_is_refused_untouched(tmp_path: Path) -> None:
    place = tmp_path / "millrace.db"
    await (await SqliteDatabase.open(place, clock=SystemClock())).close()
    with closing(sqlite3.connect(place)) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(UnknownSchema, match=r"9999.*0019.*(backup|release)"):
        await SqliteDatabase.open(place, clock=SystemClock())
    with closing(sqlite3.connect(place)) as raw:
        assert raw.execute("select version_num from alembic_version").fetchone() == ("9999",)

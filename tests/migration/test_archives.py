"""0004 adds the archives to a database of the release before, which goes on as it was: on both databases."""

import sqlite3
from contextlib import closing

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text

from millrace.storage.postgres.schema import REVISIONS, connected, current
from millrace.storage.schema import MIGRATIONS, downgrade, lost_by, migrate
from tests.support.postgres import fresh_database

ROUND = "insert into retention_rounds (id, cause, runs, started_at) values ('r', 'schedule', 7, 1)"
FOUND = "select runs, archived, archives from retention_rounds"
ARCHIVE = (
    "insert into archives (id, object_key, size, sha256, index_at, families, runs, first_run_id, last_run_id, "
    "created_at) values ('a', 'archive/a', 9, 'x', 5, 1, 1, 'r', 'r', 1)"
)


def test_a_file_with_rounds_of_retention_gets_archives_and_can_go_back() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "0003")
        raw.execute(ROUND)
        migrate(raw, "0004")
        assert raw.execute(FOUND).fetchall() == [(7, 0, 0)]
        raw.execute(ARCHIVE)
        assert lost_by(raw, "0003") == [
            "the table archives with 1 rows",
            "the column retention_rounds.archived",
            "the column retention_rounds.archives",
        ]
        downgrade(raw, "0003")
        assert raw.execute("select runs from retention_rounds").fetchall() == [(7,)]


@pytest.mark.service("postgres")
async def test_a_database_with_rounds_of_retention_gets_archives_and_can_go_back() -> None:
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:
        await connection.run_sync(lambda raw: command.downgrade(alembic(raw), "0003"))
        assert await connection.run_sync(current) == "0003"
        await connection.execute(text(ROUND))
        await connection.run_sync(lambda raw: command.upgrade(alembic(raw), "0004"))
        assert (await connection.execute(text(FOUND))).all() == [(7, 0, 0)]
        await connection.execute(text(ARCHIVE))
        await connection.rollback()
        await connection.run_sync(lambda raw: command.upgrade(alembic(raw), "head"))


def alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(REVISIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

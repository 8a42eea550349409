"""The schema on PostgreSQL: what the migrations make is what the tables say. The server itself spells out both."""

from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from millrace.storage.postgres.catalog import tables_spelled_out
from millrace.storage.postgres.schema import REVISIONS, connected, current, differences, known_revisions
from millrace.storage.schema import HEAD, MIGRATIONS
from millrace.storage.tables import metadata
from tests.migration.test_archives import alembic
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.service("postgres")

START = """
select commit_runs('{}', null, null, '[{"run": {"id": "%s", "workflow_id": "w", "version_id": "v", "status": "running",
  "phase": "main", "cancels": 0, "revision": 1, "last_seq": 0, "last_log": 0, "trigger_type": "manual",
  "trigger_data": "{}", "input": "{}", "variables": "{}", "priority": 0, "root_run_id": "r", "causation_depth": 0,
  "created_at": 1} %s}]', null, null, null, null, null, null, null, null, null, null, null)"""


async def test_the_migrations_make_what_the_tables_say() -> None:
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:
        migrated = await connection.run_sync(tables_spelled_out)
        # In a transaction that is never committed: the database is one of many tests'.
        await connection.execute(text("drop schema public cascade"))
        await connection.execute(text("create schema public"))
        for function in (REVISIONS / "first" / "states.sql").read_text("utf-8").split("\ncreate ")[1:]:
            await connection.execute(text(f"create {function}".replace(":", r"\:")))
        await connection.run_sync(metadata.create_all)
        made = await connection.run_sync(tables_spelled_out)
        await connection.rollback()
    assert len(made) > 400
    assert {name: words for name, words in migrated.items() if "alembic_version" not in name} == made


async def test_the_head_that_the_code_knows_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(REVISIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == known_revisions()
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:
        assert await connection.run_sync(current) == HEAD


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("select 1", []),
        ("drop index ix_runs_status_id", ["the index ix_runs_status_id is missing"]),
        ("create function stranger() returns int language sql as 'select 1'", ["the function stranger() is not of"]),
        ("create table stranger (x int)", ["the column stranger.x is not of Millrace"]),
        ("alter table runs alter error type varchar(9)", ["the column runs.error is not as it was made"]),
        ("alter table runs disable trigger note_new_runs", ["the trigger note_new_runs is not as it was made"]),
        ("create table records_2001_01 partition of records for values from ('') to ('0')", []),
    ],
)
async def test_what_was_changed_by_hand_is_told(statement: str, told: list[str]) -> None:
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:
        await connection.execute(text(statement))
        found = await connection.run_sync(differences)
        assert len(found) == len(told), found
        assert all(line.startswith(expected) for line, expected in zip(found, told, strict=True))
        assert not (await connection.execute(text("select 1 from pg_namespace where nspname ~ 'trial'"))).all()
        await connection.rollback()


async def test_a_release_that_knows_nothing_of_changed_workflows_starts_runs_as_before() -> None:
    """0006: both releases run side by side for a while, on the functions of the newer one; and there is a way back."""
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:

        async def answer(run_id: str, more: str = "") -> Any:
            return (await connection.exec_driver_sql(START % (run_id, more))).scalar()

        assert (await answer("a"))["passed"] == ["a"]
        assert (await answer("b", ', "workflow_updated_at": 7'))["refused"] == [["b", "workflow_changed"]]
        await connection.run_sync(lambda raw: command.downgrade(alembic(raw), "0005"))
        assert (await answer("b", ', "workflow_updated_at": 7'))["passed"] == ["b"]
        await connection.run_sync(lambda raw: command.upgrade(alembic(raw), "head"))
        assert await connection.run_sync(differences) == []
        await connection.rollback()

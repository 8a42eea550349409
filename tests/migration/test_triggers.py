"""0005 adds what triggers beside schedules need to a database of the release before: on both databases."""

import sqlite3
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy import make_url, text

from millrace.storage.postgres.schema import connected, current
from millrace.storage.schema import downgrade, lost_by, migrate
from tests.migration.test_archives import alembic
from tests.support.postgres import fresh_database

EVENT = "insert into events (id, type, source, at) values ('e', 'orders.paid', 'shop', 7)"
FOUND = "select external_id, routed_at from events"
ROUTE = "insert into trigger_routes (kind, key, trigger_id, workflow_id) values ('webhook', 'orders', '{}', 'w')"


def test_events_of_before_are_not_routed_and_a_path_belongs_to_one_trigger() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "0004")
        raw.execute(EVENT)
        migrate(raw)
        assert raw.execute(FOUND).fetchall() == [(None, 7)]
        raw.execute(ROUTE.format("a"))
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(ROUTE.format("b"))
        assert "the table trigger_routes with 1 rows" in lost_by(raw, "0004")
        downgrade(raw, "0004")
        assert raw.execute("select type from events").fetchall() == [("orders.paid",)]


@pytest.mark.service("postgres")
async def test_postgres_events_of_before_are_not_routed() -> None:
    async with fresh_database(clock=False) as url, connected(make_url(url)) as connection:
        await connection.run_sync(lambda raw: command.downgrade(alembic(raw), "0004"))
        assert await connection.run_sync(current) == "0004"
        await connection.execute(text(EVENT))
        await connection.run_sync(lambda raw: command.upgrade(alembic(raw), "head"))
        assert (await connection.execute(text(FOUND))).all() == [(None, 7)]
        await connection.rollback()

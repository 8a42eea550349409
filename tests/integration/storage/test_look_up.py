"""Questions that are answered on the event loop: they see what was committed, and wait for nobody there."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, bindparam, insert, select

from millrace.ports.store import StoreUnavailable
from millrace.storage.database import SqliteDatabase
from millrace.storage.look_up import LookUps
from millrace.storage.tables import encryption_keys
from millrace.system import SystemClock

BY_ID = select(encryption_keys.c.check_value).where(encryption_keys.c.id == bindparam("id"))


def noted(connection: Connection) -> None:
    connection.execute(insert(encryption_keys).values(id="k1", check_value="right", created_at=1))


async def test_it_sees_what_was_committed_before(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "millrace.db", clock=SystemClock())
    try:
        assert await database.look_up(BY_ID, {"id": "k1"}) == []
        await database.write(noted)
        assert [row["check_value"] for row in await database.look_up(BY_ID, {"id": "k1"})] == ["right"]
        assert await database.look_up(BY_ID, {"id": "k2"}) == []
    finally:
        await database.close()
    with pytest.raises(StoreUnavailable):
        await database.look_up(BY_ID, {"id": "k1"})


def test_who_is_in_the_way_is_not_waited_for(tmp_path: Path) -> None:
    """A file without a log of its own can be locked for readers, too; the busy timeout would hold the loop up."""
    file = tmp_path / "plain.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("create table encryption_keys (id text primary key, check_value text)")
        writer.execute("insert into encryption_keys values ('k1', 'right')")
        look_ups = LookUps(lambda: sqlite3.connect(file, isolation_level=None, timeout=60))
        writer.execute("begin exclusive")
        assert look_ups.rows(BY_ID, {"id": "k1"}) is None
        writer.execute("rollback")
        found = look_ups.rows(BY_ID, {"id": "k1"})
        assert found is not None
        assert found[0]["check_value"] == "right"
        look_ups.close()


def test_what_is_wrong_with_the_question_is_said(tmp_path: Path) -> None:
    look_ups = LookUps(lambda: sqlite3.connect(tmp_path / "empty.db"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        look_ups.rows(BY_ID, {"id": "k1"})
    look_ups.close()

"""I4: the log is only added to. The database refuses all else, and where it was made not to, the seals tell."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from millrace.app.audit import sealing, verifying
from millrace.app.audit.keeping import OldAuditRows
from millrace.app.audit.sealing import AuditSeals
from millrace.core.values import SECOND
from millrace.system import SystemClock
from tests.support.api import create, definition
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

DAY = 86_400 * SECOND
UNGUARDED = {
    True: ("set local session_replication_role = replica",),
    False: (
        "drop trigger audit_log_added", "drop trigger audit_log_changed", "drop trigger audit_log_deleted",
        "drop trigger audit_anchor_moved", "drop trigger audit_anchor_kept", "drop trigger audit_anchor_added",
    ),
}  # fmt: skip
"""How who may change the schema gets at the rows, by whether the database is shared."""


async def done(millrace: Installation, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    await millrace.database.write(work)


async def tamper(millrace: Installation, *statements: str) -> None:
    """On PostgreSQL for this transaction alone: other tests use the database afterwards."""
    await done(millrace, *UNGUARDED[millrace.database.is_shared], *statements)


async def verified(api: httpx2.AsyncClient, head: str | None = None) -> dict[str, Any]:
    response = await api.post("/api/v1/audit-logs/verify", json={} if head is None else {"head": head})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def sealed(millrace: Installation, api: httpx2.AsyncClient, workflows: int = 5) -> dict[str, Any]:
    """Two rows for each workflow, sealed."""
    for number in range(workflows):
        await create(api, definition(f"w{number}"))
    await millrace.container.audit.seals.run_once()
    return await verified(api)


async def test_rows_are_sealed_in_one_chain(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "AT_ONCE", 3)
    monkeypatch.setattr(verifying, "AT_ONCE", 4)
    await create(api, definition("first"))
    before = await verified(api)
    assert (before["ok"], before["checked"], before["unsealed"], before["head"]) == (True, 0, 2, None)
    for number in range(4):
        await create(api, definition(f"w{number}"))
    seals = millrace.container.audit.seals
    while await seals.run_once() == 0.0:
        pass
    found = await verified(api)
    assert (found["ok"], found["checked"], found["unsealed"], found["broken"]) == (True, 10, 0, None)
    assert found["head"].startswith("10:")
    page = (await api.get("/api/v1/audit-logs")).json()["items"]
    assert [row["seq"] for row in page] == list(range(10, 0, -1))
    assert f"10:{page[0]['hash']}" == found["head"]


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set actor = 'somebody else'",
        "update audit_log set actor = 'somebody else' where seq is null",
        "update audit_log set seq = 99, actor = 'x' , hash = 'x', key_id = 'x' where seq is null",
        "update audit_log set seq = seq + 100 where seq = 10",
        "update audit_log set seq = null, hash = null, key_id = null where seq = 10",
        "delete from audit_log where seq = 10",
        "delete from audit_log where seq = 1",
        "delete from audit_log where seq is null",
        "insert into audit_log (id, at, actor, action, entity, seq, hash, key_id, by_salt, by_digest, about_salt,"
        " about_digest) values ('x', 1, 'x', 'x', 'x', 99, 'x', 'x', 'x', 'x', 'x', 'x')",
    ],
)
async def test_the_database_refuses_to_change_it(
    millrace: Installation, api: httpx2.AsyncClient, statement: str
) -> None:
    await sealed(millrace, api)
    await create(api, definition("not sealed yet"))
    with pytest.raises(DBAPIError, match="append-only"):
        await done(millrace, statement)
    assert (await verified(api))["ok"]


async def test_a_row_is_not_replaced_on_the_way_round_the_triggers(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await sealed(millrace, api)
    if millrace.database.is_shared:
        with pytest.raises(DBAPIError, match="append-only"):
            await done(millrace, "truncate audit_log")
        return
    columns = "id, at, action, entity, by_salt, by_digest, about_salt, about_digest"
    with pytest.raises(DBAPIError, match="append-only"):
        await done(
            millrace,
            f"insert or replace into audit_log ({columns}, actor) select {columns}, 'x' from audit_log",  # noqa: S608
        )


@pytest.mark.parametrize(
    ("tampering", "seq", "how"),
    [
        (("update audit_log set actor = 'x' where seq = 4",), 4, "changed"),
        (("update audit_log set after = '{}' where seq = 1",), 1, "changed"),
        (("update audit_log set actor = 'x' where seq = 10",), 10, "changed"),
        (("delete from audit_log where seq = 4",), 4, "missing"),
        (("delete from audit_log where seq between 1 and 3",), 1, "missing"),
        (
            (
                "update audit_log set seq = seq + 1000 where seq >= 4",
                "update audit_log set seq = seq - 999 where seq > 1000",
                "insert into audit_log select '00000000-0000-7000-8000-000000000000', at, actor_id, 'x', credential_id,"
                " action, entity, entity_id, entity_name, before, after, address, request_id, 4, hash, key_id,"
                " by_salt, by_digest, about_salt, about_digest, erasure, erasure_key_id"
                " from audit_log where seq = 3",
            ),
            4,
            "inserted",
        ),
        (("update audit_log set key_id = 'another' where seq = 4",), 4, "key"),
        (("update audit_log set by_salt = 'salt' where seq = 4",), 4, "changed"),
        (("update audit_log set about_digest = 'é' where seq = 4",), 4, "changed"),
        (("update audit_log set hash = 'é' where seq = 4",), 4, "changed"),
        (
            (
                "delete from audit_log where seq <= 3",
                "insert into audit_anchor select 1, 3, hash, at, key_id, hash from audit_log where seq = 4",
            ),
            3,
            "anchor",
        ),
        (
            (
                "delete from audit_log where seq <= 3",
                "insert into audit_anchor select 1, 3, 'é', at, key_id, 'é' from audit_log where seq = 4",
            ),
            3,
            "anchor",
        ),
    ],
)
async def test_who_gets_round_that_is_found_out(
    millrace: Installation, api: httpx2.AsyncClient, tampering: tuple[str, ...], seq: int, how: str
) -> None:
    await sealed(millrace, api)
    await tamper(millrace, *tampering)
    found = await verified(api)
    assert not found["ok"]
    assert (found["broken"]["seq"], found["broken"]["how"]) == (seq, how)


async def test_a_row_that_is_no_json_any_more_is_shown_and_keeps_nothing_else_from_being_done(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await sealed(millrace, api)
    user = {"email": "grace@example.com", "name": "Grace Hopper", "role": "viewer", "password": "four words make one"}
    grace = (await api.post("/api/v1/users", json=user)).json()["id"]
    await tamper(millrace, "update audit_log set after = '{broken' where seq = 4")
    page = (await api.get("/api/v1/audit-logs")).json()["items"]
    assert [row["seq"] for row in page if row["after"] == {"unreadable": "{broken"}] == [4]
    assert "{broken" in (await api.get("/api/v1/audit-logs/export")).text
    assert (await verified(api))["broken"]["seq"] == 4
    assert (await api.get(f"/api/v1/users/{grace}/personal-data")).status_code == 200
    assert (await api.post(f"/api/v1/users/{grace}/erase", json={"confirm": user["email"]})).status_code == 200


async def test_rows_taken_off_the_end_are_missed_by_who_noted_the_head(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    head = (await sealed(millrace, api))["head"]
    await create(api, definition("more"))
    await millrace.container.audit.seals.run_once()
    later = await verified(api, head)
    assert (later["ok"], later["head_found"], later["checked"]) == (True, True, 12)
    assert not (await verified(api, f"{head[:-1]}{'0' if head[-1] != '0' else '1'}"))["ok"]
    await tamper(millrace, "delete from audit_log where seq > 8")
    assert (await verified(api))["ok"], "of itself a chain cannot say how long it was"
    cut = await verified(api, head)
    assert (cut["ok"], cut["head_found"], cut["broken"]) == (False, False, None)


async def test_it_is_followed_across_a_change_of_the_key(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await sealed(millrace, api)
    assert (await api.post("/api/v1/secrets/rotate-key")).status_code == 200
    await create(api, definition("after"))
    await millrace.container.audit.seals.run_once()
    found = await verified(api)
    assert (found["ok"], found["checked"]) == (True, 13)
    keys = await millrace.database.read(
        lambda connection: connection.execute(text("select count(distinct key_id) from audit_log")).scalar()
    )
    assert keys == 2


async def test_two_that_seal_at_once_make_one_chain(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for _ in range(4):
        await asyncio.gather(*(create(api, definition(f"{_}-{number}")) for number in range(6)))
        services = [AuditSeals(millrace.database, millrace.vault) for _ in range(4)]
        await asyncio.gather(*(service.run_once() for service in services), create(api, definition(f"{_} meanwhile")))
    await millrace.container.audit.seals.run_once()
    found = await verified(api)
    assert (found["ok"], found["checked"], found["unsealed"]) == (True, 56, 0)


async def test_nothing_is_written_where_there_is_nothing_to_seal(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await sealed(millrace, api)
    seals = millrace.container.audit.seals
    await seals.run_once()
    written, asked = millrace.database.written, millrace.database.asked
    for _ in range(3):
        assert await seals.run_once() is None
    assert millrace.database.written == written
    assert millrace.database.asked == asked + (3 if millrace.database.is_shared else 0)


async def test_old_rows_go_and_the_rest_can_still_be_verified(millrace: Installation, api: httpx2.AsyncClient) -> None:
    whole = await sealed(millrace, api)
    old, now = OldAuditRows(millrace.vault, 30), SystemClock().now()
    read, write = millrace.database.read, millrace.database.write
    assert not await read(lambda connection: old.are_there(connection, now))
    later = now + 31 * DAY
    assert not await read(lambda connection: OldAuditRows(millrace.vault, 0).are_there(connection, later))
    assert await write(lambda connection: old.delete(connection, later, 4)) == 4
    part = await verified(api, whole["head"])
    assert (part["ok"], part["checked"], part["begins_after"], part["head_found"]) == (True, 6, 4, True)
    await create(api, definition("not sealed"))
    assert await write(lambda connection: old.delete(connection, later, 100)) == 6
    rest = await verified(api, whole["head"])
    assert (rest["ok"], rest["begins_after"], rest["unsealed"], rest["head_found"]) == (True, 10, 2, True)
    await millrace.container.audit.seals.run_once()
    assert (await verified(api))["head"].startswith("12:")
    first = await verified(api, f"3:{'0' * 64}")
    assert (first["ok"], first["head_found"]) == (True, None)
    with pytest.raises(DBAPIError, match="anchor"):
        await done(millrace, "update audit_anchor set seq = 2")


async def test_a_round_of_retention_deletes_them(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await sealed(millrace, api)
    retention = millrace.container.retention
    days = millrace.container.settings.audit_days
    retention._clock = _Later(days + 1)  # type: ignore[assignment]
    retention.request()
    await retention.run_once()
    found = await verified(api)
    assert (found["ok"], found["begins_after"], found["checked"]) == (True, 10, 0)


class _Later(SystemClock):
    def __init__(self, days: int) -> None:
        self._days = days

    def now(self) -> int:
        return super().now() + self._days * DAY

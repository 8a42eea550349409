"""I8: all that is kept of a person can be told, and taken away, and the audit log still proves what it has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from millrace.app.audit import queries
from millrace.app.audit.keeping import OldAuditRows
from millrace.app.privacy import erasing, exporting
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.ports.store import StoreUnavailable
from millrace.storage.tables import api_keys, mails, metadata, oidc_identities, oidc_logins
from millrace.system import SystemClock
from tests.integration.api.test_audit_chain import DAY, done, tamper, verified
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation
from tests.support.logins import OTHER, PASSWORD, bearer, log_in, tokens

EMAIL = "grace.hopper@example.org"
NAME = "Grace Hopper"
FORMER = "Gracie Murray"
ADDRESS = "192.0.2.77"
AGENT = "Admiral/1.0"
PROVIDER_EMAIL = "amazing.grace@login.example"
KEY = "laptop-of-grace"
HASHES = """select password_hash from users where password_hash is not null union select key_hash from api_keys
union select token_hash from refresh_tokens union select token_hash from password_resets"""
PERSONAL = (EMAIL, "grace.hopper", NAME, FORMER, ADDRESS, AGENT, PROVIDER_EMAIL, KEY)


@dataclass(frozen=True)
class Grace:
    id: str
    workflow: str
    run: str
    key: str


@pytest.fixture
async def grace(millrace: Installation, api: httpx2.AsyncClient) -> Grace:
    """Somebody of whom there is something in every place."""
    body = {"email": EMAIL, "name": FORMER, "role": "developer", "password": PASSWORD}
    made = await api.post("/api/v1/users", json=body)
    assert made.status_code == 201, made.text
    user_id = made.json()["id"]
    async with millrace.client("", address=ADDRESS) as client:
        client.headers["User-Agent"] = AGENT
        assert (await log_in(client, EMAIL, "not her password at all")).status_code == 401
        client.headers |= bearer((await tokens(client, EMAIL))["access_token"])
        passwords = {"old_password": PASSWORD, "new_password": OTHER}
        assert (await client.post("/api/v1/auth/password", json=passwords)).status_code == 204
        client.headers |= bearer((await tokens(client, EMAIL, OTHER))["access_token"])
        assert (await client.patch("/api/v1/auth/me", json={"name": NAME})).status_code == 200
        key = (await client.post("/api/v1/api-keys", json={"name": KEY})).json()
        workflow = await create(client, definition("orders"))
        run = await start(client, "orders", wait=True)
        assert (await log_in(client, EMAIL, "not her password at all")).status_code == 401
    assert (await api.put(f"/api/v1/workflows/orders/grants/{user_id}", json={"grants": ["run"]})).status_code == 200
    noted = await api.patch("/api/v1/workflows/orders/versions/1", json={"comment": f"as {NAME} wished"})
    assert noted.status_code == 200, noted.text
    assert (await api.post(f"/api/v1/users/{user_id}/reset")).status_code == 200
    await millrace.database.write(lambda connection: planted(connection, user_id))
    return Grace(user_id, workflow["id"], run["id"], key["key"])


def planted(connection: Connection, user_id: str) -> None:
    """What needs a login provider, and a mail server."""
    identity = {"issuer": "https://login.example", "subject": "s-77", "user_id": user_id, "email": PROVIDER_EMAIL}
    connection.execute(insert(oidc_identities).values(**identity, created_at=1, last_login_at=1))
    connection.execute(insert(oidc_logins).values(state_hash="0" * 64, user_id=user_id, expires_at=1))
    mail = {"id": "m", "key": "k", "recipient": EMAIL, "content": f"Dear {NAME}", "due_at": None, "created_at": 1}
    connection.execute(insert(mails).values(**mail))


def everything(connection: Connection) -> str:
    """All rows of all tables, but what a workflow itself says."""
    told = [table for table in metadata.sorted_tables if table.name != "workflow_versions"]
    return "\n".join(repr(tuple(row)) for table in told for row in connection.execute(select(table)).all())


async def left_of(millrace: Installation) -> list[str]:
    stored = (await millrace.database.read(everything)).casefold()
    return [value for value in PERSONAL if value.casefold() in stored]


async def erase(api: httpx2.AsyncClient, user: str, confirm: str = EMAIL) -> httpx2.Response:
    return await api.post(f"/api/v1/users/{user}/erase", json={"confirm": confirm})


async def seal(millrace: Installation) -> None:
    await millrace.container.audit.seals.run_once()


@pytest.mark.both_databases
async def test_the_export_has_all_of_it_and_no_secret(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace
) -> None:
    response = await api.get(f"/api/v1/users/{EMAIL}/personal-data")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert (found["user"]["email"], found["user"]["name"]) == (EMAIL, NAME)
    assert [one["email"] for one in found["identities"]] == [PROVIDER_EMAIL]
    assert {(one["address"], one["user_agent"]) for one in found["sessions"]} == {(ADDRESS, AGENT)}
    assert len(found["sessions"]) == 2
    assert [one["name"] for one in found["api_keys"]] == [KEY]
    assert found["grants"] == [{"workflow": {"id": grace.workflow, "name": "orders"}, "grants": ["run"]}]
    assert [one["id"] for one in found["runs"]["items"]] == [grace.run]
    assert [one["id"] for one in found["made"]["workflows"]["items"]] == [grace.workflow]
    assert [one["number"] for one in found["made"]["versions"]["items"]] == [1]
    actions = {one["action"] for one in found["done"]["items"]}
    assert {"login.start", "password.change", "workflow.create", "api_key.create", "user.update"} <= actions
    by_others = {one["action"] for one in found["done_to_the_account"]["items"]}
    assert {"user.create", "user.reset", "login.fail"} <= by_others
    assert {one["address"] for one in found["done_to_the_account"]["items"]} == {None}
    assert not found["done"]["more"]
    hashes = await millrace.database.read(lambda connection: connection.execute(text(HASHES)).scalars().all())
    assert len(hashes) >= 6
    for secret in (*hashes, grace.key, PASSWORD, OTHER):
        assert secret not in response.text


async def test_a_list_that_is_full_hides_nothing_of_another(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST", 2)
    monkeypatch.setattr(queries, "EXPORTED_AT_ONCE", 2)
    told = {"task": "ok", "approved": True, "comment": None, "form": {}, "by": grace.id}
    by = (grace.id, NAME)
    await millrace.database.write(lambda c: note(c, Action.APPROVAL_DECIDE, grace.run, "ok", after=told, by=by))
    async with millrace.client(grace.key) as client:
        for name in ("one", "two", "three"):
            await create(client, definition(name))
            await start(client, name, wait=True)
        found = (await client.get("/api/v1/auth/me/personal-data")).json()
    assert [(len(found[name]["items"]), found[name]["more"]) for name in ("done", "runs")] == [(2, True), (2, True)]
    (approval,) = found["approvals"]["items"]
    assert (approval["run_id"], approval["approved"], found["approvals"]["more"]) == (grace.run, True, False)


async def test_everybody_may_have_his_own(millrace: Installation, api: httpx2.AsyncClient, grace: Grace) -> None:
    async with millrace.client(grace.key) as client:
        own = (await client.get("/api/v1/auth/me/personal-data")).json()
        problem(await client.get(f"/api/v1/users/{grace.id}/personal-data"), 403, "forbidden")
    assert own["user"]["id"] == grace.id
    assert [one["id"] for one in own["runs"]["items"]] == [grace.run]


@pytest.mark.parametrize("how", ["as he is", "sealed", "deleted before", "a key gone before"])
@pytest.mark.both_databases
async def test_nothing_says_who_it_was(millrace: Installation, api: httpx2.AsyncClient, grace: Grace, how: str) -> None:
    assert await left_of(millrace) == [*PERSONAL]
    confirm = EMAIL
    if how == "sealed":
        await seal(millrace)
    if how == "deleted before":
        assert (await api.delete(f"/api/v1/users/{grace.id}")).status_code == 200
        confirm = NAME
    if how == "a key gone before":
        (key,) = (await api.get("/api/v1/api-keys", params={"user": grace.id})).json()["items"]
        assert (await api.delete(f"/api/v1/api-keys/{key['id']}")).status_code == 200
        long_ago = update(api_keys).where(api_keys.c.id == key["id"]).values(revoked_at=1)
        await millrace.database.write(lambda connection: connection.execute(long_ago))
        millrace.container.retention.request()
        await millrace.container.retention.run_once()
        assert (await api.get(f"/api/v1/api-keys/{key['id']}")).status_code == 404
    first = await erase(api, grace.id, confirm)
    assert first.status_code == 200, first.text
    shown = first.json()
    assert (shown["id"], shown["name"], shown["email"], shown["status"]) == (grace.id, "erased user", None, "deleted")
    assert await left_of(millrace) == []
    again = await erase(api, grace.id, confirm)
    assert (again.status_code, again.json()) == (200, shown)
    async with millrace.client(grace.key) as client:
        assert (await client.get("/api/v1/auth/me")).status_code == 401
    run = (await api.get(f"/api/v1/runs/{grace.run}")).json()
    assert run["triggered_by"] == {"id": grace.id, "name": "erased user"}
    await seal(millrace)
    found = await verified(api)
    assert (found["ok"], found["unsealed"], found["broken"]) == (True, 0, None)
    assert found["erased"] >= 10


async def test_the_log_says_that_and_by_whom(millrace: Installation, api: httpx2.AsyncClient, grace: Grace) -> None:
    before = (await api.get("/api/v1/audit-logs", params={"limit": 200})).json()["items"]
    assert (await erase(api, grace.id)).status_code == 200
    rows = (await api.get("/api/v1/audit-logs", params={"limit": 200})).json()["items"]
    assert len(rows) == len(before) + 1
    noted = rows[0]
    assert (noted["action"], noted["entity_id"], noted["before"], noted["after"]) == (
        "user.erase",
        grace.id,
        None,
        None,
    )
    assert noted["actor"]["name"] == "Administrator"
    by_her = [row for row in rows if row["actor"]["id"] == grace.id and row["action"] != "run.start"]
    assert {(row["actor"]["name"], row["address"]) for row in by_her} == {("erased", None)}
    of_others = {row["id"]: row for row in rows if row["actor"]["id"] != grace.id}
    kept = [row for row in before if row["id"] in of_others and row["actor"]["id"] is not None]
    assert all(of_others[row["id"]]["actor"] == row["actor"] for row in kept)
    made = next(row for row in rows if row["action"] == "workflow.create")
    assert made["entity_name"] == "orders"
    assert made["after"] is not None
    csv = (await api.get("/api/v1/audit-logs/export", params={"format": "csv"})).text
    assert ",erased," in csv
    assert not [value for value in PERSONAL if value in csv]


async def test_of_who_erases_himself(millrace: Installation, api: httpx2.AsyncClient, grace: Grace) -> None:
    assert (await api.patch(f"/api/v1/users/{grace.id}", json={"role": "admin"})).status_code == 200
    async with millrace.client(grace.key, address=ADDRESS) as client:
        assert (await erase(client, grace.id)).status_code == 200
    assert await left_of(millrace) == []
    assert (await verified(api))["ok"]


async def test_a_name_of_one_word_takes_no_others_rows_with_it(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """Else who calls himself as a thing could have its history erased."""
    body = {"email": "p@example.com", "name": "production", "role": "viewer", "password": PASSWORD}
    user = (await api.post("/api/v1/users", json=body)).json()["id"]
    await create(api, {**definition("orders"), "description": "of production, by p@example.community"})
    assert (await erase(api, user, "production")).status_code == 200
    (row,) = (await api.get("/api/v1/audit-logs", params={"action": "workflow.create"})).json()["items"]
    assert row["after"]["description"] == "of production, by p@example.community"


@pytest.mark.parametrize("done", [0, 6, 10])
@pytest.mark.both_databases
async def test_an_erasure_that_was_cut_short_is_brought_to_its_end_by_another(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """It goes part by part, so that others can write in between. Whatever is left, all of it is found once more."""
    for comment in ("nobody", f"as {FORMER} wished"):
        noted = await api.patch("/api/v1/workflows/orders/versions/1", json={"comment": comment})
        assert noted.status_code == 200, noted.text
    monkeypatch.setattr(erasing, "AT_ONCE", 2)
    write, left = millrace.database.write, iter(range(done))

    async def cut_short(work: Callable[[Connection], Any]) -> Any:
        if next(left, None) is None:
            raise StoreUnavailable("cut short")
        return await write(work)

    with monkeypatch.context() as trouble:
        trouble.setattr(millrace.database, "write", cut_short)
        problem(await erase(api, grace.id), 503, "store_unavailable")
    assert await left_of(millrace) != []
    assert (await api.get(f"/api/v1/users/{grace.id}")).json()["status"] == "active"
    assert (await erase(api, grace.id)).status_code == 200
    assert await left_of(millrace) == []
    assert (await verified(api))["ok"]


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_refused_is_another_word_the_last_administrator_and_who_has_less(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace
) -> None:
    document = problem(await erase(api, grace.id, "ada@example.com"), 422, "invalid_request")
    assert [fault["path"] for fault in document["faults"]] == ["confirm"]
    problem(await erase(api, "admin@localhost", "admin@localhost"), 409, "last_admin")
    scoped = await api.post("/api/v1/api-keys", json={"name": "few", "scopes": ["user:write"]})
    async with millrace.client(scoped.json()["key"]) as client:
        problem(await erase(client, grace.id), 403, "beyond_own_rights")
        problem(await client.get(f"/api/v1/users/{grace.id}/personal-data"), 403, "beyond_own_rights")
    async with millrace.client(grace.key) as client:
        problem(await erase(client, grace.id), 403, "forbidden")
    assert (await api.get(f"/api/v1/users/{grace.id}")).json()["status"] == "active"
    assert await left_of(millrace) == [*PERSONAL]


# --- the chain --------------------------------------------------------------------------------------------------------

NO_ACTOR = "address = null, by_salt = null, erasure = 'x'"
ERASE_BY = f"actor = 'erased', {NO_ACTOR}, erasure_key_id = 'x'"


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'erased'",
        "by_salt = null",
        "actor = 'erased', address = null, by_salt = null",
        f"{ERASE_BY}, action = 'user.read'",
        f"{ERASE_BY}, entity_name = 'somebody else'",
        f"{ERASE_BY}, by_digest = 'x'",
        f"{ERASE_BY}, hash = 'x'",
        f"actor = 'somebody else', {NO_ACTOR}, erasure_key_id = 'x'",
        "entity_name = 'erased', before = null, after = '{}', about_salt = null, erasure = 'x', erasure_key_id = 'x'",
        "erasure = 'x', erasure_key_id = 'x'",
        "by_salt = 'x'",
    ],
)
@pytest.mark.both_databases
async def test_the_database_refuses_all_but_the_whole_of_a_part(
    millrace: Installation, api: httpx2.AsyncClient, change: str
) -> None:
    await create(api, definition("orders"))
    await seal(millrace)
    with pytest.raises(DBAPIError):
        await done(millrace, f"update audit_log set {change} where seq = 1")  # noqa: S608
    assert (await verified(api))["ok"]


@pytest.mark.parametrize(
    ("tampering", "how"),
    [
        (ERASE_BY, "key"),
        (f"actor = 'erased', {NO_ACTOR}, erasure_key_id = key_id", "erased"),
        ("by_digest = about_digest", "changed"),
        ("by_salt = about_salt", "changed"),
        ("actor = 'erased', address = null", "changed"),
    ],
)
async def test_who_erases_otherwise_is_found_out(
    millrace: Installation, api: httpx2.AsyncClient, tampering: str, how: str
) -> None:
    for number in range(2):
        await create(api, definition(f"w{number}"))
    await seal(millrace)
    await tamper(millrace, f"update audit_log set {tampering} where seq = 2")  # noqa: S608
    found = await verified(api)
    assert not found["ok"]
    assert (found["broken"]["seq"], found["broken"]["how"]) == (2, how)


@pytest.mark.both_databases
async def test_an_erasure_cannot_be_undone_or_put_on_another_part(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace
) -> None:
    await create(api, definition("later"))
    assert (await erase(api, grace.id)).status_code == 200
    mark = "select seq from audit_log where by_salt is null and about_salt is not null order by seq limit 1"
    seq = await millrace.database.read(lambda connection: connection.execute(text(mark)).scalar_one())
    with pytest.raises(DBAPIError, match="append-only"):
        await done(millrace, f"update audit_log set actor = 'x', by_salt = '00' where seq = {seq}")  # noqa: S608
    more = "entity_name = 'erased', before = null, after = null, about_salt = null"
    await done(millrace, f"update audit_log set {more} where seq = {seq}")  # noqa: S608
    found = await verified(api)
    assert (found["broken"]["seq"], found["broken"]["how"]) == (seq, "erased")


@pytest.mark.both_databases
async def test_the_chain_holds_across_another_key_and_behind_retention(
    millrace: Installation, api: httpx2.AsyncClient, grace: Grace
) -> None:
    await seal(millrace)
    assert (await api.post("/api/v1/secrets/rotate-key")).status_code == 200
    assert (await erase(api, grace.id)).status_code == 200
    found = await verified(api)
    assert (found["ok"], found["broken"]) == (True, None)
    assert found["erased"] > 0
    old, later = OldAuditRows(millrace.vault, 30), SystemClock().now() + 31 * DAY
    assert await millrace.database.write(lambda connection: old.delete(connection, later, 4)) == 4
    rest = await verified(api)
    assert (rest["ok"], rest["begins_after"], rest["checked"]) == (True, 4, found["checked"] - 4)

"""I1, I3: users and service accounts: made, changed, disabled, deleted; what of that holds at once, and for whom."""

import asyncio
from typing import Any

import httpx2
import pytest

from millrace.auth.permissions import PERMISSIONS, Permission, Role
from tests.support.api import create, definition, problem
from tests.support.installation import Installation
from tests.support.logins import ADA, OTHER, PASSWORD, bearer, log_in, set_up, tokens

USERS = "/api/v1/users"
ME = "/api/v1/auth/me"
GRACE = {"email": "Grace@Example.com", "name": "Grace Hopper", "role": "operator"}


async def made(api: httpx2.AsyncClient, **fields: Any) -> Any:
    response = await api.post(USERS, json={**GRACE, **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def service(api: httpx2.AsyncClient, name: str = "deploy-bot", role: str = "operator") -> tuple[Any, str]:
    """A service account and its key."""
    account = (await api.post(USERS, json={"kind": "service", "name": name, "role": role})).json()
    key = await api.post("/api/v1/api-keys", json={"name": "first", "user": account["id"]})
    assert key.status_code == 201, key.text
    return account, key.json()["key"]


async def test_a_second_person_comes_in_by_a_token_that_is_passed_on(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    grace = await made(api)
    assert (grace["email"], grace["role"], grace["status"]) == ("grace@example.com", "operator", "active")
    assert grace["reset_token"].startswith("mrp_")
    reset = {"token": grace["reset_token"], "password": OTHER}
    async with millrace.client("") as client:
        problem(await client.post("/api/v1/auth/reset", json={**reset, "password": "short"}), 422, "invalid_request")
        assert (await client.post("/api/v1/auth/reset", json=reset)).status_code == 204
        again = problem(await client.post("/api/v1/auth/reset", json=reset), 422, "invalid_request")
        never = await client.post("/api/v1/auth/reset", json={**reset, "token": "mrp_" + "x" * 43})
        assert problem(never, 422, "invalid_request") == again
        token = (await tokens(client, "grace@example.com", OTHER))["access_token"]
        assert (await client.get("/api/v1/runs", headers=bearer(token))).status_code == 200
        problem(await client.get(USERS, headers=bearer(token)), 403, "forbidden")
    shown = (await api.get(f"{USERS}/GRACE@example.com")).json()
    assert shown["has_password"]
    assert shown["last_login_at"]
    assert "reset_token" not in shown


async def test_a_password_that_an_administrator_chose_must_be_changed_first(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    grace = await made(api, password=PASSWORD)
    assert grace["reset_token"] is None
    async with millrace.client("") as client:
        headers = bearer((await tokens(client, "grace@example.com"))["access_token"])
        assert (await client.get(ME, headers=headers)).json()["must_change_password"]
        problem(await client.get("/api/v1/runs", headers=headers), 403, "password_change_needed")
        # What would still open something once the password is another.
        key = (await api.post("/api/v1/api-keys", json={"name": "x", "user": grace["id"]})).json()["id"]
        for path, body in (("/api/v1/api-keys", {"name": "mine"}), (f"/api/v1/api-keys/{key}/rotate", {})):
            problem(await client.post(path, json=body, headers=headers), 403, "password_change_needed")
        problem(await client.get(f"{ME}/personal-data", headers=headers), 403, "password_change_needed")
        change = {"old_password": PASSWORD, "new_password": OTHER}
        assert (await client.post("/api/v1/auth/password", json=change, headers=headers)).status_code == 204
        assert (await client.get("/api/v1/runs", headers=headers)).status_code == 200
        assert (await client.post("/api/v1/api-keys", json={"name": "mine"}, headers=headers)).status_code == 201


async def test_a_reset_does_not_open_an_account_that_has_become_more(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Whoever may reset a viewer must not come by an administrator."""
    grace = await made(api)
    body = {"token": grace["reset_token"], "password": PASSWORD}
    for change in ({"name": "Grace H."}, {"access": "granted"}):
        assert (await api.patch(f"{USERS}/{grace['id']}", json=change)).status_code == 200
    fresh = (await api.post(f"{USERS}/{grace['id']}/reset")).json()["reset_token"]
    assert (await api.patch(f"{USERS}/{grace['id']}", json={"role": "developer", "access": "all"})).status_code == 200
    async with millrace.client("") as client:
        for token in (grace["reset_token"], fresh):
            problem(await client.post("/api/v1/auth/reset", json={**body, "token": token}), 422, "invalid_request")
        again = (await api.post(f"{USERS}/{grace['id']}/reset")).json()["reset_token"]
        assert (await api.patch(f"{USERS}/{grace['id']}", json={"role": "viewer"})).status_code == 200
        assert (await client.post("/api/v1/auth/reset", json={**body, "token": again})).status_code == 204


async def test_another_role_holds_at_once_for_logins_and_keys(millrace: Installation, api: httpx2.AsyncClient) -> None:
    account, key = await service(api, role="viewer")
    async with millrace.client(key) as bot:
        problem(await bot.get("/api/v1/secrets"), 403, "forbidden")
        changed = await api.patch(f"{USERS}/deploy-bot", json={"role": "developer"})
        assert changed.json()["role"] == "developer"
        assert (await bot.get("/api/v1/secrets")).status_code == 200
        assert (await api.patch(f"{USERS}/{account['id']}", json={"role": "user"})).json()["role"] == "operator"
        problem(await bot.get("/api/v1/secrets"), 403, "forbidden")


async def test_disabling_refuses_everything_and_enabling_gives_the_keys_back(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    grace = await made(api)
    path = f"{USERS}/{grace['id']}"
    key = (await api.post("/api/v1/api-keys", json={"name": "hers", "user": grace["id"]})).json()["key"]
    async with millrace.client("") as client, millrace.client(key) as by_key:
        await client.post("/api/v1/auth/reset", json={"token": grace["reset_token"], "password": OTHER})
        given = await tokens(client, "grace@example.com", OTHER)
        assert (await api.post(f"{path}/disable")).json()["status"] == "disabled"
        problem(await by_key.get(ME), 401, "unauthenticated")
        problem(await client.get(ME, headers=bearer(given["access_token"])), 401, "unauthenticated")
        refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": given["refresh_token"]})
        problem(refreshed, 401, "invalid_refresh_token")
        problem(await log_in(client, "grace@example.com", OTHER), 401, "wrong_login")
        problem(await api.post(f"{path}/reset"), 409, "user_disabled")
        assert (await api.post(f"{path}/enable")).json()["status"] == "active"
        assert (await by_key.get(ME)).status_code == 200
        problem(await client.get(ME, headers=bearer(given["access_token"])), 401, "unauthenticated")
        assert (await log_in(client, "grace@example.com", OTHER)).status_code == 200
        assert (await api.post(f"{path}/logout")).json() == {"ended": 1}


async def test_a_deleted_user_stays_by_name_in_what_he_did(millrace: Installation, api: httpx2.AsyncClient) -> None:
    account, key = await service(api, role="developer")
    async with millrace.client(key) as bot:
        workflow = await create(bot, definition("by the bot"))
    assert (await api.delete(f"{USERS}/deploy-bot")).json()["status"] == "deleted"
    async with millrace.client(key) as bot:
        problem(await bot.get(ME), 401, "unauthenticated")
    shown = (await api.get(f"/api/v1/workflows/{workflow['id']}")).json()
    assert shown["created_by"] == {"id": account["id"], "name": "deploy-bot"}
    path = f"{USERS}/{account['id']}"
    assert (await api.get(path)).json()["email"] is None
    for act in ("enable", "disable", "reset", "logout"):
        problem(await api.post(f"{path}/{act}"), 409, "user_deleted")
    again, _ = await service(api)
    assert again["id"] != account["id"]
    listed = [item["id"] for item in (await api.get(USERS)).json()["items"]]
    assert account["id"] not in listed
    (gone,) = (await api.get(USERS, params={"status": "deleted"})).json()["items"]
    assert gone["id"] == account["id"]


@pytest.mark.both_databases
async def test_names_and_addresses_are_taken_once(api: httpx2.AsyncClient) -> None:
    await made(api)
    problem(await api.post(USERS, json={**GRACE, "email": "GRACE@example.com"}), 409, "email_taken")
    await service(api)
    problem(await api.post(USERS, json={"kind": "service", "name": "deploy-bot"}), 409, "name_taken")
    other = await made(api, email="other@example.com")
    problem(await api.patch(f"{USERS}/{other['id']}", json={"email": "grace@example.com"}), 409, "email_taken")
    moved = await api.patch(f"{USERS}/{other['id']}", json={"email": "Third@example.com", "name": "Third"})
    assert (moved.json()["email"], moved.json()["name"]) == ("third@example.com", "Third")
    problem(await api.patch(f"{USERS}/deploy-bot", json={"email": "bot@example.com"}), 422, "invalid_request")
    problem(await api.patch(f"{USERS}/nobody", json={"name": "x"}), 404, "user_not_found")


async def test_the_usual_role_is_that_of_the_setting(api: httpx2.AsyncClient) -> None:
    response = await api.post(USERS, json={"kind": "service", "name": "bot"})
    assert response.json()["role"] == "viewer"


@pytest.mark.both_databases
async def test_users_are_listed_by_role_kind_and_status(api: httpx2.AsyncClient) -> None:
    await made(api)
    await service(api)
    for number in range(3):
        await made(api, email=f"user-{number}@example.com", role="viewer")
    await api.post(f"{USERS}/user-1@example.com/disable")

    async def emails(**query: str) -> list[str | None]:
        found, cursor = [], None
        while True:
            params = {**query, "limit": "2", **({} if cursor is None else {"cursor": cursor})}
            page = (await api.get(USERS, params=params)).json()
            found += [item["email"] for item in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                return found

    assert len(await emails()) == 6
    assert await emails(role="viewer", status="active") == ["user-0@example.com", "user-2@example.com"]
    assert await emails(status="disabled") == ["user-1@example.com"]
    assert await emails(kind="service") == [None]
    assert await emails(role="user", kind="person") == ["grace@example.com"]
    for query in ({"role": "owner"}, {"kind": "robot"}, {"status": "gone"}):
        problem(await api.get(USERS, params=query), 422, "invalid_request")


@pytest.mark.both_databases
async def test_the_last_administrator_stays(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await set_up(millrace)
    path = f"{USERS}/{ADA}"
    await service(api, role="admin")
    invited = await api.post(USERS, json={"email": "late@example.com", "name": "Late", "role": "admin"})
    assert invited.status_code == 201, "who may never come"
    for refused in (
        await api.post(f"{path}/disable"),
        await api.delete(path),
        await api.patch(path, json={"role": "developer"}),
    ):
        problem(refused, 409, "last_admin")
    grace = await made(api, role="admin", password="four words make one")
    other = f"{USERS}/{grace['id']}"
    # Of two who take the right from each other at the same time one keeps it.
    answers = await asyncio.gather(api.post(f"{path}/disable"), api.post(f"{other}/disable"))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses in ([200, 401], [200, 409])


async def test_nobody_gives_or_takes_more_than_his_credential_can_do(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """A key that manages users, and nothing else, is no way to become an administrator."""
    await set_up(millrace)
    scopes = ["user:read", "user:write", "api_key:write", "self", *sorted(PERMISSIONS[Role.VIEWER] - {Permission.SELF})]
    limited = (await api.post("/api/v1/api-keys", json={"name": "people", "scopes": scopes})).json()
    viewer = await made(api, role="viewer")
    async with millrace.client(limited["key"]) as client:
        assert (await client.post(USERS, json={**GRACE, "email": "v@example.com", "role": "viewer"})).status_code == 201
        assert (await client.post(f"{USERS}/{viewer['id']}/reset")).status_code == 200
        for refused in (
            await client.post(USERS, json={**GRACE, "email": "a@example.com", "role": "admin"}),
            await client.patch(f"{USERS}/{viewer['id']}", json={"role": "operator"}),
            await client.post(f"{USERS}/{ADA}/reset"),
            await client.patch(f"{USERS}/{ADA}", json={"email": "mine@example.com"}),
            await client.post("/api/v1/api-keys", json={"name": "all"}),
            await client.post("/api/v1/api-keys", json={"name": "all", "user": ADA}),
            await client.post("/api/v1/api-keys", json={"name": "some", "scopes": ["secret:write"]}),
        ):
            problem(refused, 403, "beyond_own_rights")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x"}, "email"),
        ({"name": "", "email": "a@example.com"}, "name"),
        ({"name": "a\u0007b", "email": "a@example.com"}, "name"),
        ({"name": "x", "email": "a b@example.com"}, "email"),
        ({"name": "x", "email": "a@service.invalid"}, "email"),
        ({"name": "x", "email": "a@example.com", "role": "owner"}, "role"),
        ({"name": "x", "email": "a@example.com", "password": "password1234"}, "password"),
        ({"name": "Bot One", "kind": "service"}, "name"),
        ({"name": "bot", "kind": "service", "email": "a@example.com"}, "email"),
        ({"name": "bot", "kind": "service", "password": PASSWORD}, "password"),
        ({"name": "bot", "kind": "robot"}, "kind"),
    ],
)
async def test_faults_say_where(api: httpx2.AsyncClient, body: dict[str, str], path: str) -> None:
    (fault,) = problem(await api.post(USERS, json=body), 422, "invalid_request")["faults"]
    assert fault["path"] == path
    assert fault["remedy"]

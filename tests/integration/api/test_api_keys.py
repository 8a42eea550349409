"""I2: API keys: shown once, narrowed by scopes, expiring, rotated, revoked; one's own and those of others."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute

from millrace.api.deps import Recognises, Requires
from millrace.auth.permissions import PERMISSIONS, Permission, Role
from millrace.core.durations import UNITS
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation
from tests.support.logins import new_key

KEYS = "/api/v1/api-keys"
ME = "/api/v1/auth/me"


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None, clock: FakeClock) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, login_clock=clock) as running:
        yield running


@pytest.fixture
async def api(millrace: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with millrace.client() as client:
        yield client


async def made(api: httpx2.AsyncClient, **fields: Any) -> Any:
    response = await api.post(KEYS, json={"name": "nightly", **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def works(millrace: Installation, key: str) -> bool:
    async with millrace.client(key) as client:
        return (await client.get("/api/v1/runs")).status_code == 200


@pytest.mark.both_databases
async def test_a_key_is_shown_once_and_known_by_its_beginning(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    key = await made(api)
    assert re.fullmatch(r"mr_[\w-]{43}", key["key"])
    assert key["key"].startswith(key["prefix"])
    assert await works(millrace, key["key"])
    await millrace.container.identity.authenticator.write_uses()
    shown = (await api.get(f"{KEYS}/{key['id']}")).json()
    assert (shown["name"], shown["status"], shown["scopes"]) == ("nightly", "active", None)
    assert shown["created_by"]["name"] == shown["user"]["name"] == "Administrator"
    assert shown["last_used_at"]
    listed = await api.get(KEYS)
    assert [item["name"] for item in listed.json()["items"]] == ["nightly", "first key"]
    for text in (str(shown), listed.text):
        assert key["key"] not in text
        assert "key_hash" not in text


async def test_a_key_ends_at_its_time(millrace: Installation, api: httpx2.AsyncClient, clock: FakeClock) -> None:
    by_length = await made(api, expires_in="1h")
    by_time = await made(api, expires_at=by_length["expires_at"])
    clock.advance(UNITS["h"] - 1)
    assert await works(millrace, by_length["key"])
    clock.advance(1)
    for key in (by_length, by_time):
        assert not await works(millrace, key["key"])
        assert (await api.get(f"{KEYS}/{key['id']}")).json()["status"] == "expired"
        problem(await api.post(f"{KEYS}/{key['id']}/rotate"), 409, "key_ended")


async def refusal(millrace: Installation, key: str | None) -> str:
    async with millrace.client(key or "") as client:
        return str(problem(await client.get(ME), 401, "unauthenticated")["detail"])


async def test_who_has_a_key_that_holds_no_more_is_told_why_and_nobody_else(
    millrace: Installation, api: httpx2.AsyncClient, clock: FakeClock
) -> None:
    await api.post("/api/v1/users", json={"kind": "service", "name": "bot", "role": "viewer"})
    expired, revoked, bots = await made(api, expires_in="1h"), await made(api), await made(api, user="bot")
    clock.advance(UNITS["h"])
    await api.delete(f"{KEYS}/{revoked['id']}")
    assert await refusal(millrace, expired["key"]) == "this API key has expired"
    assert await refusal(millrace, revoked["key"]) == "this API key was revoked"
    await api.post("/api/v1/users/bot/disable")
    assert await refusal(millrace, bots["key"]) == "this API key does not hold now: its user is disabled"
    bot = (await api.get("/api/v1/users/bot")).json()["id"]
    await api.delete(f"/api/v1/users/{bot}")
    assert await refusal(millrace, bots["key"]) == "this API key holds no more: its user was deleted"
    wrong = {await refusal(millrace, key) for key in ("x", f"{expired['key'][:-1]}-", f"mr_{'a' * 43}")}
    assert len(wrong) == 1
    assert "file api-key" not in wrong.pop()
    assert "file api-key" in await refusal(millrace, None)


async def test_a_revoked_key_is_refused_at_once(millrace: Installation, api: httpx2.AsyncClient) -> None:
    key = await made(api)
    assert await works(millrace, key["key"])
    for _ in range(2):
        assert (await api.delete(f"{KEYS}/{key['id']}")).json()["status"] == "revoked"
        assert not await works(millrace, key["key"])
    problem(await api.delete(f"{KEYS}/nothing"), 404, "api_key_not_found")


@pytest.mark.both_databases
async def test_a_rotated_key_ends_now_or_after_the_overlap(
    millrace: Installation, api: httpx2.AsyncClient, clock: FakeClock
) -> None:
    first = await made(api, scopes=["run:read"], expires_in="30d")
    second = (await api.post(f"{KEYS}/{first['id']}/rotate", json={"overlap": "1h"})).json()
    assert (second["replaces"], second["scopes"], second["name"]) == (first["id"], ["run:read"], "nightly")
    assert second["expires_at"] == first["expires_at"]
    problem(await api.post(f"{KEYS}/{first['id']}/rotate"), 409, "key_ended")
    clock.advance(UNITS["h"] - 1)
    assert await works(millrace, first["key"])
    assert await works(millrace, second["key"])
    clock.advance(1)
    assert not await works(millrace, first["key"])
    third = (await api.post(f"{KEYS}/{second['id']}/rotate")).json()
    assert not await works(millrace, second["key"])
    assert await works(millrace, third["key"])
    problem(await api.post(f"{KEYS}/{third['id']}/rotate", json={"overlap": "31d"}), 422, "invalid_request")


async def test_keys_of_others_are_for_who_may_manage_them(millrace: Installation, api: httpx2.AsyncClient) -> None:
    body = {"email": "grace@example.com", "name": "Grace", "role": "developer"}
    grace = (await api.post("/api/v1/users", json=body)).json()
    hers = await made(api, user="grace@example.com")
    assert hers["user"] == {"id": grace["id"], "name": "Grace"}
    mine = await made(api)
    async with millrace.client(hers["key"]) as client:
        assert (await client.get(ME)).json()["name"] == "Grace"
        assert [item["id"] for item in (await client.get(KEYS)).json()["items"]] == [hers["id"]]
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            refused = await client.request(method, f"{KEYS}/{mine['id']}{path}")
            unknown = await client.request(method, f"{KEYS}/nothing{path}")
            problem(refused, 404, "api_key_not_found")
            problem(unknown, 404, "api_key_not_found")
        for user in ("admin@localhost", "nobody@example.com"):
            problem(await client.get(KEYS, params={"user": user}), 403, "forbidden")
            problem(await client.post(KEYS, json={"name": "x", "user": user}), 403, "forbidden")
        assert (await client.get(KEYS, params={"user": grace["id"]})).status_code == 200
        own = await made(client, scopes=["run:read", "self"])
    listed = (await api.get(KEYS, params={"user": grace["id"]})).json()["items"]
    assert [item["id"] for item in listed] == [own["id"], hers["id"]]
    assert (await api.delete(f"{KEYS}/{hers['id']}")).status_code == 200
    problem(await api.get(KEYS, params={"user": "nobody"}), 404, "user_not_found")


async def test_who_may_read_users_reviews_the_keys_of_everybody(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    for name in ("reader", "writer"):
        await api.post("/api/v1/users", json={"kind": "service", "name": name, "role": "viewer"})
    keys = [await made(api, user="reader"), await made(api, user="writer", expires_in="1d"), await made(api)]
    pages, cursor = [], None
    while not pages or cursor:
        query = {"all": "true", "limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await api.get(KEYS, params=query)).json()
        cursor = page["next_cursor"]
        pages.append(page["items"])
    assert [len(items) for items in pages] == [2, 2]
    told = [item for items in pages for item in items]
    assert [item["id"] for item in told[:3]] == [key["id"] for key in reversed(keys)]
    assert [item["user"]["name"] for item in told] == ["Administrator", "writer", "reader", "Administrator"]
    assert (told[1]["expires_at"], told[1]["created_by"]["name"]) == (keys[1]["expires_at"], "Administrator")
    fault = problem(await api.get(KEYS, params={"all": True, "user": "reader"}), 422, "invalid_request")["faults"]
    assert fault[0]["path"] == "query.all"
    async with millrace.client(keys[0]["key"]) as client:
        problem(await client.get(KEYS, params={"all": True}), 403, "forbidden")
        assert [item["id"] for item in (await client.get(KEYS)).json()["items"]] == [keys[0]["id"]]


async def test_a_narrow_key_gives_nobody_a_wider_one(millrace: Installation, api: httpx2.AsyncClient) -> None:
    wide = await made(api)
    narrow = await made(api, scopes=["run:read", "self"])
    async with millrace.client(narrow["key"]) as client:
        same = await made(client, scopes=["run:read"])
        assert await works(millrace, same["key"])
        for refused in (
            await client.post(KEYS, json={"name": "x"}),
            await client.post(KEYS, json={"name": "x", "scopes": ["run:read", "run:start"]}),
            await client.post(f"{KEYS}/{wide['id']}/rotate"),
        ):
            problem(refused, 403, "beyond_own_rights")
        assert (await client.post(f"{KEYS}/{narrow['id']}/rotate")).status_code == 201
    assert await works(millrace, wide["key"])


async def test_whoever_has_a_key_may_ask_who_he_is_and_without_self_nothing_else_of_his_account(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    key = await made(api, scopes=["run:read"])
    async with millrace.client(key["key"]) as client:
        shown = (await client.get(ME)).json()
        assert (shown["credential"], shown["permissions"], shown["name"]) == ("api_key", ["run:read"], "Administrator")
        assert shown["api_key"] == {"id": key["id"], "name": "nightly", "prefix": key["prefix"]}
        for method, path in (
            ("PATCH", ME), ("GET", f"{ME}/personal-data"), ("GET", KEYS), ("GET", f"{KEYS}/{key['id']}"),
            ("GET", f"{ME}/grants"),
            ("POST", KEYS), ("DELETE", f"{KEYS}/{key['id']}"), ("POST", f"{KEYS}/{key['id']}/rotate"),
            ("GET", "/api/v1/auth/sessions"), ("POST", "/api/v1/auth/password"),
            ("POST", "/api/v1/auth/logout-everywhere"), ("DELETE", "/api/v1/auth/sessions/x"),
        ):  # fmt: skip
            problem(await client.request(method, path), 403, "forbidden")
        problem(await client.post("/api/v1/auth/logout"), 409, "no_session")
    assert await works(millrace, key["key"])


@pytest.mark.parametrize("role", list(Role))
async def test_a_key_opens_what_its_role_and_its_scopes_both_have(millrace: Installation, role: Role) -> None:
    """Every route that reads, for each role, with one key for each permission."""
    async with millrace.client() as api:
        body = {"kind": "service", "name": "bot", "role": role.value}
        account = (await api.post("/api/v1/users", json=body)).json()
        routes = [
            (str(route.path), next(call.permission for call in calls if isinstance(call, Requires)))
            for route in millrace.app.routes
            if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and "{" not in str(route.path)
            for calls in [[dependency.call for dependency in route.dependant.dependencies]]
            if any(isinstance(call, Requires) and not isinstance(call, Recognises) for call in calls)
        ]
        assert len({permission for _, permission in routes}) > 10
        for scope in Permission:
            if scope not in PERMISSIONS[role]:
                refused = await api.post(KEYS, json={"name": "x", "scopes": [scope.value], "user": account["id"]})
                problem(refused, 422, "invalid_request")
                continue
            key = await made(api, scopes=[scope.value], user=account["id"])
            async with millrace.client(key["key"]) as client:
                for path, permission in routes:
                    response = await client.get(path, headers={"Last-Event-ID": "nothing"})
                    assert (response.status_code == 403) == (permission is not scope), (path, scope, response.text)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["run:read", "everything"]}, "scopes[1]"),
        ({"name": "x", "scopes": "run:read"}, "scopes"),
        ({"name": "x", "expires_in": "soon"}, "expires_in"),
        ({"name": "x", "expires_in": "0s"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2036-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_in": "1d", "expires_at": "2036-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "key": "mr_mine"}, "key"),
    ],
)
async def test_faults_say_where(api: httpx2.AsyncClient, body: dict[str, Any], path: str) -> None:
    (fault,) = problem(await api.post(KEYS, json=body), 422, "invalid_request")["faults"]
    assert fault["path"] == path
    assert fault["remedy"]


async def test_a_key_of_a_disabled_user_cannot_be_made(millrace: Installation, api: httpx2.AsyncClient) -> None:
    account = (await api.post("/api/v1/users", json={"kind": "service", "name": "bot"})).json()
    _, key = await new_key(millrace, account["id"])
    assert await works(millrace, key)
    await api.post("/api/v1/users/bot/disable")
    assert not await works(millrace, key)
    problem(await api.post(KEYS, json={"name": "x", "user": "bot"}), 409, "user_disabled")


# --- in time ----------------------------------------------------------------------------------------------------------


async def test_a_key_that_ends_makes_none_that_outlives_it(
    millrace: Installation, api: httpx2.AsyncClient, clock: FakeClock
) -> None:
    short = await made(api, expires_in="1d")
    async with millrace.client(short["key"]) as client:
        child = await made(client)
        assert child["expires_at"] == short["expires_at"]
        assert (await made(client, expires_in="1h"))["expires_at"] < short["expires_at"]
        refused = await client.post(KEYS, json={"name": "longer", "expires_in": "2d"})
        assert "rotate it" in problem(refused, 403, "beyond_own_rights")["detail"]
        for longer in (await made(api), await made(api, expires_in="3d")):
            problem(await client.post(f"{KEYS}/{longer['id']}/rotate"), 403, "beyond_own_rights")
            assert await works(millrace, longer["key"])
        assert (await client.post(f"{KEYS}/{child['id']}/rotate")).status_code == 201
    clock.advance(UNITS["d"])
    assert not await works(millrace, child["key"])
    assert (await made(api))["expires_at"] is None, "a key without an end makes others without one"

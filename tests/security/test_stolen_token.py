"""Something was stolen: what a thief can do with it, until when, and what ends it. At once, in every process.

Each story is told on SQLite within one process, and on PostgreSQL with the thief at another process than the owner.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.core.durations import UNITS
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES
from tests.support.installation import Installation, installation
from tests.support.logins import ADA, OTHER, PASSWORD, bearer, log_in, set_up, tokens

pytestmark = pytest.mark.parametrize("database_url", DATABASES, indirect=True)

ME = "/api/v1/auth/me"
KEYS = "/api/v1/api-keys"
HERE = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Scene:
    """The owner, and the thief at a process of his own where there may be two."""

    home: Installation
    owner: httpx2.AsyncClient
    thief: httpx2.AsyncClient
    clock: FakeClock

    async def gets_in(self, stolen: dict[str, str]) -> bool:
        """Whether the thief does, by these headers; looked at where the owner is, too, which must say the same."""
        answers = [await client.get(ME, headers=stolen) for client in (self.thief, self.owner)]
        assert len({answer.status_code for answer in answers}) == 1, "one process knows what the other does not"
        if answers[0].status_code != 200:
            problem(answers[0], 401, "unauthenticated")
        return answers[0].status_code == 200


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


@pytest.fixture
async def scene(tmp_path: Path, database_url: str | None) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with installation(tmp_path / "home", database_url, login_clock=clock) as home:
        await set_up(home)
        if database_url is None:
            async with home.client("") as owner, home.client("", address="203.0.113.9") as thief:
                yield Scene(home, owner, thief, clock)
            return
        other = tmp_path / "other"
        other.mkdir()
        for name in ("encryption-key", "api-key"):
            (other / name).write_bytes((tmp_path / "home" / name).read_bytes())
        async with (
            installation(other, database_url, login_clock=clock) as second,
            home.client("") as owner,
            second.client("", address="203.0.113.9") as thief,
        ):
            yield Scene(home, owner, thief, clock)


async def stolen_tokens(scene: Scene, **more: str) -> tuple[dict[str, Any], dict[str, str]]:
    given: dict[str, Any] = await tokens(scene.owner, **more)
    return given, bearer(given["access_token"])


async def test_an_access_token_opens_what_it_is_for_and_for_a_quarter_of_an_hour(scene: Scene) -> None:
    given, stolen = await stolen_tokens(scene, scope="run:read")
    assert (await scene.thief.get("/api/v1/runs", headers=stolen)).status_code == 200
    for method, path, body in [("POST", "/api/v1/users", {"name": "me"}), ("POST", KEYS, {"name": "mine"}),
                               ("PUT", "/api/v1/secrets/x", {"value": "a value of the thief"})]:  # fmt: skip
        response = await scene.thief.request(method, path, json=body, headers=stolen)
        problem(response, 403, "forbidden")
    change = {"old_password": "not known", "new_password": OTHER}
    response = await scene.thief.post("/api/v1/auth/password", json=change, headers=stolen)
    assert response.status_code in (401, 403, 422), "who has not the password does not change it"
    scene.clock.advance((given["expires_in"]) * UNITS["s"])
    assert not await scene.gets_in(stolen)


async def test_the_thief_refreshes_first_and_the_owner_ends_it_by_refreshing(scene: Scene) -> None:
    given, stolen = await stolen_tokens(scene)
    taken = (await refresh(scene.thief, given["refresh_token"])).json()
    assert await scene.gets_in(bearer(taken["access_token"]))
    problem(await refresh(scene.owner, given["refresh_token"]), 401, "invalid_refresh_token")
    for dead in (stolen, bearer(taken["access_token"])):
        assert not await scene.gets_in(dead), "the login is over for both"
    problem(await refresh(scene.thief, taken["refresh_token"]), 401, "invalid_refresh_token")


async def test_the_owner_refreshes_first_and_the_thief_gives_himself_away(scene: Scene) -> None:
    given, stolen = await stolen_tokens(scene)
    mine = (await refresh(scene.owner, given["refresh_token"])).json()
    assert await scene.gets_in(stolen), "what was stolen before holds until its time is over"
    problem(await refresh(scene.thief, given["refresh_token"]), 401, "invalid_refresh_token")
    for dead in (stolen, bearer(mine["access_token"])):
        assert not await scene.gets_in(dead)
    problem(await refresh(scene.owner, mine["refresh_token"]), 401, "invalid_refresh_token")


@pytest.mark.parametrize("way", ["log out", "log out everywhere", "end this login", "change the password"])
async def test_the_owner_ends_it(scene: Scene, way: str) -> None:
    given, stolen = await stolen_tokens(scene)
    assert await scene.gets_in(stolen)
    session = (await scene.owner.get(ME, headers=stolen)).json()["session_id"]
    async with scene.home.client("") as elsewhere:
        mine = stolen if way == "log out" else bearer((await tokens(elsewhere))["access_token"])
        if way == "end this login":
            response = await elsewhere.delete(f"/api/v1/auth/sessions/{session}", headers=mine)
        elif way == "change the password":
            body = {"old_password": PASSWORD, "new_password": OTHER}
            response = await elsewhere.post("/api/v1/auth/password", json=body, headers=mine)
        else:
            response = await elsewhere.post(
                f"/api/v1/auth/{way.replace('log out', 'logout').replace(' ', '-')}", headers=mine
            )
        assert response.status_code in (200, 204), response.text
    assert not await scene.gets_in(stolen)
    problem(await refresh(scene.thief, given["refresh_token"]), 401, "invalid_refresh_token")


@pytest.mark.parametrize("way", ["logout", "disable", "delete"])
async def test_an_administrator_ends_it_for_somebody_else(scene: Scene, way: str) -> None:
    async with scene.home.client() as admin:
        body = {"name": "Bea", "email": "bea@example.com", "role": "developer", "password": OTHER}
        made = await admin.post("/api/v1/users", json=body)
        assert made.status_code == 201, made.text
        bea = made.json().get("id") or made.json()["user"]["id"]
        given = await tokens(scene.owner, "bea@example.com", OTHER)
        cookie = (await log_in(scene.owner, "bea@example.com", OTHER)).cookies["millrace_session"]
        scene.owner.cookies.clear()
        stolen, worn = bearer(given["access_token"]), {"Cookie": f"millrace_session={cookie}", **HERE}
        assert await scene.gets_in(stolen)
        assert await scene.gets_in(worn)
        if way == "delete":
            response = await admin.delete(f"/api/v1/users/{bea}")
        else:
            response = await admin.post(f"/api/v1/users/{bea}/{way}")
        assert response.status_code in (200, 204), response.text
    assert not await scene.gets_in(stolen)
    assert not await scene.gets_in(worn)
    problem(await refresh(scene.thief, given["refresh_token"]), 401, "invalid_refresh_token")


async def test_a_stolen_cookie_reads_from_anywhere_and_ends_with_its_login(scene: Scene) -> None:
    """Against its theft stand `HttpOnly`, `SameSite` and `Secure`; against its use, that the owner sees the login."""
    cookie = (await log_in(scene.owner)).cookies["millrace_session"]
    scene.owner.cookies.clear()
    worn = {"Cookie": f"millrace_session={cookie}"}
    assert await scene.gets_in(worn)
    problem(await scene.thief.post("/api/v1/auth/logout", headers=worn), 403, "cross_site")
    problem(await refresh(scene.thief, cookie), 401, "invalid_refresh_token")
    for name in ("Authorization", "X-API-Key"):
        value = f"Bearer {cookie}" if name == "Authorization" else cookie
        assert not await scene.gets_in({name: value}), "a cookie is nothing but a cookie"
    mine = bearer((await tokens(scene.owner))["access_token"])
    listed = (await scene.owner.get("/api/v1/auth/sessions", headers=mine)).json()["items"]
    assert len(listed) == 2, "the owner sees both of his logins"
    assert (await scene.owner.post("/api/v1/auth/logout-everywhere", headers=mine)).status_code in (200, 204)
    assert not await scene.gets_in(worn)


async def test_a_stolen_cookie_ends_by_itself_when_it_is_not_used(scene: Scene) -> None:
    cookie = (await log_in(scene.owner)).cookies["millrace_session"]
    scene.owner.cookies.clear()
    scene.clock.advance(400 * UNITS["d"])
    assert not await scene.gets_in({"Cookie": f"millrace_session={cookie}"})


@pytest.mark.parametrize("way", ["revoke", "rotate"])
async def test_a_stolen_api_key_is_revoked_or_replaced(scene: Scene, way: str) -> None:
    async with scene.home.client() as admin:
        made = (await admin.post(KEYS, json={"name": "nightly", "scopes": ["run:read", "self"]})).json()
        stolen = {"X-API-Key": made["key"]}
        assert await scene.gets_in(stolen)
        if way == "revoke":
            assert (await admin.delete(f"{KEYS}/{made['id']}")).status_code == 200
        else:
            fresh = (await admin.post(f"{KEYS}/{made['id']}/rotate")).json()
            assert await scene.gets_in({"X-API-Key": fresh["key"]})
        assert not await scene.gets_in(stolen)
        assert not await scene.gets_in(bearer(made["key"]))


async def test_who_stole_a_key_makes_none_that_outlives_or_exceeds_it(scene: Scene) -> None:
    async with scene.home.client() as admin:
        made = (await admin.post(KEYS, json={"name": "n", "scopes": ["run:read", "self"], "expires_in": "1d"})).json()
        stolen = {"X-API-Key": made["key"]}
        wider = await scene.thief.post(KEYS, json={"name": "mine", "scopes": ["user:write"]}, headers=stolen)
        assert wider.status_code in (403, 422), wider.text
        as_long = {"name": "mine", "scopes": ["run:read"]}
        longer = await scene.thief.post(KEYS, json={**as_long, "expires_in": "2d"}, headers=stolen)
        problem(longer, 403, "beyond_own_rights")
        left = (await scene.thief.post(KEYS, json=as_long, headers=stolen)).json()
        assert left["expires_at"] == made["expires_at"]
        assert (await admin.delete(f"{KEYS}/{made['id']}")).status_code == 200
        assert not await scene.gets_in(stolen)
        log = (await admin.get("/api/v1/audit-logs", params={"action": "api_key.create"})).json()["items"]
        (offspring,) = [row["entity_id"] for row in log if row["credential_id"] == made["id"]]
        assert offspring == left["id"], "the owner finds what the thief has left behind"
        assert (await admin.delete(f"{KEYS}/{offspring}")).status_code == 200
        assert not await scene.gets_in({"X-API-Key": left["key"]})


async def test_what_was_stolen_from_one_place_is_worth_nothing_at_another(scene: Scene) -> None:
    """Each credential is one kind: a refresh token opens nothing, an access token refreshes nothing."""
    given, _ = await stolen_tokens(scene)
    assert not await scene.gets_in(bearer(given["refresh_token"]))
    assert not await scene.gets_in({"X-API-Key": given["access_token"]})
    assert not await scene.gets_in({"Cookie": f"millrace_session={given['refresh_token']}"})
    assert not await scene.gets_in({"Cookie": f"millrace_session={given['access_token']}"})
    for wrong in (given["access_token"], scene.home.key, ADA, ""):
        assert (await refresh(scene.thief, wrong)).status_code in (401, 422)

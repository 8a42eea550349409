"""I1: logins by an OpenID Connect provider, a real one: whom they let in as what, and what they refuse."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from millrace.auth.oidc.pending import challenge_of
from millrace.core.durations import UNITS
from millrace.system import SystemClock
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation, installation
from tests.support.login_provider import LoginProvider, login_provider, refusal, way_back
from tests.support.logins import ADA, OTHER, PASSWORD, bearer, log_in, set_up

pytestmark = pytest.mark.service("oidc")

PUBLIC = "http://millrace.test"
OIDC = "/api/v1/auth/oidc"
ME = "/api/v1/auth/me"
GRACE = "grace@example.com"


@pytest.fixture(scope="module")
def provider() -> Iterator[LoginProvider]:
    with login_provider(f"{PUBLIC}{OIDC}/callback") as running:
        yield running


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock(SystemClock().now())


@pytest.fixture
async def millrace(
    tmp_path: Path, database_url: str | None, clock: FakeClock, provider: LoginProvider
) -> AsyncIterator[Installation]:
    provider.knows("ada", email=ADA, email_verified=True, name="Ada Lovelace", groups=["builders", "others"])
    provider.knows("grace", email=GRACE, email_verified=True, name="Grace Hopper", groups=["watchers"])
    settings = provider.settings(PUBLIC)
    async with installation(tmp_path / "home", database_url, login_clock=clock, login_settings=settings) as running:
        yield running


async def begun(client: httpx2.AsyncClient, **query: str) -> str:
    """The address at the provider."""
    response = await client.get(f"{OIDC}/login", params=query)
    assert response.status_code == 303, response.text
    return str(response.headers["Location"])


async def logged_in(client: httpx2.AsyncClient, login: str, **query: str) -> httpx2.Response:
    """The answer to who has come back from the provider."""
    return await client.get(way_back(await begun(client, **query), login))


async def whoever(client: httpx2.AsyncClient) -> tuple[str, str]:
    """Name and role of who has the cookie."""
    mine = (await client.get(ME)).json()
    return mine["name"], mine["role"]


# --- who gets in ------------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
async def test_the_first_login_makes_a_user_and_the_next_finds_him(millrace: Installation) -> None:
    async with millrace.client("") as client:
        shown = {"enabled": True, "name": "Test provider", "login_url": f"{PUBLIC}{OIDC}/login"}
        assert (await client.get(OIDC)).json() == shown
        back = await logged_in(client, "ada", next="/runs?status=failed")
        assert (back.status_code, back.headers["Location"]) == (303, f"{PUBLIC}/runs?status=failed")
        session, pending = back.headers.get_list("Set-Cookie")
        assert session.startswith("millrace_session=mrw_")
        assert ("HttpOnly" in session, "SameSite=strict" in session) == (True, True)
        assert ('millrace_oidc=""' in pending, "Max-Age=0" in pending) == (True, True)
        first = (await client.get(ME)).json()
        assert (first["email"], first["name"], first["role"]) == (ADA, "Ada Lovelace", "developer")
        assert (first["has_password"], first["credential"]) == (False, "session")
        assert (await logged_in(client, "ada")).headers["Location"] == f"{PUBLIC}/"
        second = (await client.get(ME)).json()
        assert (second["id"], second["session_id"] == first["session_id"]) == (first["id"], False)
    async with millrace.client("") as stranger:
        problem(await log_in(stranger, ADA, PASSWORD), 401, "wrong_login")
        problem(await stranger.get(ME), 401, "unauthenticated")


async def test_nothing_of_the_provider_is_kept_or_logged(
    millrace: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "millrace")
    async with millrace.client("") as client:
        back = way_back(await begun(client), "ada")
        assert (await client.get(back)).status_code == 303
    (code,) = parse_qs(urlsplit(back).query)["code"]
    assert "eyJ" not in caplog.text
    assert code not in caplog.text
    if millrace.database.__class__.__name__ == "CountingDatabase":
        home = millrace.container.settings.home
        kept = b"".join(file.read_bytes() for file in home.glob("millrace.db*"))
        assert b"Ada Lovelace" in kept
        assert b"eyJ" not in kept
        assert code.encode() not in kept


async def test_the_role_follows_the_groups_at_every_login(millrace: Installation, provider: LoginProvider) -> None:
    async with millrace.client("") as client, millrace.client() as admin:
        for groups, role in ((["watchers", "bosses"], "admin"), ("watchers", "viewer"), (["builders"], "developer")):
            provider.knows("ada", email=ADA, email_verified=True, name="Ada", groups=groups)
            await logged_in(client, "ada")
            assert await whoever(client) == ("Ada", role)
        # What an administrator gives holds until the next login.
        assert (await admin.patch(f"/api/v1/users/{ADA}", json={"role": "operator"})).status_code == 200
        await logged_in(client, "ada")
        assert await whoever(client) == ("Ada", "developer")
        for nothing in ({"groups": ["strangers"]}, {"groups": []}, {}, {"groups": {"bosses": True}}):
            provider.knows("ada", email=ADA, email_verified=True, **nothing)
            problem(await logged_in(client, "ada"), 403, "role_missing")
        provider.knows("new", groups=["strangers"])
        problem(await logged_in(client, "new"), 403, "role_missing")
        assert [user["email"] for user in (await admin.get("/api/v1/users")).json()["items"]][1:] == [ADA]


async def test_without_a_mapping_roles_are_given_here(
    tmp_path: Path, database_url: str | None, provider: LoginProvider
) -> None:
    provider.knows("ada", email=ADA, email_verified=True, name="Ada", groups=["bosses"])
    settings = provider.settings(PUBLIC, MILLRACE_OIDC_ROLES="", MILLRACE_OIDC_DEFAULT_ROLE="operator")
    async with (
        installation(tmp_path / "home", database_url, login_settings=settings) as millrace,
        millrace.client("") as client,
        millrace.client() as admin,
    ):
        await logged_in(client, "ada")
        assert await whoever(client) == ("Ada", "operator")
        await admin.patch(f"/api/v1/users/{ADA}", json={"role": "developer"})
        await logged_in(client, "ada")
        assert await whoever(client) == ("Ada", "developer")


async def test_a_login_never_takes_the_last_administrator_away(
    millrace: Installation, provider: LoginProvider, caplog: pytest.LogCaptureFixture
) -> None:
    await set_up(millrace)
    provider.knows("ada", email=ADA, email_verified=True, groups=["watchers"])
    async with millrace.client("") as client, millrace.client() as admin:
        await logged_in(client, "ada")
        assert await whoever(client) == ("Ada", "admin")
        assert "stays an administrator" in caplog.text
        body = {"name": "Grace", "email": GRACE, "role": "admin", "password": "another four words here"}
        assert (await admin.post("/api/v1/users", json=body)).status_code == 201
        await logged_in(client, "ada")
        assert await whoever(client) == ("Ada", "viewer")


# --- whose account it is ----------------------------------------------------------------------------------------------


async def test_a_user_is_linked_only_by_an_address_that_is_verified(
    millrace: Installation, provider: LoginProvider
) -> None:
    async with millrace.client("") as client, millrace.client() as admin:
        made = (await admin.post("/api/v1/users", json={"name": "Grace", "email": GRACE, "role": "viewer"})).json()
        for unsure in ({"email_verified": False}, {}, {"email_verified": "true"}):
            provider.knows("thief", email=GRACE, groups=["watchers"], **unsure)
            problem(await logged_in(client, "thief"), 403, "email_taken")
        provider.knows("grace", email="Grace@Example.com", email_verified=True, groups=["builders"])
        await logged_in(client, "grace")
        mine = (await client.get(ME)).json()
        assert (mine["id"], mine["role"], mine["name"]) == (made["id"], "developer", "Grace")
        # Somebody else of the same provider, who has the address now.
        provider.knows("other", email=GRACE, email_verified=True, groups=["watchers"])
        problem(await logged_in(client, "other"), 403, "email_taken")
        provider.knows("grace", email="moved@example.com", email_verified=True, groups=["watchers"])
        await logged_in(client, "grace")
        assert (await client.get(ME)).json()["id"] == made["id"]


async def test_an_address_that_is_not_verified_is_nobodys(millrace: Installation, provider: LoginProvider) -> None:
    async with millrace.client("") as client, millrace.client() as admin:
        for login, claims in (("a", {"email": "new@example.com"}), ("b", {}), ("c", {"email": "no address\n"})):
            provider.knows(login, groups=["watchers"], **claims)
            assert (await logged_in(client, login)).status_code == 303, login
            assert (await client.get(ME)).json()["email"] is None
        made = await admin.post("/api/v1/users", json={"name": "New", "email": "new@example.com"})
        assert made.status_code == 201


async def test_who_is_disabled_or_deleted_does_not_get_in(millrace: Installation) -> None:
    async with millrace.client("") as client, millrace.client() as admin:
        await logged_in(client, "grace")
        grace = (await client.get(ME)).json()["id"]
        await admin.post(f"/api/v1/users/{grace}/disable")
        problem(await logged_in(client, "grace"), 403, "account_disabled")
        problem(await client.get(ME), 401, "unauthenticated")
        await admin.post(f"/api/v1/users/{grace}/enable")
        assert (await logged_in(client, "grace")).status_code == 303
        await admin.delete(f"/api/v1/users/{grace}")
        problem(await logged_in(client, "grace"), 403, "account_disabled")
        made = (await admin.post("/api/v1/users", json={"name": "Grace", "email": GRACE})).json()
        assert (await logged_in(client, "grace")).status_code == 303
        assert (await client.get(ME)).json()["id"] == made["id"]


async def test_a_password_comes_only_by_a_reset(millrace: Installation) -> None:
    async with millrace.client("") as client, millrace.client() as admin:
        await logged_in(client, "grace")
        here = {"Sec-Fetch-Site": "same-origin"}
        body = {"old_password": PASSWORD, "new_password": OTHER}
        problem(await client.post("/api/v1/auth/password", json=body, headers=here), 409, "no_password")
        token = (await admin.post(f"/api/v1/users/{GRACE}/reset")).json()["reset_token"]
        await client.post("/api/v1/auth/reset", json={"token": token, "password": OTHER})
        assert (await log_in(client, GRACE, OTHER)).status_code == 200
        assert (await logged_in(client, "grace")).status_code == 303


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_an_answer_belongs_to_the_browser_that_began(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client, millrace.client("") as other:
        mine = way_back(await begun(client), "ada")
        problem(await other.get(mine), 422, "login_expired")
        await begun(other)
        problem(await other.get(mine), 422, "login_mixed_up")
        state = parse_qs(urlsplit(mine).query)["state"][0]
        for wrong in (
            mine.replace(state, state[:-1] + "_"),
            mine.replace("state=", "stat="),
            f"{PUBLIC}{OIDC}/callback",
        ):
            await begun(client)
            problem(await client.get(wrong), 422, "login_mixed_up")
        late = way_back(await begun(client), "ada")
        clock.advance(10 * UNITS["m"])
        problem(await client.get(late), 422, "login_expired")
        problem(await client.get(ME), 401, "unauthenticated")


async def test_a_code_belongs_to_the_login_that_it_was_given_for(millrace: Installation) -> None:
    """The verifier is what tells: another code with the right state comes from somebody who has stolen it."""
    async with millrace.client("") as victim, millrace.client("") as thief:
        stolen = parse_qs(urlsplit(way_back(await begun(victim), "ada")).query)["code"][0]
        own = way_back(await begun(thief), "grace")
        code = parse_qs(urlsplit(own).query)["code"][0]
        problem(await thief.get(own.replace(code, stolen)), 401, "login_refused")


@pytest.mark.both_databases
async def test_state_and_code_are_used_once(millrace: Installation) -> None:
    async with millrace.client("") as client:
        address = await begun(client)
        kept = client.cookies["millrace_oidc"]
        back = way_back(address, "ada")
        assert (await client.get(back)).status_code == 303
        problem(await client.get(back), 422, "login_expired")
        again = {"Cookie": f"millrace_oidc={kept}"}
        problem(await client.get(back, headers=again), 401, "login_refused")


async def test_an_answer_that_names_another_issuer_or_none_is_mixed_up(millrace: Installation) -> None:
    """RFC 9207: this provider says that it names itself."""
    async with millrace.client("") as client:
        for wrong in ("iss=https://evil.example", "is="):
            back = way_back(await begun(client), "ada")
            issuer = back[back.index("iss=") :]
            problem(await client.get(back.replace(issuer, wrong)), 422, "login_mixed_up")


async def test_errors_of_the_provider_are_told_in_our_words(millrace: Installation) -> None:
    async with millrace.client("") as client:
        back = refusal(await begun(client))
        problem(await client.get(back), 403, "access_denied")
        address = await begun(client)
        state = parse_qs(urlsplit(address).query)["state"][0]
        issuer = back[back.index("iss=") :]
        bad = f"{PUBLIC}{OIDC}/callback?state={state}&{issuer}&error=<script>alert(1)</script>&error_description=<b>x"
        page = await client.get(bad, headers={"Accept": "text/html,*/*"})
        assert (page.status_code, page.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert ("<script" in page.text, "alert" in page.text, "<b>x" in page.text) == (False, False, False)
        assert f'href="{PUBLIC}{OIDC}/login"' in page.text


ELSEWHERE = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil", "https://evil.example", "https:evil", "evil",
    "", "javascript:x", "/a\tb", "/a\r\nSet-Cookie: x=y", "/\x0b/evil", " /a", "/ü", "/" + "a" * 600,
)  # fmt: skip


async def test_a_login_goes_on_only_at_a_path_of_this_server(millrace: Installation) -> None:
    async with millrace.client("") as client:
        for path in ELSEWHERE:
            refused = await client.get(f"{OIDC}/login", params={"next": path})
            assert problem(refused, 422, "invalid_request")["faults"][0]["path"] == "query.next", path
            assert "Set-Cookie" not in refused.headers


async def test_failed_logins_are_counted_by_address(millrace: Installation) -> None:
    async with millrace.client("", address="192.0.2.7") as client, millrace.client("", address="192.0.2.8") as other:
        for _ in range(21):
            await begun(client)
            refused = await client.get(f"{OIDC}/callback", params={"state": "guessed", "code": "guessed"})
        assert problem(refused, 429, "too_many_attempts")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await logged_in(other, "ada")).status_code == 303


# --- the provider -----------------------------------------------------------------------------------------------------


async def test_while_the_provider_is_away_passwords_still_work(
    millrace: Installation, provider: LoginProvider, clock: FakeClock
) -> None:
    await set_up(millrace)
    async with millrace.client("") as client:
        provider.stop()
        try:
            problem(await client.get(f"{OIDC}/login"), 503, "oidc_unavailable")
            assert (await log_in(client)).status_code == 200
        finally:
            provider.start()
        problem(await client.get(f"{OIDC}/login"), 503, "oidc_unavailable")
        clock.advance(5 * UNITS["s"])
        back = way_back(await begun(client), "grace")
        provider.stop()
        try:
            problem(await client.get(back), 503, "oidc_unavailable")
        finally:
            provider.start()


async def test_a_new_key_of_the_provider_is_found(millrace: Installation, provider: LoginProvider) -> None:
    async with millrace.client("") as client:
        assert (await logged_in(client, "ada")).status_code == 303
        provider.restart()
        assert (await logged_in(client, "ada")).status_code == 303


async def test_a_logout_names_where_to_log_out_as_well(millrace: Installation, provider: LoginProvider) -> None:
    here = {"Sec-Fetch-Site": "same-origin"}
    async with millrace.client("") as client:
        await logged_in(client, "ada")
        answer = await client.post("/api/v1/auth/logout", headers=here)
        assert answer.status_code == 200
        assert answer.json()["provider_logout_url"].startswith(f"{provider.issuer}/session/end?client_id=")
        problem(await client.get(ME), 401, "unauthenticated")
        await set_up(millrace, email="root@example.com")
        await log_in(client, "root@example.com")
        assert (await client.post("/api/v1/auth/logout", headers=here)).status_code == 204


# --- programs ---------------------------------------------------------------------------------------------------------

VERIFIER = "v" * 43


async def test_a_program_gets_tokens_for_a_code_and_its_verifier_once(millrace: Installation, clock: FakeClock) -> None:
    async def exchanged(code: str, verifier: str = VERIFIER) -> httpx2.Response:
        return await client.post(f"{OIDC}/token", json={"code": code, "verifier": verifier})

    async with millrace.client("") as client:
        query = {"challenge": challenge_of(VERIFIER), "port": "4711"}

        async def code() -> str:
            back = await logged_in(client, "ada", **query)
            assert back.headers["Location"].startswith("http://127.0.0.1:4711/?code=mro_")
            assert "millrace_session" not in str(back.headers.get_list("Set-Cookie"))
            return parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]

        good = await code()
        given = (await exchanged(good)).json()
        assert (await client.get(ME, headers=bearer(given["access_token"]))).json()["email"] == ADA
        fresh = await client.post("/api/v1/auth/refresh", json={"refresh_token": given["refresh_token"]})
        assert fresh.status_code == 200
        problem(await exchanged(good), 401, "invalid_code")
        stolen = await code()
        problem(await exchanged(stolen, "w" * 43), 401, "invalid_code")
        problem(await exchanged(stolen), 401, "invalid_code")
        late = await code()
        clock.advance(10 * UNITS["m"])
        problem(await exchanged(late), 401, "invalid_code")
        problem(await exchanged("mro_" + "x" * 43), 401, "invalid_code")
        page = await logged_in(client, "ada", challenge=query["challenge"])
        assert (page.status_code, "mro_" in page.text) == (200, True)
        refused = await client.get(refusal(await begun(client, **query)))
        assert refused.headers["Location"].startswith("http://127.0.0.1:4711/?error=access_denied&message=")


async def test_a_program_has_a_challenge_and_a_port(millrace: Installation) -> None:
    async with millrace.client("") as client:
        for query in ({"port": "1"}, {"challenge": "short"}, {"challenge": "x" * 43, "port": "0"}, {"challnge": "x"}):
            problem(await client.get(f"{OIDC}/login", params=query), 422, "invalid_request")


# --- at the same time -------------------------------------------------------------------------------------------------


@ON_POSTGRES
@pytest.mark.both_databases
async def test_two_first_logins_at_once_make_one_user(millrace: Installation) -> None:
    async with millrace.client("") as one, millrace.client("") as two, millrace.client() as admin:
        backs = [way_back(await begun(client), "ada") for client in (one, two)]
        answers = await asyncio.gather(*(client.get(back) for client, back in zip((one, two), backs, strict=True)))
        assert [answer.status_code for answer in answers] == [303, 303]
        assert len((await admin.get("/api/v1/users")).json()["items"]) == 2

"""I1, I5: logins by password, for browsers and programs: what they open, how they end, and that they end at once."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from millrace.auth.authentication import Authenticator
from millrace.core.durations import UNITS
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation, installation
from tests.support.logins import ADA, OTHER, PASSWORD, bearer, log_in, set_up, tokens

ME = "/api/v1/auth/me"
HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None, clock: FakeClock) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, login_clock=clock) as running:
        await set_up(running)
        yield running


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


# --- the first start --------------------------------------------------------------------------------------------------


async def test_the_first_administrator_is_set_up_once_and_with_the_first_key(
    tmp_path: Path, database_url: str | None
) -> None:
    path = "/api/v1/auth/setup"
    async with installation(tmp_path / "home", database_url) as millrace, millrace.client("") as client:
        assert (await client.get(path)).json() == {"needed": True}
        good = {"setup_key": millrace.key, "email": " Ada@Example.COM ", "name": "Ada", "password": PASSWORD}
        wrong = await client.post(path, json={**good, "setup_key": "mr_" + "x" * 43})
        problem(wrong, 401, "wrong_setup_key")
        for part, value in (("email", "nowhere"), ("name", " "), ("password", "password1234")):
            faults = problem(await client.post(path, json={**good, part: value}), 422, "invalid_request")["faults"]
            assert [fault["path"] for fault in faults] == [part]
        async with millrace.client() as admin:
            await admin.post("/api/v1/users", json={"kind": "service", "name": "deploy-bot", "role": "admin"})
            bots = (await admin.post("/api/v1/api-keys", json={"name": "bot", "user": "deploy-bot"})).json()["key"]
        problem(await client.post(path, json={**good, "setup_key": bots}), 401, "wrong_setup_key")
        shown = (await client.post(path, json=good)).json()
        assert (shown["email"], shown["name"], shown["role"]) == (ADA, "Ada", "admin")
        assert (await client.get(path)).json() == {"needed": False}
        problem(await client.post(path, json=good), 409, "already_set_up")
        assert (await log_in(client, "ADA@example.com")).status_code == 200
        assert (await client.get(ME, headers={"X-API-Key": millrace.key})).json()["name"] == "Ada"


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_tokens_open_what_the_role_has_until_their_time_is_over(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        assert given.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
        assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 900, None)
        mine = (await client.get(ME, headers=bearer(given["access_token"]))).json()
        assert (mine["email"], mine["credential"]) == (ADA, "session")
        assert "user:write" in mine["permissions"]
        clock.advance(899 * UNITS["s"])
        assert (await client.get(ME, headers=bearer(given["access_token"]))).status_code == 200
        clock.advance(UNITS["s"])
        problem(await client.get(ME, headers=bearer(given["access_token"])), 401, "unauthenticated")
        fresh = (await refresh(client, given["refresh_token"])).json()
        assert (await client.get(ME, headers=bearer(fresh["access_token"]))).json()["session_id"] == mine["session_id"]


@pytest.mark.both_databases
async def test_a_login_ends_when_it_is_not_used_and_after_its_longest_time(
    millrace: Installation, clock: FakeClock
) -> None:
    async with millrace.client("") as client, millrace.client("") as other:
        unused = await tokens(client)
        used = await tokens(other)
        for _ in range(5):
            clock.advance(6 * UNITS["d"])
            used = (await refresh(other, used["refresh_token"])).json() if _ < 4 else used
        problem(await refresh(client, unused["refresh_token"]), 401, "invalid_refresh_token")
        problem(await refresh(other, used["refresh_token"]), 401, "invalid_refresh_token")


@pytest.mark.both_databases
async def test_a_refresh_token_that_comes_again_ends_the_login(
    millrace: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """The thief has copied the tokens; whoever of the two refreshes second shows that there are two."""
    async with millrace.client("") as client:
        stolen = await tokens(client)
        another = await tokens(client)
        by_thief = (await refresh(client, stolen["refresh_token"])).json()
        assert (await client.get(ME, headers=bearer(by_thief["access_token"]))).status_code == 200
        with caplog.at_level(logging.WARNING):
            again = await refresh(client, stolen["refresh_token"])
        unknown = await refresh(client, "mrr_" + "x" * 43)
        assert problem(again, 401, "invalid_refresh_token") == problem(unknown, 401, "invalid_refresh_token")
        assert "came a second time" in caplog.text
        assert stolen["refresh_token"] not in caplog.text
        for dead in (stolen["access_token"], by_thief["access_token"]):
            problem(await client.get(ME, headers=bearer(dead)), 401, "unauthenticated")
        problem(await refresh(client, by_thief["refresh_token"]), 401, "invalid_refresh_token")
        assert (await client.get(ME, headers=bearer(another["access_token"]))).status_code == 200


@pytest.mark.both_databases
async def test_of_two_who_refresh_at_the_same_time_one_wins_and_the_login_ends(millrace: Installation) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        answers = await asyncio.gather(*(refresh(client, given["refresh_token"]) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
        (won,) = [answer.json() for answer in answers if answer.status_code == 200]
        problem(await client.get(ME, headers=bearer(won["access_token"])), 401, "unauthenticated")


async def test_errors_of_the_token_route_are_those_of_oauth(millrace: Installation) -> None:
    async with millrace.client("") as client:

        async def error(**form: str) -> tuple[int, str]:
            response = await client.post("/api/v1/auth/token", data=form)
            assert response.json().keys() == {"error", "error_description"}
            return response.status_code, response.json()["error"]

        login = {"grant_type": "password", "username": ADA, "password": PASSWORD}
        assert await error(**{**login, "password": "wrong"}) == (400, "invalid_grant")
        assert await error(**{**login, "username": "nobody@example.com"}) == (400, "invalid_grant")
        assert await error(grant_type="refresh_token", refresh_token="mrr_x") == (400, "invalid_grant")
        assert await error(grant_type="password", username=ADA) == (400, "invalid_request")
        assert await error(grant_type="client_credentials") == (400, "unsupported_grant_type")
        assert await error(**login, scope="everything") == (400, "invalid_scope")
        assert await error() == (400, "invalid_request")
        json_body = await client.post("/api/v1/auth/token", json=login)
        assert (json_body.status_code, json_body.json()["error"]) == (400, "invalid_request")
        twice = "grant_type=password&grant_type=password"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await client.post("/api/v1/auth/token", content=twice, headers=form)
        assert response.json()["error"] == "invalid_request"


async def test_the_scope_of_tokens_narrows_them_also_after_a_refresh(millrace: Installation) -> None:
    async with millrace.client("") as client:
        given = await tokens(client, scope="run:read self")
        assert given["scope"] == "run:read self"
        for _ in range(2):
            headers = bearer(given["access_token"])
            assert (await client.get(ME, headers=headers)).json()["permissions"] == ["run:read", "self"]
            assert (await client.get("/api/v1/runs", headers=headers)).status_code == 200
            problem(await client.get("/api/v1/workflows", headers=headers), 403, "forbidden")
            given = (await refresh(client, given["refresh_token"])).json()


async def test_a_login_without_self_can_be_ended_like_any_other(millrace: Installation) -> None:
    async with millrace.client("") as client:
        given = await tokens(client, scope="run:read")
        headers = bearer(given["access_token"])
        problem(await client.get("/api/v1/auth/sessions", headers=headers), 403, "forbidden")
        assert (await client.post("/api/v1/auth/logout", headers=headers)).status_code == 204
        problem(await client.get("/api/v1/runs", headers=headers), 401, "unauthenticated")
        problem(await refresh(client, given["refresh_token"]), 401, "invalid_refresh_token")


def altered(token: str) -> list[str]:
    """A token with what an attacker changes of one."""
    head, body, signature = token.split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    return [
        f"{part({**header, 'alg': 'none'})}.{body}.",
        f"{part({**header, 'alg': 'none'})}.{body}.{signature}",
        f"{part({**header, 'kid': 'x'})}.{body}.{signature}",
        f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}.{body}.{signature}",
        f"{head}.{part({**said, 'exp': 2**40})}.{signature}",
        f"{head}.{part({**said, 'sub': 'admin'})}.{signature}",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.{signature}",
    ]


async def test_a_token_that_was_altered_is_refused(millrace: Installation) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        for text in altered(given["access_token"]):
            problem(await client.get(ME, headers=bearer(text)), 401, "unauthenticated")
        # A link is signed with a key of the same vault, for another purpose.
        problem(
            await client.get(ME, headers=bearer(millrace.vault.sign("access token", b"{}"))), 401, "unauthenticated"
        )


async def test_tokens_outlive_a_rotation_of_the_encryption_key(millrace: Installation) -> None:
    async with millrace.client("") as client:
        before = await tokens(client)
        await millrace.vault.rotate()
        after = await tokens(client)
        for given in (before, after):
            assert (await client.get(ME, headers=bearer(given["access_token"]))).status_code == 200


async def test_any_text_as_a_credential_is_refused_and_nothing_breaks(millrace: Installation) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        token = given["access_token"]

    header_text = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=200)
    cut = st.tuples(st.integers(0, len(token)), header_text, st.integers(0, len(token))).map(
        lambda parts: token[: parts[0]] + parts[1] + token[parts[2] :]
    )

    strangers = (f"51.{number // 250}.{number % 250}" for number in range(10_000))

    async def refused(name: bytes, value: bytes) -> None:
        # Each from elsewhere, or they were soon refused for their number alone.
        async with millrace.client("", address=f"198.{next(strangers)}") as stranger:
            problem(await stranger.get(ME, headers={name: value}), 401, "unauthenticated")

    found: list[bytes] = []

    @hypothesis.settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(st.one_of(header_text, cut))
    def collect(text: str) -> None:
        if text != token:
            found.append(text.encode("latin-1"))

    collect()
    for raw in found:
        await refused(b"Authorization", b"Bearer " + raw)
        await refused(b"X-API-Key", raw)
        await refused(b"Cookie", b"millrace_session=" + raw)


# --- browsers ---------------------------------------------------------------------------------------------------------


async def test_a_browser_is_logged_in_by_a_cookie_that_no_script_and_no_other_site_has(millrace: Installation) -> None:
    async with millrace.client("") as client:
        response = await log_in(client)
        assert response.json()["email"] == ADA
        cookie = response.headers["Set-Cookie"].lower()
        assert cookie.startswith("millrace_session=mrw_")
        for part in ("httponly", "samesite=strict", "path=/"):
            assert part in cookie
        assert "secure" not in cookie
        assert (await client.get(ME)).json()["credential"] == "session"
        assert (await client.post("/api/v1/auth/logout", headers=HERE)).status_code == 204
        problem(await client.get(ME), 401, "unauthenticated")
    async with millrace.client("", scheme="https") as client:
        cookie = (await log_in(client)).headers["Set-Cookie"]
        assert cookie.startswith("__Host-millrace_session=mrw_")
        assert "Secure" in cookie
        assert (await client.get(ME)).status_code == 200


async def test_the_cookie_of_the_public_address_at_https_is_for_https_also_behind_a_proxy_that_is_not_named(
    tmp_path: Path, database_url: str | None
) -> None:
    async with installation(tmp_path / "home", database_url, public_url="https://millrace.test") as millrace:
        await set_up(millrace)
        async with millrace.client("") as behind:
            cookie = (await log_in(behind)).headers["Set-Cookie"]
            assert cookie.startswith("__Host-millrace_session=mrw_")
            assert "Secure" in cookie
            kept = {"Cookie": cookie.partition(";")[0]}
            assert (await behind.get(ME, headers=kept)).status_code == 200
            name = {"name": "Ada"}
            for origin, status in (("https://millrace.test", 200), ("http://millrace.test", 403)):
                answer = await behind.patch(ME, json=name, headers={**kept, "Origin": origin})
                assert answer.status_code == status
            here = {"Host": "localhost:8000"}
            assert (
                (await behind.post("/api/v1/auth/login", json={"email": ADA, "password": PASSWORD}, headers=here))
                .headers["Set-Cookie"]
                .startswith("millrace_session=")
            )


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, False),
        (HERE, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://millrace.test"}, False),
        ({"Origin": "http://millrace.test"}, True),
        ({"Origin": "https://millrace.test"}, False),
        ({"Origin": "http://millrace.test.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Referer": "http://millrace.test/"}, False),
    ],
)
async def test_another_site_changes_nothing_by_the_cookie(
    millrace: Installation, headers: dict[str, str], allowed: bool
) -> None:
    async with millrace.client("") as client:
        await log_in(client)
        response = await client.patch(ME, json={"name": "Eve"}, headers=headers)
        if allowed:
            assert response.json()["name"] == "Eve"
        else:
            problem(response, 403, "cross_site")
        # Reading shows nothing to another site: there is no CORS.
        assert (await client.get(ME, headers=headers)).json()["name"] == ("Eve" if allowed else "Ada")
        # Whoever shows a credential of his own does not stand behind the cookie.
        by_key = await client.patch(ME, json={"name": "Ada"}, headers={**headers, "X-API-Key": millrace.key})
        assert by_key.status_code == 200


async def test_no_other_site_logs_a_browser_in(millrace: Installation) -> None:
    body = {"email": ADA, "password": PASSWORD}
    async with millrace.client("") as client:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            problem(await client.post("/api/v1/auth/login", json=body, headers=headers), 403, "cross_site")
        assert (await client.post("/api/v1/auth/login", json=body, headers=HERE)).status_code == 200


async def test_an_explicit_credential_counts_before_the_cookie_also_if_it_is_wrong(millrace: Installation) -> None:
    async with millrace.client("") as client:
        await log_in(client)
        token = (await tokens(client))["access_token"]
        for headers in (
            {"X-API-Key": "mr_" + "x" * 43},
            {"X-API-Key": ""},
            {"X-API-Key": "wrong", **bearer(token)},
            bearer("wrong"),
            {"Authorization": "Basic YTpi"},
        ):
            problem(await client.get(ME, headers=headers), 401, "unauthenticated")
        by_key = (await client.get(ME, headers={"X-API-Key": millrace.key, **bearer("wrong")})).json()
        assert by_key["credential"] == "api_key"


# --- the end of logins ------------------------------------------------------------------------------------------------


async def test_logging_out_ends_this_login_and_everywhere_ends_all(millrace: Installation) -> None:
    async with millrace.client("") as client:
        first, second, third = [await tokens(client) for _ in range(3)]
        headers = [bearer(given["access_token"]) for given in (first, second, third)]
        assert len((await client.get("/api/v1/auth/sessions", headers=headers[0])).json()["items"]) == 3
        assert (await client.post("/api/v1/auth/logout", headers=headers[0])).status_code == 204
        problem(await client.get(ME, headers=headers[0]), 401, "unauthenticated")
        problem(await refresh(client, first["refresh_token"]), 401, "invalid_refresh_token")
        listed = (await client.get("/api/v1/auth/sessions", headers=headers[1])).json()["items"]
        assert [item["current"] for item in listed] == [False, True]
        assert listed[0].keys() >= {"address", "user_agent", "last_used_at", "expires_at"}
        path = f"/api/v1/auth/sessions/{listed[0]['id']}"
        assert (await client.delete(path, headers=headers[1])).status_code == 204
        problem(await client.delete(path, headers=headers[1]), 404, "session_not_found")
        problem(await client.get(ME, headers=headers[2]), 401, "unauthenticated")
        assert (await client.post("/api/v1/auth/logout-everywhere", headers=headers[1])).json() == {"ended": 1}
        problem(await client.get(ME, headers=headers[1]), 401, "unauthenticated")
        problem(await client.post("/api/v1/auth/logout", headers={"X-API-Key": millrace.key}), 409, "no_session")


async def test_a_new_password_ends_all_other_logins(millrace: Installation) -> None:
    change = {"old_password": PASSWORD, "new_password": OTHER}
    path = "/api/v1/auth/password"
    async with millrace.client("") as client:
        mine, theirs = bearer((await tokens(client))["access_token"]), await tokens(client)
        problem(await client.post(path, json={**change, "old_password": "wrong"}, headers=mine), 403, "wrong_password")
        for bad in ("short", "ada@example.com", "aaaaaaaaaaaaaaaa", "qwertyuiop[]123", PASSWORD):
            problem(await client.post(path, json={**change, "new_password": bad}, headers=mine), 422, "invalid_request")
        assert (await client.get(ME, headers=bearer(theirs["access_token"]))).status_code == 200
        assert (await client.post(path, json=change, headers=mine)).status_code == 204
        assert (await client.get(ME, headers=mine)).status_code == 200
        problem(await client.get(ME, headers=bearer(theirs["access_token"])), 401, "unauthenticated")
        problem(await refresh(client, theirs["refresh_token"]), 401, "invalid_refresh_token")
        problem(await log_in(client), 401, "wrong_login")
        assert (await log_in(client, password=OTHER)).status_code == 200


@pytest.mark.both_databases
async def test_of_two_who_change_a_password_at_the_same_time_the_first_wins(millrace: Installation) -> None:
    """A thief who knows the old one must not set his own after the owner has set another."""
    async with millrace.client("") as client:
        by = [bearer((await tokens(client))["access_token"]) for _ in range(2)]
        wanted = [OTHER, "maple-quartz-tunnel-58"]
        answers = await asyncio.gather(
            *(
                client.post(
                    "/api/v1/auth/password", json={"old_password": PASSWORD, "new_password": new}, headers=headers
                )
                for new, headers in zip(wanted, by, strict=True)
            )
        )
        assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 403])
        for answer, new in zip(answers, wanted, strict=True):
            assert (await log_in(client, password=new)).is_success == (answer.status_code == 204)


@ON_POSTGRES
@pytest.mark.both_databases
async def test_another_process_refuses_a_token_as_soon_as_its_login_has_ended(
    millrace: Installation, tmp_path: Path, database_url: str, clock: FakeClock
) -> None:
    key_file = (tmp_path / "home" / "encryption-key").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "encryption-key").write_text(key_file)
    (tmp_path / "other" / "api-key").write_text(millrace.key)
    async with (
        installation(tmp_path / "other", database_url, login_clock=clock) as second,
        millrace.client("") as here,
        second.client("") as there,
    ):
        given = await tokens(here)
        headers = bearer(given["access_token"])
        assert (await there.get(ME, headers=headers)).status_code == 200
        assert (await here.post("/api/v1/auth/logout", headers=headers)).status_code == 204
        problem(await there.get(ME, headers=headers), 401, "unauthenticated")
        problem(await refresh(there, given["refresh_token"]), 401, "invalid_refresh_token")


async def test_reading_changes_nothing_but_when_a_login_was_last_used(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        await log_in(client)
        before = (await client.get("/api/v1/auth/sessions")).json()["items"][0]["last_used_at"]
        clock.advance(90 * UNITS["s"])
        await client.get(ME)
        assert (await client.get("/api/v1/auth/sessions")).json()["items"][0]["last_used_at"] == before
        await millrace.container.identity.authenticator.write_uses()
        assert (await client.get("/api/v1/auth/sessions")).json()["items"][0]["last_used_at"] > before


async def test_a_process_that_writes_late_makes_no_login_look_less_used(
    millrace: Installation, clock: FakeClock
) -> None:
    sessions = millrace.container.identity.logging_in.sessions
    here, there = (Authenticator(millrace.database, clock, sessions) for _ in range(2))

    async def last_used() -> str:
        (shown,) = (await client.get("/api/v1/auth/sessions")).json()["items"]
        return str(shown["last_used_at"])

    async with millrace.client("") as client:
        cookie = (await log_in(client)).cookies["millrace_session"]
        began = await last_used()
        clock.advance(10 * UNITS["s"])
        await here.of_cookie(cookie)
        clock.advance(40 * UNITS["s"])
        await there.of_cookie(cookie)
        await there.write_uses()
        latest = await last_used()
        assert latest > began
        await here.write_uses()
        assert await last_used() == latest


async def test_what_is_no_refresh_token_writes_nothing(millrace: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(_: object) -> None:
        raise AssertionError("a stranger must not have the database write")

    async with millrace.client("") as client:
        with monkeypatch.context() as patched:
            patched.setattr(millrace.database, "write", write)
            problem(await refresh(client, "mrr_" + "x" * 43), 401, "invalid_refresh_token")
        given = await tokens(client)
        assert (await refresh(client, given["refresh_token"])).status_code == 200


async def test_secrets_of_logins_are_in_no_log_and_no_table(
    millrace: Installation, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with millrace.client("") as client:
        with caplog.at_level(logging.DEBUG):
            given = await tokens(client)
            cookie = (await log_in(client)).cookies["millrace_session"]
            shown = [(await log_in(client, password="not to be seen at all")).text]
            shown.append((await refresh(client, given["refresh_token"] + "x")).text)
            shown.append((await client.post("/api/v1/auth/login", content=f'{{"password": {PASSWORD}')).text)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "home").glob("millrace.db*")).decode("latin-1")
    for secret in (PASSWORD, "not to be seen at all", cookie, given["refresh_token"], given["access_token"]):
        assert secret not in caplog.text
        assert secret not in stored
        assert secret not in "".join(shown)

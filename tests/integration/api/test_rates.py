"""I5: how many requests there may be, of a credential, a user, an address, and of strangers."""

from pathlib import Path

import httpx2

from tests.support.api import problem
from tests.support.installation import Installation, installation
from tests.support.logins import ADA, bearer, log_in, set_up, tokens

RUNS = "/api/v1/runs"
ME = "/api/v1/auth/me"


async def passed(client: httpx2.AsyncClient, path: str, tries: int, **options: object) -> int:
    """How many of so many requests were not refused for their number."""
    return sum([(await client.get(path, **options)).status_code != 429 for _ in range(tries)])


async def test_a_key_that_asks_too_often_is_told_when_it_may_again(tmp_path: Path, database_url: str | None) -> None:
    async with (
        installation(tmp_path / "home", database_url, rate_limit_key="5/h") as millrace,
        millrace.client() as api,
    ):
        other = (await api.post("/api/v1/api-keys", json={"name": "other"})).json()["key"]
        assert await passed(api, RUNS, 9) == 4
        answer = await api.get(RUNS)
        document = problem(answer, 429, "rate_limited")
        assert "MILLRACE_RATE_LIMIT_KEY" in document["detail"]
        assert 0 < int(answer.headers["Retry-After"]) <= 720
        assert answer.headers["RateLimit-Limit"] == "5"
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert 0 < int(answer.headers["RateLimit-Reset"]) <= 3_600
        assert "Content-Security-Policy" in answer.headers
        assert await passed(api, "/health", 9) == 9
        async with millrace.client(other) as second:
            assert await passed(second, RUNS, 9) == 5


async def test_a_user_has_one_limit_for_all_his_credentials(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", rate_limit_user="6/h") as millrace, millrace.client("") as browser:
        await set_up(millrace)
        token = (await tokens(browser))["access_token"]
        assert await passed(browser, ME, 3, headers=bearer(token)) == 3
        await log_in(browser, ADA)
        assert await passed(browser, ME, 2) == 2
        async with millrace.client() as api:
            assert await passed(api, ME, 9) == 1
            assert "MILLRACE_RATE_LIMIT_USER" in problem(await api.get(ME), 429, "rate_limited")["detail"]


async def test_an_address_has_a_limit_and_a_network_of_ipv6_is_one(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", rate_limit_address="5/h") as millrace:
        async with millrace.client(address="2001:db8::1") as api, millrace.client(address="2001:db8::2:3") as beside:
            assert await passed(api, RUNS, 3) == 3
            assert await passed(beside, "/webhook/nothing", 9) == 2
            assert "MILLRACE_RATE_LIMIT_ADDRESS" in problem(await api.get(RUNS), 429, "rate_limited")["detail"]
        async with millrace.client(address="2001:db8:0:1::1") as elsewhere:
            assert await passed(elsewhere, RUNS, 1) == 1


async def test_keys_cannot_be_guessed_fast_and_who_has_one_is_not_held_up(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", rate_limit_anonymous="10/h") as millrace:
        async with millrace.client() as known, millrace.client("") as guesser:
            assert await passed(known, RUNS, 1) == 1
            fresh = (await known.post("/api/v1/api-keys", json={"name": "unknown so far"})).json()["key"]
            guesses = [await guesser.get(RUNS, headers={"X-API-Key": f"mr_{n:043}"}) for n in range(20)]
            assert [guess.status_code for guess in guesses] == [401] * 10 + [429] * 10
            assert "MILLRACE_RATE_LIMIT_ANONYMOUS" in guesses[-1].text
            right = await guesser.get(RUNS, headers={"X-API-Key": fresh})
            assert right.status_code == 429, "a right guess looks like a wrong one"
            assert await passed(guesser, "/docs", 1) == 0
            assert await passed(guesser, "/webhook/nothing", 3) == 3
            assert await passed(known, RUNS, 50) == 50
        async with millrace.client(fresh, address="192.0.2.7") as elsewhere:
            assert await passed(elsewhere, RUNS, 50) == 50


async def test_a_credential_that_has_ended_is_a_strangers(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", rate_limit_anonymous="3/h") as millrace, millrace.client() as api:
        made = (await api.post("/api/v1/api-keys", json={"name": "short"})).json()
        async with millrace.client(made["key"], address="192.0.2.7") as other:
            assert await passed(other, RUNS, 9) == 9
            assert (await api.delete(f"/api/v1/api-keys/{made['id']}")).is_success
            statuses = [(await other.get(RUNS)).status_code for _ in range(6)]
            assert statuses == [401, 401, 401, 429, 429, 429]


async def test_by_default_only_strangers_are_counted(millrace: Installation, api: httpx2.AsyncClient) -> None:
    assert (await api.get(ME)).status_code == 200
    async with millrace.client("") as stranger:
        refused = [(await stranger.get("/static/look.js")).status_code == 429 for _ in range(1_000)]
    assert not any(refused[:300])
    assert any(refused)
    assert [(await api.get(ME)).status_code for _ in range(30)] == [200] * 30


async def test_nothing_is_read_to_count_a_stranger(millrace: Installation) -> None:
    before = millrace.database.reads
    async with millrace.client("") as stranger:
        assert await passed(stranger, "/static/look.js", 20) == 20
    assert millrace.database.reads == before

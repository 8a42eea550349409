"""I5: guessing passwords gets slow soon, for accounts that there are and for others alike, and locks no owner out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from pwdlib import PasswordHash
from sqlalchemy import func, select

from millrace.app.housekeeping import EndedLogins
from millrace.core.durations import UNITS
from millrace.storage.tables import metadata
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation
from tests.support.logins import ADA, OTHER, PASSWORD, log_in, set_up, tokens

NOBODY = "nobody@example.com"


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None, clock: FakeClock) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, login_clock=clock) as running:
        await set_up(running)
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hashing without its work; gives the passwords that were looked at."""
    seen: list[str] = []

    def verify(_: PasswordHash, password: str, kept: str) -> tuple[bool, None]:
        seen.append(password)
        return password == PASSWORD and "$argon2id$" in kept, None

    monkeypatch.setattr(PasswordHash, "verify_and_update", verify)
    return seen


async def wrong(client: httpx2.AsyncClient, email: str = ADA) -> tuple[int, str | None]:
    response = await log_in(client, email, "wrong")
    return response.status_code, response.headers.get("Retry-After")


@pytest.mark.parametrize("email", [ADA, NOBODY])
@pytest.mark.both_databases
async def test_after_five_failures_each_costs_twice_the_wait_of_the_one_before(
    millrace: Installation, clock: FakeClock, quick: list[str], email: str
) -> None:
    async with millrace.client("") as client:
        for _ in range(5):
            assert await wrong(client, email) == (401, None)
        for wait in (1, 2, 4, 8):
            looked_at = len(quick)
            assert await wrong(client, email) == (429, str(wait))
            # Also the right password is not looked at before its time.
            problem(await log_in(client, email), 429, "too_many_attempts")
            assert len(quick) == looked_at
            clock.advance(wait * UNITS["s"])
            assert await wrong(client, email) == (401, None)
        clock.advance(UNITS["d"])
        assert await wrong(client, email) == (401, None)


async def test_a_login_that_works_clears_what_was_held_against_it(
    millrace: Installation, clock: FakeClock, quick: list[str]
) -> None:
    async with millrace.client("") as client:
        for _ in range(3):
            for _ in range(4):
                assert await wrong(client) == (401, None)
            assert (await log_in(client)).status_code == 200


async def test_an_address_that_tries_many_accounts_has_to_wait(
    millrace: Installation, clock: FakeClock, quick: list[str]
) -> None:
    async with millrace.client("", address="203.0.113.9") as attacker, millrace.client("") as other:
        for number in range(20):
            assert await wrong(attacker, f"user-{number}@example.com") == (401, None)
        assert await wrong(attacker, "one-more@example.com") == (429, "1")
        assert (await log_in(other)).status_code == 200
        clock.advance(16 * UNITS["m"])
        assert await wrong(attacker, "one-more@example.com") == (401, None)


async def test_an_address_of_ipv6_is_its_network(millrace: Installation, quick: list[str]) -> None:
    for number in range(20):
        async with millrace.client("", address=f"2001:db8::{number:x}") as attacker:
            assert await wrong(attacker, f"user-{number}@example.com") == (401, None)
    async with millrace.client("", address="2001:db8::ffff") as attacker:
        assert (await wrong(attacker, NOBODY))[0] == 429
    async with millrace.client("", address="2001:db8:0:1::1") as other:
        assert (await wrong(other, NOBODY))[0] == 401


@pytest.mark.parametrize(
    ("a_month_ago", "today"), [("192.0.2.7", "192.0.2.7"), ("2001:db8::a1b2:1", "2001:db8::ffee:2")]
)
async def test_many_addresses_cannot_lock_the_owner_out_where_he_works(
    millrace: Installation, clock: FakeClock, quick: list[str], a_month_ago: str, today: str
) -> None:
    """Of IPv6 his network counts, in which his address changes all the time."""
    async with millrace.client("", address=a_month_ago) as owner:
        assert (await log_in(owner)).status_code == 200
        clock.advance(30 * UNITS["d"])
    async with millrace.client("", address=today) as owner:
        for email in (ADA, NOBODY):
            for number in range(50):
                async with millrace.client("", address=f"198.51.{number}.{len(email)}") as attacker:
                    assert await wrong(attacker, email) == (401, None)
            async with millrace.client("", address="198.51.100.200") as attacker:
                # With the right password, too: it may have been guessed.
                assert (await log_in(attacker, email)).status_code == 429
                assert (await wrong(attacker, email))[0] == 429
        assert (await log_in(owner)).status_code == 200
        clock.advance(16 * UNITS["m"])
        async with millrace.client("", address="198.51.100.200") as attacker:
            assert await wrong(attacker) == (401, None)


@pytest.mark.both_databases
async def test_a_hundred_at_once_are_no_way_around(millrace: Installation, quick: list[str]) -> None:
    async with millrace.client("") as client:
        answers = await asyncio.gather(*(log_in(client, password=f"guess {number}") for number in range(12)))
    assert sorted(answer.status_code for answer in answers)[:5] == [401] * 5
    assert {answer.status_code for answer in answers[5:]} <= {401, 429}
    assert len(quick) == 5


@pytest.mark.parametrize("email", [ADA, NOBODY, "", "x" * 900])
async def test_who_is_not_there_costs_the_same_work_and_gets_the_same_answer(
    millrace: Installation, quick: list[str], email: str
) -> None:
    async with millrace.client("") as client:
        response = await log_in(client, email, "wrong")
        expected = problem(await log_in(client, ADA, "wrong"), 401, "wrong_login")
        assert problem(response, 401, "wrong_login") == expected
    assert len(quick) == 2


async def test_old_passwords_and_tokens_are_guessed_no_faster(millrace: Installation, quick: list[str]) -> None:
    async with millrace.client("") as client:
        headers = {"Authorization": f"Bearer {(await tokens(client))['access_token']}"}
        change = {"old_password": "wrong", "new_password": OTHER}
        statuses = [
            (await client.post("/api/v1/auth/password", json=change, headers=headers)).status_code for _ in range(7)
        ]
        assert statuses == [403] * 5 + [429] * 2
        form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
        response = await client.post("/api/v1/auth/token", data=form)
        assert (response.status_code, response.json()["error"]) == (429, "too_many_attempts")
        assert response.headers["Retry-After"] == "1"


async def test_a_long_queue_is_refused_and_counts_nothing(
    millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = millrace.container.identity.logging_in._passwords
    monkeypatch.setattr(passwords, "_under_way", 22)
    async with millrace.client("") as client:
        for _ in range(8):
            response = await log_in(client)
            problem(response, 503, "too_many_logins")
            assert response.headers["Retry-After"]
        monkeypatch.setattr(passwords, "_under_way", 0)
        assert (await log_in(client)).status_code == 200


@pytest.mark.both_databases
async def test_what_is_over_is_deleted(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        await tokens(client)
        await log_in(client, password="wrong")

    async def rows() -> dict[str, int]:
        names = ("sessions", "refresh_tokens", "login_failures")
        counted: dict[str, int] = await millrace.database.read(
            lambda connection: {
                name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for name, table in metadata.tables.items()
                if name in names
            }
        )
        return counted

    sweep = EndedLogins(millrace.database, clock)
    await sweep.run_once()
    assert await rows() == {"sessions": 1, "refresh_tokens": 1, "login_failures": 3}
    clock.advance(31 * UNITS["d"])
    await sweep.run_once()
    assert await rows() == {"sessions": 1, "refresh_tokens": 0, "login_failures": 0}
    clock.advance(90 * UNITS["d"])
    await sweep.run_once()
    assert await rows() == {"sessions": 0, "refresh_tokens": 0, "login_failures": 0}

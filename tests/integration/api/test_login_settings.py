"""What the settings of logins say holds, and hashes of passwords become what they are to be by now."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from pydantic import ValidationError
from sqlalchemy import select, update

from millrace.config import Settings
from millrace.core.durations import UNITS
from millrace.storage.tables import users
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation
from tests.support.logins import ADA, PASSWORD, bearer, log_in, set_up, tokens

ME = "/api/v1/auth/me"
MINUTE = UNITS["m"]


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(
    tmp_path: Path, database_url: str | None, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Installation]:
    for name, value in (("ACCESS_TOKEN_LIFETIME", "2m"), ("SESSION_LIFETIME", "2h"), ("SESSION_IDLE", "30m")):
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    async with installation(tmp_path / "home", database_url, login_clock=clock) as running:
        await set_up(running)
        yield running


async def test_an_access_token_holds_as_long_as_the_setting_says(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        assert given["expires_in"] == 120
        clock.advance(2 * MINUTE - 1)
        assert (await client.get(ME, headers=bearer(given["access_token"]))).status_code == 200
        clock.advance(1)
        problem(await client.get(ME, headers=bearer(given["access_token"])), 401, "unauthenticated")


async def test_a_login_that_is_not_used_ends(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        await log_in(client)
        clock.advance(30 * MINUTE)
        problem(await client.get(ME), 401, "unauthenticated")


async def test_a_login_that_is_used_ends_all_the_same(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        await log_in(client)
        for _ in range(5):
            clock.advance(20 * MINUTE)
            assert (await client.get(ME)).status_code == 200
            await millrace.container.identity.authenticator.write_uses()
        clock.advance(20 * MINUTE)
        problem(await client.get(ME), 401, "unauthenticated")


async def test_a_hash_that_is_made_otherwise_by_now_is_replaced_at_login(millrace: Installation) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    await millrace.database.write(
        lambda connection: connection.execute(update(users).where(users.c.email == ADA).values(password_hash=cheap))
    )

    async def stored() -> str:
        query = select(users.c.password_hash).where(users.c.email == ADA)
        return str(await millrace.database.read(lambda connection: connection.execute(query).scalar_one()))

    async with millrace.client("") as client:
        assert (await log_in(client)).status_code == 200
        dearer = await stored()
        assert dearer.startswith("$argon2id$")
        assert "m=64," not in dearer
        assert (await log_in(client)).status_code == 200
        assert await stored() == dearer, "one that is as it should be stays"


async def test_a_lifetime_out_of_range_is_told_the_range() -> None:
    for field, longest in (("access_token_lifetime", "1d"), ("session_lifetime", "366d"), ("session_idle", "366d")):
        for wrong in ("1s", "0m", "367d"):
            with pytest.raises(ValidationError, match=f"from 1m to {longest}"):
                Settings.model_validate({field: wrong})


async def test_who_has_an_access_token_that_is_over_is_told_so(millrace: Installation, clock: FakeClock) -> None:
    async with millrace.client("") as client:
        given = await tokens(client)
        clock.advance(2 * MINUTE)
        told = problem(await client.get(ME, headers=bearer(given["access_token"])), 401, "unauthenticated")
        assert told["detail"] == "this access token has expired"
        changed = given["access_token"][:-6] + "AAAAAA"
        told = problem(await client.get(ME, headers=bearer(changed)), 401, "unauthenticated")
        assert told["detail"].startswith("these credentials are not valid")

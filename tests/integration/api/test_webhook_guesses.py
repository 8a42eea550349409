"""S4, I5: what a webhook asks for is guessed slowly, and guesses hold up nobody who need not guess."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.app.limits.sharing import RateSharing
from tests.support.api import problem
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation, installation
from tests.support.webhooks import SECRET, basic, finished, github, hmac_by, hooked, set_secret, token

API_KEY = {"type": "api_key", "header": "X-Shop-Key", "value": "{{ secrets.hook }}"}
BASIC = {"type": "basic", "username": "shop", "password": "{{ secrets.hook }}"}
JWT = {"type": "jwt", "algorithms": ["HS256"], "secret": "{{ secrets.hook }}"}
BODY = b'{"id": "evt_1"}'
LATER = int(time.time()) + 86_400
"""When the tokens end that are made as this file is read, which is long before the last test of many runs."""
LIMIT = {"rate_limit_anonymous": "5/h"}

WAYS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str]]] = {
    "api_key": (API_KEY, {"X-Shop-Key": SECRET}, {"X-Shop-Key": "a guess"}),
    "basic": (BASIC, basic("shop"), basic("shop", "a guess")),
    "jwt": (JWT, token(exp=LATER), token("a guess that is as long as a secret of HS256 is", exp=LATER)),
    "hmac": (hmac_by("github"), github(BODY), github(BODY, "a guess")),
}
"""What a webhook asks for, what is right, and what is wrong."""


async def sent(client: httpx2.AsyncClient, path: str, headers: dict[str, str], times: int = 1) -> list[int]:
    return [(await client.post(path, content=BODY, headers=headers)).status_code for _ in range(times)]


@pytest.mark.parametrize("way", WAYS)
async def test_a_guesser_is_slowed_down_and_nobody_at_another_address(
    tmp_path: Path, database_url: str | None, way: str
) -> None:
    wanted, right, wrong = WAYS[way]
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as guesser,
        millrace.client("", address="203.0.113.9") as honest,
    ):
        await set_secret(api)
        path = await hooked(api, authentication=wanted)
        assert await sent(guesser, path, wrong, 5) == [401] * 5
        refused = await guesser.post(path, content=BODY, headers=wrong)
        document = problem(refused, 429, "rate_limited")
        assert "MILLRACE_RATE_LIMIT_ANONYMOUS" in document["detail"]
        assert 0 < int(refused.headers["Retry-After"]) <= 720
        assert refused.headers["RateLimit-Limit"] == "5"
        assert await sent(guesser, path, right) == [429], "a right guess looks like a wrong one"
        assert (await guesser.get("/health")).status_code == 200
        assert (await guesser.get("/docs")).status_code == 200, "only this webhook is out of reach"
        await finished(millrace, api, await honest.post(path, content=BODY, headers=right))


@pytest.mark.parametrize("way", WAYS)
async def test_who_is_known_gets_through_beside_a_guesser_at_his_address(
    tmp_path: Path, database_url: str | None, way: str
) -> None:
    """As of a service whose senders share their addresses: anybody can have it send wrong signatures."""
    wanted, right, wrong = WAYS[way]
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as shared,
    ):
        await set_secret(api)
        path = await hooked(api, authentication=wanted)
        assert (await sent(shared, path, right))[0] in (200, 202)
        refused = await sent(shared, path, wrong, 9)
        assert (set(refused[:5]), set(refused[5:])) == ({401}, {429})
        assert (await sent(shared, path, right))[0] in (200, 202)


async def test_what_is_known_ends_with_its_secret(tmp_path: Path, database_url: str | None) -> None:
    wanted, right, _ = WAYS["api_key"]
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as sender,
    ):
        await set_secret(api)
        path = await hooked(api, authentication=wanted)
        assert await sent(sender, path, right) == [202]
        await set_secret(api, value="another secret of the hook")
        assert await sent(sender, path, right, 7) == [401] * 5 + [429] * 2


async def test_a_header_that_must_be_there_is_guessed_no_faster(tmp_path: Path, database_url: str | None) -> None:
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as sender,
    ):
        path = await hooked(api, headers={"X-Shop": "berlin"})
        assert await sent(sender, path, {"X-Shop": "berlin"}) == [202]
        assert await sent(sender, path, {"X-Shop": "a guess"}, 7) == [401] * 5 + [429] * 2
        assert await sent(sender, path, {"X-Shop": "berlin"}) == [202]


async def test_guesses_at_the_same_time_are_no_way_around(tmp_path: Path, database_url: str | None) -> None:
    """Many that have all begun before the first is found wrong: what comes too late is not looked at, also if right."""
    wanted, right, wrong = WAYS["basic"]
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as guesser,
    ):
        await set_secret(api)
        path = await hooked(api, authentication=wanted)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            begun.set()
            await go_on.wait()
            yield BODY

        guess = asyncio.create_task(guesser.post(path, content=body(), headers=right))
        await begun.wait()
        answers = await asyncio.gather(*(sent(guesser, path, wrong) for _ in range(40)))
        assert sorted(status for (status,) in answers) == [401] * 5 + [429] * 35
        go_on.set()
        assert (await guess).status_code == 429


async def test_a_webhook_that_is_not_ready_blames_nobody(tmp_path: Path, database_url: str | None) -> None:
    wanted, right, _ = WAYS["api_key"]
    async with (
        installation(tmp_path / "home", database_url, **LIMIT) as millrace,
        millrace.client() as api,
        millrace.client("", address="192.0.2.66") as sender,
    ):
        path = await hooked(api, authentication=wanted)
        assert await sent(sender, path, right, 9) == [401] * 9, "its secret is missing"
        await set_secret(api)
        assert await sent(sender, path, right) == [202]


async def test_without_a_limit_nobody_is_held_up(tmp_path: Path, database_url: str | None) -> None:
    wanted, _, wrong = WAYS["api_key"]
    async with (
        installation(tmp_path / "home", database_url, rate_limit_anonymous="off") as millrace,
        millrace.client() as api,
        millrace.client("") as guesser,
    ):
        await set_secret(api)
        assert set(await sent(guesser, await hooked(api, authentication=wanted), wrong, 20)) == {401}


@ON_POSTGRES
async def test_a_guesser_is_known_to_all_processes(tmp_path: Path, database_url: str) -> None:
    wanted, _, wrong = WAYS["api_key"]
    (tmp_path / "other").mkdir()

    async def shared(millrace: Installation) -> None:
        await RateSharing(millrace.container.identity.rate_limits, millrace.database).run_once()

    async with installation(tmp_path / "home", database_url, **LIMIT) as first, first.client() as api:
        for name in ("encryption-key", "api-key"):
            (tmp_path / "other" / name).write_bytes((tmp_path / "home" / name).read_bytes())
        async with (
            installation(tmp_path / "other", database_url, **LIMIT) as second,
            first.client("", address="192.0.2.66") as here,
            second.client("", address="192.0.2.66") as there,
        ):
            await set_secret(api)
            path = await hooked(api, authentication=wanted)
            assert await sent(here, path, wrong, 5) == [401] * 5
            await shared(first)
            await sent(there, path, wrong, 1)
            await shared(second)
            assert await sent(there, path, wrong) == [429]

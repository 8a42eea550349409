"""S4: who may call a webhook: every way to show it, and everybody who must not get through."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from millrace.core.values import SECOND
from tests.support.api import create, problem
from tests.support.installation import Installation
from tests.support.webhooks import (
    SECRET,
    basic,
    finished,
    generic,
    github,
    hmac_by,
    hooked,
    runs_of,
    set_secret,
    slack,
    stranger,
    stripe,
    token,
    trigger_of,
    with_hook,
)

BODY = b'{"id": "evt_1"}'
Signs = Callable[..., dict[str, str]]

API_KEY = {"type": "api_key", "header": "X-Shop-Key", "value": "{{ secrets.hook }}"}
BASIC = {"type": "basic", "username": "shop", "password": "{{ secrets.hook }}"}
JWT = {"type": "jwt", "algorithms": ["HS256"], "secret": "{{ secrets.hook }}", "issuer": "shop", "audience": "us"}
GENERIC = hmac_by("generic", timestamp_header="X-Time")

WANTED: dict[str, dict[str, Any]] = {
    "api_key": API_KEY,
    "basic": BASIC,
    "jwt": JWT,
    "github": hmac_by("github"),
    "stripe": hmac_by("stripe"),
    "slack": hmac_by("slack"),
    "generic": GENERIC,
}
SIGNS: dict[str, Signs] = {"github": github, "stripe": stripe, "slack": slack, "generic": generic}


def good(way: str) -> dict[str, str]:
    """What gets through now; some of it is dated."""
    if way in SIGNS:
        return SIGNS[way](BODY)
    return {"api_key": {"X-Shop-Key": SECRET}, "basic": basic("shop"), "jwt": token(iss="shop", aud="us")}[way]


def bad(way: str) -> list[dict[str, str]]:
    if way in SIGNS:
        sign = SIGNS[way]
        late = [] if way == "github" else [sign(BODY, 1_000), sign(BODY, time.time() + 1_000)]
        return [sign(BODY + b" "), sign(BODY, secret="wrong"), *late]
    return {
        "api_key": [{"X-Shop-Key": SECRET[:-1]}, {"X-Shop-Key": ""}, {"X-API-Key": SECRET}, {"Cookie": SECRET}],
        "basic": [basic("shop", "wrong"), basic("other"), {"Authorization": "Basic !"}, {"Authorization": SECRET}],
        "jwt": [
            token(iss="shop", aud="them"),
            token(aud="us"),
            token(iss="shop", aud="us", exp=1),
            token("another secret, as long as the right one is", iss="shop", aud="us"),
            {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJzaG9wIn0."},
            {"Authorization": "Bearer"},
        ],
    }[way]


@pytest.mark.parametrize("way", WANTED)
async def test_each_way_to_show_who_one_is(millrace: Installation, api: Any, way: str) -> None:
    await set_secret(api)
    credentials = good(way)
    path = await hooked(api, authentication=WANTED[way])
    async with stranger(millrace) as client:
        for headers in ({}, *bad(way)):
            refused = await client.post(path, content=BODY, headers=headers)
            assert SECRET not in problem(refused, 401, "unauthenticated")["detail"]
            assert refused.headers["WWW-Authenticate"]
        response = await client.post(path, content=BODY, headers=credentials)
        run = await finished(millrace, api, response)
        own_key = await client.post(path, content=BODY, headers={"X-API-Key": millrace.key})
        assert own_key.status_code == 401, "keys of the API are worth nothing here"
    assert len(await runs_of(api)) == 1
    seen = run["output"]["headers"]
    assert not {name.lower() for name in credentials} & set(seen), "no credential goes to a run"
    assert SECRET not in str(run)


@pytest.mark.parametrize("way", SIGNS)
async def test_a_signed_request_that_is_sent_again_starts_nothing(millrace: Installation, api: Any, way: str) -> None:
    await set_secret(api)
    signs = SIGNS[way]
    path = await hooked(api, authentication=WANTED[way])
    now = time.time()
    first, again = signs(BODY) if way == "github" else signs(BODY, now), {"X-Other": "1"}
    async with stranger(millrace) as client:
        started = await client.post(path, content=BODY, headers=first)
        replayed = await client.post(path, content=BODY, headers={**first, **again})
        assert started.status_code == 202
        assert (replayed.status_code, replayed.json()) == (200, {"run_id": started.json()["run_id"], "duplicate": True})
        if way != "github":
            later = await client.post(path, content=BODY, headers=signs(BODY, now + 1))
            assert later.status_code == 202, "the sender has signed it anew"
        other = b'{"id": "evt_2"}'
        assert (await client.post(path, content=other, headers=signs(other))).status_code == 202


async def test_fifty_replays_at_once_start_one_run(millrace: Installation, api: Any) -> None:
    await set_secret(api)
    path = await hooked(api, authentication=hmac_by("stripe"))
    headers = stripe(BODY)
    async with stranger(millrace) as client:
        sent = [client.post(path, content=BODY, headers=headers) for _ in range(50)]
        responses = await asyncio.gather(*sent)
    assert sorted(response.status_code for response in responses) == [200] * 49 + [202]
    assert len(await runs_of(api)) == 1


async def test_what_dedupe_names_is_known_as_long_as_an_undated_signature_would_be(
    millrace: Installation, api: Any
) -> None:
    await set_secret(api)
    path = await hooked(api, authentication=hmac_by("github"), dedupe={"body": "id"})
    async with stranger(millrace) as client:
        await finished(millrace, api, await client.post(path, content=BODY, headers=github(BODY)))
    query = "select expires_at - now_us() from start_keys"
    left = await millrace.database.read(lambda connection: connection.exec_driver_sql(query).scalar_one())
    assert left > 29 * 86_400 * SECOND


async def test_what_dedupe_names_goes_before_the_signature(millrace: Installation, api: Any) -> None:
    """A sender that tries again signs anew, and its event is the same."""
    await set_secret(api)
    path = await hooked(api, authentication=hmac_by("stripe"), dedupe={"body": "id"})
    now = time.time()
    async with stranger(millrace) as client:
        assert (await client.post(path, content=BODY, headers=stripe(BODY, now))).status_code == 202
        assert (await client.post(path, content=BODY, headers=stripe(BODY, now + 2))).status_code == 200


async def test_without_its_secret_nobody_gets_through(millrace: Installation, api: Any) -> None:
    path = await hooked(api, authentication=hmac_by("github"))
    empty = github(BODY, "")
    async with stranger(millrace) as client:
        for headers in (github(BODY), empty, {}):
            refused = problem(await client.post(path, content=BODY, headers=headers), 401, "unauthenticated")
            assert "hook" not in refused["detail"], "what is missing is for the owner to know"
        shown = await trigger_of(api)
        assert "there is no secret 'hook'" in shown["last_error"]
        assert "millrace secrets set hook" in shown["last_error"]
        await set_secret(api)
        assert (await client.post(path, content=BODY, headers=github(BODY))).status_code == 202, "and at once it works"
    assert (await trigger_of(api))["last_error"] is None


async def test_a_secret_that_is_replaced_holds_no_more(millrace: Installation, api: Any) -> None:
    await set_secret(api)
    path = await hooked(api, authentication=API_KEY)
    async with stranger(millrace) as client:
        assert (await client.post(path, headers={"X-Shop-Key": SECRET})).status_code == 202
        await set_secret(api, value="another value for it")
        problem(await client.post(path, headers={"X-Shop-Key": SECRET}), 401, "unauthenticated")
        assert (await client.post(path, headers={"X-Shop-Key": "another value for it"})).status_code == 202


async def test_a_key_that_cannot_be_read_is_told_to_the_owner(millrace: Installation, api: Any) -> None:
    await set_secret(api)
    wanted = {"type": "jwt", "algorithms": ["RS256"], "public_key": "{{ secrets.hook }}"}
    path = await hooked(api, authentication=wanted)
    async with stranger(millrace) as client:
        problem(await client.post(path, headers=token()), 401, "unauthenticated")
    assert "cannot be read as one for RS256" in (await trigger_of(api))["last_error"]


async def test_headers_that_a_request_must_have(millrace: Installation, api: Any) -> None:
    path = await hooked(api, headers={"X-Event": "push", "X-Shop": ""})
    async with stranger(millrace) as client:
        for headers in ({}, {"X-Event": "pull", "X-Shop": ""}, {"X-Event": "push"}):
            refused = problem(await client.post(path, headers=headers), 401, "unauthenticated")
            assert "push" not in refused["detail"]
        assert (await client.post(path, headers={"x-event": "push", "x-shop": ""})).status_code == 202


async def test_the_challenge_of_slack_is_answered_to_slack_alone(millrace: Installation, api: Any) -> None:
    await set_secret(api)
    await create(api, with_hook(path="slack", authentication=hmac_by("slack")))
    body = b'{"type": "url_verification", "challenge": "abc<b>"}'
    async with stranger(millrace) as client:
        problem(await client.post("/webhook/slack", content=body), 401, "unauthenticated")
        answer = await client.post("/webhook/slack", content=body, headers=slack(body))
        assert (answer.status_code, answer.text) == (200, "abc<b>")
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert await runs_of(api) == []


async def test_an_open_webhook_takes_everybody(millrace: Installation, api: Any) -> None:
    path = await hooked(api, auth={"type": "none"})
    async with stranger(millrace) as client:
        assert (await client.post(path)).status_code == 202
        assert (await client.post(path)).status_code == 202, "nothing tells the two apart"

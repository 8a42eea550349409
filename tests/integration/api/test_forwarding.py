"""I5: what proxies say of where a request comes from is believed of those that are named, and only of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation
from tests.support.logins import PASSWORD, log_in, set_up

PROXY = "10.1.2.3"
SETTINGS = {"trusted_proxies": ("10.0.0.0/8", "fd00::/8"), "public_url": "https://millrace.example.com"}


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", **SETTINGS) as running:
        await set_up(running)
        yield running


async def seen(millrace: Installation, headers: dict[str, str], connected: str = PROXY) -> tuple[str, str]:
    """The address and the scheme that a login through these headers is taken to come from."""
    async with millrace.client("", address=connected) as browser:
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await browser.post("/api/v1/auth/login", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        secure = "secure" in answer.headers["Set-Cookie"].lower()
        assert secure == ("Strict-Transport-Security" in answer.headers)
    async with millrace.client() as api:
        sessions = (await api.get("/api/v1/auth/sessions")).json()["items"]
    newest = max(sessions, key=lambda session: session["created_at"])
    return newest["address"], "https" if secure else "http"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}, ("203.0.113.9", "https")),
        ({"X-Forwarded-For": "1.1.1.1, 203.0.113.9, 10.9.9.9"}, ("203.0.113.9", "http")),
        ({"X-Forwarded-For": "10.4.4.4, 10.9.9.9"}, ("10.4.4.4", "http")),
        ({"X-Forwarded-For": "203.0.113.9:4711"}, ("203.0.113.9", "http")),
        ({"X-Forwarded-For": "[2001:db8::9]:4711"}, ("2001:db8::9", "http")),
        ({"X-Forwarded-For": "2001:db8::9, fd00::1"}, ("2001:db8::9", "http")),
        ({"X-Forwarded-For": "::ffff:203.0.113.9"}, ("203.0.113.9", "http")),
        ({"Forwarded": "for=203.0.113.9;proto=https"}, ("203.0.113.9", "https")),
        ({"Forwarded": 'for=1.1.1.1, For="[2001:db8::9]:4711";Proto=HTTPS;by=10.9.9.9'}, ("2001:db8::9", "https")),
        ({"Forwarded": "for=203.0.113.9", "X-Forwarded-For": "1.1.1.1, 203.0.113.9"}, ("203.0.113.9", "http")),
        ({"Forwarded": "for=203.0.113.9", "X-Forwarded-Proto": "https"}, ("203.0.113.9", "https")),
        ({"Forwarded": "for=203.0.113.9;proto=https", "X-Forwarded-Proto": "https"}, ("203.0.113.9", "https")),
        ({"X-Forwarded-Proto": "http, https"}, (PROXY, "https")),
        # Whoever comes through a proxy does not get rid of his address by what he writes before it.
        ({"X-Forwarded-For": "unknown, '; drop table users, 203.0.113.9"}, ("203.0.113.9", "http")),
        ({"X-Forwarded-For": ", ".join(["1.1.1.1"] * 100 + ["203.0.113.9"])}, ("203.0.113.9", "http")),
        # Nobody can make out a chain like these, so it is the connection that counts.
        ({"X-Forwarded-For": "203.0.113.9, unknown"}, (PROXY, "http")),
        ({"X-Forwarded-For": "203.0.113.9, "}, (PROXY, "http")),
        ({"X-Forwarded-For": "'; drop table users", "X-Forwarded-Proto": "https"}, (PROXY, "https")),
        ({"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"}, ("203.0.113.9", "http")),
        ({"Forwarded": "for=203.0.113.9;"}, ("203.0.113.9", "http")),
        # A proxy writes one of the two forms, and whoever comes through it may have written the other.
        ({"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "203.0.113.9"}, (PROXY, "http")),
        ({"Forwarded": "for=203.0.113.9", "X-Forwarded-For": "1.1.1.1"}, (PROXY, "http")),
        ({"Forwarded": "proto=https", "X-Forwarded-For": "203.0.113.9"}, (PROXY, "https")),
        ({"Forwarded": "for=203.0.113.9;proto=https", "X-Forwarded-Proto": "http"}, ("203.0.113.9", "http")),
        ({"Forwarded": 'for="203.0.113.9', "X-Forwarded-For": "1.1.1.1"}, (PROXY, "http")),
        ({"Forwarded": "for=_hidden"}, (PROXY, "http")),
        ({"Forwarded": "for=203.0.113.9,,"}, (PROXY, "http")),
    ],
)
async def test_a_trusted_proxy_says_where_a_request_comes_from(
    behind: Installation, headers: dict[str, str], found: tuple[str, str]
) -> None:
    assert await seen(behind, headers) == found


async def test_of_anybody_else_the_headers_are_ignored(behind: Installation) -> None:
    told = {"X-Forwarded-For": "10.4.4.4", "X-Forwarded-Proto": "https", "Forwarded": "for=10.4.4.4;proto=https"}
    assert await seen(behind, told, connected="203.0.113.9") == ("203.0.113.9", "http")


async def test_without_named_proxies_not_even_this_machine_is_believed(millrace: Installation) -> None:
    await set_up(millrace)
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    assert await seen(millrace, told, connected="127.0.0.1") == ("127.0.0.1", "http")


async def test_whoever_names_another_address_each_time_is_still_counted(tmp_path: Path) -> None:
    async with (
        installation(tmp_path / "home", rate_limit_anonymous="5/h", **SETTINGS) as millrace,
        millrace.client("", address=PROXY) as through,
    ):
        forged = [{"X-Forwarded-For": f"192.0.2.{number}, 203.0.113.9"} for number in range(9)]
        statuses = [(await through.get("/docs", headers=headers)).status_code for headers in forged]
        assert statuses.count(429) == 4
        assert (await through.get("/docs", headers={"X-Forwarded-For": "203.0.113.10"})).status_code == 200


async def test_the_form_that_the_proxy_does_not_write_gives_nobody_an_address_of_his_choice(
    behind: Installation,
) -> None:
    """Nginx writes `X-Forwarded-For`, and passes `Forwarded` on as it came."""
    async with behind.client("", address=PROXY) as browser:
        browser.headers["X-Forwarded-For"] = "203.0.113.9"
        statuses = []
        for number in range(12):
            browser.headers["Forwarded"] = f"for=192.0.2.{number}"
            statuses.append((await log_in(browser, password="a wrong guess of it")).status_code)
        assert 429 in statuses


async def test_guesses_of_passwords_are_counted_by_the_address_behind_the_proxy(behind: Installation) -> None:
    async with behind.client("", address=PROXY) as browser:
        statuses = []
        for number in range(12):
            browser.headers["X-Forwarded-For"] = f"192.0.2.{number}, 203.0.113.9"
            statuses.append((await log_in(browser, password="a wrong guess of it")).status_code)
        assert 429 in statuses
        browser.headers["X-Forwarded-For"] = "203.0.113.10"
        assert (await log_in(browser)).status_code == 200

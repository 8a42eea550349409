"""I5: browsers call this server by names that are known, so that no foreign name leads them here (DNS rebinding)."""

from pathlib import Path

import pytest

from tests.support.api import problem
from tests.support.installation import Installation, installation
from tests.support.logins import PASSWORD, set_up

EVIL = "evil.example"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "localhost.", "app.localhost:3000"),
        *("127.0.0.1:8000", "192.168.1.7", "[::1]:8000", "[2001:db8::1]"),
        *("millrace.example.com", "Millrace.Example.com:443", "a.internal", "b.a.internal:8000", "other.example"),
    ],
)
async def test_known_names_and_addresses_are_answered(tmp_path: Path, host: str) -> None:
    named = ("other.example", "*.internal")
    async with (
        installation(
            tmp_path / "home", public_url="https://millrace.example.com/flows", allowed_hosts=named
        ) as millrace,
        millrace.client("") as browser,
    ):
        assert (await browser.get("/docs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        EVIL,
        f"{EVIL}:8000",
        "",
        "internal",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "1.2.3.4%x.evil.example",
    ],
)
async def test_a_foreign_name_gets_nothing_a_browser_could_use(millrace: Installation, host: str) -> None:
    headers = {"Host": host}
    await set_up(millrace)
    async with millrace.client("") as browser:
        for path in ("/", "/docs", "/static/look.js", "/openapi.json", "/api/v1/runs", "/approvals/nothing"):
            document = problem(await browser.get(path, headers=headers), 421, "unknown_host")
            assert "MILLRACE_ALLOWED_HOSTS" in document["detail"]
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await browser.post("/api/v1/auth/login", json=body, headers=headers)
        assert answer.status_code == 421
        assert "Set-Cookie" not in answer.headers
        assert (await browser.post("/api/v1/auth/login", json=body)).status_code == 200
        assert (await browser.get("/api/v1/auth/me")).status_code == 200
        assert (await browser.get("/api/v1/auth/me", headers=headers)).status_code == 421


async def test_programs_may_use_any_name(millrace: Installation) -> None:
    async with millrace.client() as api, millrace.client("") as anybody:
        assert (await api.get("/api/v1/runs", headers={"Host": "queue"})).status_code == 200
        bearer = {"Authorization": f"Bearer {millrace.key}", "Host": "queue"}
        assert (await anybody.get("/api/v1/runs", headers=bearer)).status_code == 200
        assert (await anybody.get("/health/ready", headers={"Host": "10-0-0-1.pods"})).status_code == 200
        assert (await anybody.post("/webhook/nothing", headers={"Host": "hooks"})).status_code == 404


async def test_a_request_has_one_host(millrace: Installation) -> None:
    async with millrace.client() as api:
        twice = [(b"host", b"localhost"), (b"host", b"evil.example"), (b"x-api-key", millrace.key.encode())]
        problem(await api.get("/api/v1/runs", headers=twice), 400, "bad_request")

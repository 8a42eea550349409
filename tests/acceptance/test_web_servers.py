"""I5: nginx and Caddy before a server, as the documentation has them: who has asked, TLS, streams, large bodies."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.logins import ADA, PASSWORD
from tests.support.server import MillraceProcess, create_workflow, free_port, until
from tests.support.web_servers import NAME, web_server

CLIENT = "127.0.0.2"
"""Another address than that of the proxy, on the same machine."""

FORGED = "203.0.113.9"

WAITS = {"name": "waits", "tasks": [{"id": "a", "type": "wait_for_event", "config": {"type": "never.comes"}}]}


@dataclass(frozen=True)
class Outside:
    """What others see: the name, by HTTPS."""

    millrace: MillraceProcess
    port: int
    certificate: Path

    @contextmanager
    def client(self, **headers: str) -> Iterator[httpx2.Client]:
        believed = ssl.create_default_context(cafile=str(self.certificate))
        transport = Named(local_address=CLIENT, verify=believed)
        with httpx2.Client(base_url=f"https://{NAME}:{self.port}", transport=transport, headers=headers) as client:
            yield client

    @property
    def key(self) -> dict[str, str]:
        return {"X-API-Key": self.millrace.api_key}


class Named(httpx2.HTTPTransport):
    """The name leads to this machine."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        there = request.url.copy_with(host="127.0.0.1")
        named = {**request.extensions, "sni_hostname": NAME}
        again = httpx2.Request(request.method, there, headers=request.headers, stream=request.stream, extensions=named)
        return super().handle_request(again)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.service(name)) for name in ("nginx", "caddy")],
)
def outside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    settings = {
        "MILLRACE_TRUSTED_PROXIES": "127.0.0.1",
        "MILLRACE_PUBLIC_URL": f"https://{NAME}:{port}",
        "MILLRACE_APPLY_EXAMPLES": "false",
    }
    with (
        MillraceProcess(folder / "home", **settings) as millrace,
        web_server(request.param, folder, port, millrace) as certificate,
    ):
        set_up = ("setup", "--email", ADA, "--name", "Ada", "--password-stdin")
        millrace.millrace(*set_up, input=PASSWORD)
        yield Outside(millrace, port, certificate)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-For": FORGED},
        {"X-Forwarded-For": f"{FORGED}, 127.0.0.1", "X-Forwarded-Proto": "http"},
        {"Forwarded": f"for={FORGED};proto=http"},
        {"Forwarded": "nonsense", "X-Real-IP": FORGED},
    ],
    ids=["plain", "forged", "forged twice", "forged in the other form", "nonsense"],
)
def test_the_audit_log_has_the_address_of_the_client(outside: Outside, headers: dict[str, str]) -> None:
    with outside.client(**outside.key, **headers) as client:
        name = f"forged_{len(audited(client))}"
        created = client.put(f"/api/v1/secrets/{name}", json={"value": "quiet-harbour"})
        assert created.is_success, created.text
        (row,) = [row for row in audited(client) if row["entity_id"] == name]
    assert row["address"] == CLIENT


def audited(client: httpx2.Client) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/audit-logs", params={"limit": 200})
    assert answer.is_success, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return [row for row in found if row["action"].startswith("secret")]


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Proto": "http"}, {"Forwarded": "proto=http"}])
def test_https_ends_there_and_is_known_of(outside: Outside, headers: dict[str, str]) -> None:
    with outside.client(**headers) as browser:
        answer = browser.post("/api/v1/auth/login", json={"email": ADA, "password": PASSWORD})
        assert answer.is_success, answer.text
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-millrace_session=")
        assert "Secure" in cookie
        assert answer.headers["Strict-Transport-Security"]
        assert ADA in browser.get("/api/v1/auth/me").text
        away = browser.post("/api/v1/auth/logout", headers={"Origin": f"https://{NAME}:{outside.port}"})
        assert away.is_success, away.text


def test_a_stream_passes_line_by_line(outside: Outside) -> None:
    """The run does not end: what was held back until it does would never come."""
    with outside.client(**outside.key) as client, outside.millrace.client() as here:
        workflow = create_workflow(here, WAITS)
        run = here.post(f"/workflows/{workflow['id']}/execute", json={}).json()
        until(lambda: here.get(f"/runs/{run['id']}").json()["status"] == "waiting")
        with client.stream("GET", f"/api/v1/runs/{run['id']}/events", params={"follow": True}, timeout=30) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert any(line.startswith("data:") for line in lines)
            here.post(f"/runs/{run['id']}/cancel", json={})
            assert any("run.cancelled" in line for line in lines), "what comes later comes, too"


def test_large_files_pass_and_the_limits_are_those_of_millrace(outside: Outside) -> None:
    with outside.client(**outside.key) as client:
        content = b"x" * 5_000_000
        sent = client.post("/api/v1/artifacts", params={"name": "large.bin"}, content=content, timeout=60)
        assert sent.status_code == 201, sent.text
        assert sent.json()["size"] == len(content)
        got = client.get(f"/api/v1/artifacts/{sent.json()['id']}/content", timeout=60)
        assert got.content == content
        too_large = client.post("/api/v1/workflows", content=b'"' + b"x" * 2_000_000 + b'"', timeout=60)
        assert too_large.status_code == 413
        assert too_large.json()["code"] == "too_large", "it is Millrace's own answer"


def test_by_another_name_no_browser_is_answered(outside: Outside) -> None:
    """nginx asks Millrace, whose answer it is; Caddy has nothing to say."""
    with outside.client() as client:
        answer = client.get("/docs", headers={"Host": "evil.example"})
    assert answer.status_code == 421 or answer.content == b""

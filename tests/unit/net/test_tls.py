"""TLS: who cannot prove to be the host that was asked for is not talked to, and the host keeps its name."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from millrace.net.client import GuardedHttpClient
from millrace.ports.http import HttpFailed, HttpRequest
from tests.unit.net.raw_server import RawServer, answer_of, raw_server, saying, self_signed, server_context


class Addresses:
    """Every name is this machine."""

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)


@dataclass
class Secured:
    server: RawServer
    certificate: Path
    named: list[str | None] = field(default_factory=list)
    """The names that clients asked for before they knew the certificate (SNI)."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "api.example")


@pytest.fixture
async def secured(certificate: Path) -> AsyncIterator[Secured]:
    context = server_context(certificate)
    async with raw_server(saying(answer_of(b"ok")), context=context) as server:
        found = Secured(server, certificate)
        context.sni_callback = lambda _socket, name, _context: found.named.append(name)
        yield found


async def status(client: GuardedHttpClient, url: str, *, verify_tls: bool) -> int:
    async with client.send(HttpRequest("GET", url, verify_tls=verify_tls)) as answer:
        return answer.status


async def test_a_server_that_nobody_vouches_for_is_refused_unless_the_request_says_otherwise(secured: Secured) -> None:
    client = GuardedHttpClient(Addresses())
    url = secured.server.url(host="api.example", scheme="https")
    assert await status(client, url, verify_tls=False) == 200
    with pytest.raises(HttpFailed, match=r"certificate is not accepted: self.signed"):
        await status(client, url, verify_tls=True)
    assert secured.named == ["api.example", "api.example"]
    assert [one.headers["host"] for one in secured.server.requests] == [f"api.example:{secured.server.port}"]
    await client.close()


async def test_a_certificate_counts_for_its_own_name_only(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.certificate))
    client = GuardedHttpClient(Addresses())
    assert await status(client, secured.server.url(host="api.example", scheme="https"), verify_tls=True) == 200
    with pytest.raises(HttpFailed, match="certificate is not accepted: Hostname mismatch"):
        await status(client, secured.server.url(host="other.example", scheme="https"), verify_tls=True)
    await client.close()


async def test_plain_text_where_tls_is_expected_is_a_failure() -> None:
    client = GuardedHttpClient(Addresses())
    async with raw_server(saying(answer_of(b"ok"))) as server:
        with pytest.raises(HttpFailed):
            await client.send(
                HttpRequest("GET", server.url(host="api.example", scheme="https"), timeout=0.5)
            ).__aenter__()
    await client.close()

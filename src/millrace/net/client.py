"""The one HTTP client for everything that leaves Millrace. It connects only to addresses that the policy gave it.

Connections are pooled. No proxy, no environment, no cookie is taken from anywhere. Redirects are followed here, so that
each target passes the same checks and credentials stay with the origin they were meant for. The HTTP library is loaded
at the first request: most installations are idle most of the time.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from millrace.net.decoding import decoder_for
from millrace.net.reasons import reason_of
from millrace.ports.hosts import HostLimit
from millrace.ports.http import HttpAnswer, HttpFailed, HttpRequest, HttpTimedOut, StreamedContent
from millrace.ports.network import Addresses, AddressRefused
from millrace.ports.sendable import NotSendable, check_header_name, check_header_value, check_url

if TYPE_CHECKING:
    import httpx2

    from millrace.net.transport import GuardedTransport

DEFAULT_HEADERS = {"user-agent": "millrace", "accept": "*/*", "accept-encoding": "gzip, deflate"}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEP_METHOD = frozenset({307, 308})
GOES_ALONG = frozenset(
    {
        *DEFAULT_HEADERS,
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "range",
    }
)
"""Headers that a redirect takes to another origin. Of all others nobody knows whether they hold a credential."""
FRAMING = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a request ends. What is sent decides that; said otherwise, the connection would be spoilt."""
ABOUT_CONTENT = frozenset({"content-type", "content-length", "content-encoding", "content-language"})
MOST_CONNECTIONS = 100
USUAL_PORTS: Mapping[str, int] = {"http": 80, "https": 443}

Content: TypeAlias = bytes | StreamedContent | None


class Answer:
    """Meets `ports.http.HttpAnswer`."""

    def __init__(self, response: "httpx2.Response") -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers.items())
        self.url = str(response.url)

    async def body(self, limit: int) -> AsyncIterator[bytes]:
        decoder = decoder_for(self.headers.get("content-encoding", ""))
        length = 0
        with _in_our_words(self.url):
            async for raw in self._response.aiter_raw():
                for part in decoder.parts(raw):
                    length += len(part)
                    if length > limit:
                        raise HttpFailed(f"the answer of {_shown(self.url)} is longer than {limit} bytes")
                    yield part
            decoder.end()


class GuardedHttpClient:
    """Meets `ports.http.HttpClient`."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._transports: dict[bool, GuardedTransport] = {}
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncIterator[HttpAnswer]:
        transport = await self._transport(verify=request.verify_tls)
        response = await _follow(transport, _first(request), request)
        try:
            yield Answer(response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    async def _transport(self, *, verify: bool) -> "GuardedTransport":
        async with self._making:
            if verify not in self._transports:
                self._transports[verify] = await asyncio.to_thread(_new_transport, self._addresses, verify)
            return self._transports[verify]


def _new_transport(addresses: Addresses, verify: bool) -> "GuardedTransport":
    from millrace.net.transport import GuardedTransport

    context = ssl.create_default_context() if verify else _trusting_context()
    return GuardedTransport(addresses, context, MOST_CONNECTIONS)


def _trusting_context() -> ssl.SSLContext:
    """For requests that say `verify_tls: false`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _first(request: HttpRequest) -> "httpx2.Request":
    import httpx2

    with _in_our_words(request.url):
        limits = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout)
        return httpx2.Request(
            request.method,
            _checked_url(httpx2.URL(request.url)),
            headers=_checked_headers(request.headers) + _framing(request.content),
            content=_sendable(request.content),
            extensions={"timeout": limits},
        )


def _sendable(content: Content) -> bytes | AsyncIterator[bytes] | None:
    return content.parts() if isinstance(content, StreamedContent) else content


def _framing(content: Content) -> list[tuple[bytes, bytes]]:
    """A stream's length is known, so it goes out as one piece: not every server takes chunks."""
    return [(b"content-length", str(content.size).encode())] if isinstance(content, StreamedContent) else []


async def _follow(transport: "GuardedTransport", request: "httpx2.Request", asked: HttpRequest) -> "httpx2.Response":
    followed, most = 0, asked.max_redirects
    while True:
        with _in_our_words(str(request.url)):
            _check_host(request.url, asked.hosts)
            response = await transport.send(request)
            location = response.headers.get("location")
            if response.status_code not in REDIRECTS or not location or most == 0:
                return response
            await response.aclose()
            if followed == most:
                raise HttpFailed(f"{_shown(str(request.url))} redirects more than {most} times")
            followed += 1
            request = _redirected(request, response.status_code, location, asked.content)


def _check_host(url: "httpx2.URL", hosts: HostLimit) -> None:
    """By the very host that the connection would be made to, whatever else stands in the address."""
    hosts.check(url.raw_host.decode("ascii"), url.port or USUAL_PORTS[url.scheme])


def _checked_url(url: "httpx2.URL") -> "httpx2.URL":
    try:
        check_url(str(url))
    except NotSendable as error:
        raise HttpFailed(f"{_shown(str(url))} {error}") from None
    return url


def _checked_headers(given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as they are sent. A value may be secret, so that no message repeats it."""
    names = {name.lower() for name in given}
    headers = [(name, value) for name, value in DEFAULT_HEADERS.items() if name not in names]
    for name, value in given.items():
        try:
            check_header_name(name)
        except NotSendable as error:
            raise HttpFailed(f"{name[:100]!r} {error}") from None
        try:
            check_header_value(value)
        except NotSendable as error:
            raise HttpFailed(f"the header {name} {error}") from None
        if name.lower() not in FRAMING:
            headers.append((name, value.strip(" \t")))
    return [(name.encode(), value.encode(errors="replace")) for name, value in headers]


def _redirected(request: "httpx2.Request", status: int, location: str, given: Content) -> "httpx2.Request":
    """The request that a redirect asks for (RFC 9110, section 15.4)."""
    import httpx2

    target = _checked_url(request.url.join(location))
    method = request.method
    content = _sendable(given) if _has_content(request) else None
    dropped: frozenset[str] = frozenset({"host"})
    if (status == 303 and method != "HEAD") or (status not in KEEP_METHOD and method == "POST"):
        method, content, dropped = "GET", None, dropped | ABOUT_CONTENT
    same = _origin(target) == _origin(request.url)
    headers = [
        (name, value)
        for name, value in request.headers.raw
        if name.decode().lower() not in dropped and (same or name.decode().lower() in GOES_ALONG)
    ]
    return httpx2.Request(method, target, headers=headers, content=content, extensions=dict(request.extensions))


def _has_content(request: "httpx2.Request") -> bool:
    """Whether an earlier redirect has not taken the content away."""
    return "content-length" in request.headers


def _origin(url: "httpx2.URL") -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or USUAL_PORTS.get(url.scheme)


def _shown(url: str) -> str:
    """A URL without what may be secret in it: user name, password, query."""
    import httpx2

    try:
        return str(httpx2.URL(url).copy_with(userinfo=b"", query=None, fragment=None))
    except httpx2.InvalidURL:
        return "the URL"


@contextmanager
def _in_our_words(url: str) -> Iterator[None]:
    """Turns what the libraries raise into `HttpFailed`; what is ours passes."""
    import httpcore2
    import httpx2

    try:
        yield
    except (AddressRefused, HttpFailed):
        raise
    except httpcore2.PoolTimeout as error:
        raise HttpTimedOut(f"{_shown(url)}: no connection became free in time; too many requests are open") from error
    except (httpcore2.TimeoutException, httpx2.TimeoutException) as error:
        raise HttpTimedOut(f"{_shown(url)} did not answer in time") from error
    except httpx2.InvalidURL as error:
        raise HttpFailed(f"the URL cannot be used: {error}") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError, OSError) as error:
        raise HttpFailed(f"{_shown(url)}: {reason_of(error)}") from error

"""The port for HTTP requests that leave Millrace. `net.client` meets it: pooled, guarded, bounded."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from millrace.ports.hosts import ANY_HOST, HostLimit


class HttpFailed(Exception):
    """No usable answer: connection refused, name unknown, TLS, a broken or too large answer. For people, no secrets."""


class HttpTimedOut(HttpFailed):
    """The other side did not answer within the request's time limit."""


@dataclass(frozen=True, slots=True)
class StreamedContent:
    """The content of a request that is too large to be held in memory."""

    size: int
    parts: Callable[[], AsyncIterator[bytes]]
    """The content from its beginning, at each call: a redirect may ask for it again."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | StreamedContent | None = None
    timeout: float = 30.0
    """Seconds for each of: to connect, to send, and between two parts of the answer."""
    max_redirects: int = 0
    """Redirects followed; each target is checked like the first. Credentials do not follow to another origin."""
    verify_tls: bool = True
    hosts: HostLimit = ANY_HOST
    """Where it may go, redirects included: anything else is refused before a byte is sent."""


class HttpAnswer(Protocol):
    """An answer whose body is read in parts."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of repeated headers joined by `, `."""
    url: str
    """Where the answer came from, after redirects."""

    def body(self, limit: int) -> AsyncIterator[bytes]:
        """The decoded body in parts. Raises `HttpFailed` once it is longer than `limit` bytes."""
        ...


class HttpClient(Protocol):
    def send(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpAnswer]:
        """Send it and hold the answer open. Raises `HttpFailed`, `network.AddressRefused`, `hosts.HostRefused`."""
        ...

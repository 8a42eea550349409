"""By which names the API is called. A browser that was led here by a foreign name must not act for its user.

Whoever owns a name can have it resolve to this address, and his page is then of the same origin as this server (DNS
rebinding). So a request that brings no credentials of its own, only what a browser adds or none at all, needs a name
that is known. An address as such cannot be led elsewhere. A header `X-API-Key` or `Authorization` is nothing that a
browser adds, so programs may use any name; those who look whether the process lives, and webhooks, may, too.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from millrace.api import problems
from millrace.api.forwarding import address_in
from millrace.api.rates import EXPLICIT
from millrace.config import Settings

OPEN: Final = ("/health", "/webhook/")
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

REMEDY: Final = (
    "browsers do not call this server by this name; set MILLRACE_PUBLIC_URL to the address at which it is reached, or "
    "name the host in MILLRACE_ALLOWED_HOSTS"
)
TWICE: Final = "a request has the header Host once"


class Hosts:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        named = [*settings.allowed_hosts, settings.host.lower()]
        if settings.public_url is not None:
            named.append(urlsplit(settings.public_url).hostname or "")
        self._names = frozenset(name for name in named if name and not name.startswith("*"))
        self._endings = tuple(name[1:] for name in named if name.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) > 1:
                refusal = problems.problem(400, "bad_request", TWICE)
            elif not self._is_known(hosts[0] if hosts else b"") and not _may_have_any(scope):
                refusal = problems.problem(421, "unknown_host", REMEDY)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _is_known(self, host: bytes) -> bool:
        """Whether it is a name of this server, or an address; `host` may have a port."""
        name = _without_port(host.decode("latin-1").lower())
        if name in LOCAL or name in self._names or name.endswith(".localhost"):
            return True
        if self._endings and name.endswith(self._endings):
            return True
        # What stands behind a % is the zone of an address, of which a URL tells nothing, and could be any name.
        return "%" not in name and address_in(name.strip("[]")) is not None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).rstrip(".")


def _may_have_any(scope: Scope) -> bool:
    return scope["path"].startswith(OPEN) or any(name in EXPLICIT for name, _ in scope["headers"])

"""Where requests meet the limits on how many there may be (`auth.limits`): by their address as they come in, and by
their credential and user once these are known.

Health is asked for by those who watch over the process, and never refused. What webhooks get is of their senders, who
share addresses with one another; only a limit of addresses, if there is one, holds for them here. Wrong credentials of
theirs are counted where they are verified.
"""

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from millrace.api import problems
from millrace.auth.limits.limits import RateLimited, RateLimits, Visit
from millrace.auth.principal import Principal

UNCOUNTED: Final = frozenset({"/health", "/health/ready"})
OF_SENDERS: Final = "/webhook/"
VISIT: Final = "millrace.visit"
UNKNOWN: Final = "unknown"
EXPLICIT: Final = frozenset({b"x-api-key", b"authorization"})
"""Headers with credentials that no browser adds by itself."""


class Rates:
    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in UNCOUNTED:
            try:
                self._begin(scope)
            except RateLimited as error:
                await problems.of_error(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _begin(self, scope: Scope) -> None:
        client = scope.get("client")
        address = UNKNOWN if client is None else client[0]
        if scope["path"].startswith(OF_SENDERS):
            self._limits.of_sender(address)
            return
        scope[VISIT] = visit = self._limits.visit(address, _credential(scope))
        visit.begin()


def _credential(scope: Scope) -> bytes | None:
    """What the request brings to show whose it is; a header that is no cookie counts."""
    cookie = None
    for name, value in scope["headers"]:
        if name in EXPLICIT:
            return bytes(value)
        if name == b"cookie":
            cookie = bytes(value)
    return cookie


def belongs_to(request: Request, caller: Principal) -> None:
    """Raises `RateLimited`."""
    visit: Visit | None = request.scope.get(VISIT)
    if visit is not None:
        visit.belongs_to(caller)


def is_refused(request: Request) -> None:
    """Raises `RateLimited`."""
    visit: Visit | None = request.scope.get(VISIT)
    if visit is not None:
        visit.is_refused()

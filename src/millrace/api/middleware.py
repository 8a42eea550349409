"""What holds for every response and request whatever the route: security headers, no NUL in its address, and a limit
on the body's size.

Plain ASGI, since wrapping each response object would cost more than most requests do.
"""

from collections.abc import Collection
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace.api import problems
from millrace.core.errors import Fault, InvalidRequest, TooLarge

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        b"microphone=(), midi=(), payment=(), screen-wake-lock=(), usb=(), xr-spatial-tracking=()",
    ),
)
ONLY_HTTPS = (b"strict-transport-security", b"max-age=31536000")
"""Told only over https, as the standard wants it; of names below this one nothing is said, for they may be others'."""
NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
NOT_STORED = (b"cache-control", b"no-store")


class SecurityHeaders:
    """Adds the headers; a response that brings its own content policy or caching keeps it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers.extend(SECURITY_HEADERS)
                if scope["scheme"] == "https":
                    headers.append(ONLY_HTTPS)
                headers.extend(header for header in (NO_CONTENT, NOT_STORED) if header[0] not in present)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)


class NoNul:
    """Refuses addresses with the character NUL: nothing is called so, and PostgreSQL takes no text that has it.

    (Bytes that are no UTF-8 have become the replacement character before; NUL in a body is refused with the body.)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (where := _with_nul(scope)) is not None:
            fault = Fault(where, "value", "it has the character NUL (%00)", "leave it out")
            refusal = InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
            await problems.of_error(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _with_nul(scope: Scope) -> str | None:
    if "\0" in scope["path"]:
        return "path"
    query = scope["query_string"]
    if b"%00" not in query and b"\0" not in query:
        return None
    found = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((f"query.{name}" for name, value in found if "\0" in value), "query")


class BodyLimit:
    """Refuses bodies above `limit` bytes: by their declared length at once, else as soon as they have grown so long."""

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        streamed: Collection[tuple[str, str]] = (),
        streamed_below: tuple[str, ...] = (),
    ) -> None:
        """`streamed`: method and path of requests whose routes read the body in parts and limit it themselves;
        `streamed_below`: how the paths of others begin."""
        self._app = app
        self._limit = limit
        self._streamed = frozenset(streamed)
        self._streamed_below = streamed_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_streamed(scope):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            await problems.of_error(self._refusal())(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._refusal()
            return message

        await self._app(scope, receive_limited, send)

    def _is_streamed(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return (scope["method"], path) in self._streamed or path.startswith(self._streamed_below)

    def _refusal(self) -> TooLarge:
        return TooLarge(
            "too_large",
            f"the body is larger than {self._limit} bytes; the setting MILLRACE_MAX_BODY_BYTES says how much",
        )

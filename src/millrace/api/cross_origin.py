"""Pages of other origins, which may call the API where a setting names them (CORS, as the Fetch standard has it).

They bring a key or a token of their own: that a browser may add cookies is never said, and ours would not come along.
Without the setting nothing of this is there.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY: Final = "*"
METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS: Final = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Last-Event-ID, Range, X-API-Key"
)
ANSWER_HEADERS: Final = (
    b"Content-Disposition, Content-Range, ETag, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    b"Retry-After"
)
SECONDS_REMEMBERED: Final = b"600"


class CrossOrigin:
    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._any = origins == (ANY,)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        allowed = self._headers(headers.get("origin"))
        if scope["method"] == "OPTIONS" and len(allowed) > 1 and "access-control-request-method" in headers:
            await _answer_beforehand(allowed, send)
            return

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *allowed]
            await send(message)

        await self._app(scope, receive, send_allowed)

    def _headers(self, origin: str | None) -> list[tuple[bytes, bytes]]:
        """What is said of every answer, and to those who are allowed."""
        vary = (b"vary", b"Origin")
        if origin is None or not (self._any or origin in self._origins):
            return [vary]
        name = b"*" if self._any else origin.encode("latin-1")
        return [vary, (b"access-control-allow-origin", name), (b"access-control-expose-headers", ANSWER_HEADERS)]


async def _answer_beforehand(allowed: list[tuple[bytes, bytes]], send: Send) -> None:
    """The answer to what a browser asks before the request itself."""
    headers = [
        *allowed,
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", SECONDS_REMEMBERED),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})

"""Requests as bytes on the wire would make them, past the tidying of an HTTP client; and all routes of an application.

A client resolves `..` and encodes what is odd before it sends: an attacker does not. The path is decoded once, as the
server does it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    """As it is declared: `/api/v1/runs/{run}`."""

    @property
    def filled(self) -> str:
        """With something in place of each parameter that is the name of nothing."""
        return re.sub(r"\{[^}]*\}", "nothing", self.path.replace("{number}", "1"))

    @property
    def is_of_api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def wants_credentials(self) -> bool:
        return self.is_of_api and not re.match(
            r"/api/v1/auth/(token|login|refresh|reset|setup|oidc(/(login|callback|token))?)$", self.path
        )


def routes_of(app: FastAPI) -> list[Route]:
    found = [
        Route(method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in sorted((route.methods or set()) & METHODS)
    ]
    assert len(found) > 100
    return found


@dataclass(frozen=True)
class Said:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(
    app: FastAPI, method: str, raw_path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Said:
    """One request. `raw_path` has its query behind a `?`; headers are sent as they are."""
    path, _, query = raw_path.partition("?")
    sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [(b"host", b"millrace.test"), *sent],
        "client": ("127.0.0.1", 40_000),
        "server": ("millrace.test", 80),
    }
    given: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": body, "more_body": False}])
    heard: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(given, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        heard.append(message)

    await app(scope, receive, send)
    start = next(one for one in heard if one["type"] == "http.response.start")
    content = b"".join(one.get("body", b"") for one in heard if one["type"] == "http.response.body")
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in start.get("headers", ())}
    return Said(start["status"], named, content)

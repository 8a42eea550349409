"""One request over a socket of its own: nothing between the case and the server mends, refuses or adds anything."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.corpus.reading import JSON, Case

PATIENCE = 30.0
"""Seconds without a byte after which there is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    seconds: float
    """From the first byte sent to the last byte received, the connection was open before."""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    names: Mapping[str, str]
    """What `{name}` in a case stands for; `key` is the API key that good requests carry."""

    def send(self, case: Case) -> Answer:
        return self._exchange(self.request(case), without_body=case.method == "HEAD")

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """A good request."""
        content = None if body is None else json.dumps(body).encode()
        return self._exchange(self._bytes(method, target, {"Content-Type": JSON, **headers}, content))

    def request(self, case: Case) -> bytes:
        if case.wire is not None:
            return self._filled(case.wire).encode("latin-1")
        return self._bytes(case.method, case.target, case.headers, case.body)

    def _bytes(self, method: str, target: str, headers: Mapping[str, str | None], body: bytes | None) -> bytes:
        usual = {"Host": f"127.0.0.1:{self.port}", "X-API-Key": "{key}"}
        if body is not None:
            usual["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in {**usual, **headers}.items() if value is not None]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
        return self._filled(head).encode("latin-1") + (body or b"")

    def _filled(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _exchange(self, request: bytes, *, without_body: bool = False) -> Answer:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = time.perf_counter()
            # A server may answer and hang up before it was sent everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            response = http.client.HTTPResponse(connection, method="HEAD" if without_body else "GET")
            response.begin()
            body = response.read()
            seconds = time.perf_counter() - began
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, body, seconds)

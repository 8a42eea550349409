"""An agent for tests: a real HTTP server that answers as it is told and keeps what it was asked."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


@dataclass
class AgentServer:
    """`answers`: statuses in the order in which they are given; behind them 200. `/health` has an answer of its own."""

    http: HTTPServer
    answers: list[int] = field(default_factory=list)
    health: int = 200
    pause: float = 0.0
    received: list[Request] = field(default_factory=list)
    looks: int = 0
    at_work: int = 0
    most_at_work: int = 0
    free: Event = field(default_factory=Event)
    """While this is not set, no call is answered."""
    _lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return self.http.url_for("/v1")

    def bodies(self) -> list[Any]:
        return [json.loads(request.get_data()) for request in self.received]

    def answer(self, request: Request) -> Response:
        if request.path.endswith("/health"):
            with self._lock:
                self.looks += 1
            time.sleep(self.pause)
            return Response("", self.health)
        with self._lock:
            self.received.append(request)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            status = self.answers.pop(0) if self.answers else 200
        try:
            self.free.wait(30)
            time.sleep(self.pause)
            said = json.loads(request.get_data() or b"null")
        finally:
            with self._lock:
                self.at_work -= 1
        return Response(json.dumps({"said": said}), status, content_type="application/json")


@contextmanager
def agent_server() -> Iterator[AgentServer]:
    with HTTPServer(host="127.0.0.1", threaded=True) as http:
        agent = AgentServer(http)
        agent.free.set()
        http.expect_request(re.compile(".*")).respond_with_handler(agent.answer)
        try:
            yield agent
        finally:
            agent.free.set()

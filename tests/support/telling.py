"""Telling runs that wait what they wait for: events are published, signals sent, decisions taken."""

import json
import uuid
from typing import Any

import httpx2

from tests.support.server import MillraceProcess


class Teller:
    """What has a `key` is told once, however often it is said."""

    def __init__(self, server: MillraceProcess) -> None:
        self._server = server

    def publish(self, event: dict[str, Any]) -> None:
        """As a CloudEvent; what is the same in all of them may be left out."""
        whole = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "tests", **event}
        self._post("/events", whole, {"Content-Type": "application/cloudevents+json"})

    def signal(self, run_id: str, name: str, data: Any = None, key: str | None = None) -> None:
        self._post(f"/runs/{run_id}/signal", {"name": name, "data": data}, _under(key))

    def decide(self, run_id: str, path: str, decision: str, key: str | None = None, **more: Any) -> None:
        """`more`: `comment`, `form`."""
        self._post(f"/runs/{run_id}/tasks/{path}/decision", {"decision": decision, **more}, _under(key))

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        with self._server.client() as client:
            given = {"Content-Type": "application/json", **headers}
            answer: httpx2.Response = client.post(path, content=json.dumps(body), headers=given)
        assert answer.status_code in (200, 202), answer.text


def _under(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}

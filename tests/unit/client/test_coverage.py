"""Every operation of the OpenAPI document has a method, and every method asks for what the document has.

Each method of both clients is called with every argument it takes; what leaves is compared with the document.
"""

import asyncio
import hashlib
import importlib.util
import inspect
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

from millrace.client import AsyncClient, Client, Tagged
from millrace.client.aio import following as aio_following
from millrace.client.sync import following as sync_following

ROOT = Path(__file__).parents[3]
CONTENT = b"the content of a file"

SAME = {
    ("POST", "/workflows/{workflow}/run"): ("POST", "/workflows/{workflow}/execute"),
    ("POST", "/workflows/{workflow}/trigger/manual"): ("POST", "/workflows/{workflow}/execute"),
    ("PUT", "/workflows/{workflow}"): ("PATCH", "/workflows/{workflow}"),
    ("PUT", "/workflows/{workflow}/tasks/{task}"): ("PATCH", "/workflows/{workflow}/tasks/{task}"),
    ("PUT", "/webhooks/{webhook}"): ("PATCH", "/webhooks/{webhook}"),
    ("PUT", "/agents/{agent}"): ("PATCH", "/agents/{agent}"),
    ("PUT", "/workflows/{workflow}/deploy"): ("POST", "/workflows/{workflow}/deploy"),
    ("GET", "/runs/{run}/steps"): ("GET", "/runs/{run}/tasks"),
    ("GET", "/runs/{run}/steps/{path}"): ("GET", "/runs/{run}/tasks/{path}"),
    ("GET", "/workflows/{workflow}/runs"): ("GET", "/runs"),
    ("GET", "/workflows/{workflow}/deployments"): ("GET", "/deployments"),
    ("GET", "/workflows/{workflow}/triggers"): ("GET", "/triggers"),
    ("GET", "/runs/{run}/artifacts"): ("GET", "/artifacts"),
}
"""Operations that are another one under a second name, or one of its filters as a path."""

WAYS_IN = {
    ("POST", "/auth/token"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/reset"),
    ("GET", "/auth/setup"),
    ("POST", "/auth/setup"),
    ("POST", "/auth/logout"),
    ("GET", "/auth/oidc"),
    ("GET", "/auth/oidc/login"),
    ("GET", "/auth/oidc/callback"),
    ("POST", "/auth/oidc/token"),
}
"""Operations for who has no credentials yet, or a login: a client has an API key."""

SPOKEN_OTHERWISE = {
    "async_mode": "is `wait` the other way round",
    "approved": "is `decision` as true or false",
    "idempotency-key": "is sent in the body",
}

GONE_ON_WITH = {"if-range"}
"""Headers of a download that is taken up again; tests/integration/client has one."""

ARGUMENTS: dict[str, Any] = {
    "definition": {"name": "w"},
    "changes": {"name": "w"},
    "task": "t",
    "config": {"a": 1},
    "labels": {"team": "data"},
    "input": {"a": 1},
    "form": {"a": 1},
    "variables": {"a": 1},
    "filter": {"status": ["failed"]},
    "dst": {"gap": "skip"},
    "events": [{"type": "a"}],
    "scopes": ["run:read"],
    "expires_at": "2036-01-01T00:00:00Z",
    "version": 2,
    "if_match": 3,
    "attempt": 1,
    "after": 1,
    "before": 9,
    "tail": 5,
    "limit": 10,
    "count": 3,
    "priority": 1,
    "first": 1,
    "last": 4,
    "wait_seconds": 1.0,
    "timeout": 5.0,
    "run_at": "2026-01-01T00:00:00Z",
    "start": "2026-01-01T00:00:00Z",
    "created_after": "2026-01-01T00:00:00Z",
    "created_before": "2026-01-01T00:00:00Z",
    "action": "cancel",
    "known": Tagged({}, '"1-a"'),
} | dict.fromkeys(
    ("confirmation", "deep", "deploy", "dry_run", "enabled", "live", "overdue", "overwrite", "replace"), True
)


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: frozenset[str]
    headers: frozenset[str]
    body: frozenset[str]


class Server:
    """Notes what is asked for, and answers something of the right kind."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        return self.answer(request, request.read())

    async def asynchronously(self, request: httpx2.Request) -> httpx2.Response:
        return self.answer(request, await request.aread())

    def answer(self, request: httpx2.Request, sent: bytes) -> httpx2.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0]).removeprefix("/api/v1")
        body = json.loads(sent) if request.headers.get("Content-Type") == "application/json" else {}
        query, headers = request.url.params.keys(), request.headers.keys()
        self.seen.append(
            Seen(request.method, path, frozenset(query), frozenset(map(str.lower, headers)), frozenset(body))
        )
        if "event-stream" in request.headers.get("Accept", ""):
            over = "Last-Event-ID" in request.headers
            text = 'event: end\ndata: {"status": "completed"}\n\n' if over else "id: 7\n: here\n\n"
            return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})
        if path.endswith(("/content", "/backup")):
            tag = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
            return httpx2.Response(200, content=CONTENT, headers={"ETag": tag})
        if path.endswith(("/lines", "/audit-logs/export")):
            return httpx2.Response(200, content=b"")
        run = {"id": "r", "status": "completed", "output": 1}
        workflow = {"name": "w", "definition": {"name": "w"}, "deployed_version": 1}
        return httpx2.Response(200, json={"items": [], "next_cursor": None, **run, **workflow})


def methods(client: Any) -> list[Any]:
    """The public methods of the client's groups, and `run`."""
    groups = [value for name, value in vars(client).items() if not name.startswith("_")]
    found = [method for group in groups for _, method in inspect.getmembers(group, inspect.ismethod)]
    return [method for method in found if not method.__name__.startswith("_")] + [client.run]


def arguments(method: Any, folder: Path) -> dict[str, Any]:
    """Every argument that the method takes, with a value that leaves a trace."""
    group = type(method.__self__).__name__.removeprefix("Async")
    own: dict[str, Any] = {"to": folder / f"{group}-{method.__name__}"}
    if group == "Artifacts":
        own["source"] = io.BytesIO(CONTENT)
    if (group, method.__name__) == ("Tasks", "add"):
        own["task"] = {"id": "t"}
    if (group, method.__name__) == ("Connections", "set"):
        own["type"] = "http"
    names = (name for name in inspect.signature(method).parameters if name != "options")
    return {name: own.get(name, ARGUMENTS.get(name, f"{name}-1")) for name in names}


def use(result: Any) -> None:
    if isinstance(result, Iterator):
        assert list(result) == []
    elif isinstance(result, AbstractContextManager) and not isinstance(result, Path):
        with result as parts:
            assert b"".join(parts) == CONTENT
    else:
        assert result is None or isinstance(result, Mapping | bytes | Path | Tagged | int)


async def use_asynchronously(result: Any) -> None:
    if inspect.isawaitable(result):
        use(await result)
    elif isinstance(result, AsyncIterator):
        assert [item async for item in result] == []
    else:
        assert isinstance(result, AbstractAsyncContextManager)
        async with result as parts:
            assert b"".join([part async for part in parts]) == CONTENT


def asked_by_client(folder: Path) -> list[Seen]:
    server = Server()
    with Client("http://server", "key", transport=httpx2.MockTransport(server)) as client:
        for method in methods(client):
            use(method(**arguments(method, folder)))
    return server.seen


async def asked_by_async_client(folder: Path) -> list[Seen]:
    server = Server()
    transport = httpx2.MockTransport(server.asynchronously)
    async with AsyncClient("http://server", "key", transport=transport) as client:
        for method in methods(client):
            await use_asynchronously(method(**arguments(method, folder)))
    return server.seen


@pytest.fixture(scope="module")
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Method and path of each operation, with what it takes."""
    loader = SourceFileLoader("print_client", str(ROOT / "scripts" / "print-client"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    return {
        (method.upper(), path.removeprefix("/api/v1")): operation
        for path, item in script.openapi()["paths"].items()
        for method, operation in item.items()
    }


@pytest.fixture(params=["Client", "AsyncClient"])
def seen(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    monkeypatch.setattr(sync_following, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(aio_following, "PAUSE_SECONDS", 0)
    if request.param == "Client":
        return asked_by_client(tmp_path)
    return asyncio.run(asked_by_async_client(tmp_path))


def operation_of(one: Seen, operations: Mapping[tuple[str, str], Any]) -> tuple[str, str]:
    """The operation that a request means: the one with the fewest variables in its path."""
    fitting = [
        (path.count("{"), (method, path))
        for method, path in operations
        if method == one.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), one.path)
    ]
    assert fitting, f"the API has no {one.method} {one.path}"
    return min(fitting)[1]


def test_every_operation_has_a_method(operations: dict[tuple[str, str], Any], seen: list[Seen]) -> None:
    asked = {operation_of(one, operations) for one in seen}
    assert set(operations) - asked - set(SAME) - WAYS_IN == set()
    assert set(SAME) <= set(operations), "an operation under a second name is gone"
    assert set(SAME.values()) <= asked


def test_every_parameter_can_be_given_and_no_other_is(operations: dict[tuple[str, str], Any], seen: list[Seen]) -> None:
    missing = {}
    for key in {operation_of(one, operations) for one in seen}:
        requests = [one for one in seen if operation_of(one, operations) == key]
        parameters = operations[key].get("parameters", [])
        query = {part["name"] for part in parameters if part["in"] == "query"}
        headers = {part["name"].lower() for part in parameters if part["in"] == "header"}
        body = fields(operations[key])
        assert set().union(*(one.query for one in requests)) <= query, key
        if body:
            assert set().union(*(one.body for one in requests)) <= body, key
        given = set().union(*(one.query | one.headers | one.body for one in requests))
        left = (query | headers | body) - given - set(SPOKEN_OTHERWISE) - GONE_ON_WITH
        if left:
            missing[key] = left
    assert missing == {}


def fields(operation: Mapping[str, Any]) -> set[str]:
    """The names in the body of a request, but for definitions and tasks, which are given as they are."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return {name for one in schema.get("oneOf", [schema]) for name in one.get("properties", ())}

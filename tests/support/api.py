"""Words that the tests of the API share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

ECHO = {"id": "a", "type": "echo", "config": {"value": 1}}


def definition(name: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "tasks": list(tasks) or [ECHO]}


async def create(api: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await api.post("/api/v1/workflows", json=body)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def start(api: httpx2.AsyncClient, workflow: str, **body: Any) -> dict[str, Any]:
    response = await api.post(f"/api/v1/workflows/{workflow}/execute", json=body)
    assert response.status_code in (200, 202), response.text
    run: dict[str, Any] = response.json()
    return run


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so. Raises `TimeoutError` when it is not after a long time."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - what is looked at is behind HTTP
            await asyncio.sleep(0.01)


async def until_status(api: httpx2.AsyncClient, run: dict[str, Any], *status: str) -> dict[str, Any]:
    """The run as soon as it has one of these."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update((await api.get(f"/api/v1/runs/{run['id']}")).json())
        return found["status"] in status

    await eventually(there)
    return found


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refused request."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["detail"]
    # The same refusal is the same document, whichever request it was.
    assert document.pop("request_id") == response.headers["X-Request-Id"]
    assert all(set(fault) == {"path", "code", "message", "remedy"} for fault in document["faults"])
    return document

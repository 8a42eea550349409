"""A whole Millrace whose triggers wait for events, and what its tests say to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text

from millrace.api.create import create_app
from millrace.auth.first_admin import KEY_FILE, ensure_first_admin
from millrace.bootstrap import Runtime, running
from millrace.config import Settings
from millrace.roles import Role
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import create

NOOP = {"id": "a", "type": "noop"}
FAILING = {"id": "a", "type": "transform", "config": {"output": "{{ input.nothing }}"}}
PATIENCE_SECONDS = 20.0


def waiting_for(event_type: str | list[str], **more: Any) -> dict[str, Any]:
    """A trigger; `more` are fields of its config, or `if`, `input`, `enabled` and `id` beside it."""
    beside = {name: more.pop(name) for name in ("if", "input", "enabled", "id") if name in more}
    return {"id": "told", "type": "event", "config": {"event_type": event_type, **more}, **beside}


@dataclass(frozen=True, slots=True)
class Millrace:
    runtime: Runtime
    api: httpx2.AsyncClient

    async def deploy(self, name: str, *triggers: dict[str, Any], tasks: Any = (NOOP,), **fields: Any) -> dict[str, Any]:
        return await create(self.api, {"name": name, "triggers": list(triggers), "tasks": list(tasks), **fields})

    async def publish(self, type_: str, **event: Any) -> dict[str, Any]:
        response = await self.api.post("/api/v1/events", json={"type": type_, **event})
        assert response.status_code in (200, 202), response.text
        told: dict[str, Any] = response.json()
        return told

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.api.get(f"/api/v1{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, **body: Any) -> Any:
        response = await self.api.post(f"/api/v1{path}", json=body)
        assert response.status_code in (200, 202), response.text
        return response.json()

    async def runs(self, workflow: str) -> list[dict[str, Any]]:
        """The runs of a workflow, the oldest first."""
        found: list[dict[str, Any]] = (await self.get("/runs", workflow=workflow, limit=200))["items"]
        return found[::-1]

    async def firings(self, workflow: str) -> list[dict[str, Any]]:
        """What became of each time its triggers fired, the oldest first."""
        found: list[dict[str, Any]] = (await self.get(f"/workflows/{workflow}/firings", limit=200))["items"]
        return found[::-1]

    async def seen(self, run: dict[str, Any]) -> dict[str, Any]:
        """The event as the run keeps it."""
        ((data,),) = await self.rows("select trigger_data from runs where id = :id", id=run["id"])
        event: dict[str, Any] = json.loads(data)["event"]
        return event

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await condition()):  # noqa: ASYNC110 - what is waited for is in the database
                await asyncio.sleep(0.01)
        return found

    async def until_runs(self, workflow: str, count: int) -> list[dict[str, Any]]:
        """The runs of a workflow when so many have finished."""

        async def finished() -> list[dict[str, Any]] | None:
            runs = await self.runs(workflow)
            done = [run for run in runs if run["finished_at"] is not None]
            return runs if len(done) >= count else None

        found: list[dict[str, Any]] = await self.until(finished)
        return found

    async def until_routed(self) -> None:
        """Until every event that is stored has been routed."""

        async def none_left() -> bool:
            return not await self.rows("select 1 from events where routed_at is null")

        await self.until(none_left)

    async def rows(self, query: str, **values: Any) -> Any:
        return await self.runtime.database.read(lambda connection: connection.execute(text(query), values).all())


@asynccontextmanager
async def millrace_on(home: Path, url: str | None, role: Role = Role.UP) -> AsyncIterator[Millrace]:
    where = {} if url is None else {"database_url": url}
    settings = Settings(home=home, port=0, shell_user=getuser(), **where)
    async with running(settings, role=role) as runtime:
        key = await ensure_first_admin(runtime.database, SystemClock(), Uuid7Ids(), home)
        key = key or (home / KEY_FILE).read_text()
        transport = httpx2.ASGITransport(app=create_app(runtime.container), raise_app_exceptions=False)
        headers = {"X-API-Key": key}
        async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            yield Millrace(runtime, client)

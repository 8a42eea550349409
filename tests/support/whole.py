"""A whole Millrace as it is assembled for real, with the built-in task types, in this process and without a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import httpx2

from millrace.api.create import create_app
from millrace.auth.first_admin import KEY_FILE, ensure_first_admin, is_first_start
from millrace.bootstrap import Runtime, running
from millrace.config import Settings
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import create, definition, start

ENDED = {"completed", "failed", "skipped", "cancelled"}


@dataclass
class Whole:
    runtime: Runtime
    api: httpx2.AsyncClient

    async def finished(self, *tasks: dict[str, Any], name: str = "w", **body: Any) -> dict[str, Any]:
        """Create a workflow of these tasks, run it, and answer the run."""
        workflow = await create(self.api, definition(name, *tasks))
        return await start(self.api, workflow["id"], wait=True, **body)

    async def task(self, run: dict[str, Any], path: str) -> dict[str, Any]:
        response = await self.api.get(f"/api/v1/runs/{run['id']}/tasks/{path}")
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        return shown

    async def until(self, run: dict[str, Any], path: str, status: str) -> dict[str, Any]:
        """The task once it has the status; fails when it comes to another end, or not in time."""
        async with asyncio.timeout(30):
            while True:
                shown = (await self.api.get(f"/api/v1/runs/{run['id']}/tasks", params={"limit": 200})).json()["items"]
                found = next(one for one in shown if one["path"] == path)
                if found["status"] == status:
                    return found
                assert found["status"] not in ENDED, found
                await asyncio.sleep(0.02)

    async def output(self, path: str, *tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
        """The output of one task of a run that completed."""
        run = await self.finished(*tasks, **body)
        shown = await self.task(run, path)
        assert run["status"] == "completed", shown["error"]
        output: dict[str, Any] = shown["output"]
        return output

    async def failure(self, path: str, *tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
        run = await self.finished(*tasks, **body)
        error: dict[str, Any] = (await self.task(run, path))["error"]
        assert run["status"] == "failed"
        return error

    async def content(self, reference: dict[str, Any]) -> bytes:
        response = await self.api.get(f"/api/v1/artifacts/{reference['artifact']}/content")
        assert response.status_code == 200, response.text
        return response.content


@asynccontextmanager
async def whole(home: Path, url: str | None = None, **settings: Any) -> AsyncIterator[Whole]:
    """`url`: the address of a PostgreSQL database; without it there is a SQLite file in `home`."""
    where = {} if url is None else {"database_url": url}
    async with running(Settings(home=home, **{"shell_user": getuser(), **where, **settings})) as runtime:
        if await is_first_start(runtime.database):
            await ensure_first_admin(runtime.database, SystemClock(), Uuid7Ids(), home)
        transport = httpx2.ASGITransport(app=create_app(runtime.container), raise_app_exceptions=False)
        headers = {"X-API-Key": (home / KEY_FILE).read_text().strip()}
        async with httpx2.AsyncClient(transport=transport, base_url="http://millrace.test", headers=headers) as api:
            yield Whole(runtime, api)

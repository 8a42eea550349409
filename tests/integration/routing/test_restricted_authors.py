"""I3: what a workflow starts by itself is what its author may start at that time, if he is restricted to grants."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from millrace.api.create import create_app
from tests.support.api import create, definition, until_status
from tests.support.routing_kit import Millrace, millrace_on

API = "/api/v1"


@pytest.fixture
async def kit(tmp_path: Path, database_url: str | None) -> AsyncIterator[Millrace]:
    async with millrace_on(tmp_path / "home", database_url) as millrace:
        yield millrace


@pytest.fixture
async def restricted(kit: Millrace) -> AsyncIterator[httpx2.AsyncClient]:
    body = {"name": "author", "kind": "service", "role": "developer", "access": "granted"}
    assert (await kit.api.post(f"{API}/users", json=body)).status_code == 201
    key = (await kit.api.post(f"{API}/api-keys", json={"name": "test", "user": "author"})).json()["key"]
    headers = {"X-API-Key": key}
    transport = httpx2.ASGITransport(app=create_app(kit.runtime.container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


async def run_of(api: httpx2.AsyncClient, workflow: str, status: str) -> str:
    """What the task in it that starts another workflow failed with, if it did."""
    started = await api.post(f"{API}/workflows/{workflow}/execute", json={})
    assert started.status_code == 202, started.text
    run = await until_status(api, started.json(), status)
    return str((run["error"] or {}).get("message"))


CALLER = definition("caller", {"id": "sub", "type": "sub_workflow", "config": {"workflow": "called"}})


async def test_a_grant_that_was_taken_is_none_for_what_he_saved_before(
    kit: Millrace, restricted: httpx2.AsyncClient
) -> None:
    await create(kit.api, definition("called", {"id": "only", "type": "noop"}))
    grants = f"{API}/workflows/called/grants/author"
    assert (await kit.api.put(grants, json={"grants": ["run"]})).status_code == 200
    await create(restricted, CALLER)
    await run_of(restricted, "caller", "completed")
    assert (await kit.api.delete(grants)).status_code == 204
    assert "there is no workflow" in await run_of(restricted, "caller", "failed")
    assert "there is no workflow" in await run_of(kit.api, "caller", "failed"), "whoever starts it"
    assert len(await kit.runs("called")) == 1


async def test_a_name_that_leads_elsewhere_by_now_leads_nowhere(kit: Millrace, restricted: httpx2.AsyncClient) -> None:
    own = await create(restricted, definition("called", {"id": "only", "type": "noop"}))
    await create(restricted, CALLER)
    await run_of(restricted, "caller", "completed")
    renamed = await restricted.patch(f"{API}/workflows/{own['id']}", json={"name": "let go"})
    assert renamed.status_code == 200, renamed.text
    await create(kit.api, definition("called", {"id": "only", "type": "noop"}))
    assert "there is no workflow" in await run_of(restricted, "caller", "failed")
    assert await kit.runs("called") == []

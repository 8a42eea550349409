"""W4: what takes no starts starts nothing later either."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, start

URL = "/api/v1"
LATER = "2999-01-01T00:00:00Z"


async def ended(api: httpx2.AsyncClient, run_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        after = 0
        while True:
            run: dict[str, Any] = (await api.get(f"{URL}/runs/{run_id}")).json()
            if run["finished_at"] is not None:
                return run
            page = (await api.get(f"{URL}/runs/{run_id}/events?after={after}&wait_seconds=5")).json()
            after = max([after, *(record["seq"] for record in page["items"])])


@pytest.fixture
async def delayed(api: httpx2.AsyncClient) -> list[str]:
    """Two runs that start later, one of them paused; a third runs."""
    await create(api, definition("later", {"id": "held", "type": "hold"}))
    runs = [(await start(api, "later", run_at=LATER))["id"] for _ in range(2)]
    await api.post(f"{URL}/runs/{runs[1]}/pause")
    return [*runs, (await start(api, "later"))["id"]]


async def cancelled(api: httpx2.AsyncClient, runs: list[str], reason: str) -> None:
    for run_id in runs[:2]:
        run = await ended(api, run_id)
        assert (run["status"], run["cancel_reason"]) == ("cancelled", reason)
        assert run["cancelled_by"] == run["triggered_by"] is not None
        assert run["started_at"] is None
    assert (await api.get(f"{URL}/runs/{runs[2]}")).json()["finished_at"] is None, "what runs goes on"


@pytest.mark.parametrize("status", ["archived", "inactive"])
async def test_runs_that_were_to_start_later_end_with_their_workflow(
    api: httpx2.AsyncClient, delayed: list[str], status: str
) -> None:
    answer = await api.patch(f"{URL}/workflows/later", json={"status": status})
    told = f"2 runs that were to start later are cancelled: the workflow is {status} and takes no starts"
    assert told in answer.json()["warnings"]
    await cancelled(api, delayed, f"the workflow is {status} now")
    again = await api.patch(f"{URL}/workflows/later", json={"status": "archived"})
    assert told not in again.json()["warnings"], "there are none any more"


async def test_applying_the_status_says_it_too(api: httpx2.AsyncClient, delayed: list[str]) -> None:
    body = {**definition("later", {"id": "held", "type": "hold"}), "status": "archived"}
    answer = await api.post(f"{URL}/workflows/apply", json=body)
    assert any(warning.startswith("2 runs that were to start") for warning in answer.json()["warnings"]), answer.text
    await cancelled(api, delayed, "the workflow is archived now")


async def test_a_deleted_workflow_starts_nothing_later(api: httpx2.AsyncClient, delayed: list[str]) -> None:
    answer = await api.delete(f"{URL}/workflows/later")
    assert (answer.status_code, answer.json()) == (200, {"cancelled_runs": 2})
    await cancelled(api, delayed, "the workflow was deleted")


async def test_a_paused_workflow_keeps_them(api: httpx2.AsyncClient, delayed: list[str]) -> None:
    answer = await api.post(f"{URL}/workflows/later/disable")
    assert answer.json()["warnings"] == []
    assert (await api.get(f"{URL}/runs/{delayed[0]}")).json()["status"] == "pending"

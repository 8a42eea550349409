"""What is left of a deleted workflow: its runs, found and ended by the id that it had."""

import asyncio
from typing import Any

import httpx2

from tests.support.api import create, definition, problem, start

URL = "/api/v1"
HOLD = {"id": "held", "type": "hold"}


async def deleted(api: httpx2.AsyncClient, name: str) -> tuple[str, str]:
    """The id of a workflow that is deleted, and of its run, which goes on."""
    workflow = await create(api, definition(name, HOLD))
    run = await start(api, name)
    response = await api.delete(f"{URL}/workflows/{name}")
    assert response.status_code in (200, 204), response.text
    return workflow["id"], run["id"]


async def ended(api: httpx2.AsyncClient, run_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        after = 0
        while True:
            run: dict[str, Any] = (await api.get(f"{URL}/runs/{run_id}")).json()
            if run["finished_at"] is not None:
                return run
            page = (await api.get(f"{URL}/runs/{run_id}/events?after={after}&wait_seconds=5")).json()
            after = max([after, *(record["seq"] for record in page["items"])])


async def test_the_runs_of_a_deleted_workflow_are_listed_by_its_id(api: httpx2.AsyncClient) -> None:
    workflow_id, run_id = await deleted(api, "former")
    for path in (f"/runs?workflow={workflow_id}", f"/workflows/{workflow_id}/runs"):
        response = await api.get(f"{URL}{path}")
        assert [run["id"] for run in response.json()["items"]] == [run_id], response.text
    for path in ("/runs?workflow=former", "/workflows/former/runs"):
        problem(await api.get(f"{URL}{path}"), 404, "workflow_not_found")


async def test_the_runs_of_a_deleted_workflow_are_stopped_by_its_id(api: httpx2.AsyncClient) -> None:
    workflow_id, run_id = await deleted(api, "former")
    problem(await api.post(f"{URL}/workflows/former/stop"), 404, "workflow_not_found")
    assert (await api.post(f"{URL}/workflows/{workflow_id}/stop")).json() == {"stopped": 1}
    assert (await ended(api, run_id))["status"] == "cancelled"


async def test_many_runs_of_a_deleted_workflow_are_meant_by_its_id_but_not_to_retry(api: httpx2.AsyncClient) -> None:
    workflow_id, _ = await deleted(api, "former")
    by_id: dict[str, Any] = {"filter": {"workflow": workflow_id}, "dry_run": True}
    counted = await api.post(f"{URL}/runs/bulk", json={"action": "cancel", **by_id})
    assert counted.json()["total"] == 1, counted.text
    problem(await api.post(f"{URL}/runs/bulk", json={"action": "retry", **by_id}), 404, "workflow_not_found")
    by_name = {"action": "cancel", "filter": {"workflow": "former"}}
    problem(await api.post(f"{URL}/runs/bulk", json=by_name), 404, "workflow_not_found")


async def test_a_deleted_workflow_itself_stays_unknown(api: httpx2.AsyncClient) -> None:
    workflow_id, _ = await deleted(api, "former")
    for method, path in (("GET", ""), ("POST", "/execute"), ("GET", "/versions"), ("GET", "/triggers")):
        response = await api.request(method, f"{URL}/workflows/{workflow_id}{path}")
        problem(response, 404, "workflow_not_found")


async def test_a_name_given_again_means_the_new_workflow(api: httpx2.AsyncClient) -> None:
    old, old_run = await deleted(api, "reborn")
    new, new_run = await deleted(api, "reborn")
    assert old != new
    await create(api, definition("reborn"))
    assert (await api.get(f"{URL}/runs?workflow=reborn")).json()["items"] == []
    for workflow_id, run_id in ((old, old_run), (new, new_run)):
        items = (await api.get(f"{URL}/runs?workflow={workflow_id}")).json()["items"]
        assert [run["id"] for run in items] == [run_id]

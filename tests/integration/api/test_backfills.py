"""S1 over HTTP: a backfill asked for, watched, paused, and what cannot be asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.integration.api.test_triggers import client_of
from tests.support.api import ECHO, create, problem
from tests.support.installation import Installation

HOURLY = {"id": "hourly", "type": "cron", "config": {"expression": "0 * * * *"}}
HELD = {"id": "hold", "type": "hold"}


def hours_ago(hours: int) -> str:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return (now - timedelta(hours=hours)).isoformat()


async def trigger_of(api: httpx2.AsyncClient, task: dict[str, Any] = ECHO, **fields: Any) -> str:
    await create(api, {"name": "hours", "tasks": [task], "triggers": [{**HOURLY, **fields}]})
    return str((await api.get("/api/v1/workflows/hours/triggers")).json()["items"][0]["id"])


async def begin(api: httpx2.AsyncClient, trigger: str, **body: Any) -> dict[str, Any]:
    wanted = {"from": hours_ago(5), "until": hours_ago(2), **body}
    response = await api.post(f"/api/v1/triggers/{trigger}/backfill", json=wanted)
    assert response.status_code == 202, response.text
    begun: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/api/v1/backfills/{begun['id']}"
    return begun


async def until_over(millrace: Installation, api: httpx2.AsyncClient, backfill: str) -> dict[str, Any]:
    """Fill until it is over: nothing fills by itself in these tests."""
    while True:
        await millrace.container.triggers.backfill_filler.run_once()
        shown: dict[str, Any] = (await api.get(f"/api/v1/backfills/{backfill}")).json()
        if shown["finished_at"] is not None:
            return shown


async def test_a_range_of_the_past_is_filled(millrace: Installation, api: httpx2.AsyncClient) -> None:
    trigger = await trigger_of(api, input={"hour": "{{ trigger.due_at }}"})
    begun = await begin(api, trigger, order="parallel", max_parallel=2)
    assert (begun["status"], begun["total"], begun["left"], begun["order"]) == ("running", 4, 4, "parallel")
    assert begun["trigger"] == {"id": trigger, "name": "hourly"}
    assert begun["created_by"]["name"]
    over = await until_over(millrace, api, begun["id"])
    assert (over["status"], over["started"], over["completed"], over["left"]) == ("completed", 4, 4, 0)
    runs = (await api.get("/api/v1/runs", params={"workflow": "hours"})).json()["items"]
    assert sorted(run["input"]["hour"] for run in runs) == [hours_ago(hours) for hours in (5, 4, 3, 2)]
    listed = (await api.get("/api/v1/backfills", params={"workflow": "hours", "status": "completed"})).json()["items"]
    assert [item["id"] for item in listed] == [begun["id"]]
    assert (await api.get("/api/v1/backfills", params={"trigger": trigger, "status": "running"})).json()["items"] == []
    again = await begin(api, trigger)
    assert (await until_over(millrace, api, again["id"]))["fired_before"] == 4


async def test_what_it_would_do_is_told_without_doing_it(api: httpx2.AsyncClient) -> None:
    trigger = await trigger_of(api)
    wanted = {"from": hours_ago(5), "until": hours_ago(2), "dry_run": True}
    response = await api.post(f"/api/v1/triggers/{trigger}/backfill", json=wanted)
    assert (response.status_code, response.json()["total"], response.json()["dry_run"]) == (200, 4, True)
    assert (await api.get("/api/v1/backfills")).json()["items"] == []


async def test_pause_resume_and_cancel(millrace: Installation, api: httpx2.AsyncClient) -> None:
    begun = await begin(api, await trigger_of(api, HELD))
    path = f"/api/v1/backfills/{begun['id']}"
    paused = await api.post(f"{path}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    await millrace.container.triggers.backfill_filler.run_once()
    assert (await api.get(path)).json()["started"] == 0
    assert (await api.post(f"{path}/resume")).json()["status"] == "running"
    await millrace.container.triggers.backfill_filler.run_once()
    shown = (await api.get(path)).json()
    assert (shown["started"], len(shown["under_way"])) == (1, 1)
    cancelled = (await api.post(f"{path}/cancel")).json()
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "it was cancelled by a request")
    problem(await api.post(f"{path}/resume"), 409, "backfill_over")
    problem(await api.post("/api/v1/backfills/none/pause"), 404, "backfill_not_found")


async def test_a_second_one_of_the_same_trigger_is_refused(api: httpx2.AsyncClient) -> None:
    trigger = await trigger_of(api)
    begun = await begin(api, trigger)
    wanted = {"from": hours_ago(5), "until": hours_ago(2)}
    told = problem(await api.post(f"/api/v1/triggers/{trigger}/backfill", json=wanted), 409, "backfill_under_way")
    assert begun["id"] in told["detail"]


@pytest.mark.parametrize(
    ("body", "place", "told"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, "from", "is missing"),
        ({"from": "2020-01-01", "until": "2020-01-01T00:00:00Z"}, "from", ""),
        ({"from": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"}, "until", "before `from`"),
        ({"from": "2020-01-01T00:00:00Z", "until": "2090-01-01T00:00:00Z"}, "until", "in the future"),
        ({"from": "2000-01-01T00:00:00Z", "until": "2020-01-01T00:00:00Z"}, "until", "more than 10,000"),
        ({"from": "2020-01-01T00:00:00Z", "until": "2020-01-01T00:00:00Z", "max_parallel": 51}, "max_parallel", ""),
        ({"from": "2020-01-01T00:00:00Z", "until": "2020-01-01T00:00:00Z", "max_parallel": 2}, "", "one at a time"),
    ],
)
async def test_what_cannot_be_filled_is_told(
    api: httpx2.AsyncClient, body: dict[str, Any], place: str, told: str
) -> None:
    trigger = await trigger_of(api)
    response = await api.post(f"/api/v1/triggers/{trigger}/backfill", json=body)
    assert response.status_code == 422, response.text
    fault = response.json()["faults"][0]
    assert fault["path"] == place, fault
    assert told in fault["message"], fault


async def test_a_viewer_may_look_and_not_begin(millrace: Installation, api: httpx2.AsyncClient) -> None:
    trigger = await trigger_of(api)
    begun = await begin(api, trigger)
    async with await client_of(millrace, Role.VIEWER) as viewer:
        assert (await viewer.get(f"/api/v1/backfills/{begun['id']}")).status_code == 200
        wanted = {"from": hours_ago(5), "until": hours_ago(2)}
        problem(await viewer.post(f"/api/v1/triggers/{trigger}/backfill", json=wanted), 403, "forbidden")
        problem(await viewer.post(f"/api/v1/backfills/{begun['id']}/cancel"), 403, "forbidden")

"""S8 for schedules: what would fire between two moments, of which trigger, and where clocks shift it."""

from typing import Any

import httpx2
import pytest

from tests.support.api import ECHO, create

HALF_PAST_TWO = {"id": "early", "type": "cron", "config": {"expression": "30 2 * * *", "timezone": "Europe/Berlin"}}
NOON = {"id": "noon", "type": "cron", "config": {"expression": "0 12 * * *"}}


async def simulated(api: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await api.post("/api/v1/triggers/simulate", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_firings_of_all_schedules_in_the_order_of_time(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "one", "tasks": [ECHO], "triggers": [HALF_PAST_TWO]})
    silent = [NOON, {**NOON, "id": "silent", "enabled": False}, {"id": "hand", "type": "manual"}]
    await create(api, {"name": "two", "tasks": [ECHO], "triggers": silent})
    stretch = {"from": "2027-03-27T11:59:59Z", "until": "2027-03-28T12:00:00Z"}
    found = await simulated(api, **stretch)
    told = [
        (one["trigger"]["workflow"]["name"], one["due_at"][:16], one["local"], one["shift"]) for one in found["items"]
    ]
    assert told == [
        ("two", "2027-03-27T12:00", "2027-03-27T12:00:00+00:00", None),
        ("one", "2027-03-28T01:00", "2027-03-28T03:00:00+02:00", "gap"),
        ("two", "2027-03-28T12:00", "2027-03-28T12:00:00+00:00", None),
    ]
    assert (found["complete"], found["schedules"]) == (True, 2)
    cut = await simulated(api, **stretch, limit=1)
    assert (len(cut["items"]), cut["complete"]) == (1, False)
    narrowed = await simulated(api, **stretch, workflow="one")
    assert [one["trigger"]["name"] for one in narrowed["items"]] == ["early"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "give an `event`, or `from` and `until`"),
        ({"from": "2027-03-27T00:00:00Z"}, "give an `event`, or `from` and `until`"),
        ({"from": "2027-03-27T00:00:00Z", "until": "2027-03-26T00:00:00Z"}, "`until` is before `from`"),
        ({"from": "2027-03-27T00:00:00Z", "until": "2027-03-28T00:00:00Z", "cursor": "x"}, "has no pages"),
    ],
)
async def test_what_cannot_be_asked_is_told(api: httpx2.AsyncClient, body: dict[str, Any], told: str) -> None:
    response = await api.post("/api/v1/triggers/simulate", json=body)
    assert response.status_code == 422
    assert told in response.text

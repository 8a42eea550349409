"""S2, S10 over HTTP: intervals after the last run, and schedules that nobody acts on."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.support.api import ECHO, create
from tests.support.installation import Installation

AGAIN = {"id": "again", "type": "interval", "config": {"every": "10m", "counted_from": "last_end"}}
UNKNOWN = "later times are counted from the end of the run before, so they are not known yet"


async def preview(api: httpx2.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await api.get("/api/v1/workflows/w/triggers/again/preview", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_preview_shows_no_time_that_depends_on_a_run(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "w", "tasks": [ECHO], "triggers": [AGAIN], "deploy": False})
    thought_of = await preview(api, **{"from": "2027-01-01T00:00:00Z"})
    assert (thought_of["expression"], thought_of["note"]) == ("10m after each end", UNKNOWN)
    assert [item["due_at"] for item in thought_of["items"]] == ["2027-01-01T00:00:00.000000Z"]
    await api.post("/api/v1/workflows/w/deploy", json={})
    at = "update triggers set next_due_at = 1798761600000000"
    await millrace.database.write(lambda connection: connection.execute(text(at)) and None)
    assert [item["due_at"] for item in (await preview(api))["items"]] == ["2027-01-01T00:00:00.000000Z"]
    await millrace.database.write(
        lambda connection: (
            connection.execute(text("update triggers set next_due_at = null, last_run_id = 'r'")) and None
        )
    )
    assert (await preview(api))["items"] == []
    (shown,) = (await api.get("/api/v1/workflows/w/triggers")).json()["items"]
    assert (shown["awaits_run"], shown["next_firing"], shown["silent_because"]) == ("r", None, None)


async def test_an_anchor_for_what_has_none_is_a_fault(api: httpx2.AsyncClient) -> None:
    config = {**AGAIN["config"], "anchor": "2027-01-01T00:00:00Z"}  # type: ignore[dict-item]
    body = {"name": "w", "tasks": [ECHO], "triggers": [{**AGAIN, "config": config}]}
    response = await api.post("/api/v1/workflows", json=body)
    assert response.status_code == 422
    (fault,) = response.json()["faults"]
    assert (fault["path"], "has no anchor" in fault["message"]) == ("triggers[0].config.anchor", True)


async def test_readiness_tells_of_schedules_that_nobody_acts_on(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    minutely = {"id": "clock", "type": "cron", "config": {"expression": "* * * * *"}}
    await create(api, {"name": "w", "tasks": [ECHO], "triggers": [minutely]})
    watch = millrace.container.triggers.overdue_watch
    await watch.run_once()
    assert (await api.get("/health/ready")).json() == {"status": "ready"}
    late = "update triggers set next_due_at = next_due_at - 300000000"
    await millrace.database.write(lambda connection: connection.execute(text(late)) and None)
    await watch.run_once()
    response = await api.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "overdue_schedules": 1})
    (shown,) = (await api.get("/api/v1/triggers", params={"overdue": True})).json()["items"]
    assert shown["overdue_since"] is not None


@pytest.mark.parametrize("overdue", [True, False])
async def test_what_is_listed_as_overdue_is_what_is_shown_as_overdue(
    millrace: Installation, api: httpx2.AsyncClient, overdue: bool
) -> None:
    triggers = [{"id": f"t{n}", "type": "cron", "config": {"expression": "0 * * * *"}} for n in range(4)]
    await create(api, {"name": "w", "tasks": [ECHO], "triggers": [*triggers, {"id": "hand", "type": "manual"}]})
    late = "update triggers set next_due_at = now_us() - 60000000 * :minutes where name = :name"
    for number in range(3):
        values = {"minutes": number, "name": f"t{number}"}
        await millrace.database.write(
            lambda connection, values=values: connection.execute(text(late), values) and None  # type: ignore[misc]
        )
    everything = (await api.get("/api/v1/triggers")).json()["items"]
    listed = (await api.get("/api/v1/triggers", params={"overdue": overdue})).json()["items"]
    assert [one["name"] for one in listed] == [one["name"] for one in everything if one["overdue"] is overdue]
    assert ("t2" in [one["name"] for one in listed]) is overdue

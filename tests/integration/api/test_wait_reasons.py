"""X5: the history of a run says under which limits it and its tasks waited."""

from typing import Any

import httpx2

from tests.support.api import create, start

URL = "/api/v1"
HOLD = {"id": "held", "type": "hold"}


async def history(api: httpx2.AsyncClient, run: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its records by type, and its timeline."""
    records = (await api.get(f"{URL}/runs/{run['id']}/events")).json()["items"]
    timeline = (await api.get(f"{URL}/runs/{run['id']}/timeline")).json()
    return {record["type"]: record["data"] for record in records}, timeline


async def test_a_run_without_a_place_says_under_which_limit(api: httpx2.AsyncClient) -> None:
    workflow = await create(
        api, {"name": "narrow", "tasks": [HOLD], "concurrency": {"limit": 1, "key": "{{ input.day }}"}}
    )
    for _ in range(2):
        run = await start(api, "narrow", input={"day": "mon"})
    records, timeline = await history(api, run)
    key = f"workflow:{workflow['id']}:mon"
    assert records["run.created"]["admission"] == {"key": key, "limit": 1}
    (wait,) = timeline["waits"]
    assert (wait["reason"], wait["keys"], wait["until"]) == ("concurrency", [key], None)


async def test_a_run_that_waits_for_its_turn_names_the_rate(api: httpx2.AsyncClient) -> None:
    workflow = await create(api, {"name": "slow", "tasks": [HOLD], "rate_limit": {"limit": 1, "per": "1h"}})
    for _ in range(2):
        run = await start(api, "slow")
    records, timeline = await history(api, run)
    key = f"rate:{workflow['id']}"
    assert records["run.created"]["rate_limit"] == {"key": key, "limit": 1, "period_seconds": 3600}
    assert "admission" not in records["run.created"], "there is no limit of how many"
    (wait,) = timeline["waits"]
    assert (wait["reason"], wait["keys"]) == ("rate_limit", [key])


async def test_with_two_limits_it_is_either_of_them(api: httpx2.AsyncClient) -> None:
    both = {"concurrency": {"limit": 1}, "rate_limit": {"limit": 1, "per": "1h"}}
    await create(api, {"name": "both", "tasks": [HOLD], **both})
    for _ in range(2):
        run = await start(api, "both")
    (wait,) = (await history(api, run))[1]["waits"]
    assert (wait["reason"], len(wait["keys"])) == ("not_admitted", 2)


async def test_a_task_without_a_place_says_under_which_limit(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "loads", "tasks": [{**HOLD, "concurrency": {"key": "warehouse", "limit": 1}}]})
    for _ in range(2):
        run = await start(api, "loads")
    records, timeline = await history(api, run)
    assert records["task.scheduled"] == {"attempt": 1, "limit_key": "warehouse", "limit": 1}
    (wait,) = timeline["tasks"][0]["waits"]
    assert (wait["reason"], wait["keys"], wait["until"]) == ("task_limit", ["warehouse"], None)

"""X3: many runs are retried, each once however often it is asked for."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation
from tests.support.logins import key_of
from tests.support.routing_kit import millrace_on

pytestmark = pytest.mark.both_databases

URL = "/api/v1"
MEANT = {"action": "retry", "filter": {"workflow": "failing"}}


@pytest.fixture
async def failed(api: httpx2.AsyncClient) -> list[str]:
    """The ids of three runs that have failed."""
    await create(api, definition("failing", {"id": "bad", "type": "fail"}))
    return [(await start(api, "failing", wait=True))["id"] for _ in range(3)]


async def bulk(millrace: Installation, api: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await api.post(f"{URL}/runs/bulk", json={**MEANT, **changes})
    assert answer.status_code == 202, answer.text
    while await millrace.container.operations.run_once() is not None:
        pass
    operation = answer.json()
    if not changes.get("dry_run"):
        operation = (await api.get(f"{URL}/operations/{operation['id']}")).json()
    assert operation["status"] == "completed"
    return {name: operation[name] for name in ("total", "already_retried", "done", "failed")}


async def settled(api: httpx2.AsyncClient) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while True:
            items = (await api.get(f"{URL}/runs?workflow=failing&limit=100")).json()["items"]
            live = [run["id"] for run in items if run["finished_at"] is None]
            if not live:
                return items
            await api.get(f"{URL}/runs/{live[0]}/events?after=2&wait_seconds=5")


async def test_what_was_retried_is_not_retried_again(
    millrace: Installation, api: httpx2.AsyncClient, failed: list[str]
) -> None:
    assert await bulk(millrace, api, dry_run=True) == {"total": 3, "already_retried": 0, "done": 0, "failed": 0}
    assert await bulk(millrace, api) == {"total": 3, "already_retried": 0, "done": 3, "failed": 0}
    assert len(await settled(api)) == 6
    assert await bulk(millrace, api, dry_run=True) == {"total": 3, "already_retried": 3, "done": 0, "failed": 0}
    assert await bulk(millrace, api) == {"total": 3, "already_retried": 3, "done": 3, "failed": 0}
    runs = await settled(api)
    assert len(runs) == 9, "each retry that failed once, the first runs no more"
    assert len({run["retry_of"] for run in runs} - {None}) == 6, "no run has two retries"


async def test_a_rerun_counts_and_all_are_taken_when_that_is_asked_for(
    millrace: Installation, api: httpx2.AsyncClient, failed: list[str]
) -> None:
    await api.post(f"{URL}/runs/{failed[0]}/rerun", json={"wait": True})
    assert await bulk(millrace, api, dry_run=True) == {"total": 3, "already_retried": 1, "done": 0, "failed": 0}
    assert await bulk(millrace, api, again=True) == {"total": 4, "already_retried": 0, "done": 4, "failed": 0}


async def test_what_was_retried_while_the_operation_ran_is_left_alone(
    millrace: Installation, api: httpx2.AsyncClient, failed: list[str]
) -> None:
    operation = (await api.post(f"{URL}/runs/bulk", json=MEANT)).json()
    other = (await api.post(f"{URL}/runs/{failed[1]}/retry", json={"wait": True})).json()
    while await millrace.container.operations.run_once() is not None:
        pass
    after = (await api.get(f"{URL}/operations/{operation['id']}")).json()
    assert (after["total"], after["done"], after["failed"]) == (3, 2, 1)
    assert after["error"] == f"{failed[1]}: it was retried meanwhile, as run {other['id']}"


async def test_a_run_that_a_task_waited_for_is_left_to_the_retry_of_its_parent(
    tmp_path: Path, database_url: str | None
) -> None:
    async with millrace_on(tmp_path / "whole", database_url) as kit:
        await kit.deploy(
            "failing", tasks=[{"id": "bad", "type": "transform", "config": {"output": "{{ input.nothing }}"}}]
        )
        for name, wait in (("calling", True), ("leaving", False)):
            call = {"id": "call", "type": "sub_workflow", "config": {"workflow": "failing", "wait": wait}}
            await kit.deploy(name, tasks=[call])
            await start(kit.api, name, wait=True)
        await kit.until_runs("failing", 2)

        body: dict[str, Any] = {"action": "retry", "filter": {"status": ["failed"]}}
        counted = await kit.post("/runs/bulk", **body, again=True, dry_run=True)
        assert (counted["total"], counted["left_to_parents"], counted["already_retried"]) == (2, 1, 0)
        begun = await kit.post("/runs/bulk", **body)

        async def ended() -> dict[str, Any] | None:
            operation: dict[str, Any] = await kit.get(f"/operations/{begun['id']}")
            return operation if operation["status"] == "completed" else None

        after = await kit.until(ended)
        assert (after["total"], after["left_to_parents"], after["done"], after["failed"]) == (2, 1, 2, 0)
        runs = [*await kit.runs("calling"), *await kit.runs("failing")]
        by_themselves = [run["workflow"]["name"] for run in runs if run["retry_of"] and run["parent"] is None]
        assert by_themselves == ["calling", "failing"]


async def test_again_is_for_retries_only(api: httpx2.AsyncClient) -> None:
    answer = await api.post(
        f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"status": ["failed"]}, "again": True}
    )
    (fault,) = problem(answer, 422, "invalid_request")["faults"]
    assert "retry only" in fault["message"]


@pytest.mark.parametrize(("path", "change"), [("disable", None), ("", {"role": "viewer"}), ("", {"access": "granted"})])
@pytest.mark.parametrize("action", ["retry", "cancel"])
async def test_who_loses_the_right_does_nothing_further(
    millrace: Installation, api: httpx2.AsyncClient, failed: list[str], action: str, path: str, change: Any
) -> None:
    await create(api, definition("held", {"id": "on", "type": "hold"}))
    live = await start(api, "held")
    narrow = {"workflow": "failing" if action == "retry" else "held"}
    async with millrace.client(await key_of(millrace, Role.OPERATOR)) as operator:
        asked = await operator.post(f"{URL}/runs/bulk", json={"action": action, "filter": narrow})
        assert asked.status_code == 202, asked.text
    user = f"{URL}/users/user-operator"
    changed = await (api.post(f"{user}/{path}") if path else api.patch(user, json=change))
    assert changed.status_code == 200, changed.text
    while await millrace.container.operations.run_once() is not None:
        pass
    after = (await api.get(f"{URL}/operations/{asked.json()['id']}")).json()
    assert (after["status"], after["done"], after["failed"]) == ("failed", 0, 0)
    assert "may not do that any more" in after["error"]
    assert after["finished_at"] is not None
    assert len((await api.get(f"{URL}/runs?workflow=failing")).json()["items"]) == 3
    assert (await api.get(f"{URL}/runs/{live['id']}")).json()["status"] in ("pending", "running")

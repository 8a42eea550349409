"""D3: what a live run is told from outside. Tasks that wait for it take it; told too early, it is kept."""

import asyncio
from typing import Any

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.integration.api.test_access import role_client
from tests.support.api import create, definition, eventually, problem, start, until_status
from tests.support.installation import Installation

URL = "/api/v1"
WAITS = {"id": "wait", "type": "wait_for_event", "config": {"signal": "go_on"}}
AFTER = {"id": "after", "type": "echo", "config": {"value": "{{ tasks.wait.output.signal }}"}}


async def waiting(api: httpx2.AsyncClient, *tasks: dict[str, Any]) -> dict[str, Any]:
    """A run whose task waits for a signal."""
    await create(api, definition("waiting", *(tasks or (WAITS, AFTER))))
    run = await start(api, "waiting")
    await until_status(api, run, "waiting")
    return run


async def send(api: httpx2.AsyncClient, run: dict[str, Any], name: str = "go_on", **options: Any) -> httpx2.Response:
    headers = options.pop("headers", {})
    return await api.post(f"{URL}/runs/{run['id']}/signal", json={"name": name, **options}, headers=headers)


async def output_of(api: httpx2.AsyncClient, run: dict[str, Any], path: str) -> Any:
    return (await api.get(f"{URL}/runs/{run['id']}/tasks/{path}")).json()["output"]


async def signals_of(api: httpx2.AsyncClient, run: dict[str, Any]) -> list[dict[str, Any]]:
    records = (await api.get(f"{URL}/runs/{run['id']}/events")).json()["items"]
    return [record["data"] for record in records if record["type"] == "run.signalled"]


async def test_a_signal_wakes_the_task_that_waits_for_it(api: httpx2.AsyncClient) -> None:
    run = await waiting(api)
    sent = await send(api, run, data={"tracking": "1Z999"})
    assert (sent.status_code, sent.json()["id"]) == (202, run["id"])
    await until_status(api, run, "completed")
    told = await output_of(api, run, "after")
    assert (told["name"], told["data"]) == ("go_on", {"tracking": "1Z999"})
    assert told["by"] == run["triggered_by"]["id"]
    assert await signals_of(api, run) == [{"name": "go_on", "by": run["triggered_by"]}]


async def test_another_name_is_kept_and_wakes_nobody(api: httpx2.AsyncClient) -> None:
    later = {"id": "later", "type": "wait_for_event", "config": {"signal": "more"}}
    run = await waiting(api, WAITS, later)
    assert (await send(api, run, "more", data=[1, None, {"a": "b"}])).status_code == 202
    assert (await api.get(f"{URL}/runs/{run['id']}")).json()["status"] in ("running", "waiting")
    assert (await send(api, run)).status_code == 202
    await until_status(api, run, "completed")
    assert (await output_of(api, run, "later"))["signal"]["data"] == [1, None, {"a": "b"}]


async def test_a_key_tells_a_run_once(api: httpx2.AsyncClient) -> None:
    run = await waiting(api, {"id": "other", "type": "wait_for_event", "config": {"signal": "never"}})
    key = {"Idempotency-Key": "told-1"}
    answers = await asyncio.gather(*(send(api, run, data=1, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert (await send(api, run, data=1, idempotency_key="told-1")).status_code == 202
    problem(await send(api, run, data=2, headers=key), 409, "idempotency_conflict")
    assert (await send(api, run, data=2)).status_code == 202

    async def twice() -> bool:
        return len(await signals_of(api, run)) == 2

    await eventually(twice)
    await api.post(f"{URL}/runs/{run['id']}/cancel")
    await until_status(api, run, "cancelled")
    assert (await send(api, run, data=1, headers=key)).status_code == 202, "the same answer as before"
    assert len(await signals_of(api, run)) == 2


async def test_a_run_that_is_not_there_or_has_finished_is_told_nothing(api: httpx2.AsyncClient) -> None:
    await create(api, definition("quick"))
    run = await start(api, "quick", wait=True)
    for headers in ({}, {"Idempotency-Key": "k"}):
        refused = problem(await send(api, run, headers=headers), 409, "run_finished")
        assert "completed" in refused["detail"]
        problem(await send(api, {"id": "nothing"}, headers=headers), 404, "run_not_found")


async def test_a_paused_run_takes_it_and_goes_on_later(api: httpx2.AsyncClient) -> None:
    run = await waiting(api)
    await api.post(f"{URL}/runs/{run['id']}/pause")
    await until_status(api, run, "paused")
    assert (await send(api, run)).status_code == 202

    async def told() -> bool:
        return bool(await signals_of(api, run))

    await eventually(told)
    assert (await api.get(f"{URL}/runs/{run['id']}")).json()["status"] == "paused"
    await api.post(f"{URL}/runs/{run['id']}/resume")
    await until_status(api, run, "completed")


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a", "data": {"x": ["\0"]}}, "data.x[0]"),
        ({"name": "a", "data": 2**64}, "data"),
        ({"name": "a", "data": "d" * 65_536}, "data"),
        ({"name": "a", "date": 1}, "date"),
    ],
)
async def test_what_cannot_be_told_is_refused_with_its_place(
    api: httpx2.AsyncClient, body: dict[str, Any], at: str
) -> None:
    await create(api, definition("held", {"id": "a", "type": "hold"}))
    run = await start(api, "held")
    response = await api.post(f"{URL}/runs/{run['id']}/signal", json=body)
    assert [fault["path"] for fault in response.json()["faults"]] == [at]
    assert response.status_code == 422
    assert await signals_of(api, run) == []


async def test_who_may_only_look_may_not_signal(millrace: Installation, api: httpx2.AsyncClient) -> None:
    run = await waiting(api)
    async with await role_client(millrace, Role.VIEWER) as viewer:
        problem(await send(viewer, run), 403, "forbidden")
    async with await role_client(millrace, Role.OPERATOR) as operator:
        assert (await send(operator, run)).status_code == 202

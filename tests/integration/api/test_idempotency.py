"""X4: what does a run again, or many, does it once for each idempotency key, as a start does (test_runs)."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from millrace.storage.tables import start_keys
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1"
KEY = {"Idempotency-Key": "order-1"}
REPEATS = pytest.mark.parametrize("how", ["retry", "rerun"])


async def failed_run(api: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    await create(api, {**definition("failing", {"id": "bad", "type": "fail"}), **fields})
    return await start(api, "failing", wait=True)


async def count(api: httpx2.AsyncClient) -> int:
    return len((await api.get(f"{URL}/runs")).json()["items"])


@REPEATS
async def test_the_same_key_repeats_a_run_once(api: httpx2.AsyncClient, how: str) -> None:
    run = await failed_run(api)
    url = f"{URL}/runs/{run['id']}/{how}"
    first = await api.post(url, json={"input": {"a": 1, "b": 2}}, headers=KEY)
    again = await api.post(url, json={"input": {"b": 2, "a": 1}, "idempotency_key": "order-1"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"] != run["id"]
    refused = await api.post(url, json={"input": {"a": 2}}, headers=KEY)
    assert first.json()["id"] in problem(refused, 409, "idempotency_conflict")["detail"]
    assert await count(api) == 2
    both = problem(await api.post(url, json={"idempotency_key": "x"}, headers=KEY), 422, "invalid_request")
    assert both["faults"][0]["path"] == "idempotency_key"
    new = await api.post(url, json={"input": {"a": 2}}, headers={"Idempotency-Key": "order-2"})
    assert new.status_code == 202
    waited = await api.post(url, json={"input": {"a": 1, "b": 2}, "wait": True}, headers=KEY)
    assert (waited.status_code, waited.json()["id"], waited.json()["status"]) == (200, first.json()["id"], "failed")


@REPEATS
async def test_a_key_used_by_many_at_once_repeats_a_run_once(api: httpx2.AsyncClient, how: str) -> None:
    run = await failed_run(api)
    url = f"{URL}/runs/{run['id']}/{how}"
    answers = await asyncio.gather(*(api.post(url, headers=KEY) for _ in range(20)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert await count(api) == 2


async def test_a_key_belongs_to_the_run_that_is_repeated_and_to_what_is_asked(api: httpx2.AsyncClient) -> None:
    run = await failed_run(api)
    other = (await api.post(f"{URL}/workflows/failing/execute", json={"wait": True}, headers=KEY)).json()
    url = f"{URL}/runs/{run['id']}"
    retried = (await api.post(f"{url}/retry", headers=KEY)).json()
    of_other = await api.post(f"{URL}/runs/{other['id']}/retry", headers=KEY)
    assert of_other.status_code == 202, "another run"
    for path, body in (("rerun", {}), ("retry", {"version": "newest"}), ("retry", {"priority": 3})):
        problem(await api.post(f"{url}/{path}", json=body, headers=KEY), 409, "idempotency_conflict")
    assert len({run["id"], other["id"], retried["id"], of_other.json()["id"]}) == await count(api) == 4


@REPEATS
async def test_a_known_key_is_answered_also_when_the_run_cannot_be_repeated_any_more(
    api: httpx2.AsyncClient, how: str
) -> None:
    run = await failed_run(api)
    url = f"{URL}/runs/{run['id']}/{how}"
    first = (await api.post(url, headers=KEY)).json()
    await api.patch(f"{URL}/workflows/failing", json={"status": "inactive"})
    again = await api.post(url, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    problem(await api.post(url, json={"input": {"x": 1}}, headers=KEY), 409, "idempotency_conflict")
    problem(await api.post(url, headers={"Idempotency-Key": "new"}), 409, "workflow_inactive")


@REPEATS
async def test_a_refused_repeat_uses_no_key_up(api: httpx2.AsyncClient, how: str) -> None:
    await create(api, definition("held", {"id": "h", "type": "hold"}))
    run = await start(api, "held")
    url = f"{URL}/runs/{run['id']}/{how}"
    problem(await api.post(url, headers=KEY), 409, "run_not_finished")
    await api.post(f"{URL}/runs/{run['id']}/cancel")
    await api.get(f"{URL}/runs/{run['id']}/logs?follow=true")
    assert (await api.post(url, headers=KEY)).status_code == 202
    problem(await api.post(f"{URL}/runs/nobody/{how}", headers=KEY), 404, "run_not_found")


async def test_the_same_key_begins_one_operation(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await failed_run(api)
    url, body = f"{URL}/runs/bulk", {"action": "retry", "filter": {"workflow": "failing"}}
    counted = await api.post(url, json={**body, "dry_run": True}, headers=KEY)
    answers = await asyncio.gather(*(api.post(url, json=body, headers=KEY) for _ in range(10)))
    (operation,) = {answer.json()["id"] for answer in answers}
    assert {answer.status_code for answer in answers} == {202}
    assert operation != counted.json()["id"], "to count is to do nothing"
    refused = await api.post(url, json={**body, "version": "newest"}, headers=KEY)
    assert operation in problem(refused, 409, "idempotency_conflict")["detail"]
    while await millrace.container.operations.run_once() is not None:
        pass
    again = await api.post(url, json={**body, "idempotency_key": "order-1"})
    assert (again.json()["id"], again.json()["done"]) == (operation, 1), "the operation as it is by now"
    assert await count(api) == 2
    assert (await api.post(url, json=body, headers={"Idempotency-Key": "order-2"})).json()["id"] != operation


async def test_a_confirmation_makes_an_operation_another_one(millrace: Installation, api: httpx2.AsyncClient) -> None:
    manual = {"id": "m", "type": "manual", "config": {"require_confirmation": True}}
    await create(api, {**definition("careful", {"id": "bad", "type": "fail"}), "triggers": [manual]})
    await start(api, "careful", wait=True, confirmation=True)
    url, body = f"{URL}/runs/bulk", {"action": "retry", "filter": {"workflow": "careful"}}
    first = (await api.post(url, json=body, headers=KEY)).json()["id"]
    while await millrace.container.operations.run_once() is not None:
        pass
    assert (await api.get(f"{URL}/operations/{first}")).json()["done"] == 0, "it was not confirmed"
    refused = await api.post(url, json={**body, "confirmation": True}, headers=KEY)
    assert first in problem(refused, 409, "idempotency_conflict")["detail"]


@pytest.mark.parametrize("action", ["retry", "cancel"])
async def test_a_key_gives_its_operation_also_when_the_workflow_is_gone(api: httpx2.AsyncClient, action: str) -> None:
    await failed_run(api)
    url, body = f"{URL}/runs/bulk", {"action": action, "filter": {"workflow": "failing"}}
    first = (await api.post(url, json=body, headers=KEY)).json()["id"]
    assert (await api.delete(f"{URL}/workflows/failing")).status_code == 204
    again = await api.post(url, json=body, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (202, first), again.text
    other = {**body, "filter": {"workflow": "nothing"}}
    problem(await api.post(url, json=other, headers=KEY), 409, "idempotency_conflict")
    problem(await api.post(url, json=body, headers={"Idempotency-Key": "new"}), 404, "workflow_not_found")
    problem(await api.post(url, json={**body, "dry_run": True}, headers=KEY), 404, "workflow_not_found")


async def test_an_operation_whose_key_is_over_is_begun_anew(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await failed_run(api)
    url, body = f"{URL}/runs/bulk", {"action": "retry", "filter": {"workflow": "failing"}}
    first = (await api.post(url, json=body, headers=KEY)).json()["id"]
    over = update(start_keys).where(start_keys.c.namespace == "bulk").values(expires_at=1)
    await millrace.database.write(lambda connection: connection.execute(over))
    assert (await api.post(url, json=body, headers=KEY)).json()["id"] != first


async def held_run(api: httpx2.AsyncClient) -> str:
    await create(api, definition("holding", {"id": "long", "type": "hold"}))
    return str((await start(api, "holding"))["id"])


async def asked(api: httpx2.AsyncClient, run: str, kind: str) -> int:
    """How often the run has been asked, once it has folded the first time."""
    events = (await api.get(f"{URL}/runs/{run}/events")).json()["items"]
    return sum(event["type"] == kind for event in events)


async def ended(api: httpx2.AsyncClient, run: str) -> None:
    async with asyncio.timeout(60):
        while (await api.get(f"{URL}/runs/{run}")).json()["finished_at"] is None:
            await api.get(f"{URL}/runs/{run}/events?after=4&wait_seconds=2")


async def test_the_same_key_cancels_once_and_is_answered_the_same_when_the_run_has_ended(
    api: httpx2.AsyncClient,
) -> None:
    run = await held_run(api)
    url, because = f"{URL}/runs/{run}/cancel", {"reason": "wrong day"}
    answers = await asyncio.gather(*(api.post(url, json=because, headers=KEY) for _ in range(10)))
    await ended(api, run)
    answers.append(await api.post(url, json=because, headers=KEY))
    assert {(answer.status_code, answer.json()["cancelling"]) for answer in answers} == {(202, True)}
    assert await asked(api, run, "run.cancel_requested") == 1, "a second one would skip what is to be tidied up"
    problem(await api.post(url, json={"reason": "another"}, headers=KEY), 409, "idempotency_conflict")
    problem(await api.post(url, json=because, headers={"Idempotency-Key": "order-2"}), 409, "run_finished")
    problem(await api.post(f"{URL}/runs/nowhere/cancel", headers=KEY), 404, "run_not_found")


@pytest.mark.parametrize(("first", "then"), [("pause", "resume"), ("resume", "pause")])
async def test_the_same_key_pauses_or_resumes_once_whatever_came_in_between(
    api: httpx2.AsyncClient, first: str, then: str
) -> None:
    run = await held_run(api)
    if first == "resume":
        await api.post(f"{URL}/runs/{run}/pause")
        await folded(api, run, 1)
    assert (await api.post(f"{URL}/runs/{run}/{first}", headers=KEY)).status_code == 202
    assert (await api.post(f"{URL}/runs/{run}/{then}")).status_code == 202
    before = await folded(api, run, 3 if first == "resume" else 2)
    assert (await api.post(f"{URL}/runs/{run}/{first}", headers=KEY)).status_code == 202
    problem(await api.post(f"{URL}/runs/{run}/{then}", headers=KEY), 409, "idempotency_conflict")
    await api.post(f"{URL}/runs/{run}/cancel")
    await ended(api, run)
    events = [event["type"] for event in (await api.get(f"{URL}/runs/{run}/events")).json()["items"]]
    assert events[: len(before)] == before
    assert events[len(before)] == "run.cancel_requested", "nothing was asked of it in between"


async def folded(api: httpx2.AsyncClient, run: str, wishes: int) -> list[str]:
    """What the run has noted once it was paused and resumed so often in all."""
    async with asyncio.timeout(60):
        while True:
            events = [event["type"] for event in (await api.get(f"{URL}/runs/{run}/events")).json()["items"]]
            if sum(event in ("run.paused", "run.resumed") for event in events) == wishes:
                return events
            await api.get(f"{URL}/runs/{run}/events?after={len(events)}&wait_seconds=2")


async def test_a_refused_wish_uses_no_key_up(api: httpx2.AsyncClient) -> None:
    run = (await failed_run(api))["id"]
    for action in ("cancel", "pause", "resume"):
        problem(await api.post(f"{URL}/runs/{run}/{action}", headers=KEY), 409, "run_finished")


async def test_the_doctor_finds_nothing_wrong_with_such_keys(millrace: Installation, api: httpx2.AsyncClient) -> None:
    run = await failed_run(api)
    for path in ("retry", "rerun"):
        await api.post(f"{URL}/runs/{run['id']}/{path}", json={"wait": True}, headers={"Idempotency-Key": path})
    await api.post(f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"workflow": "failing"}}, headers=KEY)
    assert (await api.get(f"{URL}/doctor")).json()["problems"] == []

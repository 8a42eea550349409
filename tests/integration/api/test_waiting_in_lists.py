"""X3: a list of runs says of each why it waits, and who ended it why is told of the single run."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from sqlalchemy import Engine, event

from tests.support.api import create, start
from tests.support.installation import Installation

URL = "/api/v1"
HOLD = {"id": "held", "type": "hold"}


async def begun(millrace: Installation, api: httpx2.AsyncClient, workflow: str) -> str:
    """A run that has got its place: admission, which nobody sees to here, took one turn."""
    run = await start(api, workflow)
    await millrace.store.admit(500)
    millrace.container.workflow_writer.hand_over(await millrace.store.read_inbox(500))
    async with asyncio.timeout(60):
        while (await api.get(f"{URL}/runs/{run['id']}")).json()["started_at"] is None:
            await api.get(f"{URL}/runs/{run['id']}/events?after=1&wait_seconds=1")
    return str(run["id"])


async def listed(api: httpx2.AsyncClient) -> dict[str, list[dict[str, Any]]]:
    items = (await api.get(f"{URL}/runs?limit=200")).json()["items"]
    return {run["id"]: run["waiting_for"] for run in items}


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that SQLAlchemy sends meanwhile, of whatever database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_each_run_of_a_list_says_why_it_waits(millrace: Installation, api: httpx2.AsyncClient) -> None:
    limits = {"concurrency": {"limit": 1}, "rate_limit": {"limit": 1, "per": "1h"}}
    await create(api, {"name": "narrow", "tasks": [HOLD], "concurrency": limits["concurrency"]})
    await create(api, {"name": "rated", "tasks": [HOLD], "rate_limit": limits["rate_limit"]})
    await create(api, {"name": "loads", "tasks": [{**HOLD, "concurrency": {"key": "warehouse", "limit": 1}}]})
    await create(api, {"name": "nobody", "tasks": [{**HOLD, "queue": "far"}]})
    expected: dict[str, Any] = {}
    for name, reason in (("narrow", "concurrency"), ("rated", "rate_limit"), ("loads", "task_limit")):
        expected[await begun(millrace, api, name)] = []
        expected[(await start(api, name))["id"]] = [reason]
    expected[(await start(api, "nobody"))["id"]] = ["no_worker"]
    expected[(await start(api, "narrow", run_at="2999-01-01T00:00:00Z"))["id"]] = ["delayed"]
    paused = (await start(api, "narrow"))["id"]
    await api.post(f"{URL}/runs/{paused}/pause")
    async with asyncio.timeout(60):
        while (await api.get(f"{URL}/runs/{paused}")).json()["status"] != "paused":
            await api.get(f"{URL}/runs/{paused}/events?after=1&wait_seconds=1")
    expected[paused] = ["paused"]
    found = await listed(api)
    assert {run: [wait["reason"] for wait in waits] for run, waits in found.items()} == expected
    for run, waits in found.items():
        alone = (await api.get(f"{URL}/runs/{run}")).json()["waiting_for"]
        assert [wait["reason"] for wait in waits] == [wait["reason"] for wait in alone]
        assert all(wait["message"] for wait in waits)


async def test_many_that_wait_cost_no_more_queries_than_few(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "narrow", "tasks": [HOLD], "concurrency": {"limit": 1}})
    await create(api, {"name": "loads", "tasks": [{**HOLD, "concurrency": {"key": "warehouse", "limit": 1}}]})
    await begun(millrace, api, "narrow")
    await begun(millrace, api, "loads")
    counts = []
    for more in (2, 20):
        for _ in range(more):
            await start(api, "narrow")
            await start(api, "loads")
        with counted() as sent:
            waits = await listed(api)
        counts.append(len(sent))
    assert sum(map(bool, waits.values())) == 44
    assert counts[0] == counts[1] > 0


async def test_who_ended_a_run_and_why(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "ended", "tasks": [HOLD]})
    run = await start(api, "ended")
    assert run["cancel_reason"] is None
    await api.post(f"{URL}/runs/{run['id']}/cancel", json={"reason": "wrong day"})
    await api.post(f"{URL}/runs/{run['id']}/cancel", json={"reason": "at once"})
    while (shown := (await api.get(f"{URL}/runs/{run['id']}")).json())["cancelled_at"] is None:
        await api.get(f"{URL}/runs/{run['id']}/events?after=3&wait_seconds=1")
    assert (shown["cancel_reason"], shown["cancelled_by"]) == ("wrong day", shown["triggered_by"])

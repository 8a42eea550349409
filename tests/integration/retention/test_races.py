"""A retry and a round of retention at the same time: whoever commits first wins, and the other hears of it."""

import asyncio
import json
from collections.abc import Sequence

import asyncpg
import httpx2
import pytest
from sqlalchemy import update

from millrace.ports.store import ClaimRequest, CommitReply, RunChange
from millrace.storage.tables import runs
from tests.integration.retention.test_retention import a_round
from tests.support.api import definition, problem, start
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation


class Gate:
    """Holds up the commits of new runs, while the gate is closed; what is committed is the store's business."""

    def __init__(self, millrace: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        self._commit = millrace.store.commit
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        monkeypatch.setattr(millrace.store, "commit", self)

    async def __call__(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        if any(change.new is not None for change in changes):
            self.arrived.set()
            await self.open.wait()
        return await self._commit(changes, claim)


async def repeated_meanwhile(
    millrace: Installation, api: httpx2.AsyncClient, gate: Gate, path: str, body: dict[str, object]
) -> httpx2.Response:
    """The answer to a repeat that had read its origin before a round of retention, and commits after it."""
    answer = asyncio.create_task(api.post(path, json=body))
    await gate.arrived.wait()
    await a_round(millrace, api)
    gate.open.set()
    return await answer


@pytest.mark.parametrize("body", [{}, {"from_task": "b"}], ids=["whole", "from a task"])
async def test_a_repeat_of_a_run_that_is_deleted_meanwhile_is_refused(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, body: dict[str, object]
) -> None:
    await two_tasks(api, runs="1ms")
    run = await start(api, "two", wait=True)
    gate = Gate(millrace, monkeypatch)

    answer = await repeated_meanwhile(millrace, api, gate, f"/api/v1/runs/{run['id']}/rerun", body)

    assert "retention" in problem(answer, 404, "run_not_found")["detail"]
    assert (await api.get("/api/v1/runs")).json()["items"] == []


async def test_what_is_to_be_taken_over_may_lose_its_outputs_meanwhile(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_tasks(api, payloads="1ms")
    run = await start(api, "two", wait=True)
    gate = Gate(millrace, monkeypatch)

    answer = await repeated_meanwhile(millrace, api, gate, f"/api/v1/runs/{run['id']}/rerun", {"from_task": "b"})

    problem(answer, 409, "payloads_deleted")
    whole = await api.post(f"/api/v1/runs/{run['id']}/rerun", json={"wait": True})
    assert whole.json()["status"] == "completed", "its input is still there"


async def test_the_refusal_names_the_run_whose_outputs_are_gone(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workflow_of(api, {"id": "a", "type": "echo", "config": {"value": 1}}, {"id": "b", "type": "fail"})
    first = await start(api, "two", wait=True)
    second = (await api.post(f"/api/v1/runs/{first['id']}/retry", json={"wait": True})).json()
    gate = Gate(millrace, monkeypatch)

    answer = asyncio.create_task(api.post(f"/api/v1/runs/{second['id']}/retry", json={}))
    await gate.arrived.wait()
    gone = update(runs).where(runs.c.id == first["id"]).values(payloads_deleted_at=1)
    await millrace.database.write(lambda connection: connection.execute(gone))
    gate.open.set()

    detail = problem(await answer, 409, "payloads_deleted")["detail"]
    assert first["id"] in detail, "task a of the second run was taken over from it"
    assert second["id"] not in detail


async def test_a_repeat_that_committed_first_keeps_its_family(millrace: Installation, api: httpx2.AsyncClient) -> None:
    held = {"id": "b", "type": "hold", "if": "{{ input.held }}"}
    await workflow_of(api, {"id": "a", "type": "echo", "config": {"value": 1}}, held, runs="1ms", payloads="1ms")
    run = await start(api, "two", wait=True, input={"held": False})
    again = (await api.post(f"/api/v1/runs/{run['id']}/rerun", json={"input": {"held": True}})).json()

    assert (await a_round(millrace, api))["runs"] == 0

    for run_id in (run["id"], again["id"]):
        assert (await api.get(f"/api/v1/runs/{run_id}")).json()["payloads_deleted_at"] is None


SOMEBODY_WAITS = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
YOUNG = """
insert into runs (id, workflow_id, version_id, status, phase, revision, last_seq, trigger_type, root_run_id, retry_of,
                  created_at)
select 'f' || substr(id, 2), workflow_id, version_id, 'paused', 'main', 1, 0, 'manual', id, id, created_at
from runs where id = $1
"""


@ON_POSTGRES
async def test_a_repeat_that_is_just_being_committed_keeps_its_family(
    millrace: Installation, api: httpx2.AsyncClient, database_url: str
) -> None:
    """The round has looked already, and waits at the run that the repeat holds."""
    await two_tasks(api, runs="1ms")
    run = await start(api, "two", wait=True)
    repeating = await asyncpg.connect(database_url)
    try:
        async with repeating.transaction():
            origin = json.dumps({"origins": [{"id": run["id"], "adopted": False}]})
            assert await repeating.fetchval("select refusal_of($1, null::runs)", origin) is None
            await repeating.execute(YOUNG, run["id"])
            millrace.container.retention.request()
            deleting = asyncio.create_task(millrace.container.retention.run_once())
            async with asyncio.timeout(60):
                while not await repeating.fetchval(SOMEBODY_WAITS):
                    assert not deleting.done()
        await deleting
    finally:
        await repeating.close()
    assert (await api.get(f"/api/v1/runs/{run['id']}")).status_code == 200


async def two_tasks(api: httpx2.AsyncClient, **retention: str) -> None:
    await workflow_of(api, *({"id": id_, "type": "echo", "config": {"value": 1}} for id_ in "ab"), **retention)


async def workflow_of(api: httpx2.AsyncClient, *tasks: dict[str, object], **retention: str) -> None:
    answer = await api.post("/api/v1/workflows", json={**definition("two", *tasks), "retention": retention})
    assert answer.status_code == 201, answer.text

"""X3, X4, X5, X6, X9: runs over HTTP."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.support.api import ECHO, create, definition, problem, start
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1"
HOLD = {"id": "held", "type": "hold"}

RUN_FIELDS = {
    "id", "workflow", "status", "trigger_type", "trigger_id", "triggered_by", "input", "variables", "output", "error",
    "correlation_id", "priority", "parent", "retry_of", "created_at", "started_at", "finished_at", "cancelled_at",
    "cancelled_by",
}  # fmt: skip
TASK_FIELDS = {"task", "type", "status", "attempt", "input", "output", "error", "started_at", "finished_at", "worker"}

TRIGGER_REMEDY = "one of cron, email, event, github, interval, manual, once, sub_workflow, test, webhook"


async def finished(api: httpx2.AsyncClient, run_id: str) -> dict:
    """The run once it has finished: follows its records, as the command line does."""
    async with asyncio.timeout(20):
        after = 0
        while True:
            run = (await api.get(f"{URL}/runs/{run_id}")).json()
            if run["finished_at"] is not None:
                return run
            page = (await api.get(f"{URL}/runs/{run_id}/events?after={after}&wait_seconds=5")).json()
            after = max([after, *(record["seq"] for record in page["items"])])


async def test_a_run_that_is_waited_for_answers_200_with_its_end(api: httpx2.AsyncClient) -> None:
    workflow = await create(api, {**definition("waited"), "variables": {"region": "eu", "size": 1}})
    body = {"input": {"day": "x"}, "variables": {"size": 2}, "wait": True, "correlation_id": "c-1", "priority": 5}
    response = await api.post(f"{URL}/workflows/waited/execute", json=body)
    assert response.status_code == 200
    run = response.json()
    assert set(run) >= RUN_FIELDS
    assert run["status"] == "completed"
    assert run["workflow"] == {"id": workflow["id"], "name": "waited", "version": 1}
    assert run["input"] == {"day": "x"}
    assert run["variables"] == {"region": "eu", "size": 2}
    assert (run["correlation_id"], run["priority"], run["trigger_type"]) == ("c-1", 5, "manual")
    assert run["triggered_by"] == workflow["created_by"]
    assert response.headers["Location"] == f"{URL}/runs/{run['id']}"
    assert (await api.get(f"{URL}/runs/{run['id']}")).json() == run


async def test_a_run_is_started_without_waiting(api: httpx2.AsyncClient) -> None:
    await create(api, definition("held", HOLD))
    response = await api.post(f"{URL}/workflows/held/execute")
    assert response.status_code == 202
    assert response.json()["finished_at"] is None


@pytest.mark.parametrize("path", ["execute", "run", "trigger/manual"])
async def test_the_aliases_of_execute_and_of_its_fields(api: httpx2.AsyncClient, path: str) -> None:
    await create(api, definition("aliased"))
    body = {"input_data": {"a": 1}, "async_mode": False}
    response = await api.post(f"{URL}/workflows/aliased/{path}", json=body)
    assert response.status_code == 200
    assert response.json()["input"] == {"a": 1}


async def test_waiting_ends_with_202_at_its_limit(api: httpx2.AsyncClient) -> None:
    await create(api, definition("long", HOLD))
    response = await api.post(f"{URL}/workflows/long/execute", json={"wait": True, "wait_seconds": 0.05})
    assert response.status_code == 202


async def test_a_chosen_version_and_the_deployed_one(api: httpx2.AsyncClient) -> None:
    await create(api, definition("versions"))
    await api.put(f"{URL}/workflows/versions", json={"tasks": [{**ECHO, "config": {"value": 2}}]})
    await api.put(f"{URL}/workflows/versions", json={"tasks": [{**ECHO, "config": {"value": 3}}], "deploy": False})
    for body, version in (({}, 2), ({"version": 1}, 1), ({"version": 3}, 3)):
        run = await start(api, "versions", wait=True, **body)
        assert run["workflow"]["version"] == version
        task = (await api.get(f"{URL}/runs/{run['id']}/tasks/a")).json()
        assert task["output"] == version
    refused = await api.post(f"{URL}/workflows/versions/execute", json={"version": 9})
    problem(refused, 404, "version_not_found")


async def test_a_started_workflow_is_answered_from_memory_and_never_stale(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await create(api, definition("cached", HOLD))
    await start(api, "cached")
    before = millrace.database.reads
    await start(api, "cached")
    assert millrace.database.reads == before + 1, "the run itself is read for the answer, and nothing else"
    await api.put(f"{URL}/workflows/cached", json={"tasks": [ECHO]})
    assert (await start(api, "cached", wait=True))["workflow"]["version"] == 2
    await api.patch(f"{URL}/workflows/cached", json={"status": "inactive"})
    problem(await api.post(f"{URL}/workflows/cached/execute"), 409, "workflow_inactive")
    await api.delete(f"{URL}/workflows/cached")
    problem(await api.post(f"{URL}/workflows/cached/execute"), 404, "workflow_not_found")


@pytest.mark.parametrize(
    ("status", "starts"), [("draft", True), ("paused", True), ("inactive", False), ("archived", False)]
)
async def test_which_status_takes_starts(api: httpx2.AsyncClient, status: str, starts: bool) -> None:
    await create(api, {**definition("status"), "status": status})
    response = await api.post(f"{URL}/workflows/status/execute", json={"wait": True})
    if starts:
        assert response.status_code == 200
    else:
        problem(response, 409, "workflow_inactive")


async def test_input_is_checked_against_the_schema(api: httpx2.AsyncClient) -> None:
    schema = {"type": "object", "required": ["day"], "properties": {"day": {"type": "string"}}}
    await create(api, {**definition("checked"), "input": schema})
    found = problem(await api.post(f"{URL}/workflows/checked/execute", json={}), 422, "invalid_input")
    assert "day" in found["faults"][0]["path"] + found["faults"][0]["message"]
    assert (await api.get(f"{URL}/runs")).json()["items"] == []


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ({"wait": True}, True),
        ({"wait": True, "async_mode": False}, True),
        ({"async_mode": False}, True),
        ({"wait": True, "async_mode": None}, True),
        ({"wait": False, "async_mode": True}, False),
        ({"async_mode": True}, False),
    ],
)
async def test_both_words_for_waiting_may_agree(api: httpx2.AsyncClient, words: dict, waits: bool) -> None:
    await create(api, definition("agreed", HOLD if not waits else ECHO))
    response = await api.post(f"{URL}/workflows/agreed/execute", json=words)
    assert response.status_code == (200 if waits else 202)


async def test_the_same_key_starts_one_run(api: httpx2.AsyncClient) -> None:
    await create(api, definition("keyed"))
    await create(api, definition("other"))
    url, key = f"{URL}/workflows/keyed/execute", {"Idempotency-Key": "order-1"}
    first = await api.post(url, json={"input": {"a": 1, "b": 2}}, headers=key)
    again = await api.post(url, json={"input": {"b": 2, "a": 1}, "idempotency_key": "order-1"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    refused = await api.post(url, json={"input": {"a": 2}}, headers=key)
    assert first.json()["id"] in problem(refused, 409, "idempotency_conflict")["detail"]
    elsewhere = await api.post(f"{URL}/workflows/other/execute", json={"input": {"a": 2}}, headers=key)
    assert elsewhere.status_code == 202
    assert len((await api.get(f"{URL}/runs?workflow=keyed")).json()["items"]) == 1
    both = await api.post(url, json={"idempotency_key": "x"}, headers=key)
    problem(both, 422, "invalid_request")


async def test_a_known_key_is_answered_also_when_the_workflow_takes_no_starts_any_more(api: httpx2.AsyncClient) -> None:
    await create(api, definition("closed"))
    url, key = f"{URL}/workflows/closed/execute", {"Idempotency-Key": "k"}
    first = (await api.post(url, headers=key)).json()
    await api.patch(f"{URL}/workflows/closed", json={"status": "inactive"})
    again = await api.post(url, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    problem(await api.post(url, json={"input": {"x": 1}}, headers=key), 409, "idempotency_conflict")
    problem(await api.post(url, headers={"Idempotency-Key": "new"}), 409, "workflow_inactive")


async def test_a_key_used_by_many_at_once_starts_one_run(api: httpx2.AsyncClient) -> None:
    await create(api, definition("raced"))
    url, key = f"{URL}/workflows/raced/execute", {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(api.post(url, headers=key) for _ in range(20)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]


async def test_cancel_ends_what_runs(api: httpx2.AsyncClient) -> None:
    await create(api, definition("held", HOLD, {"id": "never", "type": "echo"}))
    run = await start(api, "held")
    response = await api.post(f"{URL}/runs/{run['id']}/cancel", json={"reason": "wrong day"})
    assert (response.status_code, response.json()) == (202, {"id": run["id"], "cancelling": True})
    ended = await finished(api, run["id"])
    assert ended["status"] == "cancelled"
    assert ended["cancelled_by"] == run["triggered_by"]
    records = (await api.get(f"{URL}/runs/{run['id']}/events")).json()["items"]
    asked = next(record for record in records if record["type"] == "run.cancel_requested")
    assert asked["data"]["reason"] == "wrong day"
    problem(await api.post(f"{URL}/runs/{run['id']}/cancel"), 409, "run_finished")
    problem(await api.post(f"{URL}/runs/nobody/cancel"), 404, "run_not_found")


async def test_stop_cancels_all_live_runs_of_one_workflow(api: httpx2.AsyncClient) -> None:
    await create(api, definition("stopped", HOLD))
    await create(api, definition("untouched", HOLD))
    runs = [await start(api, "stopped") for _ in range(3)]
    other = await start(api, "untouched")
    response = await api.post(f"{URL}/workflows/stopped/stop", json={"reason": "enough"})
    assert (response.status_code, response.json()) == (200, {"stopped": 3})
    assert {(await finished(api, run["id"]))["status"] for run in runs} == {"cancelled"}
    assert (await api.get(f"{URL}/runs/{other['id']}")).json()["finished_at"] is None
    assert (await api.post(f"{URL}/workflows/stopped/stop")).json() == {"stopped": 0}


async def test_a_deleted_workflow_keeps_its_runs(api: httpx2.AsyncClient) -> None:
    await create(api, definition("gone", HOLD))
    run = await start(api, "gone")
    await api.delete(f"{URL}/workflows/gone")
    shown = (await api.get(f"{URL}/runs/{run['id']}")).json()
    assert (shown["workflow"]["name"], shown["finished_at"]) == ("gone", None)
    await api.post(f"{URL}/runs/{run['id']}/cancel")
    assert (await finished(api, run["id"]))["status"] == "cancelled"


@pytest.mark.parametrize("name", ["tasks", "steps"])
async def test_tasks_come_in_the_order_of_the_definition(api: httpx2.AsyncClient, name: str) -> None:
    tasks = [{"id": task, "type": "echo", "config": {"value": task}} for task in ("z", "a", "m", "b", "y")]
    await create(api, definition("ordered", *tasks))
    run = await start(api, "ordered", wait=True)
    seen: list[dict] = []
    cursor = ""
    while True:
        page = (await api.get(f"{URL}/runs/{run['id']}/{name}?limit=2{cursor}")).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [task["path"] for task in seen] == ["z", "a", "m", "b", "y"]
    assert all(set(task) >= TASK_FIELDS for task in seen)
    one = (await api.get(f"{URL}/runs/{run['id']}/{name}/m")).json()
    assert (one["task"], one["output"], one["attempt"], one["input"]) == ("m", "m", 1, {"value": "m"})
    problem(await api.get(f"{URL}/runs/{run['id']}/{name}/nothing"), 404, "task_run_not_found")
    problem(await api.get(f"{URL}/runs/nobody/{name}"), 404, "run_not_found")
    problem(await api.get(f"{URL}/runs/nobody/{name}/m"), 404, "run_not_found")


async def test_large_payloads_are_left_out_of_lists(api: httpx2.AsyncClient) -> None:
    large = "x" * 70_000
    await create(api, definition("large", {"id": "a", "type": "echo", "config": {"value": large}}))
    run = await start(api, "large", wait=True, input={"text": large})
    listed = (await api.get(f"{URL}/runs")).json()["items"][0]
    assert (listed["input"], listed["omitted"]) == (None, ["input"])
    assert (await api.get(f"{URL}/runs/{run['id']}")).json()["input"] == {"text": large}
    task = (await api.get(f"{URL}/runs/{run['id']}/tasks")).json()["items"][0]
    assert (task["output"], task["omitted"]) == (None, ["input", "output"])
    assert (await api.get(f"{URL}/runs/{run['id']}/tasks/a")).json()["output"] == large


async def test_a_failed_run_says_why(api: httpx2.AsyncClient) -> None:
    await create(api, definition("failing", {"id": "bad", "type": "fail"}))
    run = await start(api, "failing", wait=True)
    assert run["status"] == "failed"
    task = (await api.get(f"{URL}/runs/{run['id']}/tasks/bad")).json()
    assert task["error"] == {"kind": "error", "message": "it was asked to fail"}


async def test_records_are_numbered_without_gaps_and_paged(api: httpx2.AsyncClient) -> None:
    await create(api, definition("recorded"))
    run = await start(api, "recorded", wait=True)
    whole = (await api.get(f"{URL}/runs/{run['id']}/events")).json()
    assert [record["seq"] for record in whole["items"]] == list(range(1, len(whole["items"]) + 1))
    assert whole["items"][0]["type"] == "run.created"
    assert whole["items"][-1]["type"] == "run.completed"
    assert whole["next_cursor"] is None
    first = (await api.get(f"{URL}/runs/{run['id']}/events?limit=2")).json()
    rest = (await api.get(f"{URL}/runs/{run['id']}/events?cursor={first['next_cursor']}")).json()
    assert first["items"] + rest["items"] == whole["items"]
    assert (await api.get(f"{URL}/runs/{run['id']}/events?after=2")).json()["items"] == rest["items"]
    problem(await api.get(f"{URL}/runs/nobody/events"), 404, "run_not_found")


async def test_following_waits_for_news_and_ends_with_the_run(api: httpx2.AsyncClient) -> None:
    await create(api, definition("followed", HOLD))
    run = await start(api, "followed")
    url = f"{URL}/runs/{run['id']}/events"
    last = (await api.get(url)).json()["items"][-1]["seq"]
    waiting = asyncio.create_task(api.get(f"{url}?after={last}&wait_seconds=20"))
    empty = (await api.get(f"{url}?after={last}&wait_seconds=0.02")).json()
    assert empty["items"] == []
    await api.post(f"{URL}/runs/{run['id']}/cancel")
    async with asyncio.timeout(10):
        assert (await waiting).json()["items"][0]["seq"] == last + 1
        await finished(api, run["id"])
        over = (await api.get(f"{url}?after=1000&wait_seconds=30")).json()
    assert over == {"items": [], "next_cursor": None}


async def test_logs_are_read_by_task_and_level(api: httpx2.AsyncClient) -> None:
    tasks = [{"id": task, "type": "echo", "config": {"value": task}} for task in ("one", "two")]
    await create(api, definition("logged", *tasks))
    run = await start(api, "logged", wait=True)
    url = f"{URL}/runs/{run['id']}/logs"
    lines = (await api.get(url)).json()["items"]
    assert [(line["seq"], line["path"], line["text"]) for line in lines] == [
        (1, "one", "echo of one"),
        (2, "two", "echo of two"),
    ]
    assert lines[0]["level"] == "info"
    assert [line["seq"] for line in (await api.get(f"{url}?task=two")).json()["items"]] == [2]
    assert (await api.get(f"{url}?level=error,warning")).json()["items"] == []
    assert [line["seq"] for line in (await api.get(f"{url}?after=1")).json()["items"]] == [2]


async def test_runs_are_listed_newest_first_and_filtered(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("quick"), "labels": {"team": "data"}})
    await create(api, definition("held", HOLD))
    runs = [(await start(api, "quick", wait=True, correlation_id=f"c{n % 2}"))["id"] for n in range(4)]
    held = (await start(api, "held"))["id"]

    async def ids(query: str = "") -> list[str]:
        return [item["id"] for item in (await api.get(f"{URL}/runs?{query}")).json()["items"]]

    newest_first = [held, *reversed(runs)]
    assert await ids() == newest_first
    assert await ids("status=completed") == newest_first[1:]
    assert await ids("status=running") == [held]
    assert await ids("workflow=held") == [held]
    assert await ids("correlation_id=c1") == [runs[3], runs[1]]
    assert await ids("label=team:data") == newest_first[1:]
    assert await ids("label=team:other") == []
    assert await ids("trigger_type=cron") == []
    for path in ("runs", "workflows/held/runs"):
        for word in ("crn", "", "cron,manual"):
            refused = await api.get(f"{URL}/{path}", params={"trigger_type": word})
            (fault,) = problem(refused, 422, "invalid_request")["faults"]
            assert (fault["path"], fault["remedy"]) == ("query.trigger_type", TRIGGER_REMEDY)
    assert await ids("trigger_type=manual&limit=2") == newest_first[:2]
    middle = (await api.get(f"{URL}/runs/{runs[2]}")).json()["created_at"]
    assert await ids(f"created_after={middle}") == [held, runs[3], runs[2]]
    assert await ids(f"created_before={middle}") == [runs[1], runs[0]]
    first = (await api.get(f"{URL}/runs?limit=3")).json()
    second = (await api.get(f"{URL}/runs?limit=3&cursor={first['next_cursor']}")).json()
    assert [item["id"] for item in first["items"] + second["items"]] == newest_first
    assert second["next_cursor"] is None
    of_one = (await api.get(f"{URL}/workflows/quick/runs")).json()["items"]
    assert [item["id"] for item in of_one] == newest_first[1:]


async def test_a_run_beyond_the_limit_waits_for_its_admission(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("limited", HOLD), "concurrency": {"limit": 1}})
    run = await start(api, "limited")
    assert run["status"] == "pending"


async def test_the_first_key_is_private_and_shown_once(millrace: Installation, tmp_path: Path) -> None:
    from millrace.auth.first_admin import ensure_first_admin
    from millrace.system import SystemClock, Uuid7Ids

    place = tmp_path / "home" / "api-key"
    assert place.read_text() == millrace.key
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert await ensure_first_admin(millrace.database, SystemClock(), Uuid7Ids(), place.parent) is None
    assert place.read_text() == millrace.key

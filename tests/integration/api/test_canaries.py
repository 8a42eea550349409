"""W4: a share of the triggered runs on a second version, and the outcomes side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.app.canary.choosing import place_of
from millrace.auth.permissions import Role
from tests.integration.api.test_backfills import HOURLY, hours_ago
from tests.integration.api.test_triggers import client_of
from tests.support.api import ECHO, create, definition, problem, start
from tests.support.installation import Installation, installation
from tests.support.routing_kit import Millrace, millrace_on, waiting_for
from tests.support.webhooks import HOOK

URL = "/api/v1/workflows"
OTHER = {"tasks": [{"id": "a", "type": "echo", "config": {"value": 2}}]}
NOTHING = {"completed": 0, "failed": 0, "cancelled": 0, "unfinished": 0}


@pytest.fixture
async def kit(tmp_path: Path, database_url: str | None) -> AsyncIterator[Millrace]:
    async with millrace_on(tmp_path / "home", database_url) as started:
        yield started


async def second_version(api: httpx2.AsyncClient, workflow: str, **fields: Any) -> None:
    """Save another version, and deploy it not."""
    answer = await api.put(f"{URL}/{workflow}", json={**(fields or OTHER), "deploy": False})
    assert answer.status_code == 200, answer.text


async def canary_of(api: httpx2.AsyncClient, workflow: str, version: int = 2, share: float = 50) -> dict[str, Any]:
    answer = await api.put(f"{URL}/{workflow}/canary", json={"version": version, "share": share})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def got(api: httpx2.AsyncClient, path: str) -> Any:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def all_of(api: httpx2.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await got(api, f"{path}?limit=200{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def versions_by_hash(api: httpx2.AsyncClient, canary: dict[str, Any]) -> dict[str, int]:
    """The version that each run of the workflow that a trigger started must have, by its id."""
    workflow = canary["workflow"]["id"]
    firings = await all_of(api, f"{URL}/{workflow}/firings")
    places = {one["run_id"]: place_of(canary["id"], one["trigger_id"], one["start_key"]) for one in firings}
    share = canary["share"] * 100
    return {run: canary["version"] if place < share else canary["stable"] for run, place in places.items()}


# --- which runs it takes ----------------------------------------------------------------------------------------------


async def test_events_are_shared_out_as_their_keys_say_and_the_outcomes_are_told(kit: Millrace) -> None:
    await kit.deploy("told", waiting_for("tick", input={"n": "{{ trigger.event.data.n }}"}))
    fails_for_odd_ones = [{"id": "a", "type": "transform", "config": {"output": "{{ [1][input.n] }}"}}]
    await second_version(kit.api, "told", tasks=fails_for_odd_ones)
    outer = {"id": "sub", "type": "sub_workflow", "config": {"workflow": "told", "input": {"n": 0}}}
    await create(kit.api, definition("outer", outer))
    canary = await canary_of(kit.api, "told", share=30)
    events = [{"source": "s", "id": str(n), "data": {"n": n % 2}} for n in range(300)]
    await asyncio.gather(*(kit.publish("tick", **event) for event in events))
    await asyncio.gather(*(kit.publish("tick", **event) for event in events[::3]))
    assert (await start(kit.api, "told", input={"n": 0}, wait=True))["workflow"]["version"] == 1
    await start(kit.api, "outer", wait=True)
    await kit.until_routed()

    async def all_done() -> list[dict[str, Any]] | None:
        runs = await all_of(kit.api, f"{URL}/told/runs")
        return runs if len(runs) >= 302 and all(run["finished_at"] for run in runs) else None

    runs = await kit.until(all_done)
    assert len(runs) == 302, "each event one run, however often it was told; one by hand, one by a task"
    wanted = await versions_by_hash(kit.api, canary)
    triggered = [run for run in runs if run["trigger_type"] == "event"]
    assert {run["id"]: run["workflow"]["version"] for run in triggered} == wanted
    assert 60 <= list(wanted.values()).count(2) <= 120
    assert {run["workflow"]["version"] for run in runs if run["trigger_type"] != "event"} == {1}

    failed = next(run for run in triggered if run["status"] == "failed")
    failed_why = (await kit.get(f"/runs/{failed['id']}"))["error"]["message"]
    repeated = await kit.post(f"/runs/{failed['id']}/retry")
    assert repeated["workflow"]["version"] == 2, "a repetition keeps its version"
    await kit.until_runs("told", 200)
    shown = (await kit.get("/workflows/told/canary"))["outcomes"]
    assert (shown["looked_at"], shown["complete"]) == (303, True)
    for side, version in (("stable", 1), ("canary", 2)):
        told_as_listed(shown[side], version, [run for run in triggered if run["workflow"]["version"] == version])
    assert shown["canary"]["last_failure"]["run_id"] == failed["id"]
    assert shown["canary"]["last_failure"]["message"] == failed_why


def told_as_listed(told: dict[str, Any], version: int, runs: Sequence[dict[str, Any]]) -> None:
    """The figures are those of the runs, of which all have finished, as their list has them."""
    statuses = [run["status"] for run in runs]
    counts = {status: statuses.count(status) for status in ("completed", "failed", "cancelled")}
    assert {name: told[name] for name in NOTHING} == {**counts, "unfinished": 0}
    assert (told["version"], told["total"]) == (version, len(runs))
    assert told["failure_rate"] == round(counts["failed"] / len(runs), 4)
    for name, part in (("p50", 0.5), ("p95", 0.95)):
        within = sum(milliseconds(run) <= told["duration_ms"][name] + 1e-6 for run in runs)
        below = sum(milliseconds(run) < told["duration_ms"][name] - 1e-6 for run in runs)
        assert below < part * len(runs) <= within


def milliseconds(run: dict[str, Any]) -> float:
    took = datetime.fromisoformat(run["finished_at"]) - datetime.fromisoformat(run["started_at"])
    return took.total_seconds() * 1000


async def test_schedules_backfills_and_webhooks_are_shared_as_well(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = {**HOOK, "config": {"path": "shared", "auth": {"type": "none"}}}
    await create(api, {**definition("hours"), "triggers": [HOURLY, hook]})
    await second_version(api, "hours")
    before = await delivered(millrace, 5)
    canary = await canary_of(api, "hours")
    by_name = {one["name"]: one["id"] for one in (await got(api, f"{URL}/hours/triggers"))["items"]}
    range_ = {"from": hours_ago(20), "until": hours_ago(1), "order": "parallel", "max_parallel": 20}
    assert (await api.post(f"/api/v1/triggers/{by_name['hourly']}/backfill", json=range_)).status_code == 202
    await millrace.container.triggers.backfill_filler.run_once()
    await delivered(millrace, 20)
    runs = [run for run in await all_of(api, f"{URL}/hours/runs") if run["id"] not in before]
    assert len(runs) == 40
    wanted = await versions_by_hash(api, canary)
    assert [run["workflow"]["version"] for run in runs] == [wanted[run["id"]] for run in runs]
    for kind in ("cron", "webhook"):
        assert {run["workflow"]["version"] for run in runs if run["trigger_type"] == kind} == {1, 2}

    assert (await api.delete(f"{URL}/hours/canary")).status_code == 200
    after = await delivered(millrace, 5)
    versions = {run["id"]: run["workflow"]["version"] for run in await all_of(api, f"{URL}/hours/runs")}
    assert {versions[run] for run in before | after} == {1}
    path = f"{URL}/hours/canaries/{canary['id']}"
    shown = (await got(api, path))["outcomes"]
    assert (shown["looked_at"], shown["complete"]) == (40, True), "not those before and after it"
    assert [shown["stable"]["total"], shown["canary"]["total"]] == [
        sum(run["workflow"]["version"] == version for run in runs) for version in (1, 2)
    ]
    monkeypatch.setattr("millrace.app.canary.queries.MOST_RUNS", 15)
    shown = (await got(api, path))["outcomes"]
    assert (shown["looked_at"], shown["complete"]) == (15, False)
    newest = [run["workflow"]["version"] for run in runs[:15]]
    assert [shown["stable"]["total"], shown["canary"]["total"]] == [newest.count(1), newest.count(2)]


async def delivered(millrace: Installation, count: int) -> set[str]:
    """The ids of the runs that so many requests to the webhook have started."""
    async with millrace.client("") as sender:
        answers = [await sender.post("/webhook/shared", json=number) for number in range(count)]
    assert {answer.status_code for answer in answers} == {202}
    return {answer.json()["run_id"] for answer in answers}


async def test_input_that_the_canary_refuses_is_a_refused_firing_that_names_it(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    hook = {**HOOK, "config": {"path": "typed", "auth": {"type": "none"}}}
    await create(api, {**definition("typed"), "triggers": [hook]})
    await second_version(api, "typed", input={"type": "object", "required": ["day"]})
    await canary_of(api, "typed", share=99.99)
    async with millrace.client("") as sender:
        answer = await sender.post("/webhook/typed", json={})
        problem(answer, 422, "not_started")
    (firing,) = (await got(api, f"{URL}/typed/firings"))["items"]
    assert (firing["decision"], firing["run_id"]) == ("refused", None)
    assert firing["reason"].startswith("the canary, version 2, does not take it: ")
    assert "day" in firing["reason"]
    assert (await start(api, "typed"))["workflow"]["version"] == 1, "an explicit start takes the deployed version"


# --- how it begins and ends -------------------------------------------------------------------------------------------


async def test_it_is_begun_changed_shown_and_listed(api: httpx2.AsyncClient) -> None:
    made = await create(api, definition("w"))
    await second_version(api, "w")
    await second_version(api, "w", timeout="5m")
    await api.patch(f"{URL}/w/versions/2", json={"tag": "next"})
    assert (await got(api, f"{URL}/w"))["canary"] is None
    begun = await api.put(f"{URL}/w/canary", json={"version": "next", "share": 0.01})
    shown = begun.json()
    admin = made["created_by"]
    side = {**NOTHING, "total": 0, "failure_rate": None, "duration_ms": None, "last_failure": None}
    assert shown == {
        "id": shown["id"],
        "workflow": {"id": made["id"], "name": "w"},
        "version": 2,
        "stable": 1,
        "share": 0.01,
        "since": shown["since"],
        "started_by": admin,
        "outcome": None,
        "ended_at": None,
        "ended_by": None,
        "outcomes": {
            "looked_at": 0,
            "complete": True,
            "stable": {"version": 1, **side},
            "canary": {"version": 2, **side},
        },
    }
    short = {"version": 2, "share": 0.01, "since": shown["since"]}
    for path in ("", "/deploy"):
        assert (await got(api, f"{URL}/w{path}"))["canary"] == short
    detail = await api.get(f"{URL}/w")
    assert detail.headers["ETag"] == begun.headers["ETag"]
    assert detail.json()["updated_at"] > made["updated_at"]
    assert (await got(api, f"{URL}/w/canary")) == shown

    same = await api.put(f"{URL}/w/canary", json={"version": 2, "share": 0.01})
    assert (same.json(), same.headers["ETag"]) == (shown, begun.headers["ETag"]), "nothing was changed"
    larger = await api.put(f"{URL}/w/canary", json={"version": 2, "share": 33.33})
    assert larger.json() == {**shown, "share": 33.33}
    assert larger.headers["ETag"] != begun.headers["ETag"]
    other = await canary_of(api, "w", version=3)
    items = (await got(api, f"{URL}/w/canaries"))["items"]
    assert [(item["version"], item["share"], item["outcome"]) for item in items] == [
        (3, 50, None),
        (2, 33.33, "replaced"),
    ]
    assert (items[1]["ended_by"], items[1]["ended_at"]) == (admin, other["since"])
    page = await got(api, f"{URL}/w/canaries?limit=1")
    second = await got(api, f"{URL}/w/canaries?limit=1&cursor={page['next_cursor']}")
    assert page["items"] + second["items"] == items
    past = await got(api, f"{URL}/w/canaries/{shown['id']}")
    assert past == {**items[1], "outcomes": shown["outcomes"]}


ENDS = {
    "promoted": ("POST", "/canary/promote", {"comment": "well done"}, "promoted", 2),
    "its version deployed": ("POST", "/deploy", {"version": 2}, "promoted", 2),
    "saved again and deployed": ("PUT", "", {"deploy": True, "description": "x"}, "replaced", 3),
    "another deployed": ("PUT", "/deploy", {"version": 3}, "replaced", 3),
    "saved and deployed": ("PATCH", "", {"timeout": "1h"}, "replaced", 4),
    "task changed": ("POST", "/tasks", {"id": "z", "type": "echo"}, "replaced", 4),
    "rolled back": ("POST", "/rollback", {"version": 1}, "replaced", 4),
    "undeployed": ("DELETE", "/deploy", None, "replaced", None),
    "a draft again": ("PATCH", "", {"status": "draft"}, "replaced", None),
    "stopped": ("DELETE", "/canary", None, "stopped", 1),
}
GOES_ON: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/disable", None),
    ("POST", "/enable", None),
    ("PATCH", "", {"status": "inactive"}),
    ("PATCH", "", {"status": "active", "name": "renamed"}),
    ("PATCH", "", {"timeout": "9m", "deploy": False}),
    ("POST", "/rollback", {"version": 1, "deploy": False}),
    ("POST", "/deploy", {"version": 1}),
    ("PUT", "/test-mode", {"on": False}),
)


async def test_it_ends_with_the_deployment_that_it_stands_beside_whatever_ends_that(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    for number, (way, (method, path, body, outcome, deployed)) in enumerate(ENDS.items()):
        made = await create(api, definition(f"w{number}"))
        await second_version(api, made["id"])
        await second_version(api, made["id"], timeout="5m")
        begun = await canary_of(api, made["id"])
        answer = await api.request(method, f"{URL}/{made['id']}{path}", json=body)
        assert answer.status_code in (200, 201), (way, answer.text)
        shown = await got(api, f"{URL}/{made['id']}")
        assert (shown["canary"], shown["deployed_version"]) == (None, deployed), way
        problem(await api.get(f"{URL}/{made['id']}/canary"), 404, "canary_not_found")
        ended = await got(api, f"{URL}/{made['id']}/canaries/{begun['id']}")
        assert (ended["outcome"], ended["ended_by"]) == (outcome, made["created_by"]), way
        assert ended["ended_at"] == shown["updated_at"] > begun["since"], way
        problem(await api.post(f"{URL}/{made['id']}/canary/promote"), 404, "canary_not_found")
        problem(await api.delete(f"{URL}/{made['id']}/canary"), 404, "canary_not_found")
    promoted = (await got(api, f"{URL}/w0/deployments"))["items"][0]
    assert (promoted["action"], promoted["version"], promoted["message"]) == ("deploy", 2, "well done")

    made = await create(api, definition("deleted"))
    await second_version(api, "deleted")
    await canary_of(api, "deleted")
    assert (await api.delete(f"{URL}/deleted")).status_code == 204
    left = await millrace.database.read(
        lambda c: c.exec_driver_sql("select outcome from canaries where ended_at is null").all()
    )
    assert left == []


async def test_what_leaves_the_deployed_version_alone_leaves_it_alone(api: httpx2.AsyncClient) -> None:
    made = await create(api, definition("w"))
    await second_version(api, "w")
    begun = await canary_of(api, "w")
    for method, path, body in GOES_ON:
        answer = await api.request(method, f"{URL}/{made['id']}{path}", json=body)
        assert answer.status_code == 200, (method, path, answer.text)
        shown = await got(api, f"{URL}/{made['id']}")
        assert shown["canary"] == {"version": 2, "share": 50, "since": begun["since"]}, (method, path, body)
        assert shown["deployed_version"] == 1


async def test_what_cannot_be_a_canary_is_refused_and_leaves_the_one_there_is(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    path = f"{URL}/w/canary"
    await create(api, definition("w", {"id": "a", "type": "hold"}))
    await api.delete(f"{URL}/w/deploy")
    nothing = problem(await api.put(path, json={"version": 1, "share": 10}), 409, "nothing_deployed")
    assert "deploy one first" in nothing["detail"]
    await api.put(f"{URL}/w", json={**OTHER, "deploy": True})
    await second_version(api, "w", timeout="5m")
    begun = await api.put(path, json={"version": 3, "share": 10})
    runners = dict(millrace.container.runners.types())
    del millrace.container.runners._runners["hold"]  # type: ignore[attr-defined]
    try:
        refused = problem(await api.put(path, json={"version": 1, "share": 10}), 422, "invalid_definition")
    finally:
        millrace.container.runners._runners.update(runners)  # type: ignore[attr-defined]
    assert refused["faults"][0]["path"] == "tasks[0].type"
    deployed = problem(await api.put(path, json={"version": 2, "share": 10}), 422, "invalid_request")
    assert [fault["path"] for fault in deployed["faults"]] == ["version"]
    problem(await api.put(path, json={"version": 9, "share": 10}), 404, "version_not_found")
    stale = {"If-Match": '"3-0"'}
    for method, at in (("PUT", ""), ("DELETE", ""), ("POST", "/promote")):
        body = {"version": 1, "share": 10} if method == "PUT" else None
        problem(await api.request(method, path + at, json=body, headers=stale), 409, "stale_version")
    async with await client_of(millrace, Role.VIEWER) as viewer:
        assert (await viewer.get(path)).status_code == 200
        assert (await viewer.put(path, json={"version": 1, "share": 10})).status_code == 403
    assert await got(api, path) == begun.json()
    known = {"If-Match": begun.headers["ETag"]}
    assert (await api.delete(path, headers=known)).status_code == 200


# --- while triggers fire ----------------------------------------------------------------------------------------------


@pytest.fixture
async def both(tmp_path: Path, database_url: str | None) -> AsyncIterator[tuple[Installation, Installation]]:
    """Two processes on one PostgreSQL; on SQLite there is one, which is both."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(installation(tmp_path, database_url))
        there = here if database_url is None else await stack.enter_async_context(installation(tmp_path, database_url))
        yield here, there


async def test_what_is_said_of_a_canary_holds_for_whatever_fires_from_then_on(
    both: tuple[Installation, Installation],
) -> None:
    """Another process fires all the while, and goes by what it remembers until a commit tells it otherwise."""
    async with both[0].client() as here, both[1].client() as there, both[1].client("") as sender:
        hook = {**HOOK, "config": {"path": "gate", "auth": {"type": "none"}}}
        await create(here, {**definition("gate", ECHO), "triggers": [hook]})
        await second_version(here, "gate")
        over = False

        async def fire() -> tuple[str, int]:
            answer = await sender.post("/webhook/gate", json={})
            assert answer.status_code == 202, answer.text
            run = await got(there, f"/api/v1/runs/{answer.json()['run_id']}")
            return run["id"], run["workflow"]["version"]

        async def fire_on() -> int:
            count = 0
            while not over:
                await fire()
                count += 1
            return count

        firing = [asyncio.create_task(fire_on()) for _ in range(4)]
        try:
            for _ in range(5):
                canary = await canary_of(here, "gate", share=90)
                since = [await fire() for _ in range(4)]
                assert (await here.delete(f"{URL}/gate/canary")).status_code == 200
                assert [(await fire())[1] for _ in range(4)] == [1] * 4
                wanted = await versions_by_hash(here, canary)
                assert since == [(run, wanted[run]) for run, _ in since]
        finally:
            over = True
            count = sum(await asyncio.gather(*firing))
        assert count > 20
        ended = (await got(here, f"{URL}/gate/canaries"))["items"]
        assert len(ended) == 5
        assert all(older["ended_at"] < newer["since"] for newer, older in pairwise(ended))

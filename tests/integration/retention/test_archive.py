"""Runs that are archived before they are deleted: all of them can be read back, and none is ever in neither place."""

import gzip
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, insert, select, update

from millrace.app.archive import archiver
from millrace.app.artifacts.sweeping import OrphanedObjects
from millrace.app.retention.cleaning import Retention
from millrace.app.retention.policy import Policy
from millrace.cli.archive import in_order
from millrace.storage.tables import archives, wait_routes, waits
from millrace.system import SystemClock, Uuid7Ids
from tests.integration.retention.archive_kit import (
    LARGE,
    archive_rows,
    archived_workflow,
    lines,
    objects,
    of_kind,
    strip,
)
from tests.integration.retention.test_retention import a_round, ago, planted, rows, workflow
from tests.support.api import problem, start
from tests.support.databases import ON_SQLITE
from tests.support.installation import Installation, archiver_of
from tests.support.planting import Planted


async def test_a_run_can_be_read_back_as_it_was(millrace: Installation, api: httpx2.AsyncClient) -> None:
    tasks = {"id": "b", "type": "echo", "config": {"value": "{{ input.day }}"}}, {"id": "a", "type": "fail"}
    await archived_workflow(api, "short", *tasks)
    run = await start(api, "short", wait=True, input={"day": 7, "secret line\u2028": "\x85"})
    path = f"/api/v1/runs/{run['id']}"
    shown = (await api.get(path)).json()
    records = (await api.get(f"{path}/events")).json()["items"]
    log = (await api.get(f"{path}/logs")).json()["items"]
    listed = [item["path"] for item in (await api.get(f"{path}/tasks")).json()["items"]]
    each = [strip((await api.get(f"{path}/tasks/{task}")).json(), "approval") for task in listed]

    last = await a_round(millrace, api)

    assert (last["runs"], last["archived"]) == (1, 1)
    assert await rows(millrace, run["id"]) == {}
    found = (await api.get(f"/api/v1/archive/runs/{run['id']}")).json()
    (archive,) = (await api.get("/api/v1/archive")).json()["items"]
    assert {
        **shown,
        **{name: found[name] for name in ("trigger_data", "archived_at")},
        "archive": archive["id"],
    } == found
    kept = await lines(api, run["id"])
    assert [line["kind"] for line in kept[:2]] == ["family", "run"]
    assert kept[0]["format"] == 1
    of_run = {"run_id": run["id"]}
    assert [strip(line) for line in of_kind(kept, "record")] == [{**of_run, **record} for record in records]
    assert [strip(line) for line in of_kind(kept, "log")] == [{**of_run, **line} for line in log]
    tasks_kept = sorted(of_kind(kept, "task_run"), key=lambda line: line["place"])
    assert [strip(line, "place") for line in tasks_kept] == each
    assert [(line["path"], line["status"]) for line in of_kind(kept, "attempt")] == [
        ("a", "failed"),
        ("b", "completed"),
    ]


@ON_SQLITE
async def test_an_archive_is_json_lines_for_everyone(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short")
    ids = [(await start(api, "short", wait=True))["id"] for _ in range(3)]
    await a_round(millrace, api)
    (row,) = await archive_rows(millrace)
    assert (row.runs, row.families, row.first_run_id, row.last_run_id) == (3, 3, ids[0], ids[2])

    content = (millrace.objects.folder / "objects" / row.object_key).read_bytes()

    found = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert [line["id"] for line in of_kind(found, "run")] == ids
    assert [family["runs"] for family in found[-1]["families"]] == [[id_] for id_ in ids]


async def test_what_lies_in_the_object_store_is_in_the_archive_itself(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await archived_workflow(api, "large", {"id": "a", "type": "echo", "config": {"value": LARGE}})
    run = await start(api, "large", wait=True, input={"large": LARGE})
    await a_round(millrace, api)
    async for one in millrace.objects.list("runs"):
        await millrace.objects.delete(one.key)

    (task,) = of_kind(await lines(api, run["id"]), "task_run")

    assert task["output"] == LARGE
    assert (await api.get(f"/api/v1/archive/runs/{run['id']}")).json()["input"] == {"large": LARGE}


@ON_SQLITE
async def test_a_value_that_is_lost_does_not_keep_its_run(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "large", {"id": "a", "type": "echo", "config": {"value": LARGE}})
    run = await start(api, "large", wait=True)
    async for one in millrace.objects.list("runs"):
        await millrace.objects.delete(one.key)

    assert (await a_round(millrace, api))["archived"] == 1

    (task,) = of_kind(await lines(api, run["id"]), "task_run")
    assert task["output"] is None
    assert "cannot be read back" in task["lost"]["output"]


async def test_a_family_is_archived_as_one(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "failing", {"id": "a", "type": "echo"}, {"id": "b", "type": "fail"})
    root = await start(api, "failing", wait=True)
    retry = (await api.post(f"/api/v1/runs/{root['id']}/retry", json={"wait": True})).json()

    assert (await a_round(millrace, api))["archived"] == 2

    assert [line["id"] for line in of_kind(await lines(api, retry["id"]), "run")] == [retry["id"]]
    whole = await lines(api, retry["id"], family=True)
    assert [line["id"] for line in of_kind(whole, "run")] == [root["id"], retry["id"]]
    taken_over = next(line for line in of_kind(whole, "task_run") if line["adopted_from"])
    assert (taken_over["run_id"], taken_over["path"]) == (retry["id"], "a")


async def test_a_large_run_is_read_some_rows_at_a_time(millrace: Installation, api: httpx2.AsyncClient) -> None:
    of = await archived_workflow(api, "large")
    (run_id,) = await planted(millrace, of, Planted(ago(3), records=601, logs=1000))
    await a_round(millrace, api)
    kept = await lines(api, run_id)
    assert [line["seq"] for line in of_kind(kept, "record")] == list(range(1, 602))
    assert [line["text"] for line in of_kind(kept, "log")] == [f"line {seq}" for seq in range(1, 1001)]


@ON_SQLITE
async def test_an_archive_holds_runs_of_many_workflows(millrace: Installation, api: httpx2.AsyncClient) -> None:
    ids = []
    for name in ("one", "two", "three"):
        await archived_workflow(api, name)
        ids.append((await start(api, name, wait=True))["id"])
    await a_round(millrace, api)
    assert len(await archive_rows(millrace)) == 1
    assert [(await lines(api, run_id))[1]["workflow"]["name"] for run_id in ids] == ["one", "two", "three"]


async def test_many_families_are_several_archives(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = await archived_workflow(api, "many")
    monkeypatch.setattr(archiver, "MOST_ROWS", 100)
    ids = await planted(millrace, of, *(Planted(ago(3), number, records=30, logs=3) for number in range(10)))

    assert (await a_round(millrace, api))["archived"] == 10

    assert [row.runs for row in await archive_rows(millrace)] == [3, 3, 3, 1]
    for run_id in ids:
        assert len(of_kind(await lines(api, run_id), "record")) == 30
    first = (await api.get("/api/v1/archive", params={"limit": 3})).json()
    second = (await api.get("/api/v1/archive", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [item["runs"] for item in first["items"] + second["items"]] == [1, 3, 3, 3], "newest first"
    assert second["next_cursor"] is None


async def test_whoever_asks_for_an_archived_run_hears_where_it_is(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await archived_workflow(api, "short")
    run = await start(api, "short", wait=True)
    await a_round(millrace, api)
    for path in ("", "/tasks", "/artifacts", "/events", "/events?follow=true", "/logs", "/timeline"):
        detail = problem(await api.get(f"/api/v1/runs/{run['id']}{path}"), 404, "run_not_found")["detail"]
        assert f"millrace archive show {run['id']}" in detail
    assert "archive" not in problem(await api.get("/api/v1/runs/none"), 404, "run_not_found")["detail"]
    problem(await api.get("/api/v1/archive/runs/none"), 404, "run_not_archived")
    problem(await api.get("/api/v1/archive/runs/none/lines"), 404, "run_not_archived")


@ON_SQLITE
async def test_a_workflow_may_be_left_out(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await workflow(api, "plain", runs="1ms")
    run = await start(api, "plain", wait=True)
    last = await a_round(millrace, api)
    assert (last["runs"], last["archived"]) == (1, 0)
    problem(await api.get(f"/api/v1/archive/runs/{run['id']}"), 404, "run_not_archived")
    assert await objects(millrace) == []


async def test_a_dry_run_says_how_many_would_be_archived(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short")
    await workflow(api, "plain", runs="1ms")
    for name in ("short", "plain"):
        await start(api, name, wait=True)
    found = (await api.post("/api/v1/retention/run", json={"dry_run": True})).json()
    assert (found["runs"], found["archived"], found["archives"]) == (2, 1, 0)
    assert [(item["name"], item["archived"]) for item in found["workflows"]] == [("plain", 0), ("short", 1)]
    assert await objects(millrace) == []


@ON_SQLITE
async def test_the_sweep_leaves_archives_alone(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short")
    run = await start(api, "short", wait=True)
    await a_round(millrace, api)
    (key,) = await objects(millrace)
    os.utime(millrace.objects.folder / "objects" / key, (1, 1))

    await OrphanedObjects(millrace.database, millrace.objects, SystemClock()).run_once()

    assert (await api.get(f"/api/v1/archive/runs/{run['id']}")).status_code == 200
    assert (await api.get("/api/v1/doctor")).json()["warnings"] == []


async def test_archives_go_when_their_own_time_is_over(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short")
    run = await start(api, "short", wait=True)
    await a_round(millrace, api)
    policy, archiver = Policy("30d", "90d", archives="1d"), archiver_of(millrace)
    service = Retention(millrace.database, millrace.file, SystemClock(), Uuid7Ids(), policy, archiver)
    service.request()
    await service.run_once()
    assert len(await objects(millrace)) == 1
    unlisted = await a_copy(millrace, "archive/2026/11/cut-short.jsonl.gz")
    old = update(archives).values(created_at=ago(2))
    await millrace.database.write(lambda connection: connection.execute(old))
    assert len(await objects(millrace)) == 2

    service.request()
    await service.run_once()

    assert (await archive_rows(millrace), await objects(millrace)) == ([], [unlisted])
    assert (await api.get("/api/v1/retention")).json()["last_round"]["archives"] == 1
    problem(await api.get(f"/api/v1/archive/runs/{run['id']}"), 404, "run_not_archived")
    os.utime(millrace.objects.folder / "objects" / unlisted, (1, 1))
    service.request()
    await service.run_once()
    assert await objects(millrace) == []


async def a_copy(millrace: Installation, key: str) -> str:
    async def content() -> AsyncIterator[bytes]:
        yield b"an archive whose row was never written"

    return (await millrace.objects.put(key, content(), limit=100)).key


@ON_SQLITE
async def test_a_secret_is_masked_before_it_is_archived(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """For good: when the archive is read, nobody may know any more that it was one."""
    await archived_workflow(api, "short", {"id": "a", "type": "echo", "config": {"value": "{{ input.given }}"}})
    run = await start(api, "short", wait=True, input={"given": "canary-4711", "completed": "ok"})
    millrace.masker.learn(["canary-4711", "completed"])
    await a_round(millrace, api)
    (key,) = await objects(millrace)
    text = gzip.decompress((millrace.objects.folder / "objects" / key).read_bytes()).decode()
    assert "canary" not in text
    (kept,) = of_kind([json.loads(line) for line in text.splitlines()], "run")
    assert (kept["status"], kept["input"]) == ("completed", {"given": "***", "***": "ok"})
    assert (await api.get(f"/api/v1/archive/runs/{run['id']}")).json()["status"] == "completed"


async def test_tasks_within_others_are_archived_with_where_they_stood(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    body = [{"id": "load", "type": "echo", "config": {"value": "{{ item }}"}}]
    loop = {"id": "each", "type": "foreach", "config": {"items": "{{ [1, 2] }}"}, "tasks": body}
    await archived_workflow(api, "nested", loop, {"id": "last", "type": "fail"})
    run = await start(api, "nested", wait=True)
    shown = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]

    await a_round(millrace, api)

    assert await rows(millrace, run["id"]) == {}
    kept = of_kind(await lines(api, run["id"]), "task_run")
    assert [strip(line, "place") for line in sorted(kept, key=lambda line: shown_at(shown, line))] == shown
    assert {line["path"]: line["place"] for line in kept} == {
        "each": 0,
        "each[0].load": 1,
        "each[1].load": 1,
        "last": 2,
    }
    assert [task["path"] for task in in_order(kept)] == [task["path"] for task in shown]


def shown_at(shown: list[dict[str, Any]], line: dict[str, Any]) -> int:
    return [task["path"] for task in shown].index(line["path"])


async def test_what_a_run_waited_for_goes_with_it(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short", {"id": "a", "type": "echo", "config": {"value": 1}})
    run = await start(api, "short", wait=True)

    def leave(connection: Connection) -> None:
        of = {"run_id": run["id"], "path": "a"}
        connection.execute(insert(waits).values(**of, created_at=1))
        connection.execute(insert(wait_routes).values(**of, route="shipped", correlation=""))

    await millrace.database.write(leave)
    await a_round(millrace, api)
    for table in (waits, wait_routes):
        assert await millrace.database.read(lambda connection, t=table: connection.execute(select(t)).all()) == []

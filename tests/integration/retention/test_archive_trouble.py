"""What may go wrong while runs are archived: each is whole in the database then, or in the archive."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from millrace.app.retention.cleaning import Retention
from millrace.app.retention.policy import Policy
from millrace.core.values import SECOND
from millrace.ports.objects import ObjectInaccessible, ObjectStoreUnavailable, StoredObject
from millrace.ports.store import StoreUnavailable
from millrace.storage.tables import logs, runs
from millrace.system import SystemClock, Uuid7Ids
from tests.integration.retention.archive_kit import (
    ARCHIVED,
    LARGE,
    archive_rows,
    archived_workflow,
    lines,
    objects,
    of_kind,
)
from tests.integration.retention.test_retention import a_round, ago, rows, workflow
from tests.integration.retention.test_rounds import Watched
from tests.support.api import create, definition, eventually, problem, start
from tests.support.databases import ON_SQLITE
from tests.support.installation import Installation, archiver_of


async def round_with_trouble(millrace: Installation, api: httpx2.AsyncClient) -> dict[str, Any]:
    await api.post("/api/v1/retention/run")
    await millrace.container.retention.run_once()
    last: dict[str, Any] = (await api.get("/api/v1/retention")).json()["last_round"]
    return last


async def test_while_the_object_store_is_away_nothing_goes_that_is_to_be_archived(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(api, {**definition("short"), "retention": {**ARCHIVED, "payloads": "1ms"}})
    await workflow(api, "plain", runs="1ms")
    run, plain = [await start(api, name, wait=True) for name in ("short", "plain")]
    before = await rows(millrace, run["id"])
    place = millrace.objects.folder
    place.mkdir(exist_ok=True)
    place.rename(place.with_name("away"))
    place.write_text("no folder")

    last = await round_with_trouble(millrace, api)

    assert "are to be archived could not be, and stay: the artifact folder" in last["error"]
    assert (last["runs"], last["archived"]) == (1, 0)
    assert await rows(millrace, run["id"]) == before, "with its payloads"
    assert await rows(millrace, plain["id"]) == {}
    place.unlink()
    place.with_name("away").rename(place)
    assert (await a_round(millrace, api))["archived"] == 1


async def test_what_cannot_be_read_keeps_its_own_family_and_no_other(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"id": "a", "type": "echo", "config": {"value": "{{ input.text }}"}}
    await create(api, {**definition("short", task), "retention": {**ARCHIVED, "payloads": "1ms"}})
    texts = [LARGE, "small", LARGE, LARGE, "small", "last"]
    ids = [(await start(api, "short", wait=True, input={"text": text}))["id"] for text in texts]
    kept = [ids[0], ids[2], ids[3]]
    before = [await rows(millrace, run_id) for run_id in kept]
    opened = millrace.objects.open

    def denied(stored: StoredObject, **named: Any) -> Any:
        if any(run_id in stored.key for run_id in kept):
            raise ObjectInaccessible(f"the object {stored.key} cannot be read")
        return opened(stored, **named)

    monkeypatch.setattr(millrace.objects, "open", denied)
    last = await round_with_trouble(millrace, api)

    assert (last["runs"], last["archived"], last["payloads"]) == (3, 3, 0)
    assert last["error"].startswith(f"not archived, and so not deleted: run {kept[0]} with its family, and 2 more")
    assert [await rows(millrace, run_id) for run_id in kept] == before, "with their payloads"
    for run_id in set(ids) - set(kept):
        assert len(of_kind(await lines(api, run_id), "run")) == 1
    assert [row.runs for row in await archive_rows(millrace)] == [1, 2]
    monkeypatch.undo()
    assert (await a_round(millrace, api))["archived"] == 3
    assert of_kind(await lines(api, kept[0]), "task_run")[0]["output"] == LARGE


async def test_a_run_that_changes_after_it_was_archived_stays_for_the_next_round(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archived_workflow(api, "short")
    late, other = [(await start(api, "short", wait=True))["id"] for _ in range(2)]
    put = millrace.objects.put

    async def put_and_log(*arguments: Any, **named: Any) -> Any:
        stored = await put(*arguments, **named)
        await millrace.database.write(lambda connection: add_line(connection, late))
        return stored

    monkeypatch.setattr(millrace.objects, "put", put_and_log)
    assert (await a_round(millrace, api))["runs"] == 1
    assert (await api.get(f"/api/v1/runs/{late}")).status_code == 200
    assert (await api.get(f"/api/v1/runs/{other}")).status_code == 404
    monkeypatch.undo()

    assert (await a_round(millrace, api))["runs"] == 1

    assert of_kind(await lines(api, late), "log")[-1]["text"] == "late", "the newest archive counts"
    assert len(of_kind(await lines(api, late), "run")) == 1


def add_line(connection: Any, run_id: str) -> None:
    seq = connection.execute(select(runs.c.last_log).where(runs.c.id == run_id)).scalar_one() + 1
    connection.execute(update(runs).where(runs.c.id == run_id).values(last_log=seq))
    connection.execute(logs.insert().values(run_id=run_id, seq=seq, level="info", text="late", at=ago(0)))


async def test_a_round_that_is_cut_short_anywhere_loses_nothing(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """After each of its writes the process may end: each run is whole in the database then, or in the archive."""
    await archived_workflow(api, "short")
    fails_at, ended = 0, False
    while not ended:
        ids = [(await start(api, "short", wait=True))["id"] for _ in range(2)]
        await older_than_a_millisecond()
        watched = Watched(millrace, fails_at)
        policy = Policy("30d", "1ms", archive=True)
        archiver = archiver_of(millrace, watched)
        service = Retention(watched, millrace.file, SystemClock(), Uuid7Ids(), policy, archiver)
        service.request()
        try:
            await service.run_once()
            ended = True
        except StoreUnavailable:
            for run_id in ids:
                await whole_somewhere(millrace, api, run_id)
            service.request()
            await service.run_once()
        assert [await rows(millrace, run_id) for run_id in ids] == [{}, {}], f"cut short at write {fails_at}"
        for run_id in ids:
            assert len(of_kind(await lines(api, run_id), "record")) > 2
        fails_at += 1
    assert fails_at > 3, "the archive's row, the runs, and what belonged to them"


async def older_than_a_millisecond() -> None:
    """What has ended before; to wait for a run and its answer may take less."""
    ended = SystemClock().now()

    async def older() -> bool:
        return SystemClock().now() - ended > SECOND // 1_000

    await eventually(older)


async def whole_somewhere(millrace: Installation, api: httpx2.AsyncClient, run_id: str) -> None:
    if (await api.get(f"/api/v1/runs/{run_id}")).status_code == 200:
        assert {"runs", "task_runs", "attempts", "records", "logs"} <= (await rows(millrace, run_id)).keys()
    else:
        kinds = {line["kind"] for line in await lines(api, run_id)}
        assert {"run", "task_run", "attempt", "record", "log"} <= kinds


async def test_an_object_whose_writing_is_not_heard_of_is_written_again(
    millrace: Installation, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archived_workflow(api, "short")
    run = await start(api, "short", wait=True)
    put = millrace.objects.put

    async def put_and_fail(*arguments: Any, **named: Any) -> Any:
        await put(*arguments, **named)
        raise ObjectStoreUnavailable("no answer")

    monkeypatch.setattr(millrace.objects, "put", put_and_fail)
    assert "no answer" in (await round_with_trouble(millrace, api))["error"]
    assert (await api.get(f"/api/v1/runs/{run['id']}")).status_code == 200
    assert await archive_rows(millrace) == []
    monkeypatch.undo()

    assert (await a_round(millrace, api))["archived"] == 1

    assert len(await objects(millrace)) == 2
    assert len(of_kind(await lines(api, run["id"]), "run")) == 1


@ON_SQLITE
async def test_an_archive_that_cannot_be_read_is_told(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await archived_workflow(api, "short")
    run = await start(api, "short", wait=True)
    await a_round(millrace, api)
    (key,) = await objects(millrace)
    assert (await api.get("/api/v1/doctor")).json()["problems"] == []
    place = millrace.objects.folder / "objects" / key
    content = place.read_bytes()
    middle = len(content) // 3
    place.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])

    answer = await api.get(f"/api/v1/archive/runs/{run['id']}")

    assert "is damaged" in problem(answer, 500, "artifact_lost")["detail"]
    assert (await api.get("/api/v1/doctor")).json()["problems"] == [], "it reads none through"
    (found,) = (await api.get("/api/v1/doctor", params={"deep": True})).json()["problems"]
    assert found["code"] == "archive_unreadable"
    place.unlink()
    (found,) = (await api.get("/api/v1/doctor")).json()["problems"]
    assert run["id"] in found["message"]
    assert (await api.get(f"/api/v1/runs/{run['id']}")).status_code == 404

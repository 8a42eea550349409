"""What nobody needs any more is taken away, and nothing else: orphans of crashes and failures, and what has expired."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from millrace.app.artifacts.sweeping import GRACE, ExpiredArtifacts, OrphanedObjects
from millrace.artifacts.local import LocalObjects
from millrace.core.values import SECOND
from millrace.storage.tables import artifacts
from tests.support.api import create, definition, problem, start
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation
from tests.support.whole import whole

HOUR = 3600 * SECOND
LARGE = "x" * 100_000


def now() -> int:
    return time.time_ns() // 1000


def objects(folder: Path) -> list[str]:
    below = folder / "objects"
    return sorted(str(path.relative_to(below)) for path in below.rglob("*") if path.is_file())


async def sweep(millrace: Installation, *, later: int = GRACE + HOUR) -> None:
    await OrphanedObjects(millrace.database, millrace.objects, FakeClock(now() + later)).run_once()


async def parts(content: bytes) -> AsyncIterator[bytes]:
    yield content


def writes(id_: str = "write", **files: str) -> dict[str, Any]:
    return {"id": id_, "type": "write", "config": {"value": files}}


async def finished(api: httpx2.AsyncClient, *tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
    workflow = await create(api, definition("w", *tasks))
    return await start(api, workflow["id"], wait=True, **body)


async def test_what_has_rows_stays(api: httpx2.AsyncClient, millrace: Installation) -> None:
    large = {"id": "large", "type": "echo", "config": {"value": "{{ input.text }}"}}
    await finished(api, writes(a="1"), large, input={"text": LARGE})
    await api.post("/api/v1/artifacts", params={"name": "a"}, content=b"sent")
    before = objects(millrace.objects.folder)
    assert len(before) == 5  # the file, the upload, the run's input, the task's input and its output
    await sweep(millrace)
    assert objects(millrace.objects.folder) == before


async def test_orphans_go_when_they_are_a_day_old(millrace: Installation) -> None:
    for key in ("uploads/unknown", "runs/unknown/a.1.token/file", "runs/unknown/run/input.x"):
        await millrace.objects.put(key, parts(b"x"), limit=1)
    left = millrace.objects.folder / "incoming" / "left"
    left.write_bytes(b"half")
    await sweep(millrace, later=GRACE - HOUR)
    assert len(objects(millrace.objects.folder)) == 3
    assert left.exists()
    await sweep(millrace)
    assert objects(millrace.objects.folder) == []
    assert not left.exists()


async def test_the_files_of_a_failed_attempt_go_and_those_of_others_stay(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    run = await finished(api, writes("good", kept="1"), {**writes("bad", lost="2", fail="3"), "depends_on": []})
    assert run["status"] == "failed"
    assert len(objects(millrace.objects.folder)) == 3
    await sweep(millrace)
    (left,) = objects(millrace.objects.folder)
    assert f"runs/{run['id']}/good.1." in left
    (listed,) = (await api.get("/api/v1/artifacts")).json()["items"]
    assert (await api.get(f"/api/v1/artifacts/{listed['id']}/content")).content == b"1"


async def test_the_files_of_an_attempt_that_goes_on_stay(api: httpx2.AsyncClient, millrace: Installation) -> None:
    workflow = await create(api, definition("w", writes(hold="1")))
    run = await start(api, workflow["id"])
    async with asyncio.timeout(20):
        while not objects(millrace.objects.folder):  # noqa: ASYNC110  the folder tells nobody
            await asyncio.sleep(0.01)
    await sweep(millrace, later=30 * GRACE)
    assert len(objects(millrace.objects.folder)) == 1
    await api.post(f"/api/v1/runs/{run['id']}/cancel")
    async with asyncio.timeout(20):
        while (await api.get(f"/api/v1/runs/{run['id']}")).json()["status"] != "cancelled":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await sweep(millrace)
    assert objects(millrace.objects.folder) == []


async def test_files_whose_attempt_was_refused_at_the_last_moment_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows are written already: what such an attempt answers is too large."""
    monkeypatch.setenv("MILLRACE_MAX_OUTPUT_BYTES", "1024")
    async with installation(tmp_path / "small") as millrace, millrace.client() as api:
        run = await finished(api, writes(**{f"file{number}": "x" for number in range(20)}))
        assert run["status"] == "failed"
        rows = await millrace.database.read(
            lambda connection: connection.execute(select(artifacts.c.id)).scalars().all()
        )
        assert len(rows) == len(objects(millrace.objects.folder)) == 20
        assert (await api.get("/api/v1/artifacts")).json()["items"] == []
        problem(await api.get(f"/api/v1/artifacts/{rows[0]}/content"), 404, "artifact_not_found")
        await sweep(millrace)
        assert objects(millrace.objects.folder) == []
        assert (
            await millrace.database.read(lambda connection: connection.execute(select(artifacts.c.id)).first()) is None
        )


async def test_an_upload_is_kept_for_as_long_as_was_said(api: httpx2.AsyncClient, millrace: Installation) -> None:
    for name, period in (("short", "1h"), ("long", "3d"), ("ever", "never")):
        await api.post("/api/v1/artifacts", params={"name": name, "expires_in": period}, content=b"x")

    async def names_after(later: int) -> list[str]:
        await ExpiredArtifacts(millrace.database, millrace.objects, FakeClock(now() + later)).run_once()
        listed = (await api.get("/api/v1/artifacts")).json()["items"]
        assert len(objects(millrace.objects.folder)) == len(listed)
        return [one["name"] for one in listed]

    assert await names_after(HOUR // 2) == ["ever", "long", "short"]
    assert await names_after(2 * HOUR) == ["ever", "long"]
    assert await names_after(100 * GRACE) == ["ever"]


async def test_an_expired_file_is_gone_before_it_is_swept(api: httpx2.AsyncClient, millrace: Installation) -> None:
    shown = (await api.post("/api/v1/artifacts", params={"name": "a", "expires_in": "1s"}, content=b"x")).json()
    async with asyncio.timeout(10):
        while (await api.get(f"/api/v1/artifacts/{shown['id']}")).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    problem(await api.get(f"/api/v1/artifacts/{shown['id']}/content"), 404, "artifact_not_found")
    assert (await api.get("/api/v1/artifacts")).json()["items"] == []


KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.support.api import create, definition, start
from tests.support.installation import installation

async def main():
    async with installation(Path(sys.argv[1])) as millrace, millrace.client() as api:
        write = {"id": "write", "type": "write", "config": {"value": {"a": "1", "hold": "2"}}}
        workflow = await create(api, definition("w", write))
        run = await start(api, workflow["id"])
        print(run["id"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_kill_between_object_and_commit_leaves_orphans_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(home), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    try:
        assert process.stdout is not None
        run_id = (await process.stdout.readline()).decode().strip()
        async with asyncio.timeout(30):
            while len(objects(home / "artifacts")) < 2:  # noqa: ASYNC110  the folder tells nobody
                await asyncio.sleep(0.01)
    finally:
        process.kill()
        await process.wait()
    assert len(objects(home / "artifacts")) == 2
    async with whole(home) as millrace:
        # This installation has no task type of that name, so the attempt that follows the lost one fails at once.
        await millrace.until({"id": run_id}, "write", "failed")
        assert (await millrace.api.get("/api/v1/artifacts")).json()["items"] == []
        runtime, folder = millrace.runtime, millrace.runtime.settings.artifacts_dir
        store = LocalObjects(folder)
        await OrphanedObjects(runtime.database, store, FakeClock(now() + GRACE - HOUR)).run_once()
        assert len(objects(folder)) == 2
        await OrphanedObjects(runtime.database, store, FakeClock(now() + GRACE + HOUR)).run_once()
        store.close()
        assert objects(folder) == []
        assert os.listdir(folder / "objects") == []

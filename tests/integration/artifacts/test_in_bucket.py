"""A whole installation whose objects are in a bucket: what it writes, reads and takes away there."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from millrace.app.artifacts.checking import ArtifactChecks
from millrace.app.artifacts.sweeping import GRACE, ExpiredArtifacts, OrphanedObjects
from millrace.app.artifacts.watching import ObjectStoreWatch
from millrace.artifacts.s3 import S3Objects
from millrace.core.values import SECOND
from millrace.system import SystemClock
from tests.support.api import create, definition, start
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation
from tests.support.s3_server import Bucket, s3_server

pytestmark = pytest.mark.service("s3")

HOUR = 3600 * SECOND
LARGE = "x" * 100_000


@pytest.fixture
def bucket() -> Bucket:
    return s3_server().bucket()


@pytest.fixture
async def millrace(tmp_path: Path, bucket: Bucket, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, S3Objects(bucket.place)) as running:
        yield running


async def parts(content: bytes) -> AsyncIterator[bytes]:
    yield content


def later(by: int) -> FakeClock:
    return FakeClock(time.time_ns() // 1000 + by)


async def finished(millrace: Installation, *tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
    async with millrace.client() as api:
        workflow = await create(api, definition("w", *tasks))
        return await start(api, workflow["id"], wait=True, **body)


async def test_files_and_large_values_are_there_and_what_has_rows_stays(millrace: Installation, bucket: Bucket) -> None:
    write = {"id": "write", "type": "write", "config": {"value": {"a": "of a task"}}}
    echo = {"id": "echo", "type": "echo", "config": {"value": "{{ input.text }}"}}
    run = await finished(millrace, write, echo, input={"text": LARGE})
    assert run["status"] == "completed"
    kept = bucket.objects()
    assert [key.rpartition("/")[2] for key in kept if key.startswith(f"runs/{run['id']}/echo")]
    await OrphanedObjects(millrace.database, millrace.objects, later(GRACE + HOUR)).run_once()
    assert bucket.objects() == kept
    found = await ArtifactChecks(millrace.database, millrace.objects, SystemClock()).examine(deep=True)
    assert (found.problems.listed(), found.warnings.listed(), found.store_away) == ([], [], None)


async def test_orphans_go_when_they_are_a_day_old(millrace: Installation, bucket: Bucket) -> None:
    for key in ("uploads/unknown", "runs/unknown/a.1.token/file", "runs/unknown/run/input.x"):
        await millrace.objects.put(key, parts(b"x"), limit=1)
    await OrphanedObjects(millrace.database, millrace.objects, later(GRACE - HOUR)).run_once()
    assert len(bucket.objects()) == 3
    await OrphanedObjects(millrace.database, millrace.objects, later(GRACE + HOUR)).run_once()
    assert bucket.objects() == []


async def test_what_has_expired_goes(millrace: Installation, bucket: Bucket) -> None:
    async with millrace.client() as api:
        await api.post("/api/v1/artifacts", params={"name": "a", "expires_in": "1h"}, content=b"for an hour")
        await api.post("/api/v1/artifacts", params={"name": "b"}, content=b"for ever")
    assert len(bucket.objects()) == 2
    await ExpiredArtifacts(millrace.database, millrace.objects, later(2 * HOUR)).run_once()
    assert len(bucket.objects()) == 1


async def test_a_changed_object_is_found_by_the_doctor(millrace: Installation, bucket: Bucket) -> None:
    async with millrace.client() as api:
        sent = (await api.post("/api/v1/artifacts", params={"name": "a"}, content=b"as it was")).json()
        await millrace.objects.put(f"uploads/{sent['id']}", parts(b"as it is!"), limit=9)
        (problem,) = (await api.get("/api/v1/doctor")).json()["problems"]
        assert (problem["code"], sent["id"] in problem["message"]) == ("artifact_unreadable", True)


async def test_a_store_that_is_away_is_told_until_it_is_back(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    wrong, right = S3Objects(bucket.with_secret("wrong").place), S3Objects(bucket.place)
    watch = ObjectStoreWatch(wrong)
    assert await watch.run_once() is not None
    assert await watch.run_once() is not None
    assert watch.trouble is not None
    assert "MILLRACE_S3_SECRET_ACCESS_KEY" in watch.trouble
    watch._objects = right
    assert await watch.run_once() is None
    assert watch.trouble is None
    assert [record.levelname for record in caplog.records if "millrace" in record.name] == ["ERROR", "INFO"]
    wrong.close()
    right.close()

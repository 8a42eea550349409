"""A store belongs to the installation that was there first: a copy that is pointed at it takes nothing away."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from millrace.app.archive.format import key_of
from millrace.app.artifacts.ownership import may_delete
from millrace.app.artifacts.sweeping import GRACE, ExpiredArtifacts, OrphanedObjects
from millrace.artifacts.local import LocalObjects
from millrace.artifacts.s3 import S3Objects
from millrace.core.values import SECOND, Instant
from millrace.ports.objects import ObjectStore, ObjectStoreUnavailable
from tests.support.clock import FakeClock
from tests.support.installation import Installation, archiver_of, installation
from tests.support.object_stores import STORES, Kept, KeptInBucket, kept
from tests.support.s3_server import s3_server

HOUR = 3600 * SECOND
ORIGINAL = "0e6f1f0a-6b5d-4f6a-9d55-3c1f2d9a8b70"


@pytest.fixture(params=STORES)
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with kept(request.param, tmp_path / "home" / "artifacts") as found:
        yield found


@pytest.fixture
async def copy(beneath: Kept, tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose store is the one of `beneath`."""
    objects = S3Objects(beneath.bucket.place) if isinstance(beneath, KeptInBucket) else None
    async with installation(tmp_path / "home", objects=objects) as running:
        yield running


async def parts(content: bytes) -> AsyncIterator[bytes]:
    yield content


def later(by: int) -> FakeClock:
    return FakeClock(time.time_ns() // 1000 + by)


async def sweep(millrace: Installation) -> None:
    await OrphanedObjects(millrace.database, millrace.objects, later(GRACE + HOUR)).run_once()


async def test_the_first_that_claims_a_store_has_it(beneath: Kept) -> None:
    store = beneath.store
    assert await store.owner() is None
    assert [await store.claim(one) for one in ("first", "second", "first")] == ["first"] * 3
    assert await store.owner() == "first"
    assert beneath.keys() == [one async for one in _keys(store)] == []


async def _keys(store: ObjectStore) -> AsyncIterator[str]:
    for folder in ("uploads", "runs"):
        async for one in store.list(folder):
            yield one.key


async def test_a_copy_on_the_same_store_takes_nothing_away_and_says_so(
    beneath: Kept, copy: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    await beneath.store.claim(ORIGINAL)
    for key in ("uploads/of-the-original", "runs/of-the-original/a.1.token/file"):
        await beneath.store.put(key, parts(b"x"), limit=1)
    there = beneath.keys()
    await sweep(copy)
    assert beneath.keys() == there
    (warned,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert ORIGINAL in warned.message
    assert "MILLRACE_ARTIFACTS_URL" in warned.message


async def test_what_a_copy_lets_go_of_stays_for_the_original(beneath: Kept, copy: Installation) -> None:
    await beneath.store.claim(ORIGINAL)
    async with copy.client() as api:
        for name in ("a", "b"):
            sent = await api.post("/api/v1/artifacts", params={"name": name, "expires_in": "1h"}, content=b"x")
        assert (await api.delete(f"/api/v1/artifacts/{sent.json()['id']}")).status_code == 204
        await ExpiredArtifacts(copy.database, copy.objects, later(2 * HOUR)).run_once()
    assert len(beneath.keys()) == 2


async def test_the_doctor_tells_of_a_store_that_belongs_to_another(beneath: Kept, copy: Installation) -> None:
    async with copy.client() as api:
        assert (await api.get("/api/v1/doctor")).json()["warnings"] == []
        assert await beneath.store.owner() is None
        await beneath.store.claim(ORIGINAL)
        (warning,) = (await api.get("/api/v1/doctor")).json()["warnings"]
    assert (warning["code"], ORIGINAL in warning["message"]) == ("objects_of_another", True)


async def test_a_claim_that_a_crash_cut_short_is_none(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path)
    (tmp_path / "owner").touch()
    assert await store.owner() is None
    assert [await store.claim("first"), await store.claim("second")] == ["first", "first"]
    store.close()


async def test_archives_of_the_original_stay_when_a_copy_lets_go_of_them(beneath: Kept, copy: Installation) -> None:
    await beneath.store.claim(ORIGINAL)
    await beneath.store.put(key_of("of-the-original", 0), parts(b"x"), limit=1)
    there = beneath.keys()
    await archiver_of(copy).expire(later(GRACE).now())
    assert beneath.keys() == there


@dataclass
class NeverForgetting:
    """A store whose server does not allow to ask for unfinished uploads."""

    store: LocalObjects
    error: Exception

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    async def forget_unfinished(self, before: Instant) -> int:
        raise self.error


@pytest.mark.parametrize("error", [ObjectStoreUnavailable("access is denied"), ValueError("no XML")], ids=type)
async def test_orphans_go_although_unfinished_uploads_cannot_be_taken_away(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with installation(tmp_path / "home") as millrace:
        store = millrace.objects
        assert isinstance(store, LocalObjects)
        await store.put("uploads/unknown", parts(b"x"), limit=1)
        refusing: ObjectStore = NeverForgetting(store, error)  # type: ignore[assignment]
        await OrphanedObjects(millrace.database, refusing, later(GRACE + HOUR)).run_once()
        assert [one async for one in store.list("uploads")] == []
        assert "uploads that never ended could not be taken away" in caplog.text
        assert await may_delete(millrace.database, store)


@pytest.mark.service("s3")
async def test_an_unfinished_upload_below_an_odd_prefix_is_forgotten() -> None:
    store = S3Objects(replace(s3_server().bucket().place, prefix="kept/a b+c%"))
    upload = store._bucket.upload("uploads/a", 1 << 30)
    for _ in range(20):
        upload.write([bytes(1 << 20)])
    assert await store.forget_unfinished(1 << 60) == 1
    assert await store.forget_unfinished(1 << 60) == 0
    upload.abandon()
    store.close()

"""The doctor tells where artifacts and the object store do not agree, and harms nothing while it looks."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete

from millrace.app.archive.checking import ArchiveChecks
from millrace.app.artifacts import checking
from millrace.app.artifacts.checking import ArtifactChecks
from millrace.app.doctor import Doctor
from millrace.artifacts.local import LocalObjects
from millrace.ports.confinement import NO_RULES
from millrace.ports.objects import ListedObject, StoredObject
from millrace.storage import doctor as of_database
from millrace.storage.tables import artifacts
from millrace.system import SystemClock
from tests.support.installation import Installation

DAY = 86_400


async def upload(api: httpx2.AsyncClient, content: bytes, name: str = "report.csv") -> dict[str, Any]:
    answer = await api.post("/api/v1/artifacts", params={"name": name}, content=content)
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def place_of(millrace: Installation, artifact: dict[str, Any]) -> Path:
    return millrace.objects.folder / "objects" / "uploads" / str(artifact["id"])


async def examined(api: httpx2.AsyncClient, *, deep: bool = False) -> dict[str, Any]:
    answer = await api.get("/api/v1/doctor", params={"deep": deep})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    # Whether a PostgreSQL server looks at its files depends on an extension of its own.
    report["warnings"] = [one for one in report["warnings"] if one["code"] != "files_not_checked"]
    return report


def grow_old(place: Path, *, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(place, (then, then))


async def test_what_is_as_it_should_be_is_not_told(api: httpx2.AsyncClient, millrace: Installation) -> None:
    sent = await upload(api, b"1,2,3")
    grow_old(place_of(millrace, sent), days=30)

    for deep in (False, True):
        report = await examined(api, deep=deep)
        assert (report["problems"], report["warnings"]) == ([], [])


@pytest.mark.parametrize("fault", ["gone", "shorter", "damaged"])
async def test_an_artifact_that_cannot_be_read_is_a_problem(
    api: httpx2.AsyncClient, millrace: Installation, fault: str
) -> None:
    await upload(api, b"4,5,6", "good.csv")
    sent = await upload(api, b"1,2,3")
    place = place_of(millrace, sent)
    place.unlink()
    if fault != "gone":
        place.write_bytes(b"1,2" if fault == "shorter" else b"3,2,1")

    (problem,) = (await examined(api))["problems"]

    assert problem["code"] == "artifact_unreadable"
    assert sent["id"] in problem["message"]
    assert "report.csv" in problem["message"]
    assert problem["remedy"]


async def test_damage_beyond_the_sample_is_found_by_a_deep_round(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "READ_THROUGH", 3)
    sent = await upload(api, b"1,2,3")
    place = place_of(millrace, sent)
    place.unlink()
    place.write_bytes(b"3,2,1")

    assert (await examined(api))["problems"] == []
    (problem,) = (await examined(api, deep=True))["problems"]
    assert problem["code"] == "artifact_unreadable"


async def test_an_object_without_a_row_is_a_warning_once_it_is_a_day_old(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    sent = await upload(api, b"1,2,3")
    await millrace.database.write(lambda connection: connection.execute(delete(artifacts)))
    grow_old(place_of(millrace, sent), days=0.9)
    assert (await examined(api))["warnings"] == []

    grow_old(place_of(millrace, sent), days=1.1)
    report = await examined(api)

    (warning,) = report["warnings"]
    assert warning["code"] == "object_without_row"
    assert f"uploads/{sent['id']}" in warning["message"]
    assert report["problems"] == []
    assert place_of(millrace, sent).exists(), "the doctor deletes nothing"


async def test_of_many_findings_of_one_kind_the_rest_are_counted(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MOST_SHOWN", 2)
    for _ in range(5):
        place_of(millrace, await upload(api, b"x")).unlink()

    problems = (await examined(api))["problems"]

    assert len(problems) == 3
    assert problems[-1]["message"] == "3 more of the same kind"


def make_unusable(folder: Path) -> None:
    """Put a link that leads nowhere in the folder's place, which stops even the superuser."""
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder)


async def test_a_store_that_cannot_be_used_is_told_and_not_an_error(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    await upload(api, b"1,2,3")
    make_unusable(millrace.objects.folder / "objects")

    codes = [problem["code"] for problem in (await examined(api))["problems"]]

    assert codes == ["object_store_unavailable"]


async def test_what_was_found_before_the_store_could_not_be_used_is_told(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    sent = await upload(api, b"1,2,3")
    make_unusable(place_of(millrace, sent).parent)

    unreadable, unavailable = (await examined(api))["problems"]

    assert (unreadable["code"], sent["id"] in unreadable["message"]) == ("artifact_unreadable", True)
    assert unavailable["code"] == "object_store_unavailable"


async def test_a_file_that_cannot_be_opened_does_not_hide_the_others(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, closed, good = [await upload(api, b"1,2,3") for _ in range(3)]
    place_of(millrace, gone).unlink()
    place_of(millrace, closed).unlink()
    # The name of a socket must be short.
    monkeypatch.chdir(place_of(millrace, good).parent)
    with socket.socket(socket.AF_UNIX) as there:
        # Nobody can open a socket as a file, not even the superuser.
        there.bind(closed["id"])

        problems = (await examined(api))["problems"]

    assert [problem["code"] for problem in problems] == ["artifact_unreadable"] * 2
    of_closed, of_gone = problems
    assert closed["id"] in of_closed["message"]
    assert os.strerror(errno.ENXIO) in of_closed["message"]
    assert gone["id"] in of_gone["message"]


async def test_a_file_that_cannot_be_read_to_its_end_does_not_hide_the_others(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, broken = [await upload(api, b"1,2,3") for _ in range(2)]
    place_of(millrace, gone).unlink()
    faulty = place_of(millrace, broken).stat().st_ino
    read = os.read

    def read_from_bad_disk(file: int, wanted: int) -> bytes:
        if os.fstat(file).st_ino == faulty:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, wanted)

    monkeypatch.setattr(os, "read", read_from_bad_disk)
    of_broken, of_gone = (await examined(api))["problems"]

    assert of_broken["code"] == of_gone["code"] == "artifact_unreadable"
    assert broken["id"] in of_broken["message"]
    assert os.strerror(errno.EIO) in of_broken["message"]
    assert gone["id"] in of_gone["message"]


class CountingObjects(LocalObjects):
    listed = 0

    async def list(self, folder: str) -> AsyncGenerator[ListedObject]:
        async with aclosing(super().list(folder)) as found:
            async for one in found:
                self.listed += 1
                yield one


@pytest.mark.parametrize("days", [0.5, 2])
async def test_a_plain_round_looks_at_so_many_objects_young_ones_too(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    monkeypatch.setattr(checking, "SAMPLE", 6)
    for _ in range(9):
        grow_old(place_of(millrace, await upload(api, b"x")), days=days)
    objects = CountingObjects(millrace.objects.folder)
    try:
        checks = ArtifactChecks(millrace.database, objects, SystemClock())
        await checks.examine(deep=False)
        plain, objects.listed = objects.listed, 0
        await checks.examine(deep=True)
        deep = objects.listed
    finally:
        objects.close()

    assert (plain, deep) == (3, 9), "uploads are half of the sample"


class HeldObjects(LocalObjects):
    """Opens nothing before it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opening = asyncio.Event()
        self.let_go = asyncio.Event()

    @asynccontextmanager
    async def open(
        self, stored: StoredObject, *, first: int = 0, length: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opening.set()
        await self.let_go.wait()
        async with super().open(stored, first=first, length=length) as parts:
            yield parts


@pytest.fixture
async def held(api: httpx2.AsyncClient, millrace: Installation) -> AsyncIterator[HeldObjects]:
    """The store that the doctor asks, with one artifact in it."""
    await upload(api, b"1,2,3")
    objects = HeldObjects(millrace.objects.folder)
    check_database = of_database.Doctor(millrace.database).examine
    archives = ArchiveChecks(millrace.database, millrace.objects)
    doctor = Doctor(check_database, ArtifactChecks(millrace.database, objects, SystemClock()), archives, NO_RULES)
    object.__setattr__(millrace.container, "doctor", doctor)
    yield objects
    objects.close()


async def test_there_is_one_deep_round_at_a_time(api: httpx2.AsyncClient, held: HeldObjects) -> None:
    first = asyncio.create_task(examined(api, deep=True))
    await held.opening.wait()

    refused = await api.get("/api/v1/doctor", params={"deep": True})

    assert (refused.status_code, refused.json()["code"]) == (409, "doctor_busy")
    assert "ask again when it has ended, or without `deep`" in refused.json()["detail"]
    held.let_go.set()
    assert (await first)["problems"] == []
    assert (await examined(api, deep=True))["problems"] == [], "the next one may begin"


async def test_a_plain_round_does_not_wait_for_a_deep_one(api: httpx2.AsyncClient, held: HeldObjects) -> None:
    deep = asyncio.create_task(examined(api, deep=True))
    await held.opening.wait()
    held.opening.clear()
    plain = asyncio.create_task(examined(api))
    await held.opening.wait()
    held.let_go.set()
    assert (await plain)["problems"] == (await deep)["problems"] == []


async def test_a_round_ends_when_its_client_goes(
    api: httpx2.AsyncClient, millrace: Installation, held: HeldObjects
) -> None:
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await held.opening.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/doctor", "raw_path": b"/api/v1/doctor", "query_string": b"deep=true", "root_path": "",
        "headers": [(b"x-api-key", millrace.key.encode())], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
    }  # fmt: skip
    await millrace.app(scope, receive, send)

    assert not held.let_go.is_set(), "it ended in the middle of an artifact"
    assert sent[0]["status"] == 400, "and not as a defect"
    held.let_go.set()
    assert (await examined(api, deep=True))["problems"] == [], "the next one may begin"

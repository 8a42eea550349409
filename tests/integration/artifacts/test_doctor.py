"""The doctor tells where artifacts and the object store do not agree, and harms nothing while it looks."""

import os
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete

from millrace.app.artifacts import checking
from millrace.storage.tables import artifacts
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


async def test_a_store_that_cannot_be_used_is_told_and_not_an_error(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    sent = await upload(api, b"1,2,3")
    place = place_of(millrace, sent)
    place.unlink()
    place.parent.rmdir()
    place.parent.write_bytes(b"not a folder")
    place.parent.unlink()
    place.parent.symlink_to(place.parent)

    codes = [problem["code"] for problem in (await examined(api))["problems"]]

    assert codes == ["object_store_unavailable"]

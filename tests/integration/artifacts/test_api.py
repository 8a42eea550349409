"""Files over HTTP: sent, listed, read whole and in parts, deleted, refused."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.ports.objects import OWNER
from tests.support.api import create, definition, problem, start
from tests.support.databases import MOSTLY_ON_SQLITE
from tests.support.installation import Installation, installation

pytestmark = MOSTLY_ON_SQLITE

CONTENT = bytes(range(256)) * 40


async def upload(api: httpx2.AsyncClient, content: Any = CONTENT, **query: str) -> dict[str, Any]:
    response = await api.post(
        "/api/v1/artifacts",
        params={"name": "bytes.bin", **query},
        content=content,
        headers={"Content-Type": "application/x-bytes"},
    )
    assert response.status_code == 201, response.text
    shown: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/api/v1/artifacts/{shown['id']}"
    return shown


def stored_files(millrace: Installation) -> list[Path]:
    return [path for path in millrace.objects.folder.rglob("*") if path.is_file() and path.name != OWNER]


async def finished(api: httpx2.AsyncClient, *tasks: dict[str, Any], name: str = "w", **body: Any) -> dict[str, Any]:
    workflow = await create(api, definition(name, *tasks))
    return await start(api, workflow["id"], wait=True, **body)


def writes(**files: str) -> dict[str, Any]:
    return {"id": "write", "type": "write", "config": {"value": files}}


# --- sending and reading ----------------------------------------------------------------------------------------------


async def test_a_file_is_sent_and_read_back(api: httpx2.AsyncClient) -> None:
    shown = await upload(api)
    expected = {
        "name": "bytes.bin", "media_type": "application/x-bytes", "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(), "run_id": None, "task": None, "attempt": None,
        "expires_at": None,
    }  # fmt: skip
    assert {key: shown[key] for key in expected} == expected
    assert shown["reference"]["artifact"] == shown["id"]
    assert (await api.get(f"/api/v1/artifacts/{shown['id']}")).json() == shown
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content")
    assert response.status_code == 200
    assert response.content == CONTENT
    assert response.headers["Content-Length"] == str(len(CONTENT))


async def test_a_file_may_be_larger_than_other_bodies(api: httpx2.AsyncClient, millrace: Installation) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(24):
            yield b"x" * 131_072

    size = 24 * 131_072
    assert size > millrace.container.settings.max_body_bytes
    for content in (parts(), b"x" * size):
        shown = await upload(api, content)
        assert shown["size"] == size
        assert len((await api.get(f"/api/v1/artifacts/{shown['id']}/content")).content) == size
    problem(await api.post("/api/v1/workflows", content=b"x" * size), 413, "too_large")
    problem(await api.post(f"/api/v1/artifacts/{shown['id']}", content=b"x" * size), 413, "too_large")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.mark.parametrize(
    ("content", "media_type"), [(b"<script>alert(1)</script>", "text/html"), (SVG, "image/svg+xml")]
)
async def test_what_a_browser_could_run_goes_out_as_a_download(
    api: httpx2.AsyncClient, content: bytes, media_type: str
) -> None:
    response = await api.post(
        "/api/v1/artifacts",
        params={"name": 'a"b;\u00e9\u4e2d.html'},
        content=content,
        headers={"Content-Type": media_type},
    )
    shown = response.json()
    assert (shown["name"], shown["media_type"]) == ('a"b;\u00e9\u4e2d.html', media_type)
    answer = await api.get(f"/api/v1/artifacts/{shown['id']}/content")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert (
        answer.headers["Content-Disposition"]
        == "attachment; filename=\"a_b___.html\"; filename*=UTF-8''a%22b%3B%C3%A9%E4%B8%AD.html"
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=100-199", (100, 200)),
        ("bytes=10000-", (10_000, 10_240)),
        ("bytes=10239-99999", (10_239, 10_240)),
        ("bytes=-240", (10_000, 10_240)),
        ("bytes=-99999", (0, 10_240)),
    ],
)
async def test_a_part_is_read(api: httpx2.AsyncClient, wanted: str, expected: tuple[int, int]) -> None:
    shown = await upload(api)
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content", headers={"Range": wanted})
    assert response.status_code == 206
    first, end = expected
    assert response.content == CONTENT[first:end]
    assert response.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(CONTENT)}"
    assert response.headers["Content-Length"] == str(end - first)


@pytest.mark.parametrize("wanted", ["bytes=10240-", "bytes=10240-10250", "bytes=99999999999999999-", "bytes=-0"])
async def test_a_part_that_is_not_there_is_refused(api: httpx2.AsyncClient, wanted: str) -> None:
    shown = await upload(api)
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content", headers={"Range": wanted})
    problem(response, 416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=" + "9" * 30 + "-", "bytes=٣-٤"],
)
async def test_a_range_that_is_none_gives_the_whole(api: httpx2.AsyncClient, wanted: str) -> None:
    shown = await upload(api)
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content", headers={"Range": wanted.encode()})
    assert (response.status_code, response.content) == (200, CONTENT)


async def test_a_part_of_another_file_is_not_joined(api: httpx2.AsyncClient) -> None:
    shown = await upload(api)
    place = f"/api/v1/artifacts/{shown['id']}/content"
    tag = (await api.get(place)).headers["ETag"]
    same = await api.get(place, headers={"Range": "bytes=5-9", "If-Range": tag})
    other = await api.get(place, headers={"Range": "bytes=5-9", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


async def test_an_empty_file_is_a_file(api: httpx2.AsyncClient) -> None:
    shown = await upload(api, b"")
    assert shown["size"] == 0
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content")
    assert (response.status_code, response.content) == (200, b"")
    ranged = await api.get(f"/api/v1/artifacts/{shown['id']}/content", headers={"Range": "bytes=0-"})
    problem(ranged, 416, "range_not_satisfiable")


async def test_a_damaged_file_is_never_handed_out_as_a_whole(api: httpx2.AsyncClient, millrace: Installation) -> None:
    shown = await upload(api)
    (place,) = stored_files(millrace)
    place.write_bytes(b"\1" + CONTENT[1:])
    response = await api.get(f"/api/v1/artifacts/{shown['id']}/content")
    assert "damaged" in response.text or len(response.content) < len(CONTENT)
    place.write_bytes(CONTENT[:-1])
    document = problem(await api.get(f"/api/v1/artifacts/{shown['id']}/content"), 500, "artifact_lost")
    assert "damaged" in document["detail"]
    place.unlink()
    problem(await api.get(f"/api/v1/artifacts/{shown['id']}/content"), 500, "artifact_lost")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "a\\b", "..", ".", "a\0b", "a\r\nb", " a", "a.", "x" * 256, "a\u202egpj.exe"]
)
async def test_a_name_that_could_lead_elsewhere_is_refused(
    api: httpx2.AsyncClient, millrace: Installation, name: str
) -> None:
    response = await api.post("/api/v1/artifacts", params={"name": name}, content=b"x")
    document = problem(response, 422, "invalid_request")
    assert document["faults"][0]["path"] == "query.name"
    assert stored_files(millrace) == []


@pytest.mark.parametrize(
    ("query", "headers", "path"),
    [
        ({"name": "a", "expires_in": "soon"}, {}, "query.expires_in"),
        ({"name": "a"}, {"Content-Type": "no media type"}, "header.Content-Type"),
        ({"name": "a"}, {"Content-Type": "text/html<script>"}, "header.Content-Type"),
        ({}, {}, "query.name"),
    ],
)
async def test_what_else_is_wrong_is_named(
    api: httpx2.AsyncClient, query: dict[str, str], headers: dict[str, str], path: str
) -> None:
    response = await api.post("/api/v1/artifacts", params=query, content=b"x", headers=headers)
    assert [fault["path"] for fault in problem(response, 422, "invalid_request")["faults"]] == [path]


async def test_a_file_beyond_the_limit_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str | None
) -> None:
    monkeypatch.setenv("MILLRACE_MAX_ARTIFACT_BYTES", "2000")
    async with installation(tmp_path / "small", database_url) as millrace, millrace.client() as api:
        assert (await upload(api, b"x" * 2000))["size"] == 2000
        response = await api.post("/api/v1/artifacts", params={"name": "a"}, content=b"x" * 2001)
        assert "MILLRACE_MAX_ARTIFACT_BYTES" in problem(response, 413, "too_large")["detail"]
        assert len(stored_files(millrace)) == 1
        run = await finished(api, writes(large="x" * 2001))
        assert run["status"] == "failed"
        task = (await api.get(f"/api/v1/runs/{run['id']}/tasks/write")).json()
        assert task["error"]["kind"] == "invalid_output"
        assert "MILLRACE_MAX_ARTIFACT_BYTES" in task["error"]["message"]


async def test_without_a_key_there_is_nothing(api: httpx2.AsyncClient, millrace: Installation) -> None:
    shown = await upload(api)
    async with millrace.client("") as nobody:
        for method, path in (
            ("GET", "artifacts"), ("POST", "artifacts?name=a"), ("GET", f"artifacts/{shown['id']}"),
            ("GET", f"artifacts/{shown['id']}/content"), ("DELETE", f"artifacts/{shown['id']}"),
            ("GET", "runs/x/artifacts"),
        ):  # fmt: skip
            problem(await nobody.request(method, f"/api/v1/{path}"), 401, "unauthenticated")
    assert len(stored_files(millrace)) == 1


async def test_what_there_is_not_is_not_found(api: httpx2.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        problem(await api.request(method, f"/api/v1/artifacts/none{path}"), 404, "artifact_not_found")
    problem(await api.get("/api/v1/runs/none/artifacts"), 404, "run_not_found")


async def test_a_deleted_file_is_gone(api: httpx2.AsyncClient, millrace: Installation) -> None:
    shown = await upload(api)
    assert (await api.delete(f"/api/v1/artifacts/{shown['id']}")).status_code == 204
    assert stored_files(millrace) == []
    problem(await api.get(f"/api/v1/artifacts/{shown['id']}"), 404, "artifact_not_found")
    problem(await api.delete(f"/api/v1/artifacts/{shown['id']}"), 404, "artifact_not_found")


# --- files of tasks ---------------------------------------------------------------------------------------------------


async def test_a_task_hands_a_file_on_to_the_next(api: httpx2.AsyncClient) -> None:
    run = await finished(
        api,
        writes(note="hello"),
        {"id": "read", "type": "read", "config": {"value": "{{ tasks.write.output.note }}"}},
    )
    assert run["status"] == "completed", run
    written = (await api.get(f"/api/v1/runs/{run['id']}/tasks/write")).json()["output"]["note"]
    assert (await api.get(f"/api/v1/runs/{run['id']}/tasks/read")).json()["output"] == "hello"
    assert (written["name"], written["media_type"], written["size"]) == ("note", "text/plain", 5)
    shown = (await api.get(f"/api/v1/artifacts/{written['artifact']}")).json()
    assert shown["reference"] == written
    assert (shown["run_id"], shown["task"], shown["attempt"]) == (run["id"], "write", 1)
    assert (await api.get(f"/api/v1/artifacts/{written['artifact']}/content")).content == b"hello"


async def test_a_run_is_given_a_file_that_was_sent(api: httpx2.AsyncClient) -> None:
    shown = await upload(api, b"from outside")
    reads = {"id": "read", "type": "read", "config": {"value": "{{ input.file }}"}}
    for number, given in enumerate((shown["reference"], {"artifact": shown["id"]}, shown["id"])):
        run = await finished(api, reads, name=f"w{number}", input={"file": given})
        assert (await api.get(f"/api/v1/runs/{run['id']}/tasks/read")).json()["output"] == "from outside"


@pytest.mark.parametrize("given", ["none", {"artifact": "none"}, {"name": "x"}, 3, None, "", ["a"], "../../etc/passwd"])
async def test_a_reference_to_nothing_is_an_invalid_input(api: httpx2.AsyncClient, given: Any) -> None:
    reads = {"id": "read", "type": "read", "config": {"value": "{{ input.file }}"}}
    run = await finished(api, reads, input={"file": given})
    error = (await api.get(f"/api/v1/runs/{run['id']}/tasks/read")).json()["error"]
    assert error["kind"] == "invalid_input"
    assert "file" in error["message"]


async def test_what_a_failed_attempt_wrote_is_not_shown(api: httpx2.AsyncClient) -> None:
    run = await finished(api, writes(a="1", fail="2"))
    assert run["status"] == "failed"
    assert (await api.get(f"/api/v1/runs/{run['id']}/artifacts")).json()["items"] == []
    assert (await api.get("/api/v1/artifacts")).json()["items"] == []


async def test_artifacts_are_listed_newest_first_and_narrowed(api: httpx2.AsyncClient) -> None:
    run = await finished(api, writes(a="1", b="2", Report="3"))
    sent = await upload(api, name="report-of-day.csv")
    everything = (await api.get("/api/v1/artifacts")).json()["items"]
    assert [one["name"] for one in everything] == ["report-of-day.csv", "Report", "b", "a"]

    async def names(path: str = "artifacts", **query: str) -> list[str]:
        return [one["name"] for one in (await api.get(f"/api/v1/{path}", params=query)).json()["items"]]

    assert await names(origin="upload") == ["report-of-day.csv"]
    assert await names(origin="task") == ["Report", "b", "a"]
    assert await names(name="REPORT") == ["report-of-day.csv", "Report"]
    assert await names(name="%") == []
    assert await names(run=run["id"]) == await names(f"runs/{run['id']}/artifacts") == ["Report", "b", "a"]
    assert sent["created_by"] == everything[0]["created_by"] is not None

    found, cursor = [], None
    while True:
        page = (
            await api.get("/api/v1/artifacts", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        ).json()
        found += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["report-of-day.csv", "Report", "b", "a"]

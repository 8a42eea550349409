"""W6: a definition is applied over HTTP: what it takes for the workflow to be as it says, and no more."""

import asyncio
from typing import Any

import httpx2

from tests.support.api import create, definition, problem

URL = "/api/v1/workflows"


def echo(value: Any, task_id: str = "a") -> dict[str, Any]:
    return {"id": task_id, "type": "echo", "config": {"value": value}}


async def apply(api: httpx2.AsyncClient, body: dict[str, Any], query: str = "") -> dict[str, Any]:
    response = await api.post(f"{URL}/apply?{query}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def names(api: httpx2.AsyncClient, source: str) -> list[str]:
    return [item["name"] for item in (await api.get(URL, params={"source": source})).json()["items"]]


async def test_created_unchanged_updated(api: httpx2.AsyncClient) -> None:
    body = {**definition("applied", echo(1)), "description": "words"}
    first = await apply(api, body)
    assert (first["outcome"], first["version"], first["deployed_version"]) == ("created", 1, 1)
    assert (first["before"], first["changes"]) == (None, None)
    shown = await api.get(f"{URL}/applied")
    second = await apply(api, body)
    assert (second["outcome"], second["changes"]["identical"]) == ("unchanged", True)
    assert (await api.get(f"{URL}/applied")).headers["ETag"] == shown.headers["ETag"]
    third = await apply(api, {**body, "tasks": [echo(2), echo(3, "b")]})
    assert (third["outcome"], third["version"], third["before"]["version"]) == ("updated", 2, 1)
    assert [(task["id"], task["change"]) for task in third["changes"]["tasks"]] == [("a", "changed"), ("b", "added")]
    fourth = await apply(api, definition("applied", echo(2), echo(3, "b")))
    assert (fourth["outcome"], fourth["version"]) == ("updated", 2)
    assert [field["path"] for field in fourth["changes"]["fields"]] == ["description"], "what is not there goes away"


async def test_a_dry_run_says_the_same_and_does_nothing(api: httpx2.AsyncClient) -> None:
    body = definition("dry", echo(1))
    assert (await apply(api, body, "dry_run=true&source=s"))["outcome"] == "created"
    assert (await api.get(URL)).json()["items"] == []
    await apply(api, body)
    changed = {**definition("dry", echo(2)), "status": "paused", "comment": "x"}
    before = await api.get(f"{URL}/dry")
    told = await apply(api, changed, "dry_run=true")
    assert (await api.get(f"{URL}/dry")).headers["ETag"] == before.headers["ETag"]
    assert await apply(api, changed) == told
    assert (told["status"], told["before"]["status"]) == ("paused", "active")
    assert (await apply(api, changed, "dry_run=true"))["outcome"] == "unchanged"
    problem(await api.post(f"{URL}/apply?dry_run=true", json={**body, "tasks": []}), 422, "invalid_definition")


async def test_the_name_alone_says_which_workflow(api: httpx2.AsyncClient) -> None:
    first = await create(api, definition("One Name"))
    for name in (first["id"], first["slug"]):
        assert (await apply(api, definition(name)))["outcome"] == "created", "an id or slug is no name"
        assert (await apply(api, definition(name)))["outcome"] == "unchanged"
    assert (await api.get(f"{URL}/{first['id']}")).json() == first


async def test_what_operators_did_stays_until_the_file_says_something_new(api: httpx2.AsyncClient) -> None:
    body = definition("operated", echo(1))
    await apply(api, body)
    await apply(api, {**body, "tasks": [echo(2)]})
    await api.post(f"{URL}/operated/deploy", json={"version": 1})
    await api.post(f"{URL}/operated/disable")
    await api.patch(f"{URL}/operated/versions/2", json={"tag": "2.0"})
    same = await apply(api, {**body, "tasks": [echo(2)]})
    assert (same["outcome"], same["deployed_version"], same["status"]) == ("unchanged", 1, "paused")
    assert (await api.get(f"{URL}/operated/versions/2")).json()["tag"] == "2.0"
    new = await apply(api, {**body, "tasks": [echo(3)]})
    assert (new["outcome"], new["deployed_version"], new["status"]) == ("updated", 3, "paused")
    assert (await apply(api, {**body, "tasks": [echo(3)], "is_active": True}))["status"] == "active"


async def test_a_tag_in_a_file_names_one_content(api: httpx2.AsyncClient) -> None:
    one = {**definition("tagged", echo(1)), "version_tag": "1.0"}
    two = {**definition("tagged", echo(2)), "version_tag": "2.0"}
    await apply(api, one)
    taken = problem(await api.post(f"{URL}/apply", json={**one, "tasks": [echo(2)]}), 409, "tag_taken")
    assert "version 1" in taken["detail"]
    assert (await apply(api, two))["version"] == 2
    back = await apply(api, one)
    assert (back["outcome"], back["version"]) == ("updated", 3), "the files may go back to what they were"
    assert (await apply(api, one))["outcome"] == "unchanged"
    assert (await api.get(f"{URL}/tagged/versions/1.0")).json()["number"] == 1


async def test_a_file_may_name_the_version_it_changes(api: httpx2.AsyncClient) -> None:
    await apply(api, definition("guarded", echo(1)))
    await apply(api, {**definition("guarded", echo(2)), "version": 1})
    problem(await api.post(f"{URL}/apply", json={**definition("guarded", echo(3)), "version": 1}), 409, "stale_version")


async def test_applied_many_times_at_once_it_is_made_once(api: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(apply(api, definition("crowded", echo(1)), "source=s") for _ in range(5)))
    assert sorted(answer["outcome"] for answer in answers) == ["created", *["unchanged"] * 4]
    assert len((await api.get(f"{URL}/crowded/versions")).json()["items"]) == 1


async def test_a_source_has_what_was_made_from_it(api: httpx2.AsyncClient) -> None:
    await create(api, definition("by hand"))
    told = await apply(api, definition("made"), "source=team a&dry_run=1")
    assert await apply(api, definition("made"), "source=team a") == told
    assert (told["outcome"], told["source"]) == ("created", "team a")
    assert await names(api, "team a") == ["made"]
    assert (await api.get(f"{URL}/made")).json()["source"] == "team a"
    assert (await api.get(f"{URL}/by-hand")).json()["source"] is None
    again = await apply(api, definition("made"))
    assert (again["outcome"], again["source"]) == ("unchanged", "team a"), "who says no source changes none"
    assert await names(api, "team a") == ["made"]


async def test_a_workflow_belongs_to_the_source_that_it_is_applied_from(api: httpx2.AsyncClient) -> None:
    await create(api, definition("by hand"))
    await apply(api, definition("no source"))
    await apply(api, definition("theirs"), "source=team b")
    for name, before in (("by hand", None), ("no source", None), ("theirs", "team b")):
        told = await apply(api, definition(name), "source=team a&dry_run=1")
        assert name not in await names(api, "team a"), "a dry run adopts nothing"
        assert (told["outcome"], told["source"], told["before"]["source"]) == ("adopted", "team a", before)
        assert await apply(api, definition(name), "source=team a") == told
        assert (await apply(api, definition(name), "source=team a"))["outcome"] == "unchanged"
    assert (await names(api, "team a"), await names(api, "team b")) == (["by hand", "no source", "theirs"], [])
    assert (await api.delete(f"{URL}/by-hand?source=team a")).status_code == 204
    await create(api, definition("another"))
    both = await apply(api, definition("another", echo(9)), "source=team a")
    assert (both["outcome"], both["version"], both["before"]["source"], both["source"]) == (
        "updated",
        2,
        None,
        "team a",
    )


async def test_deleting_may_ask_for_the_source(api: httpx2.AsyncClient) -> None:
    await create(api, definition("by hand"))
    await apply(api, definition("made"), "source=here")
    problem(await api.delete(f"{URL}/by-hand?source=here"), 409, "other_source")
    problem(await api.delete(f"{URL}/made?source=there"), 409, "other_source")
    assert (await api.delete(f"{URL}/made?source=here")).status_code == 204
    assert await names(api, "here") == []
    again = await create(api, definition("made"))
    assert again["source"] is None

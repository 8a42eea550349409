"""W3: versions are compared, named and rolled back over HTTP, and nobody's change gets lost."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.api import ECHO, create, definition, problem, start

URL = "/api/v1/workflows"


def echo(value: Any, task_id: str = "a") -> dict[str, Any]:
    return {"id": task_id, "type": "echo", "config": {"value": value}}


async def make_versions(api: httpx2.AsyncClient, name: str, count: int, **fields: Any) -> dict[str, Any]:
    """A workflow with so many versions, whose task `a` echoes the version's number."""
    shown = await create(api, {**definition(name, echo(1)), **fields})
    for number in range(2, count + 1):
        response = await api.put(f"{URL}/{shown['id']}", json={"tasks": [echo(number)], "comment": f"make {number}"})
        assert response.status_code == 200, response.text
        shown = response.json()
    return shown


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_versions_are_listed_page_by_page_newest_first(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "paged", 5)
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await api.get(f"{URL}/paged/versions?limit=2{cursor}")).json()
        seen += [item["number"] for item in page["items"]]
        assert all("definition" not in item for item in page["items"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [5, 4, 3, 2, 1]


async def test_a_version_is_found_by_its_number_else_by_its_tag(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "called", 3)
    for number, tag in ((1, "release/2026 ü"), (2, "3"), (3, "7")):
        changed = await api.patch(f"{URL}/called/versions/{number}", json={"tag": tag})
        assert changed.status_code == 200, changed.text
    by_tag = (await api.get(f"{URL}/called/versions/release%2F2026%20%C3%BC")).json()
    assert (by_tag["number"], by_tag["tag"]) == (1, "release/2026 ü")
    assert by_tag["definition"]["version_tag"] == "release/2026 ü"
    assert (await api.get(f"{URL}/called/versions/3")).json()["number"] == 3, "a number goes before a tag"
    assert (await api.get(f"{URL}/called/versions/7")).json()["number"] == 3
    problem(await api.get(f"{URL}/called/versions/none"), 404, "version_not_found")
    problem(await api.get(f"{URL}/called/versions/99999999999999999999"), 404, "version_not_found")


async def test_a_start_names_its_version_by_number_or_tag(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "started", 3)
    for number, tag in ((1, "stable"), (2, "3"), (3, "7")):
        await api.patch(f"{URL}/started/versions/{number}", json={"tag": tag})
    for wanted, number in (("stable", 1), ("3", 3), (2, 2), ("7", 3), (None, 3)):
        run = await start(api, "started", wait=True, version=wanted)
        assert run["workflow"]["version"] == number, wanted
    unknown = await api.post(f"{URL}/started/execute", json={"version": "unstable"})
    assert "unstable" in problem(unknown, 404, "version_not_found")["detail"]
    for bad in ("", 0, 1.5, True):
        problem(await api.post(f"{URL}/started/execute", json={"version": bad}), 422, "invalid_request")


async def test_a_start_by_tag_is_the_same_request_as_long_as_it_says_the_same(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "keyed", 2)
    await api.patch(f"{URL}/keyed/versions/1", json={"tag": "stable"})
    body = {"version": "stable", "idempotency_key": "k"}
    first = (await api.post(f"{URL}/keyed/execute", json=body)).json()
    assert first["workflow"]["version"] == 1
    await api.patch(f"{URL}/keyed/versions/1", json={"tag": None})
    await api.patch(f"{URL}/keyed/versions/2", json={"tag": "stable"})
    assert (await api.post(f"{URL}/keyed/execute", json=body)).json()["id"] == first["id"]
    problem(await api.post(f"{URL}/keyed/execute", json={**body, "version": 2}), 409, "idempotency_conflict")


async def test_a_version_says_who_made_it_when_and_why(api: httpx2.AsyncClient) -> None:
    shown = await make_versions(api, "told", 2)
    version = (await api.get(f"{URL}/told/versions/2")).json()
    assert (version["author"], version["comment"]) == (shown["updated_by"], "make 2")
    assert version["created_at"] <= shown["updated_at"]


# --- differences ------------------------------------------------------------------------------------------------------


async def test_two_versions_are_compared_by_task_and_by_field(api: httpx2.AsyncClient) -> None:
    first = definition("compared", echo(1), echo(2, "b"), echo(3, "c"), echo(4, "d"))
    await create(api, {**first, "timeout": "1m", "description": "before"})
    change = {
        "tasks": [echo(4, "d"), echo("one"), echo(2, "b"), echo(5, "e")],
        "timeout": "2m",
        "variables": {"region": "eu"},
        "description": "after",
    }
    assert (await api.put(f"{URL}/compared", json=change)).status_code == 200
    found = (await api.get(f"{URL}/compared/diff?from=1&to=2")).json()
    assert found["identical"] is False
    assert (found["from"]["number"], found["to"]["number"]) == (1, 2)
    assert {field["path"]: field for field in found["fields"]} == {
        "timeout": {"path": "timeout", "change": "changed", "old": "1m", "new": "2m"},
        "variables": {"path": "variables", "change": "added", "new": {"region": "eu"}},
    }, "words about the workflow belong to no version"
    changes = {task["id"]: task for task in found["tasks"]}
    assert {task_id: task["change"] for task_id, task in changes.items()} == {
        "c": "removed", "d": "moved", "a": "changed", "e": "added"
    }  # fmt: skip
    assert changes["a"]["fields"] == [{"path": "config.value", "change": "changed", "old": 1, "new": "one"}]
    assert changes["a"]["moved"] is False
    assert (changes["d"]["from"]["path"], changes["d"]["to"]["path"]) == ("tasks[3]", "tasks[0]")
    assert changes["c"]["task"] == echo(3, "c")
    back = (await api.get(f"{URL}/compared/diff?from=2&to=1")).json()
    assert {task["id"]: task["change"] for task in back["tasks"]}["c"] == "added"


async def test_without_names_the_newest_is_compared_with_the_one_before(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "last", 3)
    await api.patch(f"{URL}/last/versions/1", json={"tag": "first"})
    found = (await api.get(f"{URL}/last/diff")).json()
    assert (found["from"]["number"], found["to"]["number"]) == (2, 3)
    found = (await api.get(f"{URL}/last/diff?from=first")).json()
    assert (found["from"]["number"], found["to"]["number"]) == (1, 3)
    assert (await api.get(f"{URL}/last/diff?from=2&to=2")).json()["identical"] is True
    problem(await api.get(f"{URL}/last/diff?from=9"), 404, "version_not_found")
    problem(await api.get(f"{URL}/nothing/diff"), 404, "workflow_not_found")


# --- rolling back -----------------------------------------------------------------------------------------------------


async def test_a_rollback_is_a_new_version_with_the_old_work_and_is_deployed(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "back", 3, description="first words")
    await api.patch(f"{URL}/back", json={"description": "new words", "owner": "ada"})
    response = await api.post(f"{URL}/back/rollback", json={"version": 1, "comment": "orders were lost"})
    assert response.status_code == 200, response.text
    shown = response.json()
    assert (shown["version"], shown["deployed_version"]) == (4, 4)
    assert shown["definition"]["tasks"] == [echo(1)]
    assert (shown["description"], shown["owner"]) == ("new words", "ada"), "words about the workflow stay"
    version = (await api.get(f"{URL}/back/versions/4")).json()
    assert (version["comment"], version["author"]) == ("orders were lost", shown["updated_by"])
    first = (await api.get(f"{URL}/back/versions/1")).json()
    assert version["content_hash"] == first["content_hash"]
    records = (await api.get(f"{URL}/back/deployments")).json()["items"]
    assert (records[0]["action"], records[0]["version"]) == ("rollback", 4)
    run = await start(api, "back", wait=True)
    assert run["workflow"]["version"] == 4


async def test_a_rollback_may_be_kept_from_being_deployed(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "kept", 2)
    shown = (await api.post(f"{URL}/kept/rollback", json={"version": 1, "deploy": False})).json()
    assert (shown["version"], shown["deployed_version"]) == (3, 2)
    assert len((await api.get(f"{URL}/kept/deployments")).json()["items"]) == 2


async def test_a_rollback_to_what_is_there_makes_no_version_but_deploys_it(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "same", 2)
    await api.post(f"{URL}/same/deploy", json={"version": 1})
    shown = (await api.post(f"{URL}/same/rollback", json={"version": 2})).json()
    assert (shown["version"], shown["deployed_version"]) == (2, 2)


async def test_a_rollback_by_tag_leaves_the_tag_where_it_is(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "by tag", 2)
    await api.patch(f"{URL}/by-tag/versions/1", json={"tag": "good"})
    shown = (await api.post(f"{URL}/by-tag/rollback", json={"version": "good"})).json()
    assert shown["version"] == 3
    assert (await api.get(f"{URL}/by-tag/versions/good")).json()["number"] == 1
    problem(await api.post(f"{URL}/by-tag/rollback", json={"version": "bad"}), 404, "version_not_found")
    for body in ({}, {"version": 0}, {"version": ""}, {"version": 1.5}, {"version": 1, "colour": "red"}):
        problem(await api.post(f"{URL}/by-tag/rollback", json=body), 422, "invalid_request")


# --- tags and comments ------------------------------------------------------------------------------------------------


async def test_a_tag_is_set_replaced_and_taken_off_and_makes_no_version(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "tags", 2)
    path = f"{URL}/tags/versions/1"
    assert (await api.patch(path, json={"tag": "1.0", "comment": "as released"})).json()["tag"] == "1.0"
    changed = (await api.patch(path, json={"tag": "1.1"})).json()
    assert (changed["tag"], changed["comment"]) == ("1.1", "as released")
    assert (await api.patch(path, json={"tag": None, "comment": None})).json()["tag"] is None
    assert (await api.patch(path, json={"tag": " "})).status_code == 422
    shown = (await api.get(f"{URL}/tags")).json()
    assert (shown["version"], shown["deployed_version"]) == (2, 2)


async def test_a_tag_names_one_version(api: httpx2.AsyncClient) -> None:
    await make_versions(api, "unique", 3)
    assert (await api.patch(f"{URL}/unique/versions/1", json={"tag": "1.0"})).status_code == 200
    problem(await api.patch(f"{URL}/unique/versions/2", json={"tag": "1.0"}), 409, "tag_taken")
    problem(await api.patch(f"{URL}/unique/versions/3", json={"tag": "1.0"}), 409, "tag_taken")
    problem(await api.patch(f"{URL}/unique", json={"version_tag": "1.0"}), 409, "tag_taken")
    taken = {"tasks": [echo("new")], "version_tag": "1.0"}
    problem(await api.put(f"{URL}/unique", json=taken), 409, "tag_taken")
    assert (await api.get(f"{URL}/unique")).json()["version"] == 3, "what was refused left nothing"
    await create(api, {**definition("other"), "version_tag": "1.0"})


async def test_a_tag_stays_with_its_version_when_the_work_changes(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("tagged", echo(1)), "version_tag": "1.0"})
    shown = (await api.put(f"{URL}/tagged", json={"tasks": [echo(2)]})).json()
    assert "version_tag" not in shown["definition"]
    assert (await api.get(f"{URL}/tagged/versions/1.0")).json()["number"] == 1
    shown = (await api.put(f"{URL}/tagged", json={"tasks": [echo(3)], "version_tag": "2.0"})).json()
    assert shown["definition"]["version_tag"] == "2.0"
    whole = {**shown["definition"], "tasks": [echo(4)]}
    again = await api.put(f"{URL}/tagged?replace=true", json=whole)
    assert again.status_code == 200, "who sends back what was read, with a change, does not fight over the tag"
    assert "version_tag" not in again.json()["definition"]
    replaced = {"name": "tagged", "tasks": [echo(4)], "variables": {"a": 1}}
    await api.patch(f"{URL}/tagged/versions/4", json={"tag": "kept"})
    await api.put(f"{URL}/tagged?replace=true", json={"name": "tagged", "tasks": [echo(4)]})
    assert (await api.get(f"{URL}/tagged/versions/4")).json()["tag"] == "kept", "only null takes a tag off"
    await api.put(f"{URL}/tagged?replace=true", json=replaced)
    assert (await api.get(f"{URL}/tagged/versions/5")).json()["tag"] is None


# --- nobody's change is lost ------------------------------------------------------------------------------------------


async def test_of_two_who_change_the_same_version_one_is_told_so(api: httpx2.AsyncClient) -> None:
    tag = (await api.post(URL, json=definition("raced"))).headers["ETag"]
    for attempt in range(5):
        values = [f"{attempt}-{number}" for number in range(4)]
        answers = await asyncio.gather(
            *(api.patch(f"{URL}/raced", json={"tasks": [echo(value)]}, headers={"If-Match": tag}) for value in values)
        )
        won = [answer for answer in answers if answer.status_code == 200]
        assert len(won) == 1
        for lost in answers:
            if lost is not won[0]:
                problem(lost, 409, "stale_version")
        tag = won[0].headers["ETag"]
        shown = (await api.get(f"{URL}/raced")).json()
        assert shown == won[0].json()
        assert shown["version"] == attempt + 2


async def test_changes_of_different_fields_at_the_same_time_are_all_kept(api: httpx2.AsyncClient) -> None:
    await create(api, definition("merged"))
    fields: list[dict[str, Any]] = [
        {"variables": {"a": 1}},
        {"timeout": "5m"},
        {"output": "{{ tasks.a.output }}"},
        {"description": "words"},
        {"labels": {"team": "data"}},
    ]
    answers = await asyncio.gather(*(api.patch(f"{URL}/merged", json=field) for field in fields))
    assert [answer.status_code for answer in answers] == [200] * len(fields)
    shown = (await api.get(f"{URL}/merged")).json()
    for field in fields:
        for key, value in field.items():
            assert shown["definition"][key] == value
    numbers = [item["number"] for item in (await api.get(f"{URL}/merged/versions")).json()["items"]]
    assert numbers == [4, 3, 2, 1], "three of them changed the work, one after the other"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"tasks": [echo(9)]}),
        ("PUT", "", {"description": "x"}),
        ("DELETE", "", None),
        ("POST", "/rollback", {"version": 1}),
        ("PATCH", "/versions/1", {"tag": "x"}),
        ("POST", "/enable", None),
        ("POST", "/disable", None),
        ("POST", "/deploy", {"version": 1}),
        ("PUT", "/deploy", {}),
        ("DELETE", "/deploy", None),
        ("POST", "/tasks", echo(1, "z")),
        ("PATCH", "/tasks/a", {"timeout": "1s"}),
        ("PUT", "/tasks/a", {"timeout": "1s"}),
        ("DELETE", "/tasks/a", None),
    ],
)
async def test_every_change_may_name_what_it_changes(
    api: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    await create(api, definition("guarded", ECHO, echo(2, "b")))
    shown = (await api.patch(f"{URL}/guarded", json={"tasks": [echo(5), echo(2, "b")]})).json()
    for stale in ('"1"', '"1-0"', "1"):
        refused = await api.request(method, f"{URL}/guarded{path}", json=body, headers={"If-Match": stale})
        problem(refused, 409, "stale_version")
    assert (await api.get(f"{URL}/guarded")).json() == shown
    assert len((await api.get(f"{URL}/guarded/deployments")).json()["items"]) == 2
    done = await api.request(method, f"{URL}/guarded{path}", json=body, headers={"If-Match": "2"})
    assert done.is_success, done.text

"""W1, W2, W3: workflows and their versions over HTTP."""

import httpx2
import pytest

from tests.support.api import ECHO, create, definition, problem

URL = "/api/v1/workflows"


async def test_a_workflow_is_created_and_found_by_id_name_and_slug(api: httpx2.AsyncClient) -> None:
    created = await create(api, definition("Nightly Orders"))
    assert created["slug"] == "nightly-orders"
    assert (created["version"], created["deployed_version"], created["status"]) == (1, 1, "active")
    for reference in (created["id"], "Nightly Orders", "nightly-orders"):
        found = (await api.get(f"{URL}/{reference}")).json()
        assert found == created


async def test_an_id_goes_before_a_name_and_a_name_before_a_slug(api: httpx2.AsyncClient) -> None:
    first = await create(api, definition("First One"))
    named_as_slug = await create(api, definition("first-one"))
    assert named_as_slug["slug"] != first["slug"]
    assert (await api.get(f"{URL}/first-one")).json()["id"] == named_as_slug["id"]
    named_as_id = await create(api, definition(first["id"]))
    assert named_as_id["id"] != first["id"]
    assert (await api.get(f"{URL}/{first['id']}")).json()["id"] == first["id"]


async def test_a_definition_may_be_yaml(api: httpx2.AsyncClient) -> None:
    body = "name: from yaml\ntasks:\n  - {id: a, type: echo, config: {value: 1}}\n"
    response = await api.post(URL, content=body, headers={"Content-Type": "application/yaml"})
    assert response.status_code == 201
    assert response.json()["definition"]["tasks"][0]["id"] == "a"
    assert response.headers["Location"] == f"{URL}/{response.json()['id']}"


async def test_names_are_unique_until_deleted(api: httpx2.AsyncClient) -> None:
    created = await create(api, definition("one"))
    problem(await api.post(URL, json=definition("one")), 409, "name_taken")
    assert (await api.delete(f"{URL}/{created['id']}")).status_code == 204
    problem(await api.get(f"{URL}/one"), 404, "workflow_not_found")
    again = await create(api, definition("one"))
    assert again["id"] != created["id"]


async def test_slugs_are_unique(api: httpx2.AsyncClient) -> None:
    slugs = [(await create(api, definition(name)))["slug"] for name in ("a b", "a-b", "A B")]
    assert len(set(slugs)) == 3


async def test_every_fault_is_reported_and_nothing_is_saved(api: httpx2.AsyncClient) -> None:
    faulty = {"name": "faulty", "tasks": [{"id": "a", "type": "no_such_type"}], "colour": "red"}
    found = problem(await api.post(URL, json=faulty), 422, "invalid_definition")
    assert {fault["path"] for fault in found["faults"]} >= {"tasks[0].type", "colour"}
    problem(await api.post(f"{URL}/validate", json=faulty), 422, "invalid_definition")
    assert (await api.get(URL)).json()["items"] == []


async def test_validate_saves_nothing(api: httpx2.AsyncClient) -> None:
    response = await api.post(f"{URL}/validate", json=definition("checked"))
    assert response.status_code == 200
    assert response.json()["definition"]["name"] == "checked"
    assert (await api.get(URL)).json()["items"] == []


async def test_a_changed_definition_is_a_new_version_and_an_equal_one_is_not(api: httpx2.AsyncClient) -> None:
    first = await create(api, definition("versions"))
    same = (await api.put(f"{URL}/versions", json=definition("versions"))).json()
    assert same == first
    changed = (await api.put(f"{URL}/versions", json={"tasks": [{**ECHO, "config": {"value": 2}}]})).json()
    assert (changed["version"], changed["deployed_version"]) == (2, 2)
    versions = (await api.get(f"{URL}/versions/versions")).json()["items"]
    assert [version["number"] for version in versions] == [2, 1]
    old = (await api.get(f"{URL}/versions/versions/1")).json()
    assert old["definition"]["tasks"][0]["config"] == {"value": 1}
    problem(await api.get(f"{URL}/versions/versions/3"), 404, "version_not_found")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"description": "new words"}, "new words"),
        ({"category": "finance"}, "finance"),
        ({"labels": {"team": "data"}}, {"team": "data"}),
        ({"metadata": {"cost": 3}}, {"cost": 3}),
        ({"owner": "ada"}, "ada"),
        ({"name": "renamed"}, "renamed"),
    ],
)
async def test_describing_anew_makes_no_version(api: httpx2.AsyncClient, change: dict, shown: object) -> None:
    created = await create(api, definition("described"))
    changed = await api.patch(f"{URL}/{created['id']}", json=change)
    assert changed.status_code == 200
    field = next(iter(change))
    assert changed.json()[field] == shown
    assert changed.json()["definition"][field] == shown
    assert changed.json()["version"] == 1
    assert changed.json()["definition"]["tasks"] == created["definition"]["tasks"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_fields_not_given_stay(api: httpx2.AsyncClient, method: str) -> None:
    created = await create(api, {**definition("kept"), "variables": {"region": "eu"}, "description": "words"})
    changed = await api.request(method, f"{URL}/kept", json={"variables": {"region": "us"}})
    assert changed.json()["definition"] == {**created["definition"], "variables": {"region": "us"}}


async def test_a_stale_change_is_refused_and_loses_nothing(api: httpx2.AsyncClient) -> None:
    created = await api.post(URL, json=definition("locked"))
    tag = created.headers["ETag"]
    other = {"tasks": [{**ECHO, "config": {"value": "theirs"}}]}
    mine = {"tasks": [{**ECHO, "config": {"value": "mine"}}]}
    fresh = await api.put(f"{URL}/locked", json=other, headers={"If-Match": tag})
    assert fresh.status_code == 200
    problem(await api.put(f"{URL}/locked", json=mine, headers={"If-Match": tag}), 409, "stale_version")
    problem(await api.put(f"{URL}/locked", json=mine, headers={"If-Match": '"1"'}), 409, "stale_version")
    problem(await api.patch(f"{URL}/locked", json={**mine, "version": 1}), 409, "stale_version")
    assert (await api.get(f"{URL}/locked")).json() == fresh.json()
    for headers, version in (({"If-Match": fresh.headers["ETag"]}, {}), ({}, {"version": 3}), ({"If-Match": "*"}, {})):
        body = {"tasks": [{**ECHO, "config": {"value": [*headers, *version]}}], **version}
        assert (await api.put(f"{URL}/locked", json=body, headers=headers)).status_code == 200


async def test_an_etag_spares_the_second_read(api: httpx2.AsyncClient) -> None:
    await create(api, definition("tagged"))
    first = await api.get(f"{URL}/tagged")
    tag = first.headers["ETag"]
    unchanged = await api.get(f"{URL}/tagged", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await api.patch(f"{URL}/tagged", json={"description": "changed"})
    assert (await api.get(f"{URL}/tagged", headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize(
    ("given", "status", "deployed"),
    [
        ({"status": "draft"}, "draft", None),
        ({"deploy": False}, "active", None),
        ({"is_active": False}, "paused", 1),
        ({"is_active": True}, "active", 1),
        ({"status": "inactive"}, "inactive", 1),
    ],
)
async def test_status_and_deployment(api: httpx2.AsyncClient, given: dict, status: str, deployed: int | None) -> None:
    created = await create(api, {**definition("status"), **given})
    assert (created["status"], created["deployed_version"]) == (status, deployed)
    assert not {"status", "deploy", "is_active"} & set(created["definition"])


async def test_lists_are_filtered_and_paged(api: httpx2.AsyncClient) -> None:
    for number in range(5):
        await create(
            api,
            {
                **definition(f"list {number}"),
                "labels": {"parity": "even" if number % 2 == 0 else "odd", "'; drop": "x"},
                "category": "c" if number < 2 else "d",
                "owner": f"owner {number}",
                "status": "draft" if number == 4 else "active",
            },
        )

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await api.get(f"{URL}?{query}")).json()["items"]]

    assert await names("label=parity:even") == ["list 0", "list 2", "list 4"]
    assert await names("label=parity:even&label=%27%3B%20drop:x&category=d") == ["list 2", "list 4"]
    assert await names("label=%27%3B%20drop:y") == []
    assert await names("status=draft,paused") == ["list 4"]
    assert await names("status=draft&status=active&name=LIST%203") == ["list 3"]
    assert await names("name=%25") == []
    assert await names("owner=owner%201") == ["list 1"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"{URL}?limit=2{cursor}")).json()
        seen += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"list {number}" for number in range(5)]

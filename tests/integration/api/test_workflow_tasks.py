"""W5: single tasks of a workflow, by uids that stay."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem

URL = "/api/v1/workflows"


def echo(task_id: str, value: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "echo", "config": {"value": value}, **fields}


async def uids(api: httpx2.AsyncClient, workflow: str) -> dict[str, str]:
    return {task["id"]: task["uid"] for task in (await api.get(f"{URL}/{workflow}")).json()["tasks"]}


async def order(api: httpx2.AsyncClient, workflow: str, name: str = "tasks") -> list[str]:
    tasks = (await api.get(f"{URL}/{workflow}/tasks")).json()["items"]
    return [task["id"] for task in tasks if task["list"] == name]


async def test_tasks_are_listed_with_uids_that_are_no_part_of_the_definition(api: httpx2.AsyncClient) -> None:
    created = await create(api, {**definition("listed", echo("a"), echo("b")), "finally": [echo("z")]})
    listed = await api.get(f"{URL}/listed/tasks")
    assert listed.headers["ETag"]
    items = listed.json()["items"]
    assert [(item["id"], item["list"], item["index"]) for item in items] == [
        ("a", "tasks", 0), ("b", "tasks", 1), ("z", "finally", 0)
    ]  # fmt: skip
    assert [item["task"] for item in items] == [echo("a"), echo("b"), echo("z")]
    assert [task["uid"] for task in created["tasks"]] == [item["uid"] for item in items]
    assert len({item["uid"] for item in items}) == 3
    assert "uid" not in str(created["definition"])
    other = await create(api, definition("other", echo("a")))
    assert other["tasks"][0]["uid"] not in {item["uid"] for item in items}
    problem(await api.get(f"{URL}/other/tasks/{items[0]['uid']}"), 404, "task_not_found")


async def test_a_uid_stays_while_the_id_does(api: httpx2.AsyncClient) -> None:
    await create(api, definition("stable", echo("a"), echo("b")))
    first = await uids(api, "stable")
    await api.put(f"{URL}/stable", json={"tasks": [echo("b", 5), echo("c"), echo("a", 6)]})
    second = await uids(api, "stable")
    assert (second["a"], second["b"]) == (first["a"], first["b"])
    await api.put(f"{URL}/stable", json={"tasks": [echo("a")]})
    problem(await api.get(f"{URL}/stable/tasks/{first['b']}"), 404, "task_not_found")
    await api.post(f"{URL}/stable/rollback", json={"version": 1})
    assert await uids(api, "stable") == first


async def test_a_task_is_added_where_it_is_to_stand_and_is_a_new_version(api: httpx2.AsyncClient) -> None:
    await create(api, definition("added", echo("a"), echo("b")))
    response = await api.post(f"{URL}/added/tasks", json={**echo("c"), "comment": "one more"})
    assert response.status_code == 201, response.text
    task = response.json()
    assert (task["list"], task["index"], task["task"]) == ("tasks", 2, echo("c"))
    assert task["workflow"]["version"] == 2
    assert (await api.get(response.headers["Location"])).json() == task
    for body in (
        {**echo("first"), "index": 0},
        {**echo("after_a"), "after": "a"},
        {**echo("after_c"), "after": task["uid"]},
        {**echo("far"), "index": 99},
        {**echo("end"), "list": "finally"},
        {**echo("start"), "list": "finally", "index": 0},
    ):
        answer = await api.post(f"{URL}/added/tasks", json=body)
        assert answer.status_code == 201, answer.text
    assert await order(api, "added") == ["first", "a", "after_a", "b", "c", "after_c", "far"]
    assert await order(api, "added", "finally") == ["start", "end"]
    shown = (await api.get(f"{URL}/added")).json()
    assert (shown["version"], shown["deployed_version"]) == (8, 8)
    assert (await api.get(f"{URL}/added/versions/2")).json()["comment"] == "one more"


async def test_a_task_may_be_yaml_or_have_older_names(api: httpx2.AsyncClient) -> None:
    await create(api, definition("shapes", echo("a")))
    yaml = await api.post(
        f"{URL}/shapes/tasks", content="id: b\ntype: echo\n", headers={"Content-Type": "application/yaml"}
    )
    assert yaml.status_code == 201
    older = {"name": "Say It", "task_type": "ECHO", "config": {"value": 2}, "retry_count": 2, "order_index": 0}
    added = (await api.post(f"{URL}/shapes/tasks", json=older)).json()
    assert (added["id"], added["index"]) == ("say_it", 0)
    assert added["task"]["retry"] == {"max_attempts": 3}
    changed = (
        await api.put(f"{URL}/shapes/tasks/{added['uid']}", json={**older, "name": "Said", "retry_count": 0})
    ).json()
    assert (changed["id"], changed["uid"], changed["task"]["name"]) == ("say_it", added["uid"], "Said")
    bad = problem(await api.post(f"{URL}/shapes/tasks", json={**older, "retry_count": -1}), 422, "invalid_definition")
    assert bad["faults"][0]["path"] == "retry_count"
    bad = problem(await api.post(f"{URL}/shapes/tasks", json={**older, "task_type": "ECO"}), 422, "invalid_definition")
    assert bad["faults"][0]["path"] == "task_type"


async def test_a_task_gets_an_id_from_its_name(api: httpx2.AsyncClient) -> None:
    await create(api, definition("named", echo("a")))
    added = (await api.post(f"{URL}/named/tasks", json={"name": "Load orders!", "type": "echo"})).json()
    assert added["id"] == "load_orders"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"id": "b"}, "type"),
        ({"type": "eco", "id": "b"}, "type"),
        (echo("a"), "id"),
        (echo("b", depends_on=["nowhere"]), "depends_on[0]"),
        (echo("b", "{{ tasks.nowhere.output }}"), "config.value"),
        ({**echo("b"), "colour": "red"}, "colour"),
        ({**echo("b"), "index": -1}, "index"),
        ({**echo("b"), "after": "nowhere"}, "after"),
        ({**echo("b"), "list": "nowhere"}, "list"),
        ({**echo("b"), "after": "a", "index": 1}, "after"),
        ([], ""),
    ],
)
async def test_a_faulty_task_is_told_by_its_own_place(api: httpx2.AsyncClient, body: Any, path: str) -> None:
    created = await create(api, definition("faulty", echo("a")))
    response = await api.post(f"{URL}/faulty/tasks", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["faults"][0]["path"] == path
    assert (await api.get(f"{URL}/faulty")).json() == created


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_fields_given_are_changed(api: httpx2.AsyncClient, method: str) -> None:
    await create(api, definition("changed", echo("a", timeout="5s"), echo("b")))
    before = (await api.get(f"{URL}/changed/tasks/a")).json()
    place = f"{URL}/changed/tasks/{before['uid']}"
    changed = (await api.request(method, place, json={"config": {"value": 2}})).json()
    assert changed["task"] == echo("a", 2, timeout="5s")
    assert (changed["uid"], changed["workflow"]["version"]) == (before["uid"], 2)
    changed = (await api.request(method, place, json={"timeout": None})).json()
    assert changed["task"] == echo("a", 2)
    again = await api.request(method, place, json={"config": {"value": 2}})
    assert again.json()["workflow"]["version"] == 3, "the same again makes no version"
    whole = (await api.request(method, f"{place}?replace=true", json={"type": "hold"})).json()
    assert whole["task"] == {"id": "a", "type": "hold"}


async def test_a_task_is_moved(api: httpx2.AsyncClient) -> None:
    await create(api, definition("moved", echo("a"), echo("b"), echo("c")))
    known = await uids(api, "moved")
    assert (await api.patch(f"{URL}/moved/tasks/c", json={"index": 0})).json()["index"] == 0
    assert await order(api, "moved") == ["c", "a", "b"]
    await api.patch(f"{URL}/moved/tasks/c", json={"after": "a"})
    assert await order(api, "moved") == ["a", "c", "b"]
    moved = (await api.patch(f"{URL}/moved/tasks/{known['c']}", json={"list": "on_failure", "timeout": "9s"})).json()
    assert (moved["uid"], moved["list"], moved["task"]["timeout"]) == (known["c"], "on_failure", "9s")
    assert await order(api, "moved") == ["a", "b"]
    problem(await api.patch(f"{URL}/moved/tasks/a", json={"after": "a"}), 422, "invalid_request")


async def test_a_task_keeps_its_uid_under_a_new_id(api: httpx2.AsyncClient) -> None:
    await create(api, definition("renamed", echo("a"), echo("b", depends_on=["a"]), echo("c")))
    known = await uids(api, "renamed")
    refused = problem(await api.patch(f"{URL}/renamed/tasks/a", json={"id": "z"}), 422, "invalid_definition")
    assert refused["faults"][0]["path"] == "tasks[1].depends_on[0]", "a place in the workflow, not in the task"
    renamed = (await api.patch(f"{URL}/renamed/tasks/{known['c']}", json={"id": "d"})).json()
    assert (renamed["id"], renamed["uid"]) == ("d", known["c"])
    assert await uids(api, "renamed") == {"a": known["a"], "b": known["b"], "d": known["c"]}
    await api.post(f"{URL}/renamed/rollback", json={"version": 1})
    assert (await uids(api, "renamed"))["c"] != known["c"], "it is the uid of d now"


async def test_a_task_is_removed(api: httpx2.AsyncClient) -> None:
    await create(api, definition("removed", echo("a"), echo("b"), echo("c")))
    known = await uids(api, "removed")
    response = await api.delete(f"{URL}/removed/tasks/{known['b']}?comment=not%20needed&deploy=false")
    assert (response.status_code, response.content) == (204, b"")
    assert await order(api, "removed") == ["a", "c"]
    shown = await api.get(f"{URL}/removed")
    assert (shown.json()["version"], shown.json()["deployed_version"]) == (2, 1)
    assert response.headers["ETag"] == shown.headers["ETag"]
    assert (await api.get(f"{URL}/removed/versions/2")).json()["comment"] == "not needed"
    problem(await api.delete(f"{URL}/removed/tasks/b"), 404, "task_not_found")


async def test_a_task_that_others_need_is_not_removed(api: httpx2.AsyncClient) -> None:
    created = await create(
        api,
        {
            **definition(
                "needed",
                echo("x"),
                echo("a"),
                echo("b", depends_on=["x", "a"]),
                echo("c", "{{ tasks.a.output }}", depends_on=["a"]),
            ),
            "output": "{{ tasks.a.output }}",
        },
    )
    refused = problem(await api.delete(f"{URL}/needed/tasks/a"), 422, "task_in_use")
    places = {fault["path"] for fault in refused["faults"]}
    assert places == {"tasks[2].depends_on[1]", "tasks[3].depends_on[0]", "tasks[3].config.value", "output"}
    assert all(fault["remedy"] for fault in refused["faults"])
    assert (await api.get(f"{URL}/needed")).json() == created
    await create(api, definition("single", echo("a")))
    problem(await api.delete(f"{URL}/single/tasks/a"), 422, "task_in_use")


async def test_tasks_added_at_the_same_time_are_all_there(api: httpx2.AsyncClient) -> None:
    created = await create(api, definition("crowded", echo("a")))
    answers = await asyncio.gather(*(api.post(f"{URL}/crowded/tasks", json=echo(f"t{n}")) for n in range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert {answer.json()["workflow"]["version"] for answer in answers} == set(range(2, 8))
    assert sorted(await order(api, "crowded")) == ["a", *(f"t{n}" for n in range(6))]
    one = {**echo("z"), "version": created["version"]}
    problem(await api.post(f"{URL}/crowded/tasks", json=one), 409, "stale_version")
    problem(await api.delete(f"{URL}/crowded/tasks/a?version=1"), 409, "stale_version")


def choice(task_id: str, *then: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "condition", "config": {"if": True}, "then": list(then), **fields}


async def test_tasks_within_tasks_are_listed_added_moved_and_removed(api: httpx2.AsyncClient) -> None:
    route = {"id": "route", "type": "switch", "config": {"value": 1}, "cases": {"1": [echo("c")]}}
    await create(api, definition("nested", choice("large", echo("a"), echo("b")), route))
    assert await order(api, "nested", "large.then") == ["a", "b"]
    first = await uids(api, "nested")
    for body, path in (
        ({**echo("d"), "after": "a"}, ("large.then", 1)),
        ({**echo("e"), "list": "large.else"}, ("large.else", 0)),
        ({**echo("f"), "list": "route.cases.1", "index": 0}, ("route.cases.1", 0)),
        ({**echo("g"), "list": "route.cases.2"}, ("route.cases.2", 0)),
        ({**echo("h"), "list": "route.default"}, ("route.default", 0)),
        ({**echo("i"), "list": "a.on_rollback"}, None),
        ({**echo("i"), "list": "large.tasks"}, None),
    ):
        answer = await api.post(f"{URL}/nested/tasks", json=body)
        if path is None:
            problem(answer, 422, "invalid_request")
            continue
        assert answer.status_code == 201, answer.text
        assert (answer.json()["list"], answer.json()["index"]) == path
    assert await order(api, "nested", "large.then") == ["a", "d", "b"]
    answer = await api.patch(f"{URL}/nested/tasks/b", json={"list": "route.default", "index": 0})
    assert answer.status_code == 200, answer.text
    assert await order(api, "nested", "route.default") == ["b", "h"]
    assert (await uids(api, "nested"))["b"] == first["b"]
    removed = await api.delete(f"{URL}/nested/tasks/d")
    assert removed.status_code in (200, 204), removed.text
    assert await order(api, "nested", "large.then") == ["a"]


async def test_a_faulty_task_in_a_task_is_told_by_its_own_place(api: httpx2.AsyncClient) -> None:
    await create(api, definition("nested faults", choice("large", echo("a"))))
    answer = await api.post(f"{URL}/nested-faults/tasks", json={**echo("b", "{{ item }}"), "list": "large.then"})
    assert [fault["path"] for fault in problem(answer, 422, "invalid_definition")["faults"]] == ["config.value"]
    answer = await api.patch(f"{URL}/nested-faults/tasks/large", json={"then": [echo("a", "{{ item }}")]})
    assert [fault["path"] for fault in problem(answer, 422, "invalid_definition")["faults"]] == ["then[0].config.value"]

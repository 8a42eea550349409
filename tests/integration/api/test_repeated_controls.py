"""X3: what stands in branches, groups and loops is taken over by the same rules as the tasks of the main list."""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, problem, start

URL = "/api/v1"

Task = dict[str, Any]


def echo(name: str, value: Any = 1, **fields: Any) -> Task:
    return {"id": name, "type": "echo", "config": {"value": value}, **fields}


def check(name: str, expression: str, **fields: Any) -> Task:
    """A task that fails unless its expression has a value."""
    return {"id": name, "type": "echo", "config": {"value": expression}, **fields}


def loop(name: str, items: Any, *tasks: Task, **config: Any) -> Task:
    return {"id": name, "type": "foreach", "config": {"items": items, **config}, "tasks": list(tasks)}


BROKEN = "{{ input.nothing }}"
"""Without a value, until a run is given one."""


async def tasks_of(api: httpx2.AsyncClient, run: str) -> dict[str, Task]:
    found: dict[str, Task] = {}
    cursor = None
    while True:
        params = {"limit": 200, **({"cursor": cursor} if cursor else {})}
        page = (await api.get(f"{URL}/runs/{run}/tasks", params=params)).json()
        found |= {task["path"]: task for task in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def again(api: httpx2.AsyncClient, run: str, how: str = "retry", **body: Any) -> Task:
    answer = await api.post(f"{URL}/runs/{run}/{how}", json={**body, "wait": True})
    assert answer.status_code == 200, answer.text
    new: Task = answer.json()
    return new


async def adopted(api: httpx2.AsyncClient, run: str) -> set[str]:
    return {path for path, task in (await tasks_of(api, run)).items() if task["adopted_from"]}


async def test_what_stands_in_a_task_that_is_taken_over_can_be_read(api: httpx2.AsyncClient) -> None:
    branch = {
        "id": "which", "type": "condition", "config": {"if": "{{ true }}"},
        "then": [echo("inner", 5), echo("not", 1, **{"if": "{{ false }}"})],
    }  # fmt: skip
    tasks = [branch, check("last", "{{ [tasks.inner.output + input.x, tasks.which.output.branch] }}")]
    await create(api, {"name": "nested", "tasks": tasks})
    failed = await start(api, "nested", wait=True)
    assert failed["status"] == "failed"

    new = await again(api, failed["id"], input={"x": 1})
    assert new["status"] == "completed", new["error"]
    found = await tasks_of(api, new["id"])
    assert {path for path, task in found.items() if task["adopted_from"]} == {"which", "inner", "not"}
    assert found["last"]["output"] == [6, "then"]
    assert (found["inner"]["output"], found["not"]["skip_reason"]) == (5, "condition")


async def test_a_branch_goes_on_where_it_failed_and_is_not_decided_anew(api: httpx2.AsyncClient) -> None:
    branch = {
        "id": "which", "type": "switch", "config": {"value": "{{ run.id }}"},
        "cases": {"never": [echo("other")]},
        "default": [echo("first", 3), check("second", BROKEN), echo("third")],
    }  # fmt: skip
    await create(api, {"name": "branched", "tasks": [echo("before"), branch, echo("after")]})
    failed = await start(api, "branched", wait=True)

    new = await again(api, failed["id"], input={"nothing": 1})
    assert new["status"] == "completed", new["error"]
    found = await tasks_of(api, new["id"])
    assert {path for path, task in found.items() if task["adopted_from"]} == {"before", "first"}
    assert found["which"]["output"] == {"case": None}
    assert set(found) == {"before", "which", "first", "second", "third", "after"}


async def test_a_loop_does_only_the_items_again_that_failed(api: httpx2.AsyncClient) -> None:
    body = [echo("load", "{{ item }}"), check("store", "{{ item == 3 || item == 7 ? input.nothing : item * 10 }}")]
    tasks = [echo("before"), loop("each", "{{ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }}", *body, concurrency=2), echo("after")]
    await create(api, {"name": "looped", "tasks": tasks})
    failed = await start(api, "looped", wait=True)
    assert (await tasks_of(api, failed["id"]))["each"]["output"]["failed"] == [3, 7]

    same = await again(api, failed["id"])
    assert same["status"] == "failed"
    assert (await tasks_of(api, same["id"]))["each"]["output"]["failed"] == [3, 7]
    whole = {f"each[{index}].{task}" for index in range(10) if index not in (3, 7) for task in ("load", "store")}
    assert await adopted(api, same["id"]) == {"before", "each[3].load", "each[7].load", *whole}

    fixed = [body[0], check("store", "{{ item * 10 }}")]
    tasks[1] = loop("each", "{{ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }}", *fixed, concurrency=2)
    answer = await api.put(f"{URL}/workflows/looped", json={"name": "looped", "tasks": tasks})
    assert answer.status_code == 200, answer.text
    new = await again(api, same["id"], version="newest")
    found = await tasks_of(api, new["id"])
    assert (new["status"], found["each"]["output"]["results"]) == ("completed", [index * 10 for index in range(10)])
    assert await adopted(api, new["id"]) == {"before", *(f"each[{index}].load" for index in range(10))}
    assert {"task": "each[0].store", "reason": "it is another task in this version"} in new["done_again"]
    assert {task["attempt"] for path, task in found.items() if path.endswith("store")} == {1}


async def test_a_loop_that_goes_on_keeps_the_items_that_it_had(api: httpx2.AsyncClient) -> None:
    items = "{{ [run.id, run.id + '!'] }}"
    body = [echo("read", "{{ item }}"), check("store", "{{ input.nothing }}")]
    each = loop("each", items, *body, key="{{ item }}", output="{{ tasks.read.output }}")
    await create(api, {"name": "named", "tasks": [each]})
    failed = await start(api, "named", wait=True)
    new = await again(api, (await again(api, failed["id"]))["id"], input={"nothing": 1})
    assert new["status"] == "completed", new["error"]
    found = await tasks_of(api, new["id"])
    assert found["each"]["output"]["results"] == [failed["id"], failed["id"] + "!"]
    assert found["each[1].read"]["adopted_from"] == failed["id"]
    assert found["each[1].read"]["item_key"] == failed["id"] + "!"


async def test_other_items_start_a_loop_anew(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "given", "tasks": [loop("each", "{{ input.rows }}", check("one", "{{ 6 / item }}"))]})
    failed = await start(api, "given", input={"rows": [1, 0]}, wait=True)
    assert failed["status"] == "failed"
    assert await adopted(api, (await again(api, failed["id"]))["id"]) == {"each[0].one"}
    new = await again(api, failed["id"], input={"rows": [1, 2]})
    assert (new["status"], await adopted(api, new["id"])) == ("completed", set())


async def test_tasks_nested_in_one_another_go_on_where_they_failed(api: httpx2.AsyncClient) -> None:
    choice = {
        "id": "which", "type": "condition", "config": {"if": "{{ index == 1 }}"},
        "then": [echo("a", "{{ item }}"), check("b", "{{ input.nothing }}")], "else": [echo("c")],
    }  # fmt: skip
    inner = loop("inner", "{{ [item, item] }}", choice, echo("end"))
    outer = loop("outer", "{{ ['x', 'y'] }}", echo("start"), inner)
    tasks = [{"id": "group", "type": "sequential", "tasks": [outer, echo("last")]}]
    await create(api, {"name": "deep", "tasks": tasks})
    failed = await start(api, "deep", wait=True)
    assert failed["status"] == "failed"

    new = await again(api, failed["id"], input={"nothing": 1})
    assert new["status"] == "completed", new["error"]
    done = {f"outer[{i}].{path}" for i in (0, 1) for path in ("start", "inner[0].c", "inner[1].a")}
    assert await adopted(api, new["id"]) == done
    found = await tasks_of(api, new["id"])
    assert found["outer[1].inner[1].which"]["block"] == "then"
    assert found["last"]["status"] == "completed"


async def test_a_wait_that_is_over_is_taken_over(api: httpx2.AsyncClient) -> None:
    nap = {"id": "nap", "type": "until", "config": {"time": "2020-01-01T00:00:00Z"}}
    await create(api, {"name": "napping", "tasks": [nap, check("last", BROKEN)]})
    failed = await start(api, "napping", wait=True)
    assert failed["status"] == "failed"
    new = await again(api, failed["id"], input={"nothing": 1})
    assert (new["status"], await adopted(api, new["id"])) == ("completed", {"nap"})


async def test_a_run_is_done_again_from_a_task_within_others(api: httpx2.AsyncClient) -> None:
    body = [echo("load", "{{ item }}"), echo("store"), echo("tell")]
    await create(api, {"name": "rerun", "tasks": [loop("each", "{{ [1, 2, 3] }}", *body), echo("after")]})
    run = await start(api, "rerun", wait=True)

    new = await again(api, run["id"], "rerun", from_task="each[1].store")
    told = {one["task"]: one["reason"] for one in new["done_again"]}
    assert new["status"] == "completed"
    assert told == {
        "each": "each[1].store in it is done again",
        "each[1].store": "the new run begins with it",
        "each[1].tell": "it comes after each[1].store",
        "after": "it comes after each",
    }
    assert await adopted(api, new["id"]) == {
        *(f"each[{index}].{task['id']}" for index in (0, 2) for task in body), "each[1].load"
    }  # fmt: skip
    anew = await again(api, run["id"], "rerun", from_task="each")
    assert await adopted(api, anew["id"]) == set()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("each.load", "has no task"),
        ("each[1]", "has no task"),
        ("load", "load runs once in each iteration"),
        ("each[1].other", "has no task"),
        ("each[x].load", "has no task"),
        ("each[1].load.more", "has no task"),
        ("each[9].load", "did not come to each[9].load"),
        ("other[1].load", "has no task"),
        ("each[-1].load", "did not come to each[-1].load"),
        ("each[01].load", "did not come to each[01].load"),
    ],
)
async def test_paths_that_lead_nowhere_are_refused(api: httpx2.AsyncClient, path: str, message: str) -> None:
    await create(api, {"name": "rerun", "tasks": [loop("each", "{{ [1, 2] }}", echo("load")), echo("after")]})
    run = await start(api, "rerun", wait=True)
    answer = await api.post(f"{URL}/runs/{run['id']}/rerun", json={"from_task": path})
    (fault,) = problem(answer, 422, "unknown_task")["faults"]
    assert message in fault["message"]


async def test_iterations_that_were_never_begun_are_done(api: httpx2.AsyncClient) -> None:
    body = [echo("one", "{{ item }}"), check("two", "{{ index < 2 ? 0 : 1 / (item - 2) }}")]
    each = loop("each", "{{ [0, 1, 2, 3, 4, 5] }}", *body, concurrency=1, stop_on_failure=True)
    await create(api, {"name": "stopping", "tasks": [each]})
    failed = await start(api, "stopping", wait=True)
    assert list(await tasks_of(api, failed["id"])) == [
        "each", *(f"each[{index}].{one}" for index in range(3) for one in ("one", "two"))
    ]  # fmt: skip

    tasks = [loop("each", "{{ [0, 1, 2, 3, 4, 5] }}", body[0], check("two", 1), concurrency=1, stop_on_failure=True)]
    await api.put(f"{URL}/workflows/stopping", json={"name": "stopping", "tasks": tasks})
    new = await again(api, failed["id"], version="newest")
    assert (new["status"], await adopted(api, new["id"])) == ("completed", {f"each[{i}].one" for i in range(3)})
    assert (await tasks_of(api, new["id"]))["each"]["output"]["results"] == [1] * 6

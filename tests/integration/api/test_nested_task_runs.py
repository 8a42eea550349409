"""X9: task runs within control tasks: their order, pages of them, where they stand; and why they wait (X3)."""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, problem, start
from tests.support.installation import Installation

URL = "/api/v1"

Task = dict[str, Any]


def echo(name: str, **fields: Any) -> Task:
    return {"id": name, "type": "echo", "config": {"value": 1}, **fields}


AGAIN = {"id": "again", "type": "while", "config": {"condition": "{{ index < 2 }}"}, "tasks": [echo("page")]}
LOOP = {
    "id": "each", "type": "foreach", "config": {"items": "{{ ['a', 'b', 'c'] }}", "key": "{{ item }}"},
    "tasks": [
        echo("load"),
        {"id": "which", "type": "condition", "config": {"if": "{{ index == 1 }}"}, "then": [AGAIN],
         "else": [echo("other")]},
        echo("store"),
    ],
}  # fmt: skip
NESTED = {"name": "nested", "tasks": [echo("first"), LOOP, echo("last")], "finally": [echo("tidy")]}
IN_ORDER = [
    "first",
    "each",
    "each[0].load", "each[0].which", "each[0].other", "each[0].store",
    "each[1].load", "each[1].which", "each[1].again", "each[1].again[0].page", "each[1].again[1].page", "each[1].store",
    "each[2].load", "each[2].which", "each[2].other", "each[2].store",
    "last",
    "tidy",
]  # fmt: skip


@pytest.fixture
async def run(api: httpx2.AsyncClient) -> str:
    await create(api, NESTED)
    return str((await start(api, "nested", wait=True))["id"])


async def pages(api: httpx2.AsyncClient, run: str, **params: Any) -> list[list[str]]:
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get(f"{URL}/runs/{run}/tasks", params={**params, **cursor})
        assert answer.status_code == 200, answer.text
        found.append([task["path"] for task in answer.json()["items"]])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 3, 5, 17, 18, 200])
async def test_task_runs_come_in_the_order_of_the_plan_and_of_iterations(
    api: httpx2.AsyncClient, run: str, limit: int
) -> None:
    found = await pages(api, run, limit=limit)
    assert [path for page in found for path in page] == IN_ORDER
    assert all(len(page) == limit for page in found[:-1])


@pytest.mark.parametrize(
    ("within", "paths"),
    [
        ("each", IN_ORDER[2:-2]),
        ("each[1]", IN_ORDER[6:12]),
        ("each[1].which", IN_ORDER[8:11]),
        ("each[1].again", IN_ORDER[9:11]),
        ("each[1].again[1]", ["each[1].again[1].page"]),
    ],
)
async def test_a_list_may_be_of_what_stands_in_a_task_or_iteration(
    api: httpx2.AsyncClient, run: str, within: str, paths: list[str]
) -> None:
    assert [path for page in await pages(api, run, within=within, limit=2) for path in page] == paths


async def test_an_iteration_that_there_is_not_is_told_with_those_that_there_are(
    api: httpx2.AsyncClient, run: str
) -> None:
    for within in ("each[99]", "each[99].which"):
        refused = problem(await api.get(f"{URL}/runs/{run}/tasks", params={"within": within}), 422, "unknown_task")
        (fault,) = refused["faults"]
        assert fault["path"] == "query.within"
        assert "'each[99]' is not there: of 'each' " in fault["message"]
        assert "write one from each[0] to each[" in fault["remedy"]


@pytest.mark.parametrize("within", ["first", "nothing", "each[x]", "each[-1]", "[1]", "each[1].nothing", "each[", "]"])
async def test_what_holds_no_tasks_cannot_narrow_a_list(api: httpx2.AsyncClient, run: str, within: str) -> None:
    problem(await api.get(f"{URL}/runs/{run}/tasks", params={"within": within}), 422, "unknown_task")


async def test_a_loop_may_stand_for_what_is_in_it_and_says_how_far_it_is(api: httpx2.AsyncClient, run: str) -> None:
    assert await pages(api, run, loops="closed", limit=3) == [["first", "each", "last"], ["tidy"]]
    inner = await pages(api, run, loops="closed", within="each[1]", limit=200)
    assert inner == [["each[1].load", "each[1].which", "each[1].again", "each[1].store"]]
    items = (await api.get(f"{URL}/runs/{run}/tasks", params={"loops": "closed"})).json()["items"]
    assert {task["path"]: (task["begun"], task["items"]) for task in items} == {
        "first": (None, None), "each": (3, 3), "last": (None, None), "tidy": (None, None),
    }  # fmt: skip
    (again,) = (await api.get(f"{URL}/runs/{run}/tasks", params={"loops": "closed", "within": "each[1].which"})).json()[
        "items"
    ]
    assert (again["path"], again["begun"], again["items"]) == ("each[1].again", 2, None)
    problem(await api.get(f"{URL}/runs/{run}/tasks", params={"loops": "ajar"}), 422, "invalid_request")


async def test_a_list_may_be_of_some_statuses(api: httpx2.AsyncClient, run: str) -> None:
    assert await pages(api, run, status="failed,waiting") == [[]]
    found = await pages(api, run, status="completed", limit=4)
    assert [path for page in found for path in page] == IN_ORDER


async def test_a_task_run_says_where_it_stands(api: httpx2.AsyncClient, run: str) -> None:
    items = (await api.get(f"{URL}/runs/{run}/tasks", params={"limit": 200})).json()["items"]
    told = {task["path"]: task for task in items}
    page = told["each[1].again[1].page"]
    place = ("task", "type", "parent", "iteration", "item_key")
    assert [page[name] for name in place] == ["page", "echo", "each[1].again", 1, None]
    other = told["each[2].other"]
    assert [other[name] for name in place] == ["other", "echo", "each[2].which", 2, "c"]
    assert [told["first"][name] for name in place] == ["first", "echo", None, None, None]
    assert (told["each[1].which"]["block"], told["each"]["items"]) == ("then", 3)
    for path in ("each[2].other", "each%5B2%5D.other"):
        alone = (await api.get(f"{URL}/runs/{run}/tasks/{path}")).json()
        assert alone == {**other, "approval": None}
    problem(await api.get(f"{URL}/runs/{run}/tasks/each[3].other"), 404, "task_run_not_found")


async def test_lines_of_a_log_may_be_those_of_a_loop_or_an_iteration(api: httpx2.AsyncClient, run: str) -> None:
    async def lines(task: str) -> list[str]:
        answer = await api.get(f"{URL}/runs/{run}/logs", params={"task": task})
        return [line["path"] for line in answer.json()["items"]]

    assert set(await lines("each[1]")) == {path for path in IN_ORDER if path.startswith("each[1].") and path[-1] in "de"
                                           and not path.endswith("which")}  # fmt: skip
    assert set(await lines("each[1].again")) == {"each[1].again[0].page", "each[1].again[1].page"}
    assert await lines("each[0].load") == ["each[0].load"]
    problem(await api.get(f"{URL}/runs/{run}/logs", params={"task": "each.load"}), 422, "unknown_task")


async def test_a_loop_of_many_items_is_paged_without_reading_all_of_it(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    many = {"id": "each", "type": "foreach", "config": {"items": "{{ input.rows }}"}, "tasks": [echo("one")]}
    await create(api, {"name": "many", "tasks": [many, echo("last")]})
    run = (await start(api, "many", input={"rows": list(range(1200))}, wait=True))["id"]
    found = await pages(api, run, limit=200)
    paths = [path for page in found for path in page]
    assert paths == ["each", *(f"each[{index}].one" for index in range(1200)), "last"]
    assert len(found) == 7


WAITS = [
    {"id": "nap", "type": "sleep", "config": {"duration": "1d"}},
    {"id": "event", "type": "wait_for_event", "config": {"type": ["a", "b"], "key": "k"}, "timeout": "1h"},
    {"id": "signal", "type": "wait_for_event", "config": {"signal": "go"}},
    {"id": "asks", "type": "approval", "config": {"message": "Well?"}},
]


async def test_a_run_says_what_its_tasks_wait_for(api: httpx2.AsyncClient) -> None:
    tasks = [{**task, "depends_on": []} for task in WAITS]
    await create(api, {"name": "waiting", "tasks": tasks})
    run = (await start(api, "waiting"))["id"]
    while (shown := (await api.get(f"{URL}/runs/{run}")).json())["status"] != "waiting":
        await api.get(f"{URL}/runs/{run}/events", params={"after": 1, "wait_seconds": 1})
    told = {wait["task"]: (wait["reason"], wait["message"]) for wait in shown["waiting_for"]}
    until = {wait["task"]: wait.get("until") for wait in shown["waiting_for"]}
    assert told == {
        "asks": ("approval", "it waits for a decision: Well?"),
        "event": ("event", f"it waits for an event of type a or b with the key 'k', until {until['event']}"),
        "nap": ("sleep", f"it goes on at {until['nap']}"),
        "signal": ("signal", "it waits for the signal 'go'"),
    }
    (listed,) = (await api.get(f"{URL}/runs", params={"status": "waiting"})).json()["items"]
    assert [wait["task"] for wait in listed["waiting_for"]] == ["asks"]
    timeline = (await api.get(f"{URL}/runs/{run}/timeline")).json()
    waits = {task["path"]: [wait["reason"] for wait in task["waits"]] for task in timeline["tasks"]}
    assert waits == {"nap": ["sleep"], "event": ["wait_for_event"], "signal": ["wait_for_event"], "asks": ["approval"]}
    assert (await api.get(f"{URL}/runs", params={"parent": run})).json()["items"] == []

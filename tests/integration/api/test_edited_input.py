"""X3: a retry or rerun with edited input does again what was made from the old one, and says so."""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, start

URL = "/api/v1"


def echo(name: str, value: Any, *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "echo", "depends_on": list(needs), "config": {"value": value}, **fields}


@pytest.fixture
async def failed(api: httpx2.AsyncClient) -> str:
    """A run whose last task failed after others that read its input, or do not."""
    tasks = [
        echo("fetch", "orders of {{ input.day }}"),
        echo("load", "{{ tasks.fetch.output }}", "fetch"),
        echo("rates", "{{ variables.region }}"),
        echo("fixed", 1),
        echo("large", 1) | {"if": "{{ input.size > 5 }}"},
        echo("bad", 1, "load", "rates", "fixed", "large") | {"type": "fail"},
    ]
    schema = {"properties": {"size": {"type": "integer", "default": 7}, "flag": {"default": True}}}
    await create(api, {"name": "orders", "input": schema, "variables": {"region": "eu"}, "tasks": tasks})
    return str((await start(api, "orders", input={"day": "mon"}, wait=True))["id"])


async def repeated(api: httpx2.AsyncClient, run: str, how: str = "retry", **body: Any) -> dict[str, Any]:
    answer = await api.post(f"{URL}/runs/{run}/{how}", json={**body, "wait": True})
    assert answer.status_code == 200, answer.text
    new: dict[str, Any] = answer.json()
    assert new == (await api.get(f"{URL}/runs/{new['id']}")).json(), "and it can be asked for later"
    return {one["task"]: one["reason"] for one in new["done_again"]} | {"run": new["id"]}


async def outputs(api: httpx2.AsyncClient, run: str) -> dict[str, Any]:
    items = (await api.get(f"{URL}/runs/{run}/tasks")).json()["items"]
    return {task["task"]: (task["output"], task["adopted_from"] is not None) for task in items}


async def test_what_reads_another_value_now_is_done_again(api: httpx2.AsyncClient, failed: str) -> None:
    again = await repeated(api, failed, input={"day": "tue"})
    new = again.pop("run")
    assert again == {"fetch": "it reads input.day, which is another now", "load": "it comes after fetch"}
    after = await outputs(api, new)
    assert after["load"] == ("orders of tue", False)
    assert {name for name, (_, adopted) in after.items() if adopted} == {"rates", "fixed", "large"}


async def test_the_same_input_takes_everything_over(api: httpx2.AsyncClient, failed: str) -> None:
    again = await repeated(api, failed, input={"day": "mon", "flag": 1}, variables={"region": "eu"})
    new = again.pop("run")
    assert again == {}, "the flag is another, but nothing reads it"
    assert sum(adopted for _, adopted in (await outputs(api, new)).values()) == 5


async def test_a_condition_and_variables_count_too(api: httpx2.AsyncClient, failed: str) -> None:
    again = await repeated(api, failed, input={"day": "mon", "size": 3}, variables={"region": "us"})
    new = again.pop("run")
    assert again == {
        "rates": "it reads variables.region, which is another now",
        "large": "it reads input.size, which is another now",
    }
    assert (await outputs(api, new))["rates"] == ("us", False)


async def test_a_rerun_from_a_task_does_again_what_reads_the_edited_input_before_it(
    api: httpx2.AsyncClient, failed: str
) -> None:
    again = await repeated(api, failed, "rerun", from_task="fixed", input={"day": "tue"})
    assert again.pop("run")
    assert set(again) == {"fetch", "load", "fixed"}
    assert again["fixed"] == "the new run begins with it"


async def test_another_version_and_the_history_say_what_is_done_again(api: httpx2.AsyncClient, failed: str) -> None:
    tasks = (await api.get(f"{URL}/workflows/orders")).json()["definition"]["tasks"]
    tasks[3]["config"] = {"value": 2}
    assert (await api.patch(f"{URL}/workflows/orders", json={"tasks": tasks})).status_code == 200
    again = await repeated(api, failed, version="newest")
    new = again.pop("run")
    assert again == {"fixed": "it is another task in this version"}
    created = (await api.get(f"{URL}/runs/{new}/events?limit=1")).json()["items"][0]
    assert created["data"]["done_again"] == again

"""W2, D6: who saves a definition is told what it needs and this installation has not got; it is saved all the same."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition
from tests.support.installation import Installation
from tests.support.whole import Whole, whole

SECRET = "a secret of this test"
KEYS = ("value", "password", "secret", "public_key")
"""Fields of `authentication` that name a secret."""


def echo(id_: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "echo", "config": {"value": value, **more.pop("config", {})}, **more}


NEEDY = definition(
    "needy",
    echo("a", "{{ secrets.door }}", queue="gpu"),
    echo("b", ["{{ secrets.door }}", {"x": "in {{ secrets.attic }}"}], config={"connection": "warehouse"}),
    {**echo("c", 1, config={"connection": "{{ input.connection }}"}), "on_rollback": [echo("d", 1, queue="gpu")]},
)
TOLD = {
    "tasks[0].config (and 1 more): there is no secret 'door'; ": "millrace secrets set door",
    "tasks[1].config: there is no secret 'attic'; ": "millrace secrets set attic",
    "tasks[1].config.connection: there is no connection 'warehouse'; ": "millrace connections set warehouse",
    "tasks[0].queue (and 1 more): no live worker serves the queue 'gpu'; ": "MILLRACE_WORKER_QUEUES",
}


def assert_told(warnings: list[str], expected: dict[str, str] = TOLD) -> None:
    for beginning, remedy in expected.items():
        assert [remedy in warning for warning in warnings if warning.startswith(beginning)] == [True], warnings
    assert len(warnings) == len(expected), warnings


async def test_what_is_not_there_is_told_wherever_a_definition_is_judged(api: httpx2.AsyncClient) -> None:
    checked = (await api.post("/api/v1/workflows/validate", json=NEEDY)).json()
    assert checked["valid"] is True
    assert_told(checked["warnings"])
    tried = (await api.post("/api/v1/workflows/apply", params={"dry_run": "true"}, json=NEEDY)).json()
    assert_told(tried["warnings"])
    made = await create(api, NEEDY)
    assert_told(made["warnings"])
    applied = (await api.post("/api/v1/workflows/apply", json=NEEDY)).json()
    assert applied["outcome"] == "unchanged"
    assert_told(applied["warnings"])
    changed = (await api.patch("/api/v1/workflows/needy", json={"description": "x"})).json()
    assert_told(changed["warnings"])


async def test_what_tasks_within_tasks_need_is_told(api: httpx2.AsyncClient) -> None:
    inner = echo("a", "{{ secrets.door }}", queue="gpu", config={"connection": "warehouse"})
    loop = {"id": "l", "type": "foreach", "config": {"items": [1]}, "tasks": [inner]}
    which = {"id": "w", "type": "switch", "config": {"value": 1}, "cases": {"1": [loop]}}
    raw = definition("needy inside", which, {"id": "s", "type": "sleep", "config": {"duration": 1}})
    place = "tasks[0].cases['1'][0].tasks[0]"
    assert_told(
        (await api.post("/api/v1/workflows/validate", json=raw)).json()["warnings"],
        {
            f"{place}.config: there is no secret 'door'; ": "millrace secrets set door",
            f"{place}.config.connection: there is no connection 'warehouse'; ": "millrace connections set warehouse",
            f"{place}.queue: no live worker serves the queue 'gpu'; ": "MILLRACE_WORKER_QUEUES",
        },
    )


async def test_workflows_that_are_to_be_started_and_are_not_there_yet_are_told(api: httpx2.AsyncClient) -> None:
    def starts(id_: str, workflow: str) -> dict[str, Any]:
        return {"id": id_, "type": "sub_workflow", "config": {"workflow": workflow}}

    names = ["Load orders", "load-orders", "mother", "{{ input.which }}", "nowhere", "nowhere"]
    mother = definition("mother", *(starts(f"s{number}", name) for number, name in enumerate(names)))
    elsewhere = {"tasks[4].config.workflow (and 1 more): there is no workflow 'nowhere' yet; ": "save it"}
    assert_told(
        (await api.post("/api/v1/workflows/validate", json=mother)).json()["warnings"],
        {
            "tasks[0].config.workflow: there is no workflow 'Load orders' yet; ": "save it before this task runs",
            "tasks[1].config.workflow: there is no workflow 'load-orders' yet; ": "save it before this task runs",
            **elsewhere,
        },
    )
    await create(api, definition("Load orders"))
    assert_told((await create(api, mother))["warnings"], elsewhere)


async def test_schedules_whose_time_is_over_are_told(api: httpx2.AsyncClient) -> None:
    over, to_come = "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"
    schedules = [
        ("once", {"at": over}),
        ("interval", {"every": "1h", "end": over}),
        ("interval", {"every": "1h", "counted_from": "last_end", "end": over}),
        ("cron", {"expression": "0 2 * * *", "end": over}),
        ("once", {"at": to_come}),
        ("interval", {"every": "1h", "start": to_come}),
        ("cron", {"expression": "0 2 * * *", "start": over, "end": to_come}),
    ]
    triggers = [{"id": f"t{n}", "type": kind, "config": config} for n, (kind, config) in enumerate(schedules)]
    made = await create(api, {**definition("late"), "triggers": triggers})
    assert_told(made["warnings"], {f"triggers[{n}] has no firing to come: ": "lies ahead" for n in range(4)})


async def test_a_secret_of_a_webhook_is_told_too(api: httpx2.AsyncClient) -> None:
    wanted = {"type": "api_key", "value": "{{ secrets.door }}"}
    hook = {"id": "hook", "type": "webhook", "config": {"authentication": wanted}}
    made = await create(api, {**definition("hooked"), "triggers": [hook]})
    assert_told(made["warnings"], {"triggers[0].config: there is no secret 'door'; ": "millrace secrets set door"})
    assert (await api.put("/api/v1/secrets/door", json={"value": SECRET})).status_code == 201
    shown = (await api.get("/api/v1/secrets/door")).json()
    assert [user["name"] for user in shown["used_by"]] == ["hooked"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "api_key", "value": "{{ secrets.door }}"},
        {"type": "basic", "username": "shop", "password": "{{ secrets.door }}"},
        {"type": "hmac", "preset": "github", "secret": "{{ secrets.door }}"},
        {"type": "jwt", "algorithms": ["RS256"], "public_key": "{{ secrets.door }}"},
    ],
)
async def test_a_webhook_that_no_definition_has_is_told_of_its_secret_like_one_that_is_in_one(
    api: httpx2.AsyncClient, wanted: dict[str, Any]
) -> None:
    await create(api, definition("shop"))
    made = await api.post("/api/v1/webhooks", json={"workflow_id": "shop", "authentication": wanted})
    assert made.status_code == 201, made.text
    missing = {"authentication: there is no secret 'door'; ": "millrace secrets set door"}
    assert_told(made.json()["warnings"], missing)
    place = made.headers["Location"]
    assert_told((await api.patch(place, json={"raw": True})).json()["warnings"], missing)
    assert_told((await api.put(place, json={"authentication": wanted})).json()["warnings"], missing)
    assert_told((await api.get(place)).json()["warnings"], missing)
    assert (await api.put("/api/v1/secrets/door", json={"value": SECRET})).status_code == 201
    assert (await api.patch(place, json={"raw": False})).json()["warnings"] == []
    assert (await api.get(place)).json()["warnings"] == []
    other = {"authentication": {**wanted, **{field: "{{ secrets.attic }}" for field in wanted if field in KEYS}}}
    changed = (await api.patch(place, json=other)).json()["warnings"]
    assert_told(changed, {"authentication: there is no secret 'attic'; ": "millrace secrets set attic"})
    assert (await api.patch(place, json={"authentication": None})).json()["warnings"] == []


async def test_webhooks_of_definitions_say_it_where_they_are_shown(api: httpx2.AsyncClient) -> None:
    wanted = {"type": "api_key", "value": "{{ secrets.door }}"}
    for name, config in (("one", {"auth": wanted}), ("other", {"authentication": wanted}), ("open", {})):
        hook = {"id": "hook", "type": "webhook", "config": config}
        await create(api, {**definition(name), "triggers": [hook]})
        (trigger,) = (await api.get("/api/v1/webhooks", params={"workflow": name})).json()["items"]
        shown = (await api.get(f"/api/v1/webhooks/{trigger['id']}")).json()["warnings"]
        told = {"authentication: there is no secret 'door'; ": "millrace secrets set door"}
        assert_told(shown, told if config else {})


async def test_what_is_there_is_not_told(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for name in ("door", "attic"):
        assert (await api.put(f"/api/v1/secrets/{name}", json={"value": SECRET})).status_code == 201
    config = {"type": "sqlite", "config": {"path": "/var/lib/x.db"}}
    assert (await api.put("/api/v1/connections/warehouse", json=config)).status_code == 201
    checked = (await api.post("/api/v1/workflows/validate", json=NEEDY)).json()
    assert_told(checked["warnings"], {key: told for key, told in TOLD.items() if "queue" in key})


async def test_many_tasks_cost_as_many_reads_as_one(millrace: Installation, api: httpx2.AsyncClient) -> None:
    def many(count: int) -> dict[str, Any]:
        tasks = [
            echo(f"t{n}", f"{{{{ secrets.s{n} }}}}", config={"connection": f"c{n}"}, queue=f"q{n}")
            for n in range(count)
        ]
        return definition("many", *tasks)

    async def reads(count: int) -> int:
        before = millrace.database.reads
        assert (await api.post("/api/v1/workflows/validate", json=many(count))).status_code == 200
        return millrace.database.reads - before

    await reads(1)
    assert await reads(300) == await reads(1)


async def test_the_value_of_a_secret_in_a_definition_is_told(api: httpx2.AsyncClient) -> None:
    await api.put("/api/v1/secrets/door", json={"value": SECRET})
    await api.put("/api/v1/secrets/word", json={"value": "orders"})
    made = await create(api, definition("w", echo("a", "orders"), echo("b", {"x": [f"it is {SECRET}"]})))
    assert_told(made["warnings"], {"tasks[1].config.value holds the value of a secret": "name the secret"})
    assert made["warnings"][0].count(SECRET) == 0


@pytest.mark.parametrize(("queues", "unserved"), [(("default",), ["gpu"]), (("gpu",), ["default"]), (("*",), [])])
async def test_queues_are_those_of_the_live_workers(
    tmp_path: Path, queues: tuple[str, ...], unserved: list[str]
) -> None:
    async with whole(tmp_path / "home", worker_queues=queues) as millrace:
        assert await _unserved(millrace) == unserved


async def _unserved(millrace: Whole) -> list[str]:
    tasks = [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop", "queue": "gpu"}]
    answer = (await millrace.api.post("/api/v1/workflows/validate", json=definition("w", *tasks))).json()
    return [warning.split("'")[1] for warning in answer["warnings"]]

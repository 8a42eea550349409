"""S3: what a manual trigger says holds for explicit starts: its input, its `if`, whether it is enabled."""

from typing import Any

import httpx2

from tests.support.api import ECHO, create, problem, start

URL = "/api/v1"
HAND = {"id": "hand", "type": "manual"}


async def made(api: httpx2.AsyncClient, *triggers: dict[str, Any], **fields: Any) -> None:
    await create(api, {"name": "manual", "tasks": [ECHO], "triggers": list(triggers), **fields})


async def row(api: httpx2.AsyncClient, name: str = "hand") -> dict[str, Any]:
    items = (await api.get(f"{URL}/workflows/manual/triggers")).json()["items"]
    return next(item for item in items if item["name"] == name)


async def test_its_input_is_what_the_request_does_not_give(api: httpx2.AsyncClient) -> None:
    variables = {"region": "eu"}
    values = {"day": "mon", "from": "{{ variables.region }}-{{ trigger.id }}", "who": "{{ trigger.user_id }}"}
    await made(api, {**HAND, "input": values}, variables=variables)
    run = await start(api, "manual", input={"day": "tue"}, variables={"region": "us"})
    assert run["input"] == {"day": "tue", "from": "us-hand", "who": run["triggered_by"]["id"]}
    assert (run["trigger_type"], run["trigger_id"]) == ("manual", (await row(api))["id"])


async def test_its_input_is_checked_like_any(api: httpx2.AsyncClient) -> None:
    schema = {"required": ["day"], "properties": {"day": {"type": "string"}}}
    await made(api, {**HAND, "input": {"day": "{{ variables.day }}"}}, variables={"day": "mon"}, input=schema)
    assert (await start(api, "manual"))["input"] == {"day": "mon"}
    answer = await api.post(f"{URL}/workflows/manual/execute", json={"variables": {"day": 1}})
    assert problem(answer, 422, "invalid_input")["faults"][0]["path"] == "input.day"


async def test_a_disabled_one_takes_no_start_until_it_is_enabled(api: httpx2.AsyncClient) -> None:
    await made(api, {**HAND, "enabled": False})
    execute = f"{URL}/workflows/manual/execute"
    refused = problem(await api.post(execute), 409, "trigger_disabled")
    assert "`hand` is disabled" in refused["detail"]
    trigger = (await row(api))["id"]
    await api.post(f"{URL}/triggers/{trigger}/enable")
    assert (await start(api, "manual"))["trigger_id"] == trigger
    await api.post(f"{URL}/triggers/{trigger}/disable")
    problem(await api.post(execute), 409, "trigger_disabled")


async def test_one_whose_condition_is_false_starts_nothing(api: httpx2.AsyncClient) -> None:
    await made(api, {**HAND, "if": "{{ variables.open }}"}, variables={"open": False})
    refused = problem(await api.post(f"{URL}/workflows/manual/execute"), 409, "condition_not_met")
    assert "`hand`" in refused["detail"]
    assert (await api.get(f"{URL}/runs")).json()["items"] == []
    await start(api, "manual", variables={"open": True})
    wrong = await api.post(f"{URL}/workflows/manual/execute", json={"variables": {"open": "yes"}})
    assert problem(wrong, 422, "invalid_trigger")["faults"][0]["path"] == "triggers.hand"


async def test_of_several_the_first_that_is_enabled_and_holds_counts(api: httpx2.AsyncClient) -> None:
    small = {"id": "small", "type": "manual", "if": "{{ variables.size < 5 }}", "input": {"kind": "small"}}
    large = {"id": "large", "type": "manual", "input": {"kind": "large"}}
    await made(api, {**HAND, "enabled": False, "input": {"kind": "none"}}, small, large, variables={"size": 1})
    assert (await start(api, "manual"))["input"] == {"kind": "small"}
    run = await start(api, "manual", variables={"size": 9})
    assert (run["input"], run["trigger_id"]) == ({"kind": "large"}, (await row(api, "large"))["id"])


async def test_a_version_that_is_not_deployed_brings_its_own(api: httpx2.AsyncClient) -> None:
    await made(api, {**HAND, "input": {"from": 1}})
    other = {"id": "other", "type": "manual", "input": {"from": 2}}
    await api.patch(f"{URL}/workflows/manual", json={"triggers": [other], "deploy": False})
    assert (await start(api, "manual"))["input"] == {"from": 1}
    run = await start(api, "manual", version=2)
    assert (run["input"], run["trigger_id"]) == ({"from": 2}, None)


async def test_without_one_every_start_is_taken(api: httpx2.AsyncClient) -> None:
    await made(api)
    assert (await start(api, "manual"))["trigger_id"] is None

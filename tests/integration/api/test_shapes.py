"""W7: definitions of every shape over the API: saved, shown back canonical, changed by another shape, deployed."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.api import create, problem

URL = "/api/v1/workflows"
TASK = {"id": "a", "type": "echo", "config": {"value": 1}}
ENVELOPE: dict[str, Any] = {
    "name": "shaped",
    "definition": {"tasks": [TASK], "is_active": False},
    "triggers": [
        {"trigger_type": "CRON", "configuration": {"cron_expression": "0 2 * * *", "tz": "UTC"}},
        {"trigger_type": "GITHUB", "configuration": {"repository": "a/b"}, "is_active": False},
    ],
    "variables": {"region": "eu"},
}
CANONICAL = {
    "name": "shaped",
    "variables": {"region": "eu"},
    "triggers": [
        {"id": "cron", "type": "cron", "config": {"expression": "0 2 * * *", "timezone": "UTC"}},
        {"id": "github", "type": "github", "enabled": False, "config": {"repository": "a/b"}},
    ],
    "tasks": [TASK],
}
GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "by_hand", "node_type": "TRIGGER_NODE", "subtype": "TRIGGER_MANUAL"},
        {"id": "ask", "node_type": "IF", "parameters": {"condition": "input.x > 1"}},
        {"id": "note", "node_type": "log", "parameters": {"message": "large"}},
    ],
    "connections": [{"from": "by_hand", "to": "ask"}, {"from": "ask", "to": "note", "output": "true"}],
}


async def test_an_envelope_is_saved_and_shown_canonical(api: httpx2.AsyncClient) -> None:
    made = await create(api, ENVELOPE)
    assert made["definition"] == CANONICAL
    assert made["status"] == "paused", "as the definition in the envelope says"
    assert any("github" in warning for warning in made["warnings"])
    shown = (await api.get(f"{URL}/shaped")).json()
    assert shown["definition"] == CANONICAL
    rows = (await api.get(f"{URL}/shaped/triggers")).json()["items"]
    assert {row["type"] for row in rows} >= {"cron", "github"}


@pytest.mark.parametrize(
    "body",
    [
        CANONICAL,
        ENVELOPE,
        {**CANONICAL, "tasks": None, "definition_json": json.dumps({"tasks": [TASK]})},
        {"definition": CANONICAL},
        {"workflow_data": {"tasks": [TASK]}},
    ],
)
async def test_the_same_in_another_shape_is_no_new_version(api: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    await create(api, ENVELOPE)
    changed = await api.patch(f"{URL}/shaped", json=body)
    assert changed.status_code == 200, changed.text
    assert changed.json()["version"] == 1


async def test_a_change_in_another_shape_keeps_what_it_does_not_say(api: httpx2.AsyncClient) -> None:
    await create(api, ENVELOPE)
    changed = await api.patch(
        f"{URL}/shaped", json={"definition": {"description": "d", "tasks": [{**TASK, "id": "b"}]}}
    )
    assert changed.json()["definition"] == {**CANONICAL, "description": "d", "tasks": [{**TASK, "id": "b"}]}
    refused = problem(
        await api.patch(f"{URL}/shaped", json={"definition": {"tasks": [{"id": "c"}]}}), 422, "invalid_definition"
    )
    assert [fault["path"] for fault in refused["faults"]] == ["definition.tasks[0].type"]


async def test_a_faulty_graph_is_told_in_its_own_words(api: httpx2.AsyncClient) -> None:
    """The installation of these tests has neither `transform` nor `log`."""
    refused = problem(await api.post(URL, json={"name": "graph", **GRAPH}), 422, "invalid_definition")
    assert [fault["path"] for fault in refused["faults"]] == ["nodes[1].node_type", "nodes[2].node_type"]


async def test_apply_and_validate_take_every_shape(api: httpx2.AsyncClient) -> None:
    checked = await api.post(f"{URL}/validate", json=ENVELOPE)
    assert checked.json()["definition"] == CANONICAL
    applied = await api.post(f"{URL}/apply", json=ENVELOPE)
    assert applied.json()["outcome"] == "created"
    assert (await api.post(f"{URL}/apply", json=CANONICAL)).json()["outcome"] == "unchanged"

"""I3: ways round what was granted, each as somebody would try it who has a little and wants more."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem
from tests.support.installation import Installation
from tests.support.permission_world import API, archived


@pytest.fixture
async def restricted(millrace: Installation, api: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who is a developer of the workflows that he makes, and of nothing else."""
    async with await account(millrace, api, "evader", role="developer", access="granted") as client:
        yield client


async def account(millrace: Installation, api: httpx2.AsyncClient, name: str, **given: str) -> httpx2.AsyncClient:
    assert (await api.post(f"{API}/users", json={"name": name, "kind": "service", **given})).status_code == 201
    made = await api.post(f"{API}/api-keys", json={"name": "test", "user": name})
    assert made.status_code == 201, made.text
    return millrace.client(made.json()["key"])


async def grant(api: httpx2.AsyncClient, workflow: str, user: str, *grants: str) -> None:
    given = await api.put(f"{API}/workflows/{workflow}/grants/{user}", json={"grants": [*grants]})
    assert given.status_code == 200, given.text


def approving(name: str) -> dict[str, Any]:
    """A workflow whose runs leave a file, and end when somebody says so."""
    file = {"id": "file", "type": "write", "config": {"value": {f"{name}.txt": "text"}}}
    return definition(name, file, {"id": "ask", "type": "approval", "config": {"message": "?"}, "depends_on": ["file"]})


def calling(name: str, called: str) -> dict[str, Any]:
    return definition(name, {"id": "sub", "type": "sub_workflow", "config": {"workflow": called}})


async def runs_of(api: httpx2.AsyncClient, workflow: dict[str, Any]) -> list[Any]:
    found = await api.get(f"{API}/workflows/{workflow['id']}/runs")
    return list(found.json()["items"])


async def test_a_name_that_changes_hands_while_the_body_comes_changes_nothing(
    millrace: Installation, api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    """The right is asked for before the body is read, which takes as long as its sender likes."""
    foreign = await create(api, definition("Pay Roll"))
    mine = await create(api, definition(foreign["slug"]))
    await grant(api, mine["id"], "evader", "view", "run", "edit")

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"input": '
        renamed = await restricted.patch(f"{API}/workflows/{mine['id']}", json={"name": "other"})
        assert renamed.status_code == 200, renamed.text
        yield b"{}}"

    json = {"Content-Type": "application/json"}
    started = await restricted.post(f"{API}/workflows/{foreign['slug']}/execute", content=slowly(), headers=json)
    assert started.status_code == 202, started.text
    assert (len(await runs_of(api, foreign)), len(await runs_of(api, mine))) == (0, 1)


@pytest.mark.parametrize("shadowed", ["id", "slug"])
async def test_nobody_calls_his_workflow_as_another_one_is_found(
    api: httpx2.AsyncClient, restricted: httpx2.AsyncClient, shadowed: str
) -> None:
    """What the others name by it would be his; and what he names as his own would be theirs, which nobody judges."""
    foreign = await create(api, definition("Pay Roll"))
    word = foreign[shadowed]
    problem(await restricted.post(f"{API}/workflows", json=calling(word, word)), 409, "name_taken")
    problem(await restricted.post(f"{API}/workflows/apply", json=calling(word, word)), 409, "name_taken")
    mine = await create(restricted, definition("Mine"))
    problem(await restricted.patch(f"{API}/workflows/{mine['id']}", json={"name": word}), 409, "name_taken")
    own = await restricted.patch(f"{API}/workflows/{mine['id']}", json={"name": mine["slug"]})
    assert own.status_code == 200, own.text


async def test_the_id_of_a_deleted_workflow_opens_nothing_of_it(
    millrace: Installation, api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    """Nor what the archive has of it: also where a workflow that he sees is called by that id, as anybody else may."""
    foreign = await create(api, approving("gone"))
    run = await archived(millrace, api, "gone")
    await grant(api, "gone", "evader", "view")
    assert (await restricted.get(f"{API}/archive/runs/{run}")).status_code == 200
    assert (await api.delete(f"{API}/workflows/{foreign['id']}")).status_code == 204
    problem(await restricted.post(f"{API}/workflows", json=definition(foreign["id"])), 409, "name_taken")
    await create(api, definition(foreign["id"]))
    await grant(api, foreign["id"], "evader", "view", "run", "edit", "approve")
    for path in (f"/archive/runs/{run}", f"/archive/runs/{run}/lines"):
        problem(await restricted.get(f"{API}{path}"), 404, "run_not_archived")
        assert (await api.get(f"{API}{path}")).status_code == 200


async def test_a_workflow_that_starts_itself_is_not_renamed_away_from_what_it_starts(
    api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    """Whoever comes by the old name would be started by it."""
    mine = await create(restricted, calling("billing", "billing"))
    path = f"{API}/workflows/{mine['id']}"
    refused = problem(await restricted.patch(path, json={"name": "elsewhere"}), 422, "invalid_definition")
    assert [fault["path"] for fault in refused["faults"]] == ["tasks[0].config.workflow"]
    moved = await restricted.patch(path, json=calling("elsewhere", "elsewhere"))
    assert moved.status_code == 200, moved.text


async def test_a_name_that_secrets_wait_for_is_for_nobody_who_may_not_use_them(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Also who sees all workflows may not, if it is but a grant that lets him edit one."""
    body = {"value": "quiet-canary-value", "workflows": ["payroll"]}
    assert (await api.put(f"{API}/secrets/door", json=body)).status_code == 201
    await create(api, definition("open"))
    async with await account(millrace, api, "viewer", role="viewer") as viewer:
        await grant(api, "open", "viewer", "edit")
        problem(await viewer.patch(f"{API}/workflows/open", json={"name": "payroll"}), 403, "name_reserved")


async def test_who_is_for_one_workflow_moves_no_other_by_events_or_signals(
    millrace: Installation, api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    """An event starts whatever waits for it, and a signal goes to whatever run it names."""
    heard = {**definition("heard"), "triggers": [{"id": "t", "type": "event", "config": {"event_type": "order.made"}}]}
    foreign = await create(api, heard)
    publish = {"id": "p", "type": "publish_event", "config": {"type": "order.made"}}
    signal = {"id": "s", "type": "signal", "config": {"run": "{{ input.run }}", "name": "go"}}
    for task, code in ((publish, "events_forbidden"), (signal, "signals_forbidden")):
        within = {"id": "loop", "type": "sequential", "tasks": [task]}
        for one in (task, within):
            problem(await restricted.post(f"{API}/workflows", json=definition("mine", one)), 403, code)
    assert await runs_of(api, foreign) == []
    both = definition("shared", publish, signal)
    await create(api, both)
    await grant(api, "shared", "evader", "edit")
    kept = await restricted.put(f"{API}/workflows/shared", json={**both, "timeout": "1h"})
    assert kept.status_code == 200, kept.text
    other = {**publish, "config": {"type": "order.paid"}}
    refused = await restricted.put(f"{API}/workflows/shared", json=definition("shared", other, signal))
    assert "the task p" in problem(refused, 403, "events_forbidden")["detail"]


async def test_secrets_and_connections_name_no_workflow_that_is_not_seen(
    api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    await create(restricted, definition("mine"))
    await create(api, definition("mergers"))
    told = {"workflows": ["mergers", "mine"]}
    bearer = {"url": "https://example.com", "auth": {"type": "bearer", "token": "quiet-canary-token"}}
    bodies: dict[str, dict[str, Any]] = {
        "secrets": {"value": "quiet-canary-value"},
        "connections": {"type": "http", "config": bearer},
    }
    for kind, body in bodies.items():
        assert (await api.put(f"{API}/{kind}/both", json={**body, **told})).status_code == 201
        assert (await api.put(f"{API}/{kind}/all", json=body)).status_code == 201
        assert (await api.put(f"{API}/{kind}/other", json={**body, "workflows": ["mergers"]})).status_code == 201
        listed = (await restricted.get(f"{API}/{kind}")).json()["items"]
        assert {item["name"]: item["workflows"] for item in listed} == {"all": None, "both": ["mine"], "other": []}
        assert (await restricted.get(f"{API}/{kind}/both")).json()["workflows"] == ["mine"]
        assert (await api.get(f"{API}/{kind}/both")).json()["workflows"] == ["mergers", "mine"]


async def test_a_key_that_is_not_for_secrets_names_none_not_even_those_of_its_workflow(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    body = {"value": "correct horse battery", "workflows": ["billing"]}
    assert (await api.put(f"{API}/secrets/billing_key", json=body)).status_code == 201
    scopes = ["workflow:read", "workflow:write", "run:start"]
    key = (await api.post(f"{API}/api-keys", json={"name": "deploys", "scopes": scopes})).json()["key"]
    named = {"id": "say", "type": "echo", "config": {"value": "{{ secrets.billing_key }}"}}
    async with millrace.client(key) as client:
        refused = problem(await client.post(f"{API}/workflows", json=definition("billing", named)), 403, "forbidden")
        assert "secret:use" in refused["detail"]
        assert (await client.post(f"{API}/workflows", json=definition("billing"))).status_code == 201


async def test_agents_are_there_for_all_workflows_and_not_for_who_sees_a_few(
    api: httpx2.AsyncClient, restricted: httpx2.AsyncClient
) -> None:
    body = {"name": "auditor", "url": "https://agent.example.com/do"}
    assert (await api.post(f"{API}/agents", json=body)).status_code == 201
    asking = {"id": "ask", "type": "agent", "config": {"agent": "auditor", "input": {}}}
    problem(await restricted.get(f"{API}/agents"), 403, "forbidden")
    problem(await restricted.post(f"{API}/workflows", json=definition("asks", asking)), 403, "agents_forbidden")
    made = await create(api, definition("asks", asking))
    await grant(api, made["id"], "evader", "view", "edit")
    changed = {**definition("asks", asking), "description": "as it was"}
    assert (await restricted.put(f"{API}/workflows/{made['id']}", json=changed)).status_code == 200

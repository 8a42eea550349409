"""Who may bring shell and script tasks into a workflow, by every way a version comes to be or into use."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.whole import Whole, whole

SHELL = {"id": "sh", "type": "shell", "config": {"command": "echo here"}}
NOTHING = {"id": "rest", "type": "noop"}

PLACES: dict[str, dict[str, Any]] = {
    "the main part": {"tasks": [SHELL]},
    "a script": {"tasks": [{"id": "sh", "type": "script", "config": {"language": "bash", "source": "true"}}]},
    "an older shape": {
        "nodes": [{"name": "sh", "type": "execute_command", "parameters": {"cmd": "true"}}],
        "connections": {},
    },
    "a branch": {"tasks": [{"id": "c", "type": "condition", "config": {"if": "{{ true }}"}, "else": [SHELL]}]},
    "a loop": {"tasks": [{"id": "l", "type": "foreach", "config": {"items": [1]}, "tasks": [SHELL]}]},
    "a case": {"tasks": [{"id": "s", "type": "switch", "config": {"value": "a"}, "cases": {"a": [SHELL]}}]},
    "a rollback": {"tasks": [{**NOTHING, "on_rollback": [SHELL]}]},
    "on_failure": {"tasks": [NOTHING], "on_failure": [SHELL]},
    "finally": {"tasks": [NOTHING], "finally": [SHELL]},
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "home", shell_roles=("admin",), apply_examples=False) as running:
        yield running


@pytest.fixture
async def developer(server: Whole) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who may write workflows, and has not the right."""
    async with client_of(server, await key_of(server, "developer")) as client:
        yield client


async def key_of(server: Whole, role: str, scopes: list[str] | None = None) -> str:
    made = await server.api.post("/api/v1/users", json={"kind": "service", "name": f"a-{role}", "role": role})
    assert made.status_code == 201, made.text
    body = {"name": "test", "user": made.json()["id"]} | ({} if scopes is None else {"scopes": scopes})
    key = await server.api.post("/api/v1/api-keys", json=body)
    assert key.status_code == 201, key.text
    return str(key.json()["key"])


def client_of(server: Whole, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=server.api._transport, base_url="http://millrace.test", headers={"X-API-Key": key}
    )


async def made_by_admin(server: Whole, **definition: Any) -> str:
    response = await server.api.post("/api/v1/workflows", json={"name": "w", **definition})
    assert response.status_code == 201, response.text
    return "/api/v1/workflows/w"


def assert_refused(response: httpx2.Response, task: str = "sh (shell)") -> None:
    assert (response.status_code, response.json()["code"]) == (403, "shell_forbidden"), response.text
    assert task in response.json()["detail"]
    assert "MILLRACE_SHELL_ROLES" in response.json()["detail"]


@pytest.mark.parametrize("place", PLACES)
async def test_no_place_of_a_definition_lets_it_in(server: Whole, developer: httpx2.AsyncClient, place: str) -> None:
    body = {"name": "w", **PLACES[place]}
    task = "sh (script)" if place == "a script" else "sh (shell)"
    assert_refused(await developer.post("/api/v1/workflows", json=body), task)
    assert_refused(await developer.post("/api/v1/workflows/apply", json=body), task)
    assert_refused(await developer.post("/api/v1/workflows/apply", params={"dry_run": True}, json=body), task)
    assert (await server.api.get("/api/v1/workflows/w")).status_code == 404
    path = await made_by_admin(server, tasks=[NOTHING])
    assert_refused(await developer.patch(path, json=PLACES[place]), task)
    assert_refused(await developer.post("/api/v1/workflows/apply", json=body), task)
    assert_refused(await developer.post("/api/v1/workflows/apply", params={"dry_run": True}, json=body), task)
    assert (await server.api.get(path)).json()["version"] == 1
    assert (await server.api.patch(path, json=PLACES[place])).status_code == 200


async def test_the_rest_of_such_a_workflow_may_be_changed(server: Whole, developer: httpx2.AsyncClient) -> None:
    path = await made_by_admin(server, tasks=[SHELL, NOTHING])
    changed = await developer.patch(path, json={"tasks": [SHELL, {**NOTHING, "id": "other"}], "description": "changed"})
    assert (changed.status_code, changed.json()["version"]) == (200, 2), changed.text
    assert (await developer.delete(f"{path}/tasks/sh")).status_code == 204


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"command": "echo here "}},
        {"config": {"command": "echo here", "env": {"A": "1"}}},
        {"config": {"command": ["echo", "here"]}},
        {"id": "other"},
        {"if": "{{ true }}"},
    ],
    ids=str,
)
async def test_the_task_itself_must_stay_as_it_is(
    server: Whole, developer: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    path = await made_by_admin(server, tasks=[SHELL])
    changed = {**SHELL, **change}
    task = f"{changed['id']} (shell)"
    assert_refused(await developer.patch(path, json={"tasks": [changed]}), task)
    assert_refused(await developer.patch(f"{path}/tasks/sh", json=change), task)
    assert_refused(await developer.post(f"{path}/tasks", json={**SHELL, "id": "second"}), "second (shell)")
    assert_refused(await developer.patch(path, json={"tasks": [NOTHING], "finally": [SHELL]}))


async def test_what_was_taken_out_is_not_brought_back(server: Whole, developer: httpx2.AsyncClient) -> None:
    path = await made_by_admin(server, tasks=[SHELL, NOTHING])
    assert (await server.api.patch(path, json={"tasks": [NOTHING]})).json()["version"] == 2
    assert_refused(await developer.post(f"{path}/rollback", json={"version": 1}))
    assert_refused(await developer.post(f"{path}/deploy", json={"version": 1}))
    assert_refused(await developer.put(f"{path}/canary", json={"version": 1, "share": 50}))
    assert (await developer.get(path)).json()["deployed_version"] == 2
    assert (await server.api.post(f"{path}/rollback", json={"version": 1})).status_code == 200


async def test_a_credential_is_no_wider_than_its_scopes(server: Whole) -> None:
    """That of an administrator, who has the right himself."""
    scopes = ["workflow:read", "workflow:write"]
    async with client_of(server, await key_of(server, "admin", scopes)) as client:
        refused = await client.post("/api/v1/workflows", json={"name": "w", "tasks": [SHELL]})
        assert (refused.status_code, refused.json()["code"]) == (403, "shell_forbidden")
        assert "shell:write is not among its scopes" in refused.json()["detail"]


async def test_developers_have_the_right_unless_told_otherwise(tmp_path: Path) -> None:
    async with whole(tmp_path / "home", apply_examples=False) as server:
        scopes = ["workflow:read", "workflow:write", "shell:write"]
        async with client_of(server, await key_of(server, "developer", scopes)) as client:
            made = await client.post("/api/v1/workflows", json={"name": "w", "tasks": [SHELL]})
            assert made.status_code == 201, made.text


async def test_who_saves_is_told_what_the_rules_forbid(tmp_path: Path) -> None:
    tasks = [
        {"id": "text", "type": "shell", "config": {"command": "true"}},
        {"id": "other", "type": "shell", "config": {"command": ["id"]}},
        {"id": "listed", "type": "shell", "config": {"command": ["cat", "x"]}},
        {"id": "open", "type": "shell", "config": {"command": ["{{ input.p }}"], "limits": {"open_files": 5000}}},
        {"id": "script", "type": "script", "config": {"language": "bash", "source": "true"}},
    ]
    rules = {"shell_policy": "allow-listed", "shell_allowed": ("cat",), "apply_examples": False}
    async with whole(tmp_path / "home", **rules) as server:
        answer = (await server.api.post("/api/v1/workflows/validate", json={"name": "w", "tasks": tasks})).json()
        told = [warning.split(": ")[0] for warning in answer["warnings"]]
        assert told == [
            "tasks[0].config.command",
            "tasks[1].config.command",
            "tasks[3].config.limits",
            "tasks[4].config.language",
        ]
        assert all("MILLRACE_SHELL_" in warning for warning in answer["warnings"])
        for task in (tasks[0], tasks[1], tasks[4]):
            failed = await server.failure(str(task["id"]), task, name=str(task["id"]))
            assert failed["kind"] == "refused"
        assert (await server.output("listed", {**tasks[2], "config": {"command": ["cat"], "stdin": "x"}}))[
            "stdout"
        ] == "x"


async def test_a_grant_on_the_workflow_gives_no_such_right(server: Whole) -> None:
    path = await made_by_admin(server, tasks=[SHELL, NOTHING])
    async with client_of(server, await key_of(server, "operator")) as operator:
        me = (await operator.get("/api/v1/auth/me")).json()
        user = me.get("user", me)["id"]
        granted = await server.api.put(f"{path}/grants/{user}", json={"grants": ["edit"]})
        assert granted.status_code == 200, granted.text
        assert (await operator.patch(path, json={"tasks": [SHELL, {**NOTHING, "id": "other"}]})).status_code == 200
        assert_refused(await operator.patch(f"{path}/tasks/sh", json={"config": {"command": "id"}}))

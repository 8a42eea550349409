"""A1: agents by the API: registered, changed under a lock, listed, deleted; credentials never come out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.agent_server import AgentServer, agent_server
from tests.support.api import create, definition, problem
from tests.support.installation import Installation, installation

CANARY = "canary-8c1f-in-the-mine"
ELSEWHERE = "https://1.1.1.1/v1"
"""A public address, to which nothing is sent."""


@pytest.fixture
def agent() -> Iterator[AgentServer]:
    with agent_server() as running:
        yield running


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, allowed=("127.0.0.1",)) as running:
        yield running


async def register(api: httpx2.AsyncClient, name: str, url: str = ELSEWHERE, **more: Any) -> dict[str, Any]:
    response = await api.post("/api/v1/agents", json={"name": name, "url": url, **more})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/api/v1/agents/{made['id']}"
    return made


async def faults(response: httpx2.Response, code: str = "invalid_agent") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = problem(response, 422, code)["faults"]
    assert CANARY not in response.text
    return found


def calls(name: str) -> dict[str, Any]:
    return {"id": "call", "type": "agent", "config": {"agent": name}}


async def test_an_agent_has_defaults_and_is_found_by_id_and_by_name(api: httpx2.AsyncClient) -> None:
    made = await register(api, "auditor", description="looks")
    assert made["retry_config"] == {"max_retries": 3, "delay": 1.0, "max_delay": 30.0, "multiplier": 2.0}
    assert (made["timeout_ms"], made["auth_type"], made["auth_config"]) == (30_000, "none", {})
    assert (made["status"], made["version"], made["max_concurrent"]) == ("active", 1, None)
    assert made["health"] == {"status": "unknown", "message": None, "latency_ms": None, "checked_at": None}
    assert made["circuit"] == {"state": "closed", "failures": 0, "open_until": None}
    assert made["created_by"]["name"]
    for reference in ("auditor", made["id"]):
        response = await api.get(f"/api/v1/agents/{reference}")
        assert response.json() == made
        assert response.headers["ETag"] == '"1"'
    problem(await api.get("/api/v1/agents/nobody"), 404, "agent_not_found")


async def test_a_name_is_taken_until_its_agent_is_deleted(api: httpx2.AsyncClient) -> None:
    first = await register(api, "auditor")
    taken = await api.post("/api/v1/agents", json={"name": "auditor", "url": ELSEWHERE})
    assert "auditor" in problem(taken, 409, "name_taken")["detail"]
    assert (await api.delete("/api/v1/agents/auditor")).json() == {"id": first["id"], "name": "auditor", "used_by": []}
    problem(await api.get("/api/v1/agents/auditor"), 404, "agent_not_found")
    second = await register(api, "auditor")
    assert second["id"] != first["id"]
    assert (await api.get(f"/api/v1/agents/{first['id']}")).json()["status"] == "deleted"
    deleted = (await api.get("/api/v1/agents", params={"status": "deleted"})).json()["items"]
    assert [item["id"] for item in deleted] == [first["id"]]
    problem(await api.patch(f"/api/v1/agents/{first['id']}", json={"status": "active"}), 404, "agent_not_found")
    problem(await api.post(f"/api/v1/agents/{first['id']}/health"), 404, "agent_not_found")


async def test_agents_are_listed_by_name_in_pages_and_by_status(api: httpx2.AsyncClient) -> None:
    for name in ("b", "d", "a", "c"):
        await register(api, name, status="inactive" if name == "c" else "active")
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await api.get("/api/v1/agents", params=query)).json()
        seen += [item["name"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["a", "b", "c", "d"]
    inactive = (await api.get("/api/v1/agents", params={"status": "inactive"})).json()["items"]
    assert [item["name"] for item in inactive] == ["c"]
    problem(await api.get("/api/v1/agents", params={"status": "asleep"}), 422, "invalid_request")


async def test_only_what_is_given_is_changed_and_the_name_stays(api: httpx2.AsyncClient) -> None:
    made = await register(api, "auditor", description="looks", max_concurrent=3, timeout_ms=5_000)
    changed = (await api.put("/api/v1/agents/auditor", json={"timeout_ms": 6_000, "max_concurrent": None})).json()
    kept = {"timeout_ms": 6_000, "max_concurrent": None, "version": 2, "updated_at": changed["updated_at"]}
    assert changed == {**made, **kept}
    named = await api.patch("/api/v1/agents/auditor", json={"name": "other"})
    assert (await faults(named, "invalid_request"))[0]["path"] == "name"
    assert (await api.patch("/api/v1/agents/auditor", json={"description": None})).json()["description"] is None


async def test_a_change_of_what_has_changed_since_is_refused(api: httpx2.AsyncClient) -> None:
    await register(api, "auditor")
    for options in ({"headers": {"If-Match": '"1"'}, "json": {}}, {"json": {"version": 2}}):
        assert (await api.patch("/api/v1/agents/auditor", **options)).status_code == 200
    for options in ({"headers": {"If-Match": 'W/"2"'}, "json": {}}, {"json": {"version": 1}}):
        problem(await api.patch("/api/v1/agents/auditor", **options), 409, "stale_version")
    problem(await api.delete("/api/v1/agents/auditor", headers={"If-Match": '"1"'}), 409, "stale_version")
    both = [api.patch("/api/v1/agents/auditor", json={"version": 3}) for _ in range(2)]
    assert sorted([answer.status_code for answer in await asyncio.gather(*both)]) == [200, 409]


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3/v1", "http://[::1]/", "http://192.168.0.1:80", "http://0x0a000001/", "http://[fd00::1]"]
)
async def test_private_addresses_are_refused_with_the_name_of_the_setting(api: httpx2.AsyncClient, url: str) -> None:
    refused = (await faults(await api.post("/api/v1/agents", json={"name": "a", "url": url})))[0]
    assert (refused["path"], refused["code"]) == ("url", "address_refused")
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in refused["message"]
    await register(api, "auditor")
    changed = await api.patch("/api/v1/agents/auditor", json={"url": url})
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in (await faults(changed))[0]["message"]
    assert (await api.get("/api/v1/agents/auditor")).json()["url"] == ELSEWHERE


async def test_loopback_is_refused_where_nobody_allows_it(tmp_path: Path) -> None:
    async with installation(tmp_path / "home") as millrace, millrace.client() as api:
        for url in ("http://127.0.0.1:9", "http://localhost:9/v1"):
            refused = (await faults(await api.post("/api/v1/agents", json={"name": "a", "url": url})))[0]
            assert "MILLRACE_HTTP_ALLOWED_TARGETS" in refused["message"]


async def test_a_name_without_an_address_may_come_to_have_one(api: httpx2.AsyncClient) -> None:
    await register(api, "later", "https://not-there-yet.invalid/v1")


AUTHS = [
    ("bearer", {"token": CANARY}, {"token": "***"}, {"authorization": f"Bearer {CANARY}"}),
    ("apikey", {"key": CANARY}, {"header": "X-API-Key", "key": "***"}, {"x-api-key": CANARY}),
    ("apikey", {"header": "X-Mine", "key": CANARY}, {"header": "X-Mine", "key": "***"}, {"x-mine": CANARY}),
]


@pytest.mark.parametrize(("kind", "config", "shown", "sent"), AUTHS)
async def test_credentials_are_sent_and_never_shown(
    millrace: Installation,
    api: httpx2.AsyncClient,
    agent: AgentServer,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    config: dict[str, Any],
    shown: dict[str, Any],
    sent: dict[str, str],
) -> None:
    caplog.set_level(logging.DEBUG, logger="millrace")
    made = await register(api, "auditor", agent.url, auth_type=kind, auth_config=config)
    assert made["auth_config"] == shown
    said = await api.patch("/api/v1/agents/auditor", json={"auth_config": shown, "timeout_ms": 9_000})
    assert said.json()["auth_config"] == shown
    taken = await millrace.agents.take("auditor")
    assert taken.credentials == sent
    assert CANARY not in repr(taken)
    assert millrace.masker.text(f"it says {CANARY}") == "it says ***"
    echo = definition("echo", {"id": "a", "type": "agent", "config": {"agent": "auditor", "input": {"n": 1}}})
    await create(api, echo)
    run = (await api.post("/api/v1/workflows/echo/execute", json={"wait": True})).json()
    assert run["status"] == "completed", run
    (request,) = agent.received
    assert {name: request.headers[name] for name in sent} == sent
    texts = [(await api.get(path)).text for path in await _all_about(api, run["id"])]
    assert not [text for text in [*texts, caplog.text] if CANARY in text]
    assert CANARY.encode() not in _database(millrace)


async def _all_about(api: httpx2.AsyncClient, run: str) -> list[str]:
    await api.post("/api/v1/agents/auditor/health")
    return [
        f"/api/v1{path}"
        for path in (
            "/agents", "/agents/auditor", "/agents/auditor/health", f"/runs/{run}", f"/runs/{run}/tasks",
            f"/runs/{run}/logs", f"/runs/{run}/events",
        )
    ]  # fmt: skip


def _database(millrace: Installation) -> bytes:
    """The file of the database with its log; on a server there is none to look into."""
    if millrace.file is None:
        return b""
    place = millrace.file.path
    return b"".join(file.read_bytes() for file in place.parent.glob(f"{place.name}*"))


async def test_kept_credentials_go_to_no_other_server(api: httpx2.AsyncClient, millrace: Installation) -> None:
    await register(api, "auditor", auth_type="bearer", auth_config={"token": CANARY})
    elsewhere = {"url": "https://8.8.8.8/v1"}
    for body in (elsewhere, {**elsewhere, "auth_config": {"token": "***"}}):
        refused = (await faults(await api.patch("/api/v1/agents/auditor", json=body)))[0]
        assert (refused["path"], refused["code"]) == ("auth_config", "secret_needed")
    same = await api.patch("/api/v1/agents/auditor", json={"url": "https://1.1.1.1:443/v2"})
    assert same.status_code == 200
    given = {**elsewhere, "auth_config": {"token": "another-token"}}
    assert (await api.patch("/api/v1/agents/auditor", json=given)).status_code == 200
    assert (await millrace.agents.take("auditor")).credentials == {"authorization": "Bearer another-token"}
    without = {"url": ELSEWHERE, "auth_type": "none"}
    assert (await api.patch("/api/v1/agents/auditor", json=without)).json()["auth_config"] == {}
    assert (await millrace.agents.take("auditor")).credentials == {}


async def test_credentials_outlive_a_change_of_the_key(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await register(api, "auditor", auth_type="bearer", auth_config={"token": CANARY})
    rotated = (await api.post("/api/v1/secrets/rotate-key")).json()
    assert rotated["resealed"] == 1
    assert (await millrace.agents.take("auditor")).credentials == {"authorization": f"Bearer {CANARY}"}


async def test_an_agent_that_deployed_workflows_call_is_deleted_only_by_force(
    api: httpx2.AsyncClient,
) -> None:
    made = await register(api, "auditor")
    nested = {"id": "a", "type": "echo", "on_rollback": [{**calls("auditor"), "id": "undo"}]}
    await create(api, definition("nested", nested))
    used = [user["name"] for user in (await api.get("/api/v1/agents/auditor")).json()["used_by"]]
    assert used == ["nested"]
    refused = problem(await api.delete("/api/v1/agents/auditor"), 409, "agent_in_use")
    assert "nested" in refused["detail"]
    assert "force" in refused["detail"]
    gone = (await api.delete("/api/v1/agents/auditor", params={"force": "true"})).json()
    assert [user["name"] for user in gone["used_by"]] == ["nested"]
    assert (await api.get(f"/api/v1/agents/{made['id']}")).json()["auth_config"] == {}


async def test_workflows_that_name_a_missing_or_inactive_agent_are_refused(api: httpx2.AsyncClient) -> None:
    await register(api, "asleep", status="inactive")
    body = definition(
        "calls",
        {"id": "a", "type": "echo", "on_rollback": [{**calls("nobody"), "id": "undo"}]},
        {**calls("asleep"), "id": "b"},
    )
    for path in ("/api/v1/workflows", "/api/v1/workflows/validate"):
        found = problem(await api.post(path, json=body), 422, "invalid_definition")["faults"]
        told = {fault["path"]: (fault["code"], fault["message"]) for fault in found}
        assert told == {
            "tasks[0].on_rollback[0].config.agent": ("unknown_agent", "there is no agent 'nobody'"),
            "tasks[1].config.agent": ("inactive_agent", "the agent 'asleep' is inactive"),
        }
    worse = {**body, "priority": "high"}
    paths = {
        f["path"] for f in problem(await api.post("/api/v1/workflows", json=worse), 422, "invalid_definition")["faults"]
    }
    assert paths == {*told, "priority"}


async def test_agents_that_are_missing_are_told_where_they_stand_among_other_faults(api: httpx2.AsyncClient) -> None:
    steps = {"a": {"agent_name": "nobody", "next_step": "b"}, "b": {"next_step": "a"}}
    circle = {"name": "calls", "start_step": "a", "steps": steps}
    found = problem(await api.post("/api/v1/workflows", json=circle), 422, "invalid_definition")["faults"]
    assert [(fault["path"], fault["code"]) for fault in found] == [
        ("steps.a.agent_name", "unknown_agent"),
        ("steps.b.agent_name", "missing"),
        ("steps.b.next_step", "cycle"),
    ]
    sound = {**circle, "steps": {"a": {"agent_name": "nobody"}}}
    found = problem(await api.post("/api/v1/workflows", json=sound), 422, "invalid_definition")["faults"]
    assert [fault["path"] for fault in found] == ["steps.a.agent_name"]


async def test_a_template_names_no_agent(api: httpx2.AsyncClient) -> None:
    body = definition("calls", calls("{{ input.who }}"))
    found = problem(await api.post("/api/v1/workflows", json=body), 422, "invalid_definition")["faults"]
    assert [(fault["path"], "plain text" in fault["message"]) for fault in found] == [("tasks[0].config.agent", True)]


async def test_a_version_is_not_deployed_or_rolled_back_to_while_its_agent_is_inactive(
    api: httpx2.AsyncClient,
) -> None:
    await register(api, "auditor")
    await create(api, definition("calls", calls("auditor")))
    await api.put("/api/v1/workflows/calls", json={"tasks": [{"id": "a", "type": "echo"}]})
    await api.patch("/api/v1/agents/auditor", json={"status": "inactive"})
    for action in ("deploy", "rollback"):
        response = await api.post(f"/api/v1/workflows/calls/{action}", json={"version": 1})
        found = problem(response, 422, "invalid_definition")["faults"]
        assert [(fault["path"], fault["code"]) for fault in found] == [("tasks[0].config.agent", "inactive_agent")]
    await api.patch("/api/v1/agents/auditor", json={"status": "active"})
    assert (await api.post("/api/v1/workflows/calls/deploy", json={"version": 1})).status_code == 200


async def test_a_run_whose_agent_is_gone_fails_and_names_it(api: httpx2.AsyncClient) -> None:
    await register(api, "auditor")
    await create(api, definition("calls", calls("auditor")))
    await api.patch("/api/v1/agents/auditor", json={"status": "inactive"})
    run = (await api.post("/api/v1/workflows/calls/execute", json={"wait": True})).json()
    assert run["status"] == "failed"
    assert "the agent 'auditor' is inactive" in run["error"]["message"]
    await api.delete("/api/v1/agents/auditor", params={"force": "true"})
    run = (await api.post("/api/v1/workflows/calls/execute", json={"wait": True})).json()
    assert "there is no agent 'auditor'" in run["error"]["message"]

"""A secret goes to the workflows and hosts that it is for: judged at each save, with the place, and at each use."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.secrets import SecretUse
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation, installation

VALUE = "open-sesame-now"
READS = {"id": "a", "type": "echo", "config": {"value": "it is {{ secrets.door }}!"}}
NAMES = {"id": "a", "type": "echo", "config": {"value": 1, "connection": "mail"}}
CALLS = {"id": "a", "type": "agent", "config": {"agent": "helper", "headers": {"X-Key": "{{ secrets.door }}"}}}
MAIL = {"type": "smtp", "config": {"host": "mail.example.com", "user": "me", "password": "of-the-mail-server"}}
SMTP = frozenset({"smtp"})


async def put(api: httpx2.AsyncClient, kind: str, name: str, **body: Any) -> dict[str, Any]:
    response = await api.put(f"/api/v1/{kind}/{name}", json=body)
    assert response.status_code in (200, 201), response.text
    shown: dict[str, Any] = response.json()
    return shown


async def failure(api: httpx2.AsyncClient, workflow: str) -> dict[str, Any] | None:
    run = await start(api, workflow, wait=True)
    error: dict[str, Any] | None = run["error"]
    return error


async def test_a_secret_works_in_its_workflows_only(api: httpx2.AsyncClient) -> None:
    shown = await put(api, "secrets", "door", value=VALUE, workflows=["orders", "billing", "orders"])
    assert (shown["workflows"], shown["hosts"]) == (["billing", "orders"], None)
    await create(api, definition("orders", READS))
    assert await failure(api, "orders") is None

    body = definition("other", {**READS, "id": "first"}, READS)
    for path in ("/workflows", "/workflows/validate"):
        refused = problem(await api.post(f"/api/v1{path}", json=body), 422, "invalid_definition")
        assert [fault["path"] for fault in refused["faults"]] == ["tasks[0].config", "tasks[1].config"]
        assert {fault["code"] for fault in refused["faults"]} == {"secret_scope"}
        assert refused["faults"][0]["message"] == "the secret 'door' is not for the workflow 'other'"
        assert "--workflow" in refused["faults"][0]["remedy"]
    problem(await api.patch("/api/v1/workflows/orders", json={"name": "renamed"}), 422, "invalid_definition")

    # What is not given stays, null is for all.
    assert (await put(api, "secrets", "door", value=VALUE))["workflows"] == ["billing", "orders"]
    assert (await put(api, "secrets", "door", value=VALUE, workflows=None))["workflows"] is None
    await create(api, body)
    assert await failure(api, "other") is None


async def test_a_secret_that_is_taken_away_is_refused_at_the_next_attempt_and_deploy(api: httpx2.AsyncClient) -> None:
    await put(api, "secrets", "door", value=VALUE)
    await create(api, definition("orders", READS))
    assert await failure(api, "orders") is None
    assert (
        await api.put("/api/v1/workflows/orders", json={"tasks": [{**READS, "type": "echo", "config": {}}]})
    ).is_success
    shown = await put(api, "secrets", "door", value=VALUE, workflows=["billing"])
    assert shown["workflows"] == ["billing"]
    refused = problem(await api.post("/api/v1/workflows/orders/deploy", json={"version": 1}), 422, "invalid_definition")
    assert [fault["code"] for fault in refused["faults"]] == ["secret_scope"]
    run = await start(api, "orders", version=1, wait=True)
    assert run["status"] == "failed"
    assert run["error"]["kind"] == "refused"
    assert "the secret 'door' is not for the workflow 'orders'" in run["error"]["message"]
    dry = (await api.post("/api/v1/workflows/orders/dry-run", json={"version": 1})).json()
    assert any("is not for the workflow 'orders'" in told for told in dry["warnings"]), dry


async def test_a_connection_works_in_its_workflows_only(millrace: Installation, api: httpx2.AsyncClient) -> None:
    assert (await put(api, "connections", "mail", **MAIL, workflows=["orders"]))["workflows"] == ["orders"]
    refused = problem(await api.post("/api/v1/workflows", json=definition("other", NAMES)), 422, "invalid_definition")
    assert [(fault["path"], fault["code"]) for fault in refused["faults"]] == [
        ("tasks[0].config.connection", "connection_scope")
    ]
    await create(api, definition("orders", NAMES))
    for workflow in ("orders", None):
        found = await millrace.connections.resolve("mail", types=SMTP, use=SecretUse(workflow, "a test"))
        assert found.config["password"] == "of-the-mail-server"
    for use in (SecretUse("other", "a test"), SecretUse("", "a test")):
        with pytest.raises(ConnectionUnavailable, match="the connection 'mail' is not for"):
            await millrace.connections.resolve("mail", types=SMTP, use=use)
    with pytest.raises(ConnectionUnavailable, match="is not for"):
        await millrace.connections.resolve("mail", types=SMTP)


async def test_a_webhook_uses_what_is_for_its_workflow_only(api: httpx2.AsyncClient) -> None:
    await put(api, "secrets", "door", value=VALUE, workflows=["orders"])
    guard = {"type": "api_key", "value": "{{ secrets.door }}"}
    for name in ("orders", "other"):
        await create(api, definition(name))
    trigger = {"id": "hook", "type": "webhook", "config": {"authentication": guard, "path": "in"}}
    refused = problem(
        await api.patch("/api/v1/workflows/other", json={"triggers": [trigger]}), 422, "invalid_definition"
    )
    assert [fault["code"] for fault in refused["faults"]] == ["secret_scope"]
    hook = {"workflow_id": "other", "url_path": "there", "authentication": guard}
    refused = problem(await api.post("/api/v1/webhooks", json=hook), 422, "invalid_request")
    assert [(fault["path"], fault["code"]) for fault in refused["faults"]] == [("authentication", "secret_scope")]

    made = await api.post("/api/v1/webhooks", json={**hook, "workflow_id": "orders"})
    assert made.status_code == 201, made.text
    sent = await api.post("/webhook/there", json={}, headers={"X-API-Key": VALUE})
    assert sent.is_success, sent.text
    await put(api, "secrets", "door", value=VALUE, workflows=["billing"])
    problem(await api.post("/webhook/there", json={}, headers={"X-API-Key": VALUE}), 401, "unauthenticated")
    shown = (await api.get(f"/api/v1/webhooks/{made.json()['id']}")).json()
    assert "is not for the workflow 'orders'" in shown["last_error"]
    assert "is not for the workflow 'orders'" in shown["warnings"][0]


async def test_who_may_not_use_secrets_saves_nothing_that_names_one(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    scopes = ["workflow:read", "workflow:write"]
    made = await api.post("/api/v1/api-keys", json={"name": "saves", "scopes": scopes})
    assert made.status_code == 201, made.text
    async with millrace.client(made.json()["key"]) as narrow:
        for task, permission in ((READS, "secret:use"), (NAMES, "connection:use")):
            body = definition("orders", task)
            refused = problem(await narrow.post("/api/v1/workflows", json=body), 403, "forbidden")
            assert permission in refused["detail"]
            assert (await narrow.post("/api/v1/workflows/validate", json=body)).status_code == 200
        await create(narrow, definition("plain"))
        hook = {"workflow_id": "plain", "authentication": {"type": "api_key", "value": "{{ secrets.door }}"}}
        problem(await narrow.post("/api/v1/webhooks", json=hook), 403, "forbidden")
        await create(api, definition("orders", READS))
        problem(await narrow.post("/api/v1/workflows/orders/deploy", json={}), 403, "forbidden")


@pytest.fixture
async def reaching(tmp_path: Path, database_url: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    """An installation whose agents may be on this machine."""
    allowed = ("127.0.0.1", "localhost")
    async with installation(tmp_path / "home", database_url, allowed=allowed) as made, made.client() as api:
        yield api


async def test_a_secret_is_sent_to_its_hosts_only(reaching: httpx2.AsyncClient, httpserver: HTTPServer) -> None:
    api, port = reaching, httpserver.port
    httpserver.expect_request("/").respond_with_json({"heard": True})
    agent = {"name": "helper", "url": httpserver.url_for("/"), "retry_config": {"max_retries": 0}}
    assert (await api.post("/api/v1/agents", json=agent)).status_code == 201
    shown = await put(api, "secrets", "door", value=VALUE, hosts=[f"LOCALHOST:{port}", "*.Example.com"])
    assert shown["hosts"] == ["*.example.com", f"localhost:{port}"]
    await create(api, definition("calls", CALLS))
    assert await failure(api, "calls") is None
    (request, _) = httpserver.log[-1]
    assert request.headers["X-Key"] == VALUE

    served = len(httpserver.log)
    await put(api, "secrets", "door", value=VALUE, hosts=["api.example.com"])
    refused = await failure(api, "calls") or {}
    assert refused["kind"] == "refused"
    assert "the secret 'door' may be sent to api.example.com only" in refused["message"]
    assert len(httpserver.log) == served


async def test_a_task_that_could_send_it_anywhere_gets_no_secret_with_hosts(api: httpx2.AsyncClient) -> None:
    await put(api, "secrets", "door", value=VALUE, hosts=["api.example.com"])
    made = await create(api, definition("opens", READS))
    assert any("tasks[0].config: the secret 'door' may be sent to api.example.com only" in told
               for told in made["warnings"]), made["warnings"]  # fmt: skip
    refused = await failure(api, "opens") or {}
    assert refused["kind"] == "refused"
    assert "a task of the type echo could send it anywhere" in refused["message"]


UNFIT = [
    ({"workflows": []}, "workflows", "empty"),
    ({"workflows": [""]}, "workflows[0]", "value"),
    ({"workflows": ["a", "b\0"]}, "workflows[1]", "value"),
    ({"workflows": ["a" * 256]}, "workflows[0]", "value"),
    ({"workflows": ["a"] * 201}, "workflows", "too_long"),
    ({"hosts": []}, "hosts", "empty"),
    ({"hosts": ["https://api.example.com"]}, "hosts[0]", "value"),
    ({"hosts": ["a.example.com", "*"]}, "hosts[1]", "value"),
    ({"hosts": ["a.example.com"] * 51}, "hosts", "too_long"),
]


@pytest.mark.parametrize(("scope", "place", "code"), UNFIT)
async def test_a_scope_that_means_nothing_is_refused(
    api: httpx2.AsyncClient, scope: dict[str, Any], place: str, code: str
) -> None:
    refused = problem(await api.put("/api/v1/secrets/door", json={"value": VALUE, **scope}), 422, "invalid_secret")
    assert [(fault["path"], fault["code"]) for fault in refused["faults"]] == [(place, code)]


# --- a scope without the value ----------------------------------------------------------------------------------------


async def test_what_a_secret_is_for_is_said_anew_without_its_value(api: httpx2.AsyncClient) -> None:
    set_ = await put(api, "secrets", "door", value=VALUE, hosts=["*.example.com", "10.0.0.7"])
    await create(api, definition("reader", READS))
    path = "/api/v1/secrets/door"
    shown = await api.patch(path, json={"workflows": ["other"]})
    assert shown.status_code == 200, shown.text
    assert [user["name"] for user in shown.json()["used_by"]] == ["reader"]
    assert shown.json() == {**set_, "workflows": ["other"], "used_by": shown.json()["used_by"]}
    assert "not for the workflow" in str(await failure(api, "reader"))
    # Nothing but what is given changes; fewer hosts are said in their one spelling, and nothing is said twice.
    narrowed = {"hosts": ["API.example.com:443", "*.eu.example.com"]}
    assert (await api.patch(path, json=narrowed)).json()["hosts"] == ["*.eu.example.com", "api.example.com:443"]
    assert (await api.patch(path, json={"workflows": None})).json()["workflows"] is None
    assert (await api.patch(path, json={})).json()["version"] == set_["version"]
    assert (await api.get(f"{path}/versions")).json()["items"] == [
        {"version": 1, "current": True, "created_by": set_["updated_by"], "created_at": set_["updated_at"]}
    ]
    entries = (await api.get("/api/v1/audit-logs", params={"action": "secret.set"})).json()["items"]
    assert [(entry["before"], entry["after"]) for entry in entries[:-1]] == [
        ({"workflows": ["other"]}, {"workflows": None}),
        ({"hosts": ["*.example.com", "10.0.0.7"]}, {"hosts": ["*.eu.example.com", "api.example.com:443"]}),
        ({"workflows": None}, {"workflows": ["other"]}),
    ]


WIDER: list[list[str] | None] = [
    None, ["evil.test"], ["api.example.com"], ["example.com:443"], ["*.example.com"], ["api.example.com:8443"],
    ["*.api.example.com"],
]  # fmt: skip


@pytest.mark.parametrize("hosts", WIDER, ids=str)
async def test_a_secret_is_sent_nowhere_else_by_who_does_not_know_it(
    api: httpx2.AsyncClient, hosts: list[str] | None
) -> None:
    await put(api, "secrets", "door", value=VALUE, hosts=["api.example.com:443"])
    refused = problem(await api.patch("/api/v1/secrets/door", json={"hosts": hosts}), 422, "invalid_secret")
    assert [fault["code"] for fault in refused["faults"]] == ["value_needed"]
    assert (await api.get("/api/v1/secrets/door")).json()["hosts"] == ["api.example.com:443"]
    # Nor by setting another value, and going back to the one that nobody may read.
    await put(api, "secrets", "door", value="a-value-of-ones-own", hosts=hosts)
    problem(await api.post("/api/v1/secrets/door/rollback", json={"version": 1}), 404, "version_not_found")


async def test_a_connection_is_for_other_workflows_without_its_config(api: httpx2.AsyncClient) -> None:
    set_ = await put(api, "connections", "mail", **MAIL)
    path = "/api/v1/connections/mail"
    assert (await api.patch(path, json={"workflows": ["other"]})).json() == {**set_, "workflows": ["other"]}
    assert (await api.patch(path, json={"workflows": None})).json() == set_
    problem(await api.patch(path, json={"workflows": []}), 422, "invalid_connection")
    problem(await api.patch(path, json={"config": {}}), 422, "invalid_request")
    for kind in ("secrets", "connections"):
        found = await api.patch(f"/api/v1/{kind}/nothing", json={"workflows": None})
        problem(found, 404, f"{kind.removesuffix('s')}_not_found")

"""I4: what the audit log says of a change, to whom, and how it is found."""

import csv
import io
import json
import logging
import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from millrace.auth.audit.writing import time_of
from millrace.auth.permissions import Role
from millrace.storage.tables import audit_log
from tests.integration.api.test_access import role_client
from tests.support.api import ECHO, create, definition, problem, start
from tests.support.installation import Installation
from tests.support.logins import ADA, log_in, set_up, tokens

URL = "/api/v1/audit-logs"
SECRET = "hunter2-and-more"


async def entries(api: httpx2.AsyncClient, **narrow: Any) -> list[dict[str, Any]]:
    response = await api.get(URL, params={**narrow})
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def actions(api: httpx2.AsyncClient, **narrow: Any) -> list[str]:
    return [item["action"] for item in await entries(api, **narrow)]


async def test_a_row_says_who_did_what_when_from_where_and_what_changed(api: httpx2.AsyncClient) -> None:
    made = await create(api, definition("orders"))
    changed = await api.patch("/api/v1/workflows/orders", json={"description": "of the day"})
    assert changed.status_code == 200
    newest, _, oldest = await entries(api, entity="workflow", entity_id=made["id"])
    me = (await api.get("/api/v1/auth/me")).json()
    assert newest["actor"] == {"id": me["id"], "name": me["name"]}
    assert (newest["action"], newest["entity_name"], newest["address"]) == ("workflow.update", "orders", "127.0.0.1")
    assert (newest["before"], newest["after"]) == ({"description": None}, {"description": "of the day"})
    assert newest["request_id"] == changed.headers["X-Request-Id"]
    assert newest["credential_id"]
    assert (oldest["action"], oldest["before"]) == ("workflow.create", None)
    assert oldest["after"]["version"] == 1
    assert newest["at"] > oldest["at"]


async def test_what_changes_nothing_leaves_nothing(api: httpx2.AsyncClient) -> None:
    body = {**definition("orders"), "labels": {"team": "a"}}
    for outcome in ("created", "unchanged"):
        assert (await api.post("/api/v1/workflows/apply", json=body)).json()["outcome"] == outcome
    user = (await api.post("/api/v1/users", json={"email": ADA, "name": "Ada", "role": "viewer"})).json()["id"]
    for _ in range(2):
        await api.post(f"/api/v1/users/{user}/disable")
    found = ["user.disable", "user.create", "workflow.deploy", "workflow.create"]
    assert await actions(api) == found
    problem(await api.patch("/api/v1/workflows/nothing", json={"description": "x"}), 404, "workflow_not_found")
    problem(await api.post("/api/v1/workflows", json=definition("orders")), 409, "name_taken")
    assert await actions(api) == found, "what was refused did not happen"


async def test_a_change_that_is_rolled_back_leaves_no_row(millrace: Installation, api: httpx2.AsyncClient) -> None:
    writer = millrace.container.workflow_writer

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("at the end of the transaction")

    writer._registrar.sync = refuse  # type: ignore[method-assign]
    response = await api.post("/api/v1/workflows", json=definition("orders"))
    document = problem(response, 500, "internal_error")
    assert document["detail"]
    assert await entries(api) == []


async def test_a_row_costs_no_commit(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, definition("orders"))
    commits: list[str] = []

    def count(*args: Any) -> None:
        commits.append(str(args[2]) if len(args) > 2 else "commit")

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text == "commit":
            commits.append(text)

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", count)
    try:
        assert (await api.put("/api/v1/secrets/orders_api", json={"value": SECRET})).status_code == 201
    finally:
        event.remove(Engine, "before_cursor_execute", statement)
        event.remove(Engine, "commit", count)
    written = [commit for commit in commits if commit == "commit"]
    assert len(written) == 1, commits
    assert await actions(api, entity="secret") == ["secret.set"]


async def test_no_secret_is_in_it(millrace: Installation, api: httpx2.AsyncClient) -> None:
    assert (await api.put("/api/v1/secrets/orders_api", json={"value": SECRET})).status_code == 201
    config = {"host": "1.1.1.1", "user": "u", "password": SECRET, "database": "d"}
    made = await api.put("/api/v1/connections/warehouse", json={"type": "postgresql", "config": config})
    assert made.status_code == 201, made.text
    await create(api, {**definition("orders"), "description": f"call it with {SECRET}"})
    await set_up(millrace)
    text = str(await millrace.database.read(lambda connection: connection.execute(select(audit_log)).all()))
    assert SECRET not in text
    assert "***" in text
    assert "quiet-harbour" not in text
    assert "mr_" not in text
    (row,) = await entries(api, action="secret.set")
    assert row["after"] == {"description": None, "version": 1, "workflows": None, "hosts": None}


async def test_starts_of_runs_are_in_it_though_nothing_is_written(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    made = await create(api, definition("orders"))
    named = await api.post("/api/v1/workflows/orders/execute", json={}, headers={"X-Request-Id": "the-first-start"})
    runs = [named.json()["id"], *[(await start(api, "orders", wait=True))["id"] for _ in range(2)]]
    await api.patch("/api/v1/workflows/orders", json={"description": "later"})
    assert await actions(api) == ["workflow.update", *["run.start"] * 3, "workflow.deploy", "workflow.create"]
    started = await entries(api, action="run.start")
    assert [row["entity_id"] for row in started] == runs[::-1]
    assert (started[0]["entity_name"], started[0]["after"]["trigger_type"]) == ("orders", "manual")
    assert started[0]["after"]["workflow_id"] == made["id"]
    me = (await api.get("/api/v1/auth/me")).json()
    assert started[0]["actor"] == {"id": me["id"], "name": me["name"]}
    assert started[0]["address"] == "127.0.0.1"
    assert [row["request_id"] for row in started][-1] == "the-first-start"
    history = await api.get(f"/api/v1/runs/{runs[0]}/events")
    assert "run.created" in history.text
    assert not any(told in history.text for told in ("127.0.0.1", "the-first-start")), "for the audit log alone"
    assert await actions(api, entity="run", entity_id=runs[1]) == ["run.start"]
    count = await millrace.database.read(lambda connection: len(connection.execute(select(audit_log.c.id)).all()))
    assert count == 3


async def test_pages_and_exports_have_each_row_once(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for number in range(4):
        await create(api, definition(f"w{number}"))
        await start(api, f"w{number}", wait=True)
    everything = await entries(api, limit=200)
    assert len(everything) == 12
    paged, cursor = [], None
    while True:
        page = (await api.get(URL, params={"limit": 5, **({} if cursor is None else {"cursor": cursor})})).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == everything
    lines = (await api.get(f"{URL}/export")).text.splitlines()
    assert [json.loads(line) for line in lines] == everything
    narrowed = (await api.get(f"{URL}/export", params={"action": "workflow.create"})).text.splitlines()
    assert len(narrowed) == 4
    async with millrace.client() as client:
        since, until = everything[8]["at"], everything[2]["at"]
        between = await entries(client, **{"from": since, "to": until})
    assert between == everything[3:9]


async def test_a_spreadsheet_computes_nothing_of_it(api: httpx2.AsyncClient) -> None:
    await create(api, definition("=cmd|' /C calc'!A0"))
    await create(api, definition('two\nlines, "quoted"'.replace("\n", " ")))
    response = await api.get(f"{URL}/export", params={"format": "csv", "action": "workflow.create"})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["entity_name"] for row in rows] == ['two lines, "quoted"', "'=cmd|' /C calc'!A0"]
    assert json.loads(rows[0]["after"])["version"] == 1


async def test_it_is_found_by_user_action_and_entity(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await set_up(millrace)
    client, key_user = await _operator(api, millrace)
    async with client:
        run = await start(api, (await create(api, definition("held", {"id": "hold", "type": "hold"})))["id"])
        assert (await client.post(f"/api/v1/runs/{run['id']}/cancel")).status_code == 202
    (row,) = await entries(api, actor="bot")
    assert (row["action"], row["actor"]["name"], row["entity_id"]) == ("run.cancel", "bot", run["id"])
    assert await entries(api, actor=key_user) == [row]
    assert await entries(api, entity="workflow", entity_id="held") == await entries(api, entity="workflow")
    assert await entries(api, actor="Ada", entity="workflow") == await entries(api, entity="workflow")
    assert await actions(api, entity="run", entity_id=run["id"]) == ["run.cancel", "run.start"]
    assert await actions(api, entity="api_key") == ["api_key.create"]
    for query, path in (
        ({"entity": "wrkflow"}, "query.entity"),
        ({"action": "run.begin"}, "query.action"),
        ({"actor": "nobody@example.com"}, "query.actor"),
    ):
        faults = problem(await api.get(URL, params=query), 422, "invalid_request")["faults"]
        assert [fault["path"] for fault in faults] == [path]


async def _operator(api: httpx2.AsyncClient, millrace: Installation) -> tuple[httpx2.AsyncClient, str]:
    account = (await api.post("/api/v1/users", json={"kind": "service", "name": "bot", "role": "operator"})).json()
    made = (await api.post("/api/v1/api-keys", json={"name": "first", "user": account["id"]})).json()
    return millrace.client(made["key"]), account["id"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER])
async def test_administrators_alone_read_it(millrace: Installation, role: Role) -> None:
    async with await role_client(millrace, role) as client:
        for path in (URL, f"{URL}/export"):
            problem(await client.get(path), 403, "forbidden")
        problem(await client.post(f"{URL}/verify"), 403, "forbidden")


async def test_logins_are_in_it_and_what_was_typed_is_not(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await set_up(millrace)
    async with millrace.client("", address="192.0.2.7") as client:
        problem(await log_in(client, password="a wrong one entirely"), 401, "wrong_login")
        problem(await log_in(client, email="my password by mistake"), 401, "wrong_login")
        refresh = (await tokens(client))["refresh_token"]
        assert (await client.post("/api/v1/auth/refresh", json={"refresh_token": refresh})).status_code == 200
        stolen = await client.post("/api/v1/auth/refresh", json={"refresh_token": refresh})
        problem(stolen, 401, "invalid_refresh_token")
    reuse, begun, unknown, wrong = (await entries(api))[:4]
    assert [row["action"] for row in (reuse, begun, unknown, wrong)] == [
        "login.reuse", "login.start", "login.fail", "login.fail",
    ]  # fmt: skip
    assert {row["address"] for row in (reuse, begun, unknown, wrong)} == {"192.0.2.7"}
    assert (wrong["entity_name"], wrong["after"]) == ("Ada", {"reason": "wrong password"})
    assert wrong["actor"] == {"id": None, "name": "anonymous"}
    assert (unknown["entity_id"], unknown["after"]) == (None, {"reason": "no such user"})
    assert (begun["actor"]["name"], reuse["actor"]["name"]) == ("Ada", "Ada")
    assert "mistake" not in str(await entries(api))


async def test_an_id_goes_through_the_request_and_a_bad_one_does_not(
    api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    mine = {"X-Request-Id": "deploy-4711.a"}
    answered = await api.get("/api/v1/runs/nothing", headers=mine)
    assert answered.headers["X-Request-Id"] == answered.json()["request_id"] == "deploy-4711.a"
    for bad in ("short", "x" * 65, "with blank", 'quo"ted-id', "semi;colon"):
        answered = await api.get("/api/v1/runs", headers={"X-Request-Id": bad})
        assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]{6,}", answered.headers["X-Request-Id"])
    one, other = [(await api.get("/health")).headers["X-Request-Id"] for _ in range(2)]
    assert one != other


async def test_a_line_of_the_log_names_its_request(
    millrace: Installation, api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    from millrace.api.requests import name_requests_in_logs

    root = logging.getLogger()
    handler = caplog.handler
    assert handler in root.handlers
    name_requests_in_logs()
    refresh = (await _stolen(millrace))["refresh_token"]
    async with millrace.client("") as client:
        for _ in range(2):
            last = await client.post("/api/v1/auth/refresh", json={"refresh_token": refresh})
    assert f"[request {last.headers['X-Request-Id']}]" in caplog.text


async def _stolen(millrace: Installation) -> dict[str, Any]:
    await set_up(millrace)
    async with millrace.client("") as client:
        found: dict[str, Any] = await tokens(client)
        return found


async def test_the_time_of_a_row_is_that_of_its_id(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, definition("orders", ECHO))
    rows = await millrace.database.read(
        lambda connection: connection.execute(select(audit_log.c.id, audit_log.c.at).order_by(audit_log.c.id)).all()
    )
    assert [at for _, at in rows] == [time_of(row_id) for row_id, _ in rows] == sorted(at for _, at in rows)

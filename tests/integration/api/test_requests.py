"""R1: whatever is sent, the answer is a problem document that helps, and nothing is written."""

import json
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import func, select

from millrace.core.controls import CONTROL_TYPES
from millrace.storage.tables import runs, workflow_versions, workflows
from tests.support.api import ECHO, create, definition, problem
from tests.support.installation import Installation

W = "/api/v1/workflows"
X = f"{W}/target/execute"
GOOD = definition("fresh")


def js(value: object) -> bytes:
    return json.dumps(value).encode()


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


JSON, YAML = "application/json", "application/yaml"

BAD = [
    ("POST", W, b"", JSON, 400),
    ("POST", W, b"{", JSON, 400),
    ("POST", W, b"\xff\xfe", JSON, 400),
    ("POST", W, b'{"name": NaN, "tasks": []}', JSON, 400),
    ("POST", W, b'{"name": Infinity}', JSON, 400),
    ("POST", W, b"[" * 100_000, JSON, 400),
    ("POST", W, b"9" * 5_000, JSON, 400),
    ("POST", W, b"name: [", YAML, 400),
    ("POST", W, b"\xff: x", YAML, 400),
    ("POST", W, b"name: x", "text/plain", 400),
    ("POST", W, b"name=x", "application/x-www-form-urlencoded", 400),
    ("POST", W, b"null", JSON, 422),
    ("POST", W, b"[]", JSON, 422),
    ("POST", W, b'"text"', JSON, 422),
    ("POST", W, b"3", JSON, 422),
    ("POST", W, b"true", JSON, 422),
    ("POST", W, b"{}", JSON, 422),
    ("POST", W, b"- a\n- b", YAML, 422),
    ("POST", W, js({"tasks": [ECHO]}), JSON, 422),
    ("POST", W, js({"name": "x"}), JSON, 422),
    ("POST", W, js({**GOOD, "name": ""}), JSON, 422),
    ("POST", W, js({**GOOD, "name": "n" * 256}), JSON, 422),
    ("POST", W, js({**GOOD, "name": 5}), JSON, 422),
    ("POST", W, js({**GOOD, "name": "nul\0"}), JSON, 422),
    ("POST", W, b'{"name": "\\ud800", "tasks": [{"id": "a", "type": "echo"}]}', JSON, 422),
    ("POST", W, js({**GOOD, "tasks": "all"}), JSON, 422),
    ("POST", W, js({**GOOD, "tasks": [3]}), JSON, 422),
    ("POST", W, js({**GOOD, "metadata": {"big": 2**70}}), JSON, 422),
    ("POST", W, js({**GOOD, "metadata": {"deep": deep(80)}}), JSON, 422),
    ("POST", W, js({**GOOD, "status": "asleep"}), JSON, 422),
    ("POST", W, js({**GOOD, "status": ["active"]}), JSON, 422),
    ("POST", W, js({**GOOD, "is_active": "yes"}), JSON, 422),
    ("POST", W, js({**GOOD, "deploy": 1}), JSON, 422),
    ("POST", W, js({**GOOD, "version": "latest"}), JSON, 422),
    ("POST", W, js({**GOOD, "version": True}), JSON, 422),
    ("POST", W, js({**GOOD, "comment": "c" * 3000}), JSON, 422),
    ("PUT", f"{W}/target", js({"tasks": []}), JSON, 422),
    ("PATCH", f"{W}/target", js({"colour": "red"}), JSON, 422),
    ("PUT", f"{W}/nothing", js(GOOD), JSON, 404),
    ("DELETE", f"{W}/nothing", b"", JSON, 404),
    ("POST", X, b"{", JSON, 400),
    ("POST", X, b"[]", JSON, 422),
    ("POST", X, js({"inputs": {}}), JSON, 422),
    ("POST", X, js({"input": [1]}), JSON, 422),
    ("POST", X, js({"input": {"a": "nul\0"}}), JSON, 422),
    ("POST", X, js({"input": {"nul\0": 1}}), JSON, 422),
    ("POST", X, b'{"input": {"a": "\\udfff"}}', JSON, 422),
    ("POST", X, b'{"input": {"\\udfff": 1}}', JSON, 422),
    ("POST", X, js({"input": {"a": 2**64}}), JSON, 422),
    ("POST", X, js({"input": {"a": deep(80)}}), JSON, 422),
    ("POST", X, js({"variables": {"a": deep(80)}}), JSON, 422),
    ("POST", X, js({"version": 0}), JSON, 422),
    ("POST", X, js({"version": ""}), JSON, 422),
    ("POST", X, js({"version": "no tag"}), JSON, 404),
    ("POST", X, js({"version": 99}), JSON, 404),
    ("POST", X, js({"priority": 10**9}), JSON, 422),
    ("POST", X, js({"wait": "yes"}), JSON, 422),
    ("POST", X, js({"wait_seconds": -1}), JSON, 422),
    ("POST", X, js({"correlation_id": ""}), JSON, 422),
    ("POST", X, js({"correlation_id": "c" * 256}), JSON, 422),
    ("POST", X, js({"idempotency_key": "k" * 256}), JSON, 422),
    ("POST", X, js({"idempotency_key": "nul\0"}), JSON, 422),
    ("POST", f"{W}/nothing/execute", b"", JSON, 404),
    ("POST", f"{W}/target/stop", js({"reason": 5}), JSON, 422),
    ("GET", f"{W}?limit=0", b"", JSON, 422),
    ("GET", f"{W}?limit=many", b"", JSON, 422),
    ("GET", f"{W}?cursor=%00", b"", JSON, 422),
    ("GET", f"{W}?cursor=NQ", b"", JSON, 422),
    ("GET", f"{W}?status=asleep", b"", JSON, 422),
    ("GET", f"{W}?label=x", b"", JSON, 422),
    ("GET", "/api/v1/runs?cursor=e30", b"", JSON, 422),
    ("GET", "/api/v1/runs?status=done", b"", JSON, 422),
    ("GET", "/api/v1/runs?workflow=nothing", b"", JSON, 404),
    ("GET", "/api/v1/runs?created_after=yesterday", b"", JSON, 422),
    ("GET", "/api/v1/runs?created_after=2026-01-01T00:00:00", b"", JSON, 422),
    ("GET", "/api/v1/runs/nothing", b"", JSON, 404),
    ("GET", "/api/v1/runs/nothing/logs?wait_seconds=99", b"", JSON, 422),
    ("GET", f"{W}/target/versions/one", b"", JSON, 404),
    ("GET", f"{W}/target/versions/{10**30}", b"", JSON, 404),
    ("GET", "/api/v1/nothing", b"", JSON, 404),
    ("GET", "/nothing", b"", JSON, 404),
    ("PUT", "/api/v1/runs", b"", JSON, 405),
]


async def counts(millrace: Installation) -> list[tuple[object, ...]]:
    tables = (workflows.c.updated_at, workflow_versions.c.number, runs.c.revision)
    return await millrace.database.read(
        lambda connection: [
            tuple(connection.execute(select(func.count(), func.sum(column))).one()) for column in tables
        ]
    )


async def test_bad_requests_are_explained_and_change_nothing(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, definition("target"))
    before = await counts(millrace)
    for method, path, body, media_type, status in BAD:
        response = await api.request(method, path, content=body, headers={"Content-Type": media_type})
        assert response.status_code == status, (method, path, body[:80], response.text)
        document = problem(response, status, response.json()["code"])
        if status == 422:
            assert document["faults"], (method, path, body[:80], document)
    assert await counts(millrace) == before


async def test_a_body_beyond_the_limit_is_refused_by_length_and_by_count(api: httpx2.AsyncClient) -> None:
    large = js({**definition("large"), "description": "x" * 1_100_000})
    problem(await api.post(W, content=large), 413, "too_large")

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    problem(await api.post(W, content=stream(), headers={"Content-Type": JSON}), 413, "too_large")
    assert (await api.get(W)).json()["items"] == []


async def test_a_defect_is_answered_without_its_details(
    millrace: Installation, api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def list(self, **_: object) -> None:
            raise RuntimeError("the inside of the machine")

    object.__setattr__(millrace.container, "worker_queries", Broken())
    document = problem(await api.get("/api/v1/workers"), 500, "internal_error")
    assert "inside" not in json.dumps(document)
    assert "the inside of the machine" in caplog.text


async def test_answers_carry_the_security_headers(api: httpx2.AsyncClient) -> None:
    for path in ("/health", "/api/v1/runs", "/nothing", "/docs"):
        headers = (await api.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


async def test_the_documentation_needs_nothing_from_elsewhere(api: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/redoc"):
        response = await api.get(path)
        assert response.status_code == 200
        assert "://" not in response.text, "a page that loads from elsewhere does not work offline"
        assert "script-src 'self'; style-src 'self'" in response.headers["Content-Security-Policy"]
        assert not re.search(r"<style|<script>| style=| on\w+=", response.text), "what is inline is not run"
        for name in re.findall(r'"(static/[^"]+)"', response.text):
            assert (await api.get(f"/{name}")).status_code == 200


async def test_the_openapi_document_is_whole(api: httpx2.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    assert {"Definition", "Problem", "RunView", "WorkflowDetail"} <= set(schemas)
    text = json.dumps(document)
    assert "#/$defs/" not in text
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in schemas
    execute = document["paths"]["/api/v1/workflows/{workflow}/execute"]["post"]
    assert execute["requestBody"]["content"]["application/json"]["example"]
    assert execute["security"]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    assert all(operation["description"] for operation in operations)


async def test_what_the_installation_says_about_itself(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/health")).json() == {"status": "ok"}
    assert (await api.get("/health/ready")).json() == {"status": "ready"}
    types = {kind["type"]: kind for kind in (await api.get("/api/v1/task-types")).json()["items"]}
    assert list(types) == sorted({"agent", "echo", "fail", "hold", "publish_event", "read", "write"} | CONTROL_TYPES)
    assert types["echo"]["config_schema"]["properties"]["value"] is not None
    assert types["foreach"]["config_schema"]["properties"]["items"] is not None
    doctor = (await api.get("/api/v1/doctor")).json()
    # Whether a PostgreSQL server looks at its files depends on an extension of its own.
    warnings = [one for one in doctor["warnings"] if one["code"] != "files_not_checked"]
    assert (doctor["problems"], warnings, doctor["checks"] > 20) == ([], [], True)
    settings = {item["name"]: item for item in (await api.get("/api/v1/settings")).json()["items"]}
    assert settings["port"]["value"] == 8000
    assert settings["database_url"]["variables"] == ["MILLRACE_DATABASE_URL", "DATABASE_URL"]
    schema = (await api.get("/api/v1/definition-schema")).json()
    assert "tasks" in json.dumps(schema)

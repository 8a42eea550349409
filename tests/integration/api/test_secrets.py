"""Secrets by the API: they go in, they work in tasks, and they never come out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.auth.scopes import Found
from millrace.auth.vault.secrets import StoredSecrets
from millrace.ports.secrets import OF_NOBODY
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation, installation

VALUE = 'sësame "open" / now'
READS = {"id": "a", "type": "echo", "config": {"value": "it is {{ secrets.door }}!"}}


async def put(api: httpx2.AsyncClient, name: str, value: str = VALUE, **more: Any) -> dict[str, Any]:
    response = await api.put(f"/api/v1/secrets/{name}", json={"value": value, **more})
    assert response.status_code in (200, 201), response.text
    shown: dict[str, Any] = response.json()
    return shown


async def finished(api: httpx2.AsyncClient, run_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            run: dict[str, Any] = (await api.get(f"/api/v1/runs/{run_id}")).json()
            if run["status"] in ("completed", "failed"):
                return run
            await asyncio.sleep(0.01)


async def test_a_secret_is_listed_and_described_without_its_value(api: httpx2.AsyncClient) -> None:
    made = await api.put("/api/v1/secrets/door", json={"value": VALUE, "description": "of the cave"})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["name"], shown["version"], shown["description"]) == ("door", 1, "of the cave")
    assert shown["created_by"] == shown["updated_by"] is not None
    assert shown["overridden_by"] is None

    changed = await api.put("/api/v1/secrets/door", json={"value": "another value"})
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.json()["description"]) == (2, "of the cave")
    assert changed.json()["created_at"] == shown["created_at"] < changed.json()["updated_at"]

    await put(api, "attic")
    listed = (await api.get("/api/v1/secrets")).json()
    assert [item["name"] for item in listed["items"]] == ["attic", "door"]
    assert (await api.get("/api/v1/secrets/door")).json() == {**listed["items"][1], "used_by": []}
    first = (await api.get("/api/v1/secrets", params={"limit": 1})).json()
    assert [item["name"] for item in first["items"]] == ["attic"]
    rest = (await api.get("/api/v1/secrets", params={"cursor": first["next_cursor"]})).json()
    assert [item["name"] for item in rest["items"]] == ["door"]
    assert "value" not in shown.keys() | changed.json().keys() | listed["items"][0].keys()


async def test_a_changed_secret_holds_for_the_next_task_and_a_deleted_one_for_none(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    read = StoredSecrets(millrace.database, millrace.vault)
    await put(api, "door", "the first value")
    assert await read.find(frozenset({"door"})) == {"door": Found("the first value")}
    await put(api, "door", "the second value")
    assert await read.find(frozenset({"door"})) == {"door": Found("the second value")}
    await create(api, definition("opens", READS))
    run = await start(api, "opens")
    assert (await finished(api, run["id"]))["status"] == "completed"
    assert (await api.delete("/api/v1/secrets/door")).status_code == 200
    run = await start(api, "opens")
    failed = await finished(api, run["id"])
    assert failed["status"] == "failed"
    assert "millrace secrets set door" in json.dumps(failed)
    problem(await api.get("/api/v1/secrets/door"), 404, "secret_not_found")
    problem(await api.delete("/api/v1/secrets/door"), 404, "secret_not_found")


async def test_what_a_task_does_with_a_secret_shows_it_nowhere(api: httpx2.AsyncClient) -> None:
    await put(api, "door")
    await create(api, definition("opens", READS))
    run = await start(api, "opens")
    shown = await finished(api, run["id"])
    assert shown["status"] == "completed"
    for path in ("", "/tasks", "/events", "/logs"):
        text = (await api.get(f"/api/v1/runs/{run['id']}{path}")).text
        assert "sësame" not in text
        assert "s\\u00ebsame" not in text
    logs = (await api.get(f"/api/v1/runs/{run['id']}/logs")).text
    assert "echo of it is ***!" in logs


async def test_a_value_is_masked_in_what_was_never_told_to_be_secret(api: httpx2.AsyncClient) -> None:
    await put(api, "pin", "8675309123")
    await create(
        api, definition("tells", {"id": "a", "type": "echo", "config": {"value": [8675309123, "x8675309123"]}})
    )
    run = await start(api, "tells")
    await finished(api, run["id"])
    (task,) = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    assert task["output"] == ["***", "x***"]


async def test_who_changes_or_deletes_a_secret_is_told_which_deployed_workflows_read_it(
    api: httpx2.AsyncClient,
) -> None:
    await put(api, "door")
    await create(api, definition("opens", READS))
    await create(api, definition("says", {"id": "a", "type": "echo", "config": {"value": "secrets.door, door"}}))
    await create(api, {**definition("not deployed", READS), "status": "draft"})
    gone = await create(api, definition("gone", READS))
    assert (await api.delete(f"/api/v1/workflows/{gone['id']}")).status_code == 204
    shown = await put(api, "door")
    assert [(user["name"], user["version"]) for user in shown["used_by"]] == [("opens", 1)]
    assert (await api.get("/api/v1/secrets/door")).json()["used_by"] == shown["used_by"]
    deleted = (await api.delete("/api/v1/secrets/door")).json()
    assert deleted == {"name": "door", "used_by": shown["used_by"]}


async def test_a_workflow_saved_when_less_was_judged_still_gets_its_secrets_and_is_known_to_read_them(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await put(api, "door")
    reads = {"id": "a", "type": "echo", "config": {"value": "{{ input.dry ? 'SAVED THEN' : secrets.door }}"}}
    await create(api, definition("opens", reads))
    await _sql(
        millrace,
        "update workflow_versions "
        "set definition = replace(definition, '''SAVED THEN''', 'string(timestamp(''never''))')",
    )
    run = await start(api, "opens", input={"dry": False})
    assert (await finished(api, run["id"]))["status"] == "completed"
    assert [user["name"] for user in (await api.get("/api/v1/secrets/door")).json()["used_by"]] == ["opens"]


UNFIT = {
    "12345": "too_short",
    "   a   ": "too_short",
    " " * 20: "too_short",
    "x" * 65_537: "too_long",
    "before\0behind": "value",
}


async def test_a_value_that_cannot_be_masked_or_stored_is_refused(api: httpx2.AsyncClient) -> None:
    for value, code in UNFIT.items():
        refused = problem(await api.put("/api/v1/secrets/door", json={"value": value}), 422, "invalid_secret")
        assert [fault["code"] for fault in refused["faults"]] == [code], value[:20]
    problem(await api.get("/api/v1/secrets/door"), 404, "secret_not_found")


async def test_a_name_that_no_expression_could_read_is_refused(api: httpx2.AsyncClient) -> None:
    for name in ("a-b", "1a", "a.b", "ä", "a" * 129):
        refused = problem(await api.put(f"/api/v1/secrets/{name}", json={"value": VALUE}), 422, "invalid_secret")
        assert [fault["path"] for fault in refused["faults"]] == ["name"], name


INVALID = (
    b'{"value": "tell-nobody", "more": 1}',
    b'{"value": ["tell-nobody"]}',
    b'{"value": {"is": "tell-nobody"}}',
    b'{"value": "tell-nobody", "description": 5}',
    b'{"value": "tell-nobody',
    b'"tell-nobody"',
    b'["tell-nobody"]',
    b'{"value": "tell-nobody\\u0000"}',
    b'{"value": "tell-nobody\\ud800"}',
    b"\xff tell-nobody",
    b"value: !tell-nobody x",
    b"value: *tell-nobody",
    b"value: &tell-nobody",
    b"value: @tell-nobody",
    b"value: {tell-nobody: 1, tell-nobody: 2}",
    b"value: 0x_tell-nobody: {",
)


@pytest.mark.parametrize("media_type", ["application/json", "application/yaml"])
async def test_an_invalid_request_is_not_repeated_in_its_answer(api: httpx2.AsyncClient, media_type: str) -> None:
    for body in INVALID:
        response = await api.put("/api/v1/secrets/door", content=body, headers={"Content-Type": media_type})
        assert response.status_code in (400, 422), body
        assert "tell-nobody" not in response.text, body


async def test_a_secret_survives_a_restart_and_is_masked_from_the_start(
    tmp_path: Path, database_url: str | None
) -> None:
    async with installation(tmp_path / "home", database_url) as first, first.client() as api:
        await put(api, "door")
    if database_url is None:
        assert "sësame".encode() not in (tmp_path / "home" / "millrace.db").read_bytes()
    async with installation(tmp_path / "home", database_url) as second:
        await second.secrets.learn_all()
        assert second.masker.text(f"he said {VALUE}") == "he said ***"
        resolved = await second.secrets.resolve(frozenset({"door"}), OF_NOBODY)
        assert resolved.values == {"door": VALUE}


async def test_a_row_that_was_moved_or_put_back_does_not_open(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await put(api, "mine", "the secret of mine")
    await put(api, "yours", "the secret of yours")
    await _sql(millrace, "update secrets set sealed = (select sealed from secrets where name = 'yours')")
    read = StoredSecrets(millrace.database, millrace.vault)
    assert await read.everything() == ["the secret of yours"]
    await _sql(millrace, "update secrets set version = 7")
    assert await read.everything() == []
    await create(api, definition("opens", {"id": "a", "type": "echo", "config": {"value": "{{ secrets.mine }}"}}))
    failed = await finished(api, (await start(api, "opens"))["id"])
    assert "does not open" in json.dumps(failed)


async def test_a_rotated_key_opens_everything_and_the_old_one_nothing_new(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    await put(api, "door")
    mail = {"host": "mail.example.com", "user": "me", "password": "of the mail server"}
    assert (await api.put("/api/v1/connections/mail", json={"type": "smtp", "config": mail})).status_code == 201
    place = tmp_path / "home" / "encryption-key"
    before = place.read_text()
    done = (await api.post("/api/v1/secrets/rotate-key")).json()
    assert (done["resealed"], done["key_is_new"], len(done["former_key_ids"])) == (2, True, 1)
    lines = place.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1] == before.strip() != lines[0]
    assert place.stat().st_mode & 0o777 == 0o600
    assert {row[0] for row in await _sql(millrace, "select key_id from secrets")} == {done["key_id"]}
    assert {row[0] for row in await _sql(millrace, "select key_id from connections")} == {done["key_id"]}
    assert await StoredSecrets(millrace.database, millrace.vault).find(frozenset({"door"})) == {"door": Found(VALUE)}
    found = await millrace.connections.resolve("mail", types=frozenset({"smtp"}), use=OF_NOBODY)
    assert found.config["password"] == "of the mail server"
    place.write_text(lines[0])
    assert (await api.put("/api/v1/secrets/more", json={"value": VALUE})).status_code == 201


async def _sql(millrace: Installation, statement: str) -> list[Any]:
    def work(connection: Any) -> list[Any]:
        result = connection.exec_driver_sql(statement)
        return list(result) if result.returns_rows else []

    return await millrace.database.write(work)

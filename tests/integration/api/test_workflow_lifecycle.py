"""W4: status, deployments and their records over HTTP."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.api import ECHO, create, definition, problem, start
from tests.support.installation import Installation

URL = "/api/v1/workflows"
CRON = {"id": "nightly", "type": "cron", "config": {"expression": "0 2 * * *"}}


def echo(value: Any) -> dict[str, Any]:
    return {"id": "a", "type": "echo", "config": {"value": value}}


async def records(api: httpx2.AsyncClient, workflow: str, query: str = "") -> list[tuple[str, int | None, str]]:
    """Action, version and outcome of each deployment, oldest first."""
    items = (await api.get(f"{URL}/{workflow}/deployments{query}")).json()["items"]
    return [(item["action"], item["version"], item["outcome"]) for item in reversed(items)]


async def trigger_of(api: httpx2.AsyncClient, workflow: str) -> dict[str, Any] | None:
    items = (await api.get(f"{URL}/{workflow}/triggers")).json()["items"]
    return items[0] if items else None


async def fires(api: httpx2.AsyncClient, workflow: str) -> bool:
    trigger = await trigger_of(api, workflow)
    return trigger is not None and trigger["active"] is True


async def state(api: httpx2.AsyncClient, workflow: str) -> tuple[str, int, int | None]:
    shown = (await api.get(f"{URL}/{workflow}")).json()
    return shown["status"], shown["version"], shown["deployed_version"]


# --- saving and deploying ---------------------------------------------------------------------------------------------


async def test_what_is_saved_is_deployed_and_recorded(api: httpx2.AsyncClient) -> None:
    created = await create(api, {**definition("saved"), "comment": "first"})
    await api.put(f"{URL}/saved", json={"tasks": [echo(2)], "comment": "second"})
    await api.patch(f"{URL}/saved", json={"description": "no version, no deployment"})
    items = (await api.get(f"{URL}/saved/deployments")).json()["items"]
    assert [(item["version"], item["message"]) for item in items] == [(2, "second"), (1, "first")]
    for item in items:
        assert item["workflow"] == {"id": created["id"], "name": "saved"}
        assert item["deployed_by"] == created["created_by"]
        assert (item["action"], item["outcome"]) == ("deploy", "succeeded")
    assert items[0]["at"] > items[1]["at"]


@pytest.mark.parametrize("kept", [{"deploy": False}, {"status": "draft"}])
async def test_what_is_not_to_be_deployed_is_not(api: httpx2.AsyncClient, kept: dict[str, Any]) -> None:
    await create(api, {**definition("kept"), **kept})
    assert (await state(api, "kept"))[2] is None
    assert await records(api, "kept") == []
    found = (await api.get(f"{URL}/kept/deploy")).json()
    assert (found["deployed"], found["version"], found["live"], found["deployment"]) == (False, None, False, None)


async def test_a_new_version_may_wait_while_the_old_one_runs_on(api: httpx2.AsyncClient) -> None:
    await create(api, definition("waits"))
    await api.put(f"{URL}/waits", json={"tasks": [echo(2)], "deploy": False})
    assert await state(api, "waits") == ("active", 2, 1)
    assert (await start(api, "waits"))["workflow"]["version"] == 1
    deployed = (await api.post(f"{URL}/waits/deploy")).json()
    assert (deployed["deployed"], deployed["version"]["number"], deployed["live"]) == (True, 2, True)
    assert (await start(api, "waits"))["workflow"]["version"] == 2


async def test_who_chose_an_older_version_keeps_it_until_there_is_something_new(api: httpx2.AsyncClient) -> None:
    await create(api, definition("chosen"))
    await api.put(f"{URL}/chosen", json={"tasks": [echo(2)]})
    await api.post(f"{URL}/chosen/deploy", json={"version": 1})
    await api.patch(f"{URL}/chosen", json={"description": "words"})
    await api.put(f"{URL}/chosen", json={"tasks": [echo(2)]})
    assert await state(api, "chosen") == ("active", 2, 1)
    await api.put(f"{URL}/chosen", json={"deploy": True})
    assert await state(api, "chosen") == ("active", 2, 2)
    await api.post(f"{URL}/chosen/deploy", json={"version": 1})
    await api.put(f"{URL}/chosen", json={"tasks": [echo(3)]})
    assert await state(api, "chosen") == ("active", 3, 3)


# --- drafts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_", [("PATCH", "", {"status": "active"}), ("POST", "/enable", None), ("POST", "/deploy", {})]
)
async def test_a_draft_that_becomes_active_is_deployed(
    api: httpx2.AsyncClient, request_: tuple[str, str, dict[str, Any] | None]
) -> None:
    method, path, body = request_
    await create(api, {**definition("draft"), "status": "draft", "triggers": [CRON]})
    await api.put(f"{URL}/draft", json={"tasks": [echo(2)]})
    assert await state(api, "draft") == ("draft", 2, None)
    assert await trigger_of(api, "draft") is None
    assert (await api.request(method, f"{URL}/draft{path}", json=body)).status_code == 200
    assert await state(api, "draft") == ("active", 2, 2)
    assert await records(api, "draft") == [("deploy", 2, "succeeded")]
    assert await fires(api, "draft")


async def test_what_becomes_a_draft_is_not_deployed_any_more(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("back to draft"), "triggers": [CRON]})
    await api.patch(f"{URL}/back-to-draft", json={"status": "draft"})
    assert await state(api, "back-to-draft") == ("draft", 1, None)
    assert not await fires(api, "back-to-draft")
    assert (await records(api, "back-to-draft"))[-1] == ("undeploy", None, "succeeded")


# --- enable and disable -----------------------------------------------------------------------------------------------


async def test_disabled_its_triggers_are_silent_and_explicit_starts_work(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("toggled"), "triggers": [CRON]})
    trigger = await trigger_of(api, "toggled")
    assert trigger is not None
    assert trigger["active"] is True
    shown = (await api.post(f"{URL}/toggled/disable")).json()
    assert (shown["status"], shown["deployed_version"]) == ("paused", 1)
    silent = await trigger_of(api, "toggled")
    assert silent is not None
    assert (silent["id"], silent["active"]) == (trigger["id"], False)
    assert (await start(api, "toggled"))["status"] in ("pending", "running", "completed")
    assert (await api.post(f"{URL}/toggled/enable")).json()["status"] == "active"
    loud = await trigger_of(api, "toggled")
    assert loud is not None
    assert (loud["id"], loud["active"]) == (trigger["id"], True)
    assert await records(api, "toggled") == [("deploy", 1, "succeeded")], "status is no deployment"


@pytest.mark.parametrize(("active", "status"), [(True, "active"), (False, "paused")])
async def test_is_active_is_read_as_a_status(api: httpx2.AsyncClient, active: bool, status: str) -> None:
    await create(api, definition("flag"))
    assert (await api.patch(f"{URL}/flag", json={"is_active": active})).json()["status"] == status


@pytest.mark.parametrize("status", ["inactive", "archived"])
async def test_no_start_of_what_is_put_away(api: httpx2.AsyncClient, status: str) -> None:
    await create(api, {**definition("away"), "triggers": [CRON]})
    assert (await api.patch(f"{URL}/away", json={"status": status})).json()["status"] == status
    problem(await api.post(f"{URL}/away/execute", json={}), 409, "workflow_inactive")
    assert not await fires(api, "away")
    assert (await api.post(f"{URL}/away/enable")).json()["status"] == "active"
    await start(api, "away")


async def test_enabling_twice_changes_nothing_the_second_time(api: httpx2.AsyncClient) -> None:
    first = await create(api, definition("twice"))
    assert (await api.post(f"{URL}/twice/enable")).json() == first


# --- deploy and undeploy ----------------------------------------------------------------------------------------------


async def test_triggers_follow_the_deployed_version(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("followed"), "triggers": [CRON]})
    later = {**CRON, "config": {"expression": "0 3 * * *"}}
    await api.put(f"{URL}/followed", json={"triggers": [later]})

    async def expression() -> str:
        trigger = await trigger_of(api, "followed")
        assert trigger is not None
        return str(trigger["config"]["expression"])

    assert await expression() == "0 3 * * *"
    assert (await api.put(f"{URL}/followed/deploy", json={"version": 1})).status_code == 200
    assert await expression() == "0 2 * * *"
    undeployed = (await api.delete(f"{URL}/followed/deploy")).json()
    assert (undeployed["deployed"], undeployed["live"]) == (False, False)
    assert not await fires(api, "followed")
    assert (await start(api, "followed"))["workflow"]["version"] == 2, "the newest if none is deployed"
    assert await records(api, "followed") == [
        ("deploy", 1, "succeeded"),
        ("deploy", 2, "succeeded"),
        ("deploy", 1, "succeeded"),
        ("undeploy", None, "succeeded"),
    ]
    assert (await api.delete(f"{URL}/followed/deploy")).status_code == 200
    assert len(await records(api, "followed")) == 4, "there was nothing to undeploy"


async def test_a_version_is_deployed_by_its_tag_with_a_comment(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("by tag"), "version_tag": "1.0"})
    await api.put(f"{URL}/by-tag", json={"tasks": [echo(2)]})
    deployed = (await api.post(f"{URL}/by-tag/deploy", json={"version": "1.0", "comment": "as in May"})).json()
    assert (deployed["version"]["number"], deployed["newest_version"]) == (1, 2)
    assert deployed["deployment"]["message"] == "as in May"
    assert (await api.get(f"{URL}/by-tag/deploy")).json() == deployed
    problem(await api.post(f"{URL}/by-tag/deploy", json={"version": "2.0"}), 404, "version_not_found")
    problem(await api.post(f"{URL}/by-tag/deploy", json={"version": 9}), 404, "version_not_found")
    problem(await api.post(f"{URL}/by-tag/deploy", json={"versoin": 1}), 422, "invalid_request")
    assert len(await records(api, "by-tag")) == 3


@pytest.mark.parametrize(("path", "action"), [("deploy", "deploy"), ("rollback", "rollback")])
async def test_what_cannot_run_here_any_more_is_refused_and_recorded(
    api: httpx2.AsyncClient, millrace: Installation, path: str, action: str
) -> None:
    await create(api, definition("outlived", {"id": "a", "type": "hold"}))
    await api.put(f"{URL}/outlived", json={"tasks": [echo(2)]})
    runners = dict(millrace.container.runners.types())
    del millrace.container.runners._runners["hold"]  # type: ignore[attr-defined]
    try:
        refused = problem(await api.post(f"{URL}/outlived/{path}", json={"version": 1}), 422, "invalid_definition")
    finally:
        millrace.container.runners._runners.update(runners)  # type: ignore[attr-defined]
    assert refused["faults"][0]["path"] == "tasks[0].type"
    assert await state(api, "outlived") == ("active", 2, 2)
    items = (await api.get(f"{URL}/outlived/deployments?outcome=failed")).json()["items"]
    assert [(item["action"], item["version"]) for item in items] == [(action, 1)]
    assert "tasks[0].type" in items[0]["message"]
    assert (await api.get(f"{URL}/outlived/deploy")).json()["deployment"]["version"] == 2
    assert (await api.post(f"{URL}/outlived/{path}", json={"version": 1})).status_code == 200


async def test_a_deployment_and_its_triggers_are_one_transaction(
    api: httpx2.AsyncClient, millrace: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(api, {**definition("whole"), "triggers": [CRON]})
    await api.put(f"{URL}/whole", json={"tasks": [echo(2)], "deploy": False})
    before = (await api.get(f"{URL}/whole")).json()
    registrar = millrace.container.workflow_commands._writer._registrar
    real = type(registrar).sync

    def failing(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(type(registrar), "sync", failing)
    for method, path, body in (
        ("POST", "/deploy", {}),
        ("DELETE", "/deploy", None),
        ("POST", "/disable", None),
        ("PUT", "", {"tasks": [echo(3)]}),
        ("POST", "/rollback", {"version": 1}),
        ("DELETE", "", None),
    ):
        assert (await api.request(method, f"{URL}/whole{path}", json=body)).status_code == 500, (method, path)
    assert (await api.post(URL, json=definition("never"))).status_code == 500
    monkeypatch.undo()
    assert (await api.get(f"{URL}/whole")).json() == before
    assert await records(api, "whole") == [("deploy", 1, "succeeded")]
    assert (await api.get(f"{URL}/whole/versions")).json()["items"][0]["number"] == 2
    problem(await api.get(f"{URL}/never"), 404, "workflow_not_found")


async def test_deploying_at_the_same_time_leaves_one_of_them_and_records_both(api: httpx2.AsyncClient) -> None:
    await create(api, definition("contested"))
    for value in (2, 3):
        await api.put(f"{URL}/contested", json={"tasks": [echo(value)]})
    answers = await asyncio.gather(
        *(api.post(f"{URL}/contested/deploy", json={"version": number}) for number in (1, 2, 3))
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    found = await records(api, "contested")
    assert sorted(found[3:]) == [("deploy", number, "succeeded") for number in (1, 2, 3)]
    assert (await state(api, "contested"))[2] == found[-1][1]


# --- the list of deployments ------------------------------------------------------------------------------------------


async def test_deployments_of_all_workflows_are_listed_filtered_and_paged(api: httpx2.AsyncClient) -> None:
    for name in ("first", "second"):
        await create(api, definition(name))
        await api.delete(f"{URL}/{name}/deploy")
    await api.delete(f"{URL}/first")
    seen: list[tuple[str, str]] = []
    cursor = ""
    while True:
        page = (await api.get(f"/api/v1/deployments?limit=1{cursor}")).json()
        seen += [(item["workflow"]["name"], item["action"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [("second", "undeploy"), ("second", "deploy"), ("first", "undeploy"), ("first", "deploy")]
    page = (await api.get("/api/v1/deployments?workflow=second&action=deploy")).json()
    assert [(item["workflow"]["name"], item["action"]) for item in page["items"]] == [("second", "deploy")]
    problem(await api.get("/api/v1/deployments?action=launch"), 422, "invalid_request")
    problem(await api.get("/api/v1/deployments?workflow=third"), 404, "workflow_not_found")


async def test_deleting_undeploys(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("gone", ECHO), "triggers": [CRON]})
    assert (await api.delete(f"{URL}/gone")).status_code == 204
    items = (await api.get("/api/v1/deployments")).json()["items"]
    assert [(item["action"], item["message"]) for item in items][:1] == [("undeploy", "the workflow was deleted")]
    assert (await api.get("/api/v1/triggers")).json()["items"] == []
    problem(await api.post(f"{URL}/gone/deploy"), 404, "workflow_not_found")
    problem(await api.delete(f"{URL}/gone"), 404, "workflow_not_found")

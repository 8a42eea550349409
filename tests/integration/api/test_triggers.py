"""S, S3, S10: triggers as they are listed and shown, switched on and off, and by whom."""

from typing import Any

import httpx2
import pytest

from millrace.auth import repository
from millrace.auth.permissions import Role
from tests.support.api import ECHO, create, problem, start
from tests.support.installation import Installation
from tests.support.logins import new_key

NIGHTLY = {
    "id": "nightly",
    "type": "cron",
    "config": {"expression": "30 2 * * *", "timezone": "Europe/Berlin"},
    "if": "{{ trigger.due_date != '2026-01-01' }}",
    "input": {"day": "{{ trigger.due_date }}"},
}
MANUAL = {"id": "by_hand", "type": "manual"}


async def listed(api: httpx2.AsyncClient, path: str = "/triggers", **query: Any) -> list[dict[str, Any]]:
    response = await api.get(f"/api/v1{path}", params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def switched(api: httpx2.AsyncClient, trigger: dict[str, Any], action: str) -> dict[str, Any]:
    response = await api.post(f"/api/v1/triggers/{trigger['id']}/{action}")
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def test_a_deployed_workflow_shows_its_triggers(api: httpx2.AsyncClient) -> None:
    created = await create(api, {"name": "orders", "tasks": [ECHO], "triggers": [NIGHTLY, MANUAL]})
    nightly, by_hand = await listed(api, "/workflows/orders/triggers")
    workflow = {"id": created["id"], "name": "orders", "status": "active"}
    local = nightly["next_firing"].pop("local")
    assert (local[10:19], local[19:]) in {("T02:30:00", "+01:00"), ("T02:30:00", "+02:00"), ("T03:00:00", "+02:00")}
    assert nightly["next_firing"].pop("starts_at") == nightly["next_firing"].pop("due_at")
    assert nightly["next_firing"] == {"timezone": "Europe/Berlin"}
    common = {"workflow": workflow, "origin": "definition", "enabled": True, "active": True, "silent_because": None}
    assert nightly.items() >= {**common, "name": "nightly", "type": "cron", "overdue": False}.items()
    assert by_hand.items() >= {**common, "name": "by_hand", "type": "manual", "next_firing": None}.items()
    assert (nightly["if"], nightly["config"], nightly["input"]) == (
        NIGHTLY["if"], NIGHTLY["config"], NIGHTLY["input"],
    )  # fmt: skip
    assert nightly["counts"] == {"fired": 0, "started": 0, "failed": 0, "missed": 0}
    assert (nightly["last_firing"], nightly["last_error"]) == (None, None)
    assert (await api.get(f"/api/v1/triggers/{nightly['id']}")).json()["name"] == "nightly"
    assert await listed(api, f"/triggers/{nightly['id']}/firings") == []
    assert await listed(api, "/workflows/orders/firings") == []


async def test_a_trigger_of_a_type_that_does_not_fire_is_named_and_shown_as_silent(api: httpx2.AsyncClient) -> None:
    mails = {"id": "mails", "type": "email"}
    created = await create(api, {"name": "hooked", "tasks": [ECHO], "triggers": [NIGHTLY, mails]})
    assert created["warnings"] == ["trigger `mails` (email) is stored and does not fire in this release"]
    nightly, shown = await listed(api, "/workflows/hooked/triggers")
    assert (nightly["active"], nightly["silent_because"]) == (True, None)
    assert (shown["enabled"], shown["active"], shown["silent_because"]) == (True, False, "not_supported")
    on = await switched(api, shown, "enable")
    assert (on["active"], on["silent_because"]) == (False, "not_supported"), "nobody can make it fire"


async def test_a_schedule_without_a_zone_has_that_of_the_installation(api: httpx2.AsyncClient) -> None:
    trigger = {"type": "cron", "config": {"expression": "@daily"}}
    await create(api, {"name": "daily", "tasks": [ECHO], "triggers": [trigger]})
    (shown,) = await listed(api)
    assert shown["next_firing"]["timezone"] == "UTC"
    assert shown["next_firing"]["local"].endswith("T00:00:00+00:00")


async def test_lists_are_narrowed_and_paged(api: httpx2.AsyncClient) -> None:
    for name in ("one", "two"):
        await create(api, {"name": name, "tasks": [ECHO], "triggers": [NIGHTLY, MANUAL]})
    first = (await listed(api, "/workflows/one/triggers"))[0]
    await switched(api, first, "disable")
    for query, expected in (
        ({}, 4),
        ({"type": "cron"}, 2),
        ({"type": "cron,manual"}, 4),
        ({"type": "webhook"}, 0),
        ({"workflow": "two"}, 2),
        ({"enabled": "false"}, 1),
        ({"enabled": "true", "type": "cron"}, 1),
        ({"overdue": "true"}, 0),
        ({"overdue": "false"}, 4),
    ):
        assert len(await listed(api, **query)) == expected, query
    seen, cursor = [], None
    while True:
        page = (await api.get("/api/v1/triggers", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [item["id"] for item in await listed(api)]


async def test_a_filter_that_means_nothing_is_refused_with_what_would_be_right(api: httpx2.AsyncClient) -> None:
    refused = problem(await api.get("/api/v1/triggers?type=crown"), 422, "invalid_request")
    assert refused["faults"][0]["path"] == "query.type"
    assert "cron" in refused["faults"][0]["remedy"]
    problem(await api.get("/api/v1/triggers?workflow=nothing"), 404, "workflow_not_found")


async def test_a_trigger_is_silent_until_it_is_enabled_again(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "orders", "tasks": [ECHO], "triggers": [NIGHTLY]})
    (trigger,) = await listed(api)
    off = await switched(api, trigger, "disable")
    assert (off["enabled"], off["active"], off["next_firing"], off["silent_because"]) == (
        False, False, None, "disabled",
    )  # fmt: skip
    await api.patch("/api/v1/workflows/orders", json={"variables": {"x": 1}})
    assert not (await listed(api))[0]["enabled"], "a deploy does not change what a user said"
    on = await switched(api, trigger, "enable")
    assert (on["id"], on["enabled"], on["active"], on["silent_because"]) == (trigger["id"], True, True, None)
    assert on["next_firing"] == trigger["next_firing"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"status": "paused"}, "workflow_paused"), ({"is_active": False}, "workflow_paused")],
)
async def test_a_trigger_of_a_paused_workflow_says_that_it_is_silent(
    api: httpx2.AsyncClient, change: dict[str, Any], reason: str
) -> None:
    await create(api, {"name": "orders", "tasks": [ECHO], "triggers": [NIGHTLY]})
    assert (await api.patch("/api/v1/workflows/orders", json=change)).status_code == 200
    (trigger,) = await listed(api)
    assert (trigger["silent_because"], trigger["next_firing"], trigger["enabled"]) == (reason, None, True)
    on = await switched(api, trigger, "enable")
    assert on["silent_because"] == reason, "to enable a trigger does not resume its workflow"


async def test_the_triggers_of_a_deleted_workflow_are_gone(api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "orders", "tasks": [ECHO], "triggers": [NIGHTLY]})
    (trigger,) = await listed(api)
    assert (await api.delete("/api/v1/workflows/orders")).status_code == 204
    assert await listed(api) == []
    for method, path in (("GET", ""), ("GET", "/firings"), ("POST", "/enable"), ("POST", "/disable")):
        response = await api.request(method, f"/api/v1/triggers/{trigger['id']}{path}")
        problem(response, 404, "trigger_not_found")


async def test_who_started_a_run_by_hand_is_what_its_trigger_says(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    shows = {"id": "a", "type": "echo", "config": {"value": "{{ trigger }}"}}
    await create(api, {"name": "orders", "tasks": [shows], "triggers": [MANUAL]})
    run = await start(api, "orders", wait=True)
    task = (await api.get(f"/api/v1/runs/{run['id']}/tasks/a")).json()
    assert run["trigger_type"] == "manual"
    assert task["output"].keys() >= {"id", "type", "time", "user_id"}
    assert (task["output"]["type"], task["output"]["user_id"]) == ("manual", run["triggered_by"]["id"])


async def test_viewers_see_triggers_and_operators_switch_them(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, {"name": "orders", "tasks": [ECHO], "triggers": [NIGHTLY]})
    (trigger,) = await listed(api)
    for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 200)):
        async with await client_of(millrace, role) as client:
            assert (await client.get(f"/api/v1/triggers/{trigger['id']}")).status_code == 200
            assert (await client.post(f"/api/v1/triggers/{trigger['id']}/disable")).status_code == status


async def client_of(millrace: Installation, role: Role) -> httpx2.AsyncClient:
    user = f"user-{role.value}"
    await millrace.database.write(
        lambda connection: repository.add_user(
            connection, user_id=user, email=f"{role.value}@example.com", name=role.value, role=role, now=1
        )
    )
    _, key = await new_key(millrace, user)
    return millrace.client(key)

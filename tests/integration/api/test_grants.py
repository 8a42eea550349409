"""I3: what is granted for single workflows, and that nothing tells of the others."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from millrace.auth.permissions import PERMISSIONS, Permission, Role
from tests.support.api import create, definition, eventually, problem, start
from tests.support.installation import Installation
from tests.support.permission_matrix import MATRIX
from tests.support.permission_world import API, World, archived, everything, world

LISTS = sorted(
    path for method, path in MATRIX if method == "GET" and "{" not in path and not path.startswith(("/db", "/stream"))
)


@pytest.fixture
async def prepared(millrace: Installation, api: httpx2.AsyncClient) -> World:
    return await world(millrace, api)


async def put(api: httpx2.AsyncClient, user: str, *grants: str, workflow: str = "known") -> httpx2.Response:
    return await api.put(f"{API}/workflows/{workflow}/grants/{user}", json={"grants": [*grants]})


@pytest.mark.both_databases
async def test_no_list_tells_of_what_was_not_granted(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    foreign = await everything(api, "foreign")
    told = ["foreign", *(foreign[name] for name in foreign if name != "task")]
    for who in ("view", "run", "edit", "approve", "without"):
        async with millrace.client(prepared.keys[who]) as client:
            for path in LISTS:
                response = await client.get(f"{API}{path}")
                assert response.status_code in (200, 403), path
                found = [word for word in told if word in response.text]
                assert found == [], (who, path, found)
                assert response.status_code == 403 or response.json().get("next_cursor") is None, path
    # The same lists do tell it to who sees all, so that the words searched for are the right ones.
    texts = {path: (await api.get(f"{API}{path}")).text for path in LISTS}
    for path in (
        "/workflows",
        "/runs",
        "/triggers",
        "/webhooks",
        "/backfills",
        "/artifacts",
        "/approvals",
        "/deployments",
    ):
        assert any(word in texts[path] for word in told), path


async def test_what_is_not_seen_is_answered_as_what_is_not_there(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    foreign = await everything(api, "foreign")
    nothing = "019e2f5f-0000-7000-8000-000000000001"
    async with millrace.client(prepared.keys["edit"]) as client:
        client.headers["X-Request-Id"] = "the-same"
        for kind, path in {
            "workflow": "/workflows/{}", "run": "/runs/{}", "trigger": "/triggers/{}", "webhook": "/webhooks/{}",
            "backfill": "/backfills/{}", "artifact": "/artifacts/{}/content",
        }.items():  # fmt: skip
            hidden = await client.get(API + path.format(foreign[kind]))
            absent = await client.get(API + path.format(nothing))
            assert hidden.status_code == absent.status_code == 404
            assert hidden.text.replace(foreign[kind], nothing) == absent.text, kind
        for path in ("/runs", "/triggers", "/webhooks", "/backfills", "/approvals", "/deployments"):
            hidden = await client.get(API + path, params={"workflow": "foreign"})
            absent = await client.get(API + path, params={"workflow": "foreigm"})
            assert (hidden.status_code, hidden.text.replace("foreign", "foreigm")) == (404, absent.text), path
        for body in ({"event": {"type": "a"}}, {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}):
            told = (await client.post(f"{API}/triggers/simulate", json=body)).text
            assert "known" in told or "event" not in body
            assert "foreign" not in told


@pytest.mark.both_databases
async def test_an_archived_run_is_read_by_who_sees_its_workflow(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    """With what it says of its files. These go with the run, for everybody."""
    mine, foreign = prepared.ids["archived"], await archived_of_another(millrace, api)
    sent = f"{API}/archive/runs"
    async with millrace.client(prepared.keys["view"]) as client:
        shown = (await client.get(f"{sent}/{mine}")).json()
        assert (shown["workflow"]["name"], shown["input"]) == ("known", {"said": "known in the archive"})
        lines = [json.loads(line) for line in (await client.get(f"{sent}/{mine}/lines")).text.splitlines()]
        (file,) = [line for line in lines if line["kind"] == "artifact"]
        assert file["name"] == "known.txt"
        problem(await client.get(f"{sent}/{mine}/lines", params={"family": True}), 403, "forbidden")
        problem(await client.get(f"{API}/archive"), 403, "forbidden")
        for run in (foreign, "01890000-0000-7000-8000-000000000000"):
            for path in (f"{sent}/{run}", f"{sent}/{run}/lines"):
                hidden = problem(await client.get(path), 404, "run_not_archived")
                assert hidden["detail"].replace(run, "RUN") == "there is no run with the id 'RUN' in the archive"
            # Nor does the route of runs say that it is there.
            assert "archive" not in problem(await client.get(f"{API}/runs/{run}"), 404, "run_not_found")["detail"]
        assert (await api.get(f"{sent}/{foreign}")).status_code == 200
        assert "foreign.txt" in (await api.get(f"{sent}/{foreign}/lines")).text
        for each in (client, api):
            for path in (f"{API}/artifacts/{file['id']}", f"{API}/artifacts/{file['id']}/content"):
                problem(await each.get(path), 404, "artifact_not_found")
            listed = (await each.get(f"{API}/artifacts", params={"run": mine})).json()["items"]
            assert listed == []
        assert (await api.delete(f"{API}/workflows/known/grants/with-view")).status_code == 204
        problem(await client.get(f"{sent}/{mine}"), 404, "run_not_archived")


async def archived_of_another(millrace: Installation, api: httpx2.AsyncClient) -> str:
    await everything(api, "foreign")
    return await archived(millrace, api, "foreign")


async def test_a_grant_adds_to_a_role_and_ends_at_once(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    await create(api, definition("other"))
    async with millrace.client(prepared.keys["viewer"]) as viewer:
        problem(await viewer.post(f"{API}/workflows/known/execute"), 403, "forbidden")
        assert (await put(api, "a-viewer", "run")).json()["grants"] == ["run"]
        await start(viewer, "known")
        problem(await viewer.post(f"{API}/workflows/other/execute"), 403, "forbidden")
        assert (await api.delete(f"{API}/workflows/known/grants/a-viewer")).status_code == 204
        problem(await viewer.post(f"{API}/workflows/known/execute"), 403, "forbidden")
        assert (await viewer.get(f"{API}/workflows/known")).status_code == 200


async def test_everybody_sees_what_was_granted_to_himself_and_to_nobody_else(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    await create(api, definition("other"))
    for workflow in ("known", "other"):
        assert (await put(api, "with-run", "run", "view", workflow=workflow)).status_code == 200
    async with millrace.client(prepared.keys["run"]) as client:
        first = (await client.get(f"{API}/auth/me/grants", params={"limit": 1})).json()
        rest = (await client.get(f"{API}/auth/me/grants", params={"cursor": first["next_cursor"]})).json()
        told = [(item["workflow"]["name"], item["grants"]) for item in first["items"] + rest["items"]]
        assert told == [("known", ["view", "run"]), ("other", ["view", "run"])]
        assert rest["next_cursor"] is None
    async with millrace.client(prepared.keys["without"]) as client:
        assert (await client.get(f"{API}/auth/me/grants")).json() == {"items": [], "next_cursor": None}


async def test_a_refusal_names_the_grant_that_would_do(millrace: Installation, prepared: World) -> None:
    async with millrace.client(prepared.keys["view"]) as client:
        refused = problem(await client.post(f"{API}/workflows/known/execute"), 403, "forbidden")
        assert "'run'" in refused["detail"]
        refused = problem(await client.patch(f"{API}/workflows/known", json={}), 403, "forbidden")
        assert "'edit'" in refused["detail"]


@pytest.mark.both_databases
async def test_many_runs_are_changed_where_that_is_granted(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    hold = {"id": "a", "type": "hold", "config": {}}
    await create(api, definition("held", hold))
    await start(api, "held")
    body = {"action": "cancel", "filter": {"status": ["running", "waiting"]}, "dry_run": True}
    assert (await api.post(f"{API}/runs/bulk", json=body)).json()["total"] == 2
    async with millrace.client(prepared.keys["run"]) as client:
        assert (await client.post(f"{API}/runs/bulk", json=body)).json()["total"] == 1
        body["filter"] = {"workflow": "held"}
        problem(await client.post(f"{API}/runs/bulk", json=body), 404, "workflow_not_found")
    async with millrace.client(prepared.keys["view"]) as client:
        problem(await client.post(f"{API}/runs/bulk", json=body), 403, "forbidden")


async def test_who_makes_a_workflow_may_do_everything_with_it(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    async with millrace.client(prepared.keys["without"]) as client:
        await create(client, definition("mine"))
        await start(client, "mine")
        assert [item["name"] for item in (await client.get(f"{API}/workflows")).json()["items"]] == ["mine"]
        applied = await client.post(f"{API}/workflows/apply", json=definition("known"))
        assert problem(applied, 409, "name_taken") == problem(
            await client.post(f"{API}/workflows", json=definition("known")), 409, "name_taken"
        )
    (given,) = (await api.get(f"{API}/workflows/mine/grants")).json()["items"]
    assert given["grants"] == ["view", "run", "edit", "approve"]
    assert (await api.delete(f"{API}/workflows/mine")).status_code == 204
    assert (await api.get(f"{API}/users/with-without/grants")).json()["items"] == []


async def test_a_definition_starts_only_what_its_author_may_start(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    await create(api, definition("salaries"))

    def calling(name: str) -> dict[str, Any]:
        return definition("caller", {"id": "sub", "type": "sub_workflow", "config": {"workflow": name}})

    async with millrace.client(prepared.keys["run"]) as client:
        said = []
        for name in ("salaries", "salariez", "{{ input.name }}"):
            refused = problem(await client.post(f"{API}/workflows", json=calling(name)), 422, "invalid_definition")
            said.append(str(refused["faults"]).replace(name, "NAME"))
        assert said[0] == said[1]
        await create(client, calling("known"))
        warned = [(await client.post(f"{API}/workflows/validate", json=calling(name))).json()["warnings"] for name in
                  ("salaries", "salariez")]  # fmt: skip
        assert str(warned[0]).replace("salaries", "salariez") == str(warned[1])


async def test_a_stream_ends_when_the_right_to_it_does(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    run = f"{API}/runs/{prepared.ids['run']}/events?follow=true"
    async with millrace.client(prepared.keys["view"]) as client, millrace.client(prepared.keys["run"]) as second:
        of_run = asyncio.create_task(client.get(run))
        of_all = asyncio.create_task(second.get(f"{API}/stream"))

        async def both_are_open() -> bool:
            return bool(millrace.app.state.streams._open == 2)

        await eventually(both_are_open)
        assert (await api.delete(f"{API}/workflows/known/grants/with-view")).status_code == 204
        assert (await api.post(f"{API}/users/with-run/disable")).status_code == 200
        answers = await asyncio.gather(of_run, of_all)
    for response, code in zip(answers, ("run_not_found", "unauthenticated"), strict=True):
        assert response.status_code == 200
        assert code in response.text


async def test_nobody_grants_more_than_he_has(millrace: Installation, api: httpx2.AsyncClient, prepared: World) -> None:
    scopes = [Permission.GRANT_WRITE.value, *(permission.value for permission in PERMISSIONS[Role.VIEWER])]
    made = (await api.post(f"{API}/api-keys", json={"name": "narrow", "scopes": scopes})).json()
    async with millrace.client(made["key"]) as narrow:
        assert (await put(narrow, "with-without", "view")).status_code == 200
        problem(await put(narrow, "with-without", "run"), 403, "beyond_own_rights")
        problem(await narrow.post(f"{API}/api-keys", json={"name": "wide"}), 403, "beyond_own_rights")


async def test_an_administrator_is_not_restricted(api: httpx2.AsyncClient, prepared: World) -> None:
    body = {"name": "boss", "kind": "service", "role": "admin", "access": "granted"}
    assert problem(await api.post(f"{API}/users", json=body), 422, "invalid_request")["faults"][0]["path"] == "access"
    problem(await api.patch(f"{API}/users/with-view", json={"role": "admin"}), 422, "invalid_request")
    assert (await api.patch(f"{API}/users/with-view", json={"access": "all"})).json()["access"] == "all"
    problem(await api.patch(f"{API}/users/a-admin", json={"access": "granted"}), 422, "invalid_request")
    problem(await put(api, "a-admin", "view"), 422, "invalid_request")
    problem(await put(api, "nobody", "view"), 404, "user_not_found")
    problem(await put(api, "with-view"), 422, "invalid_request")
    problem(await api.delete(f"{API}/workflows/known/grants/with-without"), 404, "grant_not_found")


# --- secrets ----------------------------------------------------------------------------------------------------------


def telling(name: str, template: str, **config: Any) -> dict[str, Any]:
    return definition(name, {"id": "a", "type": "echo", "config": {"value": template, **config}})


async def test_who_was_granted_a_workflow_uses_what_is_for_it_and_no_other_secret(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    for name, scope in {"of_all": None, "of_known": ["known"], "of_foreign": ["foreign"]}.items():
        body = {"value": "quiet-canary-value", "workflows": scope}
        assert (await api.put(f"{API}/secrets/{name}", json=body)).status_code == 201
    async with millrace.client(prepared.keys["edit"]) as client:
        allowed = await client.put(f"{API}/workflows/known", json=telling("known", "{{ secrets.of_known }}"))
        assert allowed.status_code == 200, allowed.text
        for name in ("of_all", "of_foreign"):
            refused = await client.put(f"{API}/workflows/known", json=telling("known", f"{{{{ secrets.{name} }}}}"))
            problem(refused, 403, "forbidden")
        computed = telling("known", "x", connection="{{ input.which }}")
        problem(await client.put(f"{API}/workflows/known", json=computed), 403, "forbidden")


async def test_nobody_comes_by_secrets_by_making_a_workflow_that_is_called_as_theirs(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    body = {"value": "quiet-canary-value", "workflows": ["payroll"]}
    assert (await api.put(f"{API}/secrets/door", json=body)).status_code == 201
    async with millrace.client(prepared.keys["edit"]) as client:
        refused = await client.post(f"{API}/workflows", json=definition("payroll"))
        assert "the secret door is for workflows called" in problem(refused, 403, "name_reserved")["detail"]
        assert (await client.post(f"{API}/workflows", json=definition("of my own"))).status_code == 201
        mine = await client.put(f"{API}/workflows/of my own", json=definition("payroll"))
        assert mine.status_code in (403, 422), mine.text
    await create(api, definition("payroll"))


async def test_events_of_all_workflows_reach_no_run_of_who_may_not_read_them(
    millrace: Installation, api: httpx2.AsyncClient, prepared: World
) -> None:
    """Who sees one workflow would see in its runs what all others publish."""
    trigger = {"id": "ends", "type": "event", "config": {"event_type": "run.completed"}}
    wait = {"id": "w", "type": "wait_for_event", "config": {"type": "run.completed"}}
    signal = {"id": "s", "type": "wait_for_event", "config": {"signal": "go"}}
    known = f"{API}/workflows/known"
    async with millrace.client(prepared.keys["edit"]) as client:
        for body in ({**definition("known"), "triggers": [trigger]}, definition("known", wait)):
            problem(await client.put(known, json=body), 403, "events_forbidden")
            problem(await client.post(f"{API}/workflows", json={**body, "name": "new"}), 403, "events_forbidden")
        assert (await client.put(known, json=definition("known", signal))).status_code == 200
        with_both = {**definition("known", wait), "triggers": [trigger]}
        assert (await api.put(known, json=with_both)).status_code == 200
        changed = await client.put(
            known, json={**with_both, "description": "what was there may stay", "labels": {"a": "b"}}
        )
        assert changed.status_code == 200, changed.text
        other = {**trigger, "config": {"event_type": "order.made"}}
        problem(await client.put(known, json={**with_both, "triggers": [other]}), 403, "events_forbidden")

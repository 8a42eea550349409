"""S4, R2: webhooks beside a definition: made, changed, deleted; paths that are taken; what a deploy does to them."""

import asyncio
from typing import Any

import pytest

from millrace.storage.tables import trigger_routes
from tests.support.api import create, definition, problem
from tests.support.installation import Installation
from tests.support.webhooks import SECRET, finished, set_secret, stranger, trigger_of, with_hook

URL = "/api/v1/webhooks"


async def made(api: Any, **body: Any) -> dict[str, Any]:
    response = await api.post(URL, json={"workflow_id": "shop", **body})
    assert response.status_code == 201, response.text
    webhook: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"{URL}/{webhook['id']}"
    assert (await api.get(f"{URL}/{webhook['id']}")).json() == webhook
    return webhook


@pytest.fixture
async def shop(api: Any) -> dict[str, Any]:
    return await create(api, {**definition("shop"), "variables": {"region": "eu"}})


async def test_a_webhook_is_made_and_takes_requests(millrace: Installation, api: Any, shop: Any) -> None:
    webhook = await made(
        api, event_type="order", url_path="/webhook/shop/orders", method="put", headers={"X-Shop": "eu"},
        authentication={"type": "api_key", "value": "{{ secrets.hook }}"},
        input={"day": "{{ trigger.body.day }}", "region": "{{ variables.region }}"},
        **{"if": "{{ trigger.query.go == '1' }}"},
    )  # fmt: skip
    assert webhook["url_path"] == "/webhook/shop/orders"
    assert (webhook["methods"], webhook["event_type"], webhook["name"]) == (["PUT"], "order", "webhook")
    assert (webhook["origin"], webhook["active"], webhook["silent_because"]) == ("api", True, None)
    assert (webhook["respond"], webhook["max_body"], webhook["raw"]) == ("immediately", 1_048_576, False)
    await set_secret(api)
    async with stranger(millrace) as client:
        headers = {"X-API-Key": SECRET, "X-Shop": "eu"}
        response = await client.put("/webhook/shop/orders?go=1", json={"day": "x"}, headers=headers)
        assert (await finished(millrace, api, response))["input"] == {"day": "x", "region": "eu"}
        skipped = await client.put("/webhook/shop/orders?go=2", json={"day": "x"}, headers=headers)
        assert skipped.json() == {"decision": "skipped"}
    shown = (await api.get(f"{URL}/{webhook['id']}")).json()
    assert shown["counts"]["started"] == 1
    assert (await api.get("/api/v1/doctor")).json()["problems"] == []
    trigger = await trigger_of(api, "shop")
    assert (trigger["id"], trigger["webhook"]) == (webhook["id"], {"paths": ["/webhook/shop/orders"]})


async def test_who_changes_its_secret_is_told_which_workflow_has_the_webhook(api: Any, shop: Any) -> None:
    for _ in range(2):
        await made(api, authentication={"type": "api_key", "value": "{{ secrets.hook }}"})
    await made(api, headers={"X-Says": "hook"})
    await set_secret(api)
    shown = (await api.get("/api/v1/secrets/hook")).json()
    assert shown["used_by"] == [{"id": shop["id"], "name": "shop", "version": 1}]


async def test_paths_are_made_up_kept_and_changed(millrace: Installation, api: Any, shop: Any) -> None:
    first, second = await made(api), await made(api)
    assert (first["name"], second["name"]) == ("webhook", "webhook_2")
    assert first["url_path"] != second["url_path"]
    at = f"{URL}/{first['id']}"
    kept = (await api.patch(at, json={"event_type": "order"})).json()
    assert (kept["url_path"], kept["event_type"]) == (first["url_path"], "order")
    named = (await api.patch(at, json={"url_path": "orders"})).json()
    assert (named["url_path"], named["event_type"]) == ("/webhook/orders", "order")
    async with stranger(millrace) as client:
        problem(await client.post(first["url_path"]), 404, "not_found")
        assert (await client.post("/webhook/orders")).status_code == 202
    again = (await api.patch(at, json={"url_path": None, "event_type": None})).json()
    assert again["url_path"] not in (first["url_path"], "/webhook/orders", None)
    assert again["event_type"] is None
    await made(api, url_path="orders")


async def test_a_path_that_was_given_is_never_taken_for_one_that_nobody_can_guess(api: Any, shop: Any) -> None:
    for given in ("order-notifications-from-shop-01", "o" * 40):
        webhook = await made(api, url_path=given)
        changed = (await api.patch(f"{URL}/{webhook['id']}", json={"url_path": None})).json()["url_path"]
        assert given not in changed
        assert len(changed.removeprefix("/webhook/")) >= 32
        await made(api, url_path=given)


async def test_put_takes_out_what_it_does_not_give(api: Any, shop: Any) -> None:
    webhook = await made(api, name="hook", url_path="orders", methods=["GET", "POST"], raw=True, input={"a": 1})
    at = f"{URL}/{webhook['id']}"
    changed = (await api.patch(at, json={"method": "DELETE"})).json()
    assert (changed["methods"], changed["raw"], changed["input"]) == (["DELETE"], True, {"a": 1})
    replaced = (await api.put(at, json={"url_path": "orders", "workflow_id": "shop"})).json()
    assert (replaced["methods"], replaced["raw"], replaced["input"], replaced["name"]) == (["POST"], False, {}, "hook")


async def test_a_taken_path_names_its_owner(millrace: Installation, api: Any, shop: Any) -> None:
    await create(api, with_hook(path="orders"))
    taken = problem(await api.post(URL, json={"workflow_id": "shop", "url_path": "orders"}), 409, "path_taken")
    assert "'hook' of the workflow 'hooked'" in taken["detail"]
    assert [fault["path"] for fault in taken["faults"]] == ["url_path"]
    other = await made(api, url_path="other")
    problem(await api.patch(f"{URL}/{other['id']}", json={"url_path": "/webhook/orders/"}), 409, "path_taken")
    assert (await api.get(f"{URL}/{other['id']}")).json()["url_path"] == "/webhook/other", "nothing is changed by it"
    refused = await api.post("/api/v1/workflows", json=with_hook("third", path="other"))
    assert "'webhook' of the workflow 'shop'" in problem(refused, 409, "path_taken")["detail"]
    problem(await api.get("/api/v1/workflows/third"), 404, "workflow_not_found")
    await api.post(f"/api/v1/triggers/{(await trigger_of(api))['id']}/disable")
    problem(await api.post(URL, json={"workflow_id": "shop", "url_path": "orders"}), 409, "path_taken")
    assert (await api.delete("/api/v1/workflows/hooked")).status_code in (200, 204)
    await made(api, url_path="orders")


async def test_a_deploy_leaves_it_alone(millrace: Installation, api: Any, shop: Any) -> None:
    webhook = await made(api, url_path="orders")
    body = {**definition("shop"), "description": "second", "triggers": [{"id": "own", "type": "webhook"}]}
    assert (await api.put("/api/v1/workflows/shop", json=body)).status_code == 200
    listed = (await api.get(URL, params={"workflow": "shop"})).json()["items"]
    assert [(item["origin"], item["name"]) for item in listed] == [("api", "webhook"), ("definition", "own")]
    async with stranger(millrace) as client:
        run = await finished(millrace, api, await client.post("/webhook/orders"))
    newest = (await api.get("/api/v1/workflows/shop")).json()["deployed_version"]
    assert (run["workflow"]["version"], newest) == (newest, newest)
    own = listed[1]["id"]
    for response in (
        await api.patch(f"{URL}/{own}", json={"enabled": False}),
        await api.delete(f"{URL}/{own}"),
    ):
        assert "change it there" in problem(response, 409, "of_definition")["detail"]
    assert webhook["id"] == listed[0]["id"]


async def test_a_generated_path_outlives_a_deploy(api: Any) -> None:
    await create(api, with_hook())
    before = (await trigger_of(api))["webhook"]
    changed = with_hook(event_type="other")
    assert (await api.put("/api/v1/workflows/hooked", json=changed)).status_code == 200
    assert (await trigger_of(api))["webhook"] == before


async def test_undeploying_disabling_and_deleting_hold_at_once(millrace: Installation, api: Any, shop: Any) -> None:
    webhook = await made(api, url_path="orders")
    at = f"{URL}/{webhook['id']}"
    async with stranger(millrace) as client:

        async def status() -> int:
            return int((await client.post("/webhook/orders")).status_code)

        assert await status() == 202
        assert (await api.patch(at, json={"enabled": False})).json()["silent_because"] == "disabled"
        assert await status() == 404
        await api.patch(at, json={"enabled": True})
        assert await status() == 202
        await api.delete("/api/v1/workflows/shop/deploy")
        assert await status() == 404
        assert (await api.get(at)).json()["silent_because"] == "workflow_not_deployed"
        await api.post("/api/v1/workflows/shop/deploy", json={})
        assert await status() == 202
        assert (await api.delete(at)).status_code == 204
        assert await status() == 404
        problem(await api.get(at), 404, "webhook_not_found")
        problem(await api.delete(at), 404, "webhook_not_found")
        problem(await api.patch(at, json={}), 404, "webhook_not_found")
    left = await millrace.database.read(lambda connection: connection.execute(trigger_routes.select()).all())
    assert left == []


async def test_requests_that_meet_a_change_are_answered_by_what_holds(
    millrace: Installation, api: Any, shop: Any
) -> None:
    """Each starts its one run, whatever the trigger is changed into meanwhile."""
    webhook = await made(api, url_path="orders")
    async with stranger(millrace) as client:
        sent = []
        for number in range(40):
            sent.append(client.post("/webhook/orders", json={"id": number}))
            if number % 5 == 0:
                sent.append(api.patch(f"{URL}/{webhook['id']}", json={"event_type": f"type-{number}"}))
        answers = await asyncio.gather(*sent)
    started = [answer for answer in answers if answer.request.url.path == "/webhook/orders"]
    assert {answer.status_code for answer in started} <= {202, 503}
    ids = {answer.json()["run_id"] for answer in started if answer.status_code == 202}
    runs = (await api.get("/api/v1/workflows/shop/runs", params={"limit": 200})).json()["items"]
    assert {run["id"] for run in runs} == ids


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({"url_path": "a b"}, "url_path", "cannot be the path"),
        ({"url_path": "../x"}, "url_path", "cannot be the path"),
        ({"url_path": "a//b"}, "url_path", "cannot be the path"),
        ({"url_path": "/webhook/"}, "url_path", "cannot be the path"),
        ({"url_path": "x" * 201}, "url_path", "at most 200"),
        ({"url_path": "019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f"}, "url_path", "looks like an id"),
        ({"method": "HEAD"}, "method", "GET"),
        ({"method": "GET", "methods": ["POST"]}, "method", "say the same"),
        ({"methods": []}, "methods", "at least 1"),
        ({"path": "orders"}, "path", "there is no field 'path'"),
        ({"headers": {"a b": "c"}}, "headers", "name of a header"),
        ({"headers": {"a": "b\nc"}}, "headers", "no header can have this value"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers", "named twice"),
        ({"max_body": 10_485_761}, "max_body", "10485760"),
        ({"wait": "2m"}, "wait", "60s at most"),
        ({"dedupe": {}}, "dedupe", "a header or something in the body"),
        ({"dedupe": {"header": "a", "body": "b"}}, "dedupe", "a header or something in the body"),
        ({"authentication": {"type": "oauth"}}, "authentication.type", "none of those"),
        (
            {"authentication": {"type": "api_key", "value": "abc"}},
            "authentication.value",
            "does not stand in a definition",
        ),
        (
            {"authentication": {"type": "api_key", "value": "{{ input.x }}"}},
            "authentication.value",
            "does not stand in a definition",
        ),
        (
            {"authentication": {"type": "hmac", "preset": "github", "secret": "{{ secrets.a }}", "header": "X-A"}},
            "authentication.header",
            "the preset github says this already",
        ),
        (
            {"authentication": {"type": "hmac", "preset": "github", "secret": "{{ secrets.a }}", "tolerance": "1m"}},
            "authentication.tolerance",
            "no time",
        ),
        (
            {"authentication": {"type": "hmac", "secret": "{{ secrets.a }}"}, "dedupe": {"header": "X-Id"}},
            "dedupe",
            "the signature does not cover headers",
        ),
        (
            {"authentication": {"type": "jwt", "algorithms": ["none"], "secret": "{{ secrets.a }}"}},
            "authentication.algorithms[0]",
            "HS256",
        ),
        (
            {"authentication": {"type": "jwt", "algorithms": ["RS256"], "secret": "{{ secrets.a }}"}},
            "authentication",
            "needs a public_key and no secret",
        ),
        (
            {"authentication": {"type": "jwt", "algorithms": ["HS256", "RS256"], "secret": "{{ secrets.a }}"}},
            "authentication",
            "cannot be taken together",
        ),
        (
            {"authentication": {"type": "jwt", "algorithms": ["RS256"], "public_key": "-----BEGIN PRIVATE KEY-----"}},
            "authentication.public_key",
            "no public key",
        ),
        ({"if": "trigger.body"}, "if", ""),
        ({"input": {"a": "{{ trigger.bod }}"}}, "input.a", "did you mean 'body'"),
        ({"input": {"a": "{{ secrets.x }}"}}, "input.a", "secrets has no value"),
        ({"input": {"a": "{{ variables.regio }}"}}, "input.a", "no variable"),
        ({"event_type": "{{ variables.region }}"}, "event_type", "is not replaced"),
        ({"name": "a b"}, "name", ""),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_its_place(api: Any, shop: Any, body: Any, path: str, says: str) -> None:
    refused = problem(await api.post(URL, json={"workflow_id": "shop", **body}), 422, "invalid_request")
    faults = [fault for fault in refused["faults"] if fault["path"].startswith(path)]
    assert faults, refused
    assert any(says in f"{fault['message']} {fault['remedy']}" for fault in faults), refused
    assert (await api.get(URL)).json()["items"] == []


async def test_workflows_and_names_that_do_not_fit(api: Any, shop: Any) -> None:
    problem(await api.post(URL, json={"workflow_id": "none"}), 404, "workflow_not_found")
    problem(await api.post(URL, json={}), 422, "invalid_request")
    webhook = await made(api, name="hook")
    problem(await api.post(URL, json={"workflow_id": "shop", "name": "hook"}), 409, "name_taken")
    await create(api, definition("other"))
    moved = await api.patch(f"{URL}/{webhook['id']}", json={"workflow_id": "other"})
    assert "stays there" in problem(moved, 422, "invalid_request")["faults"][0]["message"]


async def test_a_change_must_fit_what_is_there(api: Any, shop: Any) -> None:
    webhook = await made(api, dedupe={"header": "X-Id"})
    signed = {"authentication": {"type": "hmac", "secret": "{{ secrets.a }}"}}
    refused = problem(await api.patch(f"{URL}/{webhook['id']}", json=signed), 422, "invalid_request")
    assert refused["faults"][0]["path"] == "dedupe"
    assert (await api.patch(f"{URL}/{webhook['id']}", json={**signed, "dedupe": None})).status_code == 200


async def test_lists_come_in_pages(api: Any, shop: Any) -> None:
    ids = [(await made(api))["id"] for _ in range(5)]
    page = (await api.get(URL, params={"limit": 3})).json()
    rest = (await api.get(URL, params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [item["id"] for item in page["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None

"""What others' advisories taught about webhooks, pages and files that strangers write. Each test is named after one."""

import json
import time

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.support.api import create, definition, eventually, problem, start
from tests.support.bare import ask
from tests.support.installation import Installation
from tests.support.logins import log_in, set_up
from tests.support.webhooks import (
    SECRET,
    generic,
    github,
    hmac_by,
    hooked,
    runs_of,
    set_secret,
    slack,
    stranger,
    stripe,
    token,
    with_hook,
)

SIGNED = {
    "github": (hmac_by("github"), github),
    "stripe": (hmac_by("stripe"), stripe),
    "slack": (hmac_by("slack"), slack),
    "generic": (hmac_by("generic", timestamp_header="X-Time"), generic),
}
OTHERWISE = {
    "api_key": {"type": "api_key", "value": "{{ secrets.hook }}"},
    "basic": {"type": "basic", "username": "me", "password": "{{ secrets.hook }}"},
    "jwt": {"type": "jwt", "algorithms": ["HS256"], "secret": "{{ secrets.hook }}"},
}
BODY = b'{"amount": 1}'


@pytest.mark.parametrize("preset", SIGNED)
async def test_cve_2026_21894_a_webhook_that_is_signed_takes_nothing_else(
    millrace: Installation, api: httpx2.AsyncClient, preset: str
) -> None:
    """n8n's Stripe trigger knew its sender by the address alone: without the signature nothing is started."""
    config, sign = SIGNED[preset]
    path = await hooked(api, authentication=config)
    right = {"Content-Type": "application/json"}
    async with stranger(millrace) as sender:
        without_secret = await sender.post(path, content=BODY, headers={**right, **sign(BODY)})
        assert without_secret.status_code in (401, 503), "a secret that is not there is not passed over"
        await set_secret(api)
        good = sign(BODY)
        empty = dict.fromkeys(good, "")
        for headers in (
            {}, empty, sign(BODY + b" "), sign(BODY, secret="wrong" * 9), sign(BODY, secret=""),
            *({name: value for name, value in good.items() if name != left_out} for left_out in good),
            *({**good, name: value + "00"} for name, value in good.items()),
            {name: value.replace("sha256=", "sha1=").replace("v1=", "v0=").replace("v0=", "v2=")
             for name, value in good.items()} if preset != "generic" else {},
        ):  # fmt: skip
            refused = await sender.post(path, content=BODY, headers={**right, **headers})
            assert refused.status_code == 401, (headers, refused.text)
            assert SECRET not in refused.text
        changed = await sender.post(path, content=BODY + b"\n", headers={**right, **good})
        assert changed.status_code == 401
        assert await runs_of(api) == []
        assert (await sender.post(path, content=BODY, headers={**right, **good})).status_code == 202
        again = await sender.post(path, content=BODY, headers={**right, **good})
        assert again.status_code == 200, "a request that was copied starts nothing"
    assert len(await runs_of(api)) == 1


@pytest.mark.parametrize("preset", [name for name in SIGNED if name != "github"])
async def test_cve_2026_21894_an_old_signature_is_worth_nothing(
    millrace: Installation, api: httpx2.AsyncClient, preset: str
) -> None:
    """Whoever once saw a request cannot send it later, nor one that is dated ahead."""
    config, sign = SIGNED[preset]
    path = await hooked(api, authentication=config)
    await set_secret(api)
    async with stranger(millrace) as sender:
        for moment in (0, time.time() - 3600, time.time() + 3600, 10**11):
            headers = {"Content-Type": "application/json", **sign(BODY, at=moment)}  # type: ignore[operator]
            assert (await sender.post(path, content=BODY, headers=headers)).status_code == 401
    assert await runs_of(api) == []


@pytest.mark.parametrize("way", OTHERWISE)
async def test_cve_2026_21894_keys_passwords_and_tokens_are_all_or_nothing(
    millrace: Installation, api: httpx2.AsyncClient, way: str
) -> None:
    """The same for webhooks whose sender shows something that he knows."""
    path = await hooked(api, authentication=OTHERWISE[way])
    await set_secret(api)
    async with stranger(millrace) as sender:
        for headers in (
            {}, {"X-API-Key": ""}, {"X-API-Key": SECRET[:-1]}, {"X-API-Key": f"{SECRET} x"},
            {"X-API-Key": millrace.key}, {"Authorization": ""}, {"Authorization": "Basic"},
            {"Authorization": "Basic Og=="},
            {"Authorization": "Basic bWU6"}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {millrace.key}"},
            token(secret="wrong" * 9), token(algorithm="none"), token(exp=1), token(exp=None), token(nbf=10**11),
            {"Authorization": token()["Authorization"].rpartition(".")[0] + "."},
        ):  # fmt: skip
            assert (await sender.post(path, json={}, headers=headers)).status_code == 401, headers
    assert await runs_of(api) == []


async def test_cve_2026_21894_unknown_and_silent_webhooks_answer_alike(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Nobody learns by trying which paths there are, or were."""
    await hooked(api, path="orders")
    async with stranger(millrace) as sender:
        alike = _told(await sender.post("/webhook/ordres", json={})).replace("ordres", "orders")
        await api.post("/api/v1/workflows/hooked/disable")
        silent = await sender.post("/webhook/orders", json={})
        assert _told(silent) == alike
        await api.delete("/api/v1/workflows/hooked")
        assert _told(await sender.post("/webhook/orders", json={})) == alike


def _told(response: httpx2.Response) -> str:
    """What a refusal says, but for the number of the request."""
    return json.dumps({key: value for key, value in problem(response, 404, "not_found").items() if key != "request_id"})


async def test_windmill_app_custom_path_a_path_in_use_is_not_stolen(
    millrace: Installation, api: httpx2.AsyncClient, keys: dict[Role, str]
) -> None:
    """Windmill's custom paths could be taken over: a path is of one webhook, however the second one writes it."""
    await create(api, with_hook("owner", path="shop/orders"))
    await create(api, definition("thief"))
    async with millrace.client(keys[Role.DEVELOPER]) as thief:
        for path in ("shop/orders", "/shop/orders", "/webhook/shop/orders", "webhook/shop/orders/", "/shop/orders/"):
            taken = await thief.post("/api/v1/webhooks", json={"workflow_id": "thief", "url_path": path})
            problem(taken, 409, "path_taken")
            problem(await thief.post("/api/v1/workflows", json=with_hook("third", path=path)), 409, "path_taken")
        for path in (
            "shop//orders",
            "shop/./orders",
            "shop/x/../orders",
            "shop%2forders",
            "shop/orders?x",
            "shop/orders\0",
        ):
            refused = await thief.post("/api/v1/webhooks", json={"workflow_id": "thief", "url_path": path})
            assert refused.status_code == 422, path
        owner = (await api.get("/api/v1/workflows/owner")).json()["id"]
        stolen = await thief.post("/api/v1/webhooks", json={"workflow_id": "thief", "url_path": owner})
        assert stolen.status_code == 422, "what looks like an id belongs to the workflow with that id"
    async with stranger(millrace) as sender:
        run = (await sender.post("/webhook/shop/orders", json={})).json()["run_id"]
    assert (await api.get(f"/api/v1/runs/{run}")).json()["workflow"]["name"] == "owner"


async def test_windmill_app_custom_path_who_does_not_see_the_owner_is_not_told_of_him(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """The error of Windmill named the workspace: that a path is taken is all that somebody learns who sees no more."""
    await create(api, with_hook("owner-of-it", path="shop/orders"))
    await create(api, definition("mine"))
    body = {"name": "narrow", "kind": "service", "role": "developer", "access": "granted"}
    assert (await api.post("/api/v1/users", json=body)).status_code == 201
    grant = await api.put("/api/v1/workflows/mine/grants/narrow", json={"grants": ["edit"]})
    assert grant.status_code == 200, grant.text
    key = (await api.post("/api/v1/api-keys", json={"name": "k", "user": "narrow"})).json()["key"]
    async with millrace.client(key) as narrow:
        for method, path, sent in (
            ("POST", "/api/v1/webhooks", {"workflow_id": "mine", "url_path": "shop/orders"}),
            ("PUT", "/api/v1/workflows/mine", with_hook("mine", path="shop/orders")),
        ):
            refused = await narrow.request(method, path, json=sent)
            problem(refused, 409, "path_taken")
            assert "owner-of-it" not in refused.text


async def test_windmill_app_custom_path_nobody_guesses_a_path_that_was_made_up(api: httpx2.AsyncClient) -> None:
    """A path that Millrace makes up is a credential where there is no other: it has the length of one."""
    made = []
    for number in range(20):
        await create(api, with_hook(f"w{number}"))
        (trigger,) = (await api.get(f"/api/v1/workflows/w{number}/triggers")).json()["items"]
        made.append(trigger["webhook"]["paths"][0].rpartition("/")[2])
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 22, "128 bits and more"


async def test_windmill_jobs_cross_site_get_no_webhook_goes_by_the_cookie_of_a_login(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """A browser that is logged in and opens the address of a webhook is a stranger there, and GET is taken only where
    its owner has said so."""
    await set_up(millrace)
    path = await hooked(api, authentication=OTHERWISE["api_key"])
    await set_secret(api)
    async with millrace.client("") as browser:
        await log_in(browser)
        assert (await browser.get(path)).status_code in (401, 404, 405)
        assert (await browser.post(path, json={})).status_code == 401
    assert await runs_of(api) == []


# --- what is shown ----------------------------------------------------------------------------------------------------

SCRIPTS = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "&lt;script&gt;"),
    *("</title><script>1</script>", "</textarea><script>1</script>", "\u2028<script>", "<!--<script>", "]]><script>"),
    *("javascript:alert(1)", "' onmouseover='alert(1)", "</p></form><form action=//evil.example>"),
]


async def test_n8n_html_sandbox_the_page_of_an_approval_shows_texts_as_texts(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """n8n sandboxes what its users answer as HTML: the one page that we make of foreign words has no script at all."""
    for number, script in enumerate(SCRIPTS):
        properties = {"a": {"type": "string", "title": script, "description": script, "enum": [script]}, script: {}}
        form = {"type": "object", "properties": properties}
        task = {"id": "ask", "type": "approval", "config": {"message": "{{ input.said }}", "form": form}}
        workflow = await create(api, {**definition(f"w{number}", task), "description": script})
        run = await start(api, workflow["id"], input={"said": script})
        path = f"/api/v1/runs/{run['id']}/tasks/ask/approval-link"

        async def made(path: str = path) -> bool:
            return (await api.post(path, json={})).status_code == 201

        await eventually(made)
        link = (await api.post(path, json={})).json()["url"].removeprefix("http://millrace.test")
        for said in (
            await ask(millrace.app, "GET", link, {"Accept": "text/html"}),
            await ask(millrace.app, "POST", link, {"Accept": "text/html",
                      "Content-Type": "application/x-www-form-urlencoded"}, f"decision=x&comment={script}".encode()),
        ):  # fmt: skip
            page = said.body.decode().lower()
            assert [tag for tag in ("<script", "<img", "<svg", "<form action", "' onmouseover") if tag in page] == [], (
                script
            )
            policy = said.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src" not in policy
            assert "unsafe" not in policy


async def test_n8n_html_sandbox_a_problem_is_no_page(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """What was wrong with a request is repeated as JSON, of a type that no browser makes a page of."""
    for script in SCRIPTS:
        name = httpx2.URL("http://x", params={"a": script}).query.decode().partition("=")[2].replace("+", "%20")
        for path in (f"/api/v1/workflows/{name}", f"/{name}", f"/api/v1/runs?{name}=1", f"/webhook/{name}",
                     f"/approvals/{name}", f"/static/{name}"):  # fmt: skip
            for method in ("GET", "POST"):
                said = await ask(millrace.app, method, path, {"X-API-Key": millrace.key, "Accept": "text/html"})
                is_page = said.headers.get("content-type", "").startswith("text/html")
                assert said.headers["x-content-type-options"] == "nosniff"
                assert not is_page or "<script>" not in said.body.decode(), path
                assert is_page <= path.startswith("/approvals/"), path


async def test_n8n_html_sandbox_a_file_is_downloaded_and_not_shown(api: httpx2.AsyncClient) -> None:
    """A task's HTML or SVG is no page of ours: it is saved as bytes, and would have no rights if it were shown."""
    content = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/><script>alert(1)</script>"
    for kind, name in [("text/html", "x.html"), ("image/svg+xml", "x.svg"), ("application/xhtml+xml", "x.xhtml"),
                       ("text/xml", "x.xml"), ("application/pdf", "x.pdf")]:  # fmt: skip
        made = await api.post(
            "/api/v1/artifacts", params={"name": name}, content=content, headers={"Content-Type": kind}
        )
        assert made.status_code == 201
        for extra in ({}, {"Accept": "text/html"}, {"Range": "bytes=0-9"}):
            shown = await api.get(f"/api/v1/artifacts/{made.json()['id']}/content", headers=extra)
            assert shown.headers["Content-Type"] == "application/octet-stream"
            assert shown.headers["Content-Disposition"].startswith("attachment;")
            assert shown.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in shown.headers["Content-Security-Policy"]

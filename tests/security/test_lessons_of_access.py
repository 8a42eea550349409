"""What others' advisories taught about who gets in: each test bears the name of one, and says what it taught."""

import itertools
from typing import Any

import httpx2

from millrace.auth.logins.access_tokens import AccessTokens, Claims
from millrace.auth.permissions import Role
from millrace.core.values import SECOND
from millrace.system import SystemClock
from tests.support.api import create, definition, problem, start, until_status
from tests.support.bare import ask, routes_of
from tests.support.installation import Installation
from tests.support.logins import ADA, PASSWORD, bearer, log_in, set_up
from tests.support.webhooks import set_secret

OPEN_PATHS = ("/health", "/health/ready", "/docs", "/openapi.json", "/static/look.js", "/api/v1/auth/setup")
SUFFIXES = ("/configs", "/health", "/ready", "/health/ready", "/docs", "/openapi.json", "/static/look.js", "/login")
ENDINGS = (
    ";/health",
    ";a=b",
    "%2fhealth",
    "/.",
    ".",
    "%20",
    "%09",
    "/",
    "//",
    "%3f/health",
    "%23/health",
    "/%2e%2e/health",
)
NOTHING_OPENED = {401, 404, 405}
"""Of what an open route would answer, 200 and redirections, nothing. 422 comes of a NUL, 413 of sizes."""


def spellings(path: str) -> list[str]:
    """The path of a closed route as exemptions by prefix, suffix or pattern have mistaken it for an open one."""
    rest = path.removeprefix("/")
    return [
        *(path + ending for ending in (*SUFFIXES, *ENDINGS)),
        *(f"{way}/..{path}" for way in OPEN_PATHS[:5]),
        *(f"{way}/%2e%2e{path}" for way in OPEN_PATHS[:5]),
        *(f"{way};{path}" for way in OPEN_PATHS[:2]),
        *(f"/webhook/..{path}", f"/static/..%2f{rest}", f"/approvals/..%2f{rest}", f"/./{rest}", f"//{rest}"),
        *(f"/%2f{rest}", f"/\\{rest}", path.replace("/api/v1", "/api//v1"), path.replace("/api/v1", "/api/./v1")),
        *(path.upper(), path.replace("/api/", "/API/"), path.replace("/api/", "/%61pi/"), f"http://x/{rest}"),
        *(f"{path}?next=/health", f"{path}?/health", f"{path}?.js"),
    ]


async def test_cve_2026_53576_no_spelling_of_a_path_opens_a_route(millrace: Installation) -> None:
    """Kestra left out every path that ended with `/configs`: what is open is a list of routes, not a look at a text."""
    for route in routes_of(millrace.app):
        if not route.wants_credentials:
            continue
        said = await ask(millrace.app, route.method, route.filled)
        assert said.status == 401, route
        for path in spellings(route.filled):
            said = await ask(millrace.app, route.method, path)
            allowed = NOTHING_OPENED | ({422} if "?" in path else set())
            assert said.status in allowed, (route.method, path, said.status, said.body[:200])


async def test_cve_2026_3514_no_header_makes_a_closed_route_an_open_one(millrace: Installation) -> None:
    """Prefect asked for credentials by looking at the request, not the route: nothing that is sent along changes it."""
    headers = {
        **dict.fromkeys(("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path"), "/health"),
        "X-HTTP-Method-Override": "OPTIONS",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-User": "admin",
        "X-Remote-User": "admin",
        "Forwarded": "for=127.0.0.1",
        "Referer": "http://millrace.test/health",
        "Origin": "http://millrace.test",
    }
    for route in routes_of(millrace.app):
        if route.wants_credentials:
            assert (await ask(millrace.app, route.method, route.filled, headers)).status == 401, route
            for method in ("OPTIONS", "HEAD", "TRACE", "CONNECT", "get", "PROPFIND"):
                said = await ask(millrace.app, method, route.filled, headers)
                assert said.status in NOTHING_OPENED, (method, route.path, said.status)


async def test_cve_2026_7723_nobody_opens_a_socket_beside_the_routes(millrace: Installation) -> None:
    """Prefect's event socket took events from anybody: whatever asks for a WebSocket without credentials is closed."""
    for path in {route.filled for route in routes_of(millrace.app)} | {"/api/events/in", "/ws"}:
        scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
        heard: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any, heard: list[Any] = heard) -> None:
            heard.append(message)

        await millrace.app({**scope, "subprotocols": [], "scheme": "ws", "root_path": ""}, receive, send)
        assert [one["type"] for one in heard] == ["websocket.close"], path


async def test_cve_2026_7723_a_stream_wants_credentials_that_hold(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """A stream is opened by who may read what it tells, and not opened again by a key that was revoked."""
    workflow = await create(api, definition("w", {"id": "a", "type": "hold", "config": {}}))
    run = await start(api, workflow["id"])
    paths = [f"/api/v1/runs/{run['id']}/events", f"/api/v1/runs/{run['id']}/logs", "/api/v1/stream",
             f"/api/v1/workflows/{workflow['id']}/stream"]  # fmt: skip
    made = (await api.post("/api/v1/api-keys", json={"name": "s", "scopes": ["run:read"]})).json()
    narrow = (await api.post("/api/v1/api-keys", json={"name": "n", "scopes": ["workflow:read"]})).json()
    await api.delete(f"/api/v1/api-keys/{made['id']}")
    for path in paths:
        for key, status in (("", 401), (made["key"], 401), (narrow["key"], 403)):
            headers = {"Accept": "text/event-stream", **({"X-API-Key": key} if key else {})}
            said = await ask(millrace.app, "GET", path, headers)
            assert said.status == status, (path, status)
    await api.post(f"/api/v1/runs/{run['id']}/cancel", json={})


READS_BY_POST = {"/api/v1/workflows/validate", "/api/v1/triggers/simulate", "/api/v1/triggers/preview"}
"""They compute an answer from what they are sent, and start or store nothing."""


async def test_ghsa_h3jj_5f3v_3685_who_may_only_read_starts_nothing(
    millrace: Installation, api: httpx2.AsyncClient, keys: dict[Role, str]
) -> None:
    """n8n let who could read a workflow retry its runs: a right to read opens nothing but GET."""
    workflow = await create(api, definition("w"))
    run = await until_status(api, await start(api, workflow["id"]), "completed")
    before = (await api.get("/api/v1/runs")).json()["items"]
    async with millrace.client(keys[Role.VIEWER]) as viewer:
        for route in routes_of(millrace.app):
            if route.method == "GET" or not route.wants_credentials or route.path in READS_BY_POST:
                continue
            path = route.path.replace("{workflow}", "w").replace("{run}", run["id"]).replace("{path}", "a")
            path = path.replace("{task}", "a").replace("{version}", "1")
            response = await viewer.request(route.method, path, json={})
            own = route.path.startswith(("/api/v1/auth/", "/api/v1/api-keys"))
            assert own or response.status_code == 403, (route, response.text)
        assert (await viewer.get("/api/v1/runs")).json()["items"] == before


async def test_cve_2026_22683_who_runs_workflows_writes_none(
    millrace: Installation, api: httpx2.AsyncClient, keys: dict[Role, str]
) -> None:
    """Windmill's operators were kept from code by the pages alone: the server refuses what would bring in a task."""
    await create(api, definition("w"))
    other = definition("w", {"id": "mine", "type": "shell", "config": {"command": "id"}})
    async with millrace.client(keys[Role.OPERATOR]) as operator:
        for method, path, body in [
            ("POST", "/api/v1/workflows", {**other, "name": "new"}),
            ("PUT", "/api/v1/workflows/w", other),
            ("PATCH", "/api/v1/workflows/w", {"tasks": other["tasks"]}),
            ("POST", "/api/v1/workflows/apply", {"definitions": [other]}),
            ("POST", "/api/v1/workflows/w/tasks", other["tasks"][0]),
            ("PUT", "/api/v1/workflows/w/tasks/a", other["tasks"][0]),
            ("PUT", "/api/v1/workflows/w/deploy", {"version": 1}),
            ("POST", "/api/v1/webhooks", {"workflow_id": "w"}),
        ]:
            problem(await operator.request(method, path, json=body), 403, "forbidden")
        for path in ("/api/v1/workflows/w/execute", "/api/v1/workflows/w/test", "/api/v1/workflows/w/dry-run"):
            for smuggled in ({"definition": other}, {"tasks": other["tasks"]}):
                problem(await operator.post(path, json=smuggled), 422, "invalid_request")
    assert (await api.get("/api/v1/workflows/w")).json()["version"] == 1


CANARY = "canary-5a1e-of-the-mine"


async def test_cve_2025_54831_a_secret_is_read_by_no_role_on_no_route(
    millrace: Installation, api: httpx2.AsyncClient, keys: dict[Role, str]
) -> None:
    """Airflow showed connections to who could only read: what is secret goes in and does not come out, for anybody."""
    await set_secret(api, "hook", CANARY)
    config = {"url": "https://1.1.1.1", "auth": {"type": "bearer", "token": CANARY}}
    agent = {"name": "shop", "url": "https://1.1.1.1", "auth_type": "bearer", "auth_config": {"token": CANARY}}
    assert (await api.put("/api/v1/connections/shop", json={"type": "http", "config": config})).status_code == 201
    assert (await api.post("/api/v1/agents", json=agent)).status_code == 201
    task = {"id": "a", "type": "echo", "config": {"value": "{{ secrets.hook }}"}}
    failing = {"id": "b", "type": "fail", "config": {"value": {"seen": "{{ secrets.hook }}"}}}
    workflow = await create(api, definition("w", task, failing))
    run = await until_status(api, await start(api, workflow["id"]), "failed")
    names = {"{name}": "hook", "{agent}": "shop", "{workflow}": "w", "{run}": run["id"], "{version}": "1"}
    looked = 0
    for key in (*keys.values(), millrace.key):
        async with millrace.client(key) as client:
            for route in routes_of(millrace.app):
                if route.method != "GET" or not route.is_of_api or route.path.endswith(("stream", "backup")):
                    continue
                for path, task_id in itertools.product(_named(route.path, names), ("a", "b")):
                    response = await client.get(path.replace("{task}", task_id).replace("{path}", task_id))
                    assert CANARY not in response.text, path
                    assert CANARY not in str(response.headers), path
                    looked += response.status_code == 200
    assert looked > 100


def _named(path: str, names: dict[str, str]) -> set[str]:
    """The path with names of what is there; a secret and a connection bear different ones."""
    for parameter, name in names.items():
        path = path.replace(parameter, name)
    return {path, path.replace("/connections/hook", "/connections/shop")}


async def test_cve_2024_45784_settings_are_shown_without_what_is_secret_in_them(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Airflow wrote its configuration into task logs: what shows settings shows no secret among them."""
    shown = (await api.get("/api/v1/settings")).text
    assert millrace.key not in shown
    assert (millrace.container.settings.home / "encryption-key").read_text().strip() not in shown


async def test_windmill_jobs_cross_site_get_reading_changes_nothing(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Windmill started jobs by GET, for which a browser sends its cookie from any page: no GET leaves a trace."""
    await set_up(millrace)
    workflow = await create(api, definition("w"))
    run = await until_status(api, await start(api, workflow["id"]), "completed")
    names = {"{workflow}": "w", "{run}": run["id"], "{path}": "a", "{task}": "a", "{version}": "1"}
    async with millrace.client("") as browser:
        assert (await log_in(browser, password=PASSWORD)).status_code == 200
        before = await _rows(millrace)
        for route in routes_of(millrace.app):
            path = route.path
            for parameter, name in names.items():
                path = path.replace(parameter, name)
            if route.method == "GET" and not path.endswith(("stream", "backup")):
                for site in ("cross-site", "same-origin"):
                    await browser.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
        assert await _rows(millrace) == before
        for method, path in [("POST", "/api/v1/workflows/w/execute"), ("DELETE", "/api/v1/workflows/w")]:
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
                problem(await browser.request(method, path, headers=headers), 403, "cross_site")


async def _rows(millrace: Installation) -> dict[str, list[Any]]:
    """All there is in the database, but for what the engine writes by itself."""

    def work(connection: Any) -> dict[str, list[Any]]:
        tables = connection.exec_driver_sql("select name from sqlite_master where type = 'table'").scalars().all()
        return {
            name: sorted(map(repr, connection.exec_driver_sql(f'select * from "{name}"').all()))  # noqa: S608
            for name in tables
            if name not in {"incarnations"} and not name.startswith("sqlite_")
        }

    return await millrace.database.read(work)  # type: ignore[no-any-return]


async def test_cve_2020_13927_a_new_installation_is_closed(millrace: Installation) -> None:
    """Airflow's API was open until somebody closed it: before anybody has set anything up, nothing is open."""
    async with millrace.client("") as stranger:
        assert (await stranger.get("/api/v1/auth/setup")).json() == {"needed": True}
        body = {"setup_key": "", "email": "me@example.com", "name": "Me", "password": PASSWORD}
        for guess in ("", "setup", "admin", "mr_" + "x" * 43):
            response = await stranger.post("/api/v1/auth/setup", json={**body, "setup_key": guess})
            assert response.status_code in (401, 422), response.text
        for route in routes_of(millrace.app):
            if route.wants_credentials:
                assert (await ask(millrace.app, route.method, route.filled)).status == 401, route
    file = millrace.container.settings.home / "api-key"
    assert file.stat().st_mode & 0o077 == 0, "others on the machine could read the first key"


async def test_cve_2026_45426_a_token_is_of_one_user_and_of_no_other_whose_id_looks_alike(
    millrace: Installation,
) -> None:
    """Airflow took a prefix off the subject by `lstrip`, which takes letters off: what a token says is one whole id."""
    await set_up(millrace)
    tokens = AccessTokens(millrace.vault, 900 * SECOND)
    installation_id = await millrace.store.installation_id()
    async with millrace.client("") as client:
        form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
        given = (await client.post("/api/v1/auth/token", data=form)).json()["access_token"]
        mine = (await client.get("/api/v1/auth/me", headers=bearer(given))).json()
        user, session = mine["id"], mine["session_id"]

        async def status(user: str, session: str) -> int:
            token = tokens.make(installation_id, Claims(user, session), SystemClock().now())
            return (await client.get("/api/v1/auth/me", headers=bearer(token))).status_code

        assert await status(user, session) == 200
        for odd in (
            user[1:],
            user[:-1],
            f"{user}x",
            f"x{user}",
            user.upper() + "X",
            f"sub:{user}",
            f" {user}",
            "",
            "%",
        ):
            assert await status(odd, session) == 401, odd
        for odd in (session[1:], session[:-1], f"{session} ", "", "%", session.replace("-", "")):
            assert await status(user, odd) == 401, odd

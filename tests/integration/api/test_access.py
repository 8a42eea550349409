"""I2, I3, I7, R2: nothing but the listed routes is open, and each role can do exactly what the table says."""

import re
from collections.abc import Callable

import httpx2
import pytest
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from sqlalchemy import Connection, update
from starlette.routing import Match, Route

from millrace.api.deps import Requires, authenticated
from millrace.auth import repository
from millrace.auth.permissions import PERMISSIONS, Permission, Role
from millrace.storage.tables import api_keys, users
from tests.support.api import problem
from tests.support.installation import Installation
from tests.support.logins import new_key

OPEN = {"/", "/static/{name}", "/static/look.js", "/health", "/health/ready", "/docs", "/redoc", "/openapi.json"}
"""SPEC R2's list, as far as its routes exist yet. Whatever browsers and load balancers add to these is passed over."""

WEBHOOK = "/webhook/nothing"
"""Open, too: each webhook asks for credentials of its own, and here is none."""
OPEN |= {WEBHOOK, "/webhook/{path}", "/webhook/{path:path}"}

LINK = "/approvals/nothing"
"""Open, too: the signature of a link is its credential, and this one has none."""
OPEN |= {LINK, "/approvals/{token}"}
CLOSED_TO_ALL = {WEBHOOK, LINK}

WAYS_IN = {f"/api/v1/auth/{way}" for way in ("token", "login", "refresh", "reset", "setup")}
"""How one comes by credentials. They are of the API otherwise, and refuse what they do not know."""
OPEN |= WAYS_IN

CALLBACK = "/api/v1/auth/oidc/callback"
"""Where a login provider sends browsers back to, with what it likes in the query."""
BY_PROVIDER = {"/api/v1/auth/oidc", "/api/v1/auth/oidc/login", "/api/v1/auth/oidc/token"}
"""Ways in as well; this installation has no provider."""
OPEN |= {CALLBACK, *BY_PROVIDER}

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def all_routes(millrace: Installation) -> list[RouteContext]:
    """Every route, also of routers inside routers, which FastAPI does not flatten; held against the OpenAPI paths."""
    found = list(iter_route_contexts(millrace.app.routes))
    walked = {
        (re.sub(r":[a-z]+}", "}", str(route.path)), method)
        for route in found
        for method in (route.methods or set()) & METHODS
    }
    described = {(path, method.upper()) for path, item in millrace.app.openapi()["paths"].items() for method in item}
    assert {pair for pair in walked if pair[0] not in OPEN} == {pair for pair in described if pair[0] not in OPEN}
    assert len(walked) > 25
    return found


def requests(millrace: Installation) -> list[tuple[str, str, Permission | None]]:
    """Method, path with parameters filled in, and the declared permission, of every HTTP route."""
    return [
        (method, re.sub(r"\{[^}]*\}", "nothing", _with_samples(str(route.path))), permission_of(route))
        for route in all_routes(millrace)
        for method in sorted((route.methods or set()) & METHODS)
    ]


def _with_samples(path: str) -> str:
    return path.replace("{number}", "1").replace("/static/{name}", "/static/look.js")


def test_no_route_hides_another(millrace: Installation) -> None:
    """The first route that matches answers, and their order is one of speed, not of meaning."""
    for route in millrace.app.routes:
        assert isinstance(route, Route)
        for method in sorted(route.methods & METHODS):
            path = _with_samples(re.sub(r"\{[^}]*\}", "1", route.path))
            scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
            first = next(found for found in millrace.app.routes if found.matches(scope)[0] is Match.FULL)
            assert first is route, f"{method} {path}"


def permission_of(route: RouteContext) -> Permission | None:
    if not isinstance(route.original_route, APIRoute):
        return None
    calls = [dependency.call for dependency in route.dependant.dependencies]
    return next((call.permission for call in calls if isinstance(call, Requires)), None)


async def test_every_route_but_the_open_ones_wants_a_key(millrace: Installation) -> None:
    for number, (method, path, _) in enumerate(requests(millrace)):
        for key in ("", "mr_" + "x" * 43):
            # Each from elsewhere, or they were soon refused for their number alone.
            async with millrace.client(key, address=f"198.51.{number // 250}.{number % 250}") as stranger:
                response = await stranger.request(method, path)
            if path in WAYS_IN | BY_PROVIDER | {CALLBACK}:
                # Without a login provider there is no login by one.
                assert response.status_code in (200, 400, 422) or path in BY_PROVIDER | {CALLBACK}, path
                assert response.status_code in (200, 400, 404, 422), path
            elif path in OPEN:
                assert response.status_code == (404 if path in CLOSED_TO_ALL else 200), path
            else:
                problem(response, 401, "unauthenticated")
                assert response.headers["WWW-Authenticate"] == 'ApiKey, Bearer realm="millrace"'


def test_every_route_is_open_by_name_or_guarded_by_router_and_permission(millrace: Installation) -> None:
    for route in all_routes(millrace):
        assert isinstance(route.original_route, Route), f"{route.path}: the tests above know only HTTP routes"
        if route.path in OPEN:
            continue
        assert isinstance(route.original_route, APIRoute), f"{route.path} declares no permission"
        assert str(route.path).startswith("/api/v1/"), route.path
        assert permission_of(route) is not None, f"{route.path} declares no permission"
        # Of the route's own dependencies the router's come first: it would want a key also without a permission.
        assert route.dependant.dependencies[0].call is authenticated, route.path


async def test_every_route_but_the_open_ones_refuses_an_unknown_query(millrace: Installation) -> None:
    async with millrace.client() as client:
        for method, path, _ in requests(millrace):
            response = await client.request(method, path, params={"limt": "1", "last-event-id": "x"})
            if path in OPEN - WAYS_IN - BY_PROVIDER:
                assert response.status_code == (404 if path in CLOSED_TO_ALL | {CALLBACK} else 200), path
            else:
                faults = problem(response, 422, "invalid_request")["faults"]
                assert [fault["path"] for fault in faults] == ["query.limt", "query.last-event-id"], (method, path)


async def role_client(millrace: Installation, role: Role) -> httpx2.AsyncClient:
    user = f"user-{role.value}"
    await millrace.database.write(
        lambda connection: repository.add_user(
            connection, user_id=user, email=f"{role.value}@example.com", name=role.value, role=role, now=1
        )
    )
    _, key = await new_key(millrace, user)
    return millrace.client(key)


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_do_what_its_permissions_say(millrace: Installation, role: Role) -> None:
    async with await role_client(millrace, role) as client:
        for method, path, permission in requests(millrace):
            if permission is None:
                continue
            # A stream without end answers 422 to this, once it is clear that it may be read.
            response = await client.request(method, path, headers={"Last-Event-ID": "nothing"})
            if permission in PERMISSIONS[role]:
                assert response.status_code not in (401, 403), (method, path)
            else:
                assert permission.value in problem(response, 403, "forbidden")["detail"]


async def test_a_key_works_as_a_bearer_token_too(millrace: Installation) -> None:
    async with millrace.client("") as client:
        bearer = {"Authorization": f"Bearer {millrace.key}"}
        assert (await client.get("/api/v1/runs", headers=bearer)).status_code == 200
        basic = {"Authorization": f"Basic {millrace.key}"}
        problem(await client.get("/api/v1/runs", headers=basic), 401, "unauthenticated")


async def test_a_revoked_key_is_refused_at_once(millrace: Installation) -> None:
    async with millrace.client() as admin:
        made = (await admin.post("/api/v1/api-keys", json={"name": "second"})).json()
        async with millrace.client(made["key"]) as client:
            assert (await client.get("/api/v1/runs")).status_code == 200
            assert (await admin.delete(f"/api/v1/api-keys/{made['id']}")).json()["status"] == "revoked"
            problem(await client.get("/api/v1/runs"), 401, "unauthenticated")


async def test_finding_the_caller_costs_one_read(millrace: Installation) -> None:
    async with millrace.client() as client:
        for _ in range(2):
            reads, looked_up = millrace.database.reads, millrace.database.looked_up
            assert (await client.get("/api/v1/task-types")).status_code == 200
            assert (millrace.database.reads - reads, millrace.database.looked_up - looked_up) == (0, 1)


async def test_what_another_process_changes_of_a_user_holds_at_once(millrace: Installation) -> None:
    def change(**values: object) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(update(users).where(users.c.id == "user-viewer").values(**values))

    async with await role_client(millrace, Role.VIEWER) as client:
        assert (await client.get("/api/v1/runs")).status_code == 200
        problem(await client.get("/api/v1/secrets"), 403, "forbidden")
        await millrace.database.write(change(role="developer"))
        assert (await client.get("/api/v1/secrets")).status_code == 200
        await millrace.database.write(change(disabled_at=1))
        problem(await client.get("/api/v1/runs"), 401, "unauthenticated")
        await millrace.database.write(change(disabled_at=None))
        assert (await client.get("/api/v1/runs")).status_code == 200


async def test_scopes_of_a_key_narrow_what_its_user_may_do(millrace: Installation) -> None:
    scopes = [Permission.RUN_READ, Permission.SECRET_WRITE]
    async with await role_client(millrace, Role.VIEWER) as client:
        await millrace.database.write(
            lambda connection: connection.execute(update(api_keys).values(scopes=repository.scopes_text(scopes)))
        )
        assert (await client.get("/api/v1/runs")).status_code == 200
        assert "scopes" in problem(await client.get("/api/v1/workflows"), 403, "forbidden")["detail"]
        assert "role" in problem(await client.delete("/api/v1/secrets/a"), 403, "forbidden")["detail"]
        await millrace.database.write(
            lambda connection: connection.execute(update(api_keys).values(scopes='["run:read", "of:tomorrow"]'))
        )
        assert (await client.get("/api/v1/runs")).status_code == 200

"""I3: who gets in where. Each route has a row in the table, and is asked by everybody, about things that are there."""

import httpx2
from fastapi.routing import APIRoute

from tests.support.installation import Installation
from tests.support.permission_matrix import COLUMNS, MATRIX
from tests.support.permission_world import World, world

HIDDEN = {
    f"{kind}_not_found" for kind in ("workflow", "run", "trigger", "webhook", "backfill", "artifact", "operation")
}
HIDDEN |= {"run_not_archived"}
"""The codes of what is not there, or not for the one who asks."""
SEE_ALL = {"admin", "developer", "operator", "viewer"}
"""From them nothing is hidden: what is not there for them has been deleted, or was never there."""
ORDER = ("nobody", "without", "view", "run", "approve", "viewer", "operator", "edit", "developer", "admin")
"""Who may delete comes after who may not."""
HARMLESS = {"Last-Event-ID": "nothing", "If-Match": '"of-another-time"', "Range": "bytes=0-0"}
"""A stream answers 422 instead of going on for ever, and a change of a workflow 409 instead of happening."""


def routes(millrace: Installation) -> set[tuple[str, str]]:
    """Every method and path of the API that asks for credentials."""
    return {
        (method, route.path.removeprefix("/api/v1"))
        for route in millrace.app.routes
        if isinstance(route, APIRoute) and route.path.startswith("/api/v1/") and route.dependant.dependencies
        for method in route.methods
        if any(hasattr(dependency.call, "permission") for dependency in route.dependant.dependencies)
    }


async def asked(client: httpx2.AsyncClient, who: str, world: World, method: str, template: str) -> str:
    """`+` let in, `3` and `1` refused with 403 and 401, `4` told that there is no such thing."""
    body = None if method == "GET" else []
    response = await client.request(method, f"/api/v1{world.path(template)}", json=body, headers=HARMLESS)
    if response.status_code in (401, 403):
        return str(response.status_code)[-1]
    hidden = response.status_code == 404 and response.json()["code"] in HIDDEN
    return "4" if hidden and who not in SEE_ALL else "+"


def test_every_route_has_a_row(millrace: Installation) -> None:
    assert routes(millrace) == set(MATRIX)


async def test_the_matrix_of_permissions(millrace: Installation, api: httpx2.AsyncClient) -> None:
    prepared = await world(millrace, api)
    clients = {who: millrace.client(prepared.keys.get(who, "")) for who in COLUMNS}
    wrong = {}
    # What takes something away comes last.
    for method, path in sorted(MATRIX, key=lambda row: (row[0] == "DELETE", row[1].count("/") < 4, row)):
        found = {who: await asked(clients[who], who, prepared, method, path) for who in ORDER}
        told = "".join(found[who] for who in COLUMNS)
        if told != MATRIX[method, path]:
            wrong[method, path] = f"{told} and not {MATRIX[method, path]}"
    for client in clients.values():
        await client.aclose()
    assert wrong == {}

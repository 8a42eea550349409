"""I4: nothing is changed over the API without a row in the audit log that says who, from where and by which request."""

from typing import Any

import httpx2
import pytest
from fastapi.routing import iter_route_contexts

from millrace.auth.audit.actions import RUN_START, Action
from tests.support.audited import AUDITED, SETUP, V1, WITHOUT_ROWS, Ground
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

SAFE = {"GET", "HEAD", "OPTIONS"}
ADDRESS = "127.0.0.1"


def test_every_route_that_may_change_something_says_what_it_writes(millrace: Installation) -> None:
    found = {
        f"{method} {route.path}"
        for route in iter_route_contexts(millrace.app.routes)
        for method in (route.methods or set()) - SAFE
    }
    told = AUDITED.keys() | WITHOUT_ROWS.keys()
    assert found - told == set(), "name their actions in tests/support/audited.py, or the reason why there are none"
    assert {route for route in told - found if not route.startswith("GET")} == set(), "there are no such routes"
    assert AUDITED.keys() & WITHOUT_ROWS.keys() == set()


def test_every_action_is_one_that_some_request_leaves() -> None:
    told = {action for audited in AUDITED.values() for action in audited.actions}
    elsewhere = {"login.fail", "login.reuse", "workflow.deploy_fail"}
    assert told | elsewhere == {action.value for action in Action} | {RUN_START}


async def test_every_request_that_changes_something_leaves_its_rows(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    faults: list[str] = []
    async with millrace.client("") as anonymous:
        ground = Ground(millrace, api, anonymous)
        admin = (await api.get(f"{V1}/auth/me")).json()["id"]
        for number, route in enumerate([SETUP, *(route for route in AUDITED if route != SETUP)]):
            audited = AUDITED[route]
            ground.headers = {"X-Request-Id": f"request-{number:04}"}
            starts = set(await _starts(api))
            response = await audited.perform(ground)
            assert response.is_success, f"{route}: {response.status_code} {response.text[:500]}"
            assert response.headers["X-Request-Id"] == ground.headers["X-Request-Id"]
            rows = await _rows_of(api, ground.headers["X-Request-Id"])
            left = {row["action"] for row in rows}
            fresh = [row for row_id, row in (await _starts(api)).items() if row_id not in starts]
            if RUN_START in audited.actions:
                left |= {row["action"] for row in fresh}
            if left != set(audited.actions):
                faults.append(f"{route} left {sorted(left)}, and not {sorted(audited.actions)}")
            faults += [f"{route}: {row}" for row in rows if row["address"] != ADDRESS]
            if not route.startswith(("POST /webhook", "POST /approvals")):
                faults += [f"{route}: nobody: {row}" for row in (*rows, *fresh) if not row["actor"]["id"]]
            if route.startswith("PUT /api/v1/secrets"):
                assert [row["actor"]["id"] for row in rows] == [admin]
                assert rows[0]["credential_id"]
    assert faults == [], "\n".join(faults)


async def _rows_of(api: httpx2.AsyncClient, request_id: str) -> list[dict[str, Any]]:
    page = (await api.get(f"{V1}/audit-logs", params={"limit": 50})).json()
    return [row for row in page["items"] if row["request_id"] == request_id]


async def _starts(api: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    page = (await api.get(f"{V1}/audit-logs", params={"action": RUN_START, "limit": 20})).json()
    return {row["id"]: row for row in page["items"]}

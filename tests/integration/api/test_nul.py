"""The character NUL in an address: PostgreSQL takes no text that has it, so it must not come as far as any query."""

import re

import httpx2
import pytest
from starlette.routing import Route

from tests.support.api import problem
from tests.support.installation import Installation

PARAMETER = re.compile(r"\{[^}]+\}")


def addresses(millrace: Installation) -> list[tuple[str, str]]:
    """Every route by each of its methods: with NUL for each part of its path, or else in its query."""
    found = []
    for route in millrace.app.router.routes:
        assert isinstance(route, Route)
        path = PARAMETER.sub("%00", route.path)
        found += [(method, path if "%00" in path else f"{path}?q=%00") for method in sorted(route.methods or ())]
    return found


async def test_every_route_refuses_nul(millrace: Installation, api: httpx2.AsyncClient) -> None:
    tried = addresses(millrace)
    assert len(tried) > 80
    assert len({path for _, path in tried if "?" not in path}) > 40
    for method, address in tried:
        response = await api.request(method, address)
        assert response.status_code == 422, (method, address, response.text)
        if method != "HEAD":
            (fault,) = problem(response, 422, "invalid_request")["faults"]
            assert fault["path"] == ("query.q" if "?" in address else "path")


@pytest.mark.parametrize(
    "address",
    [
        "runs?correlation_id=%00", "runs?workflow=a%00b", "runs?label=a:%00", "artifacts?name=%00", "secrets/a%00",
        "triggers?workflow=%00", "runs/x/tasks/a/%00", "runs/x/logs?task=%00",
    ],
)  # fmt: skip
async def test_nul_is_refused_wherever_it_stands(api: httpx2.AsyncClient, address: str) -> None:
    problem(await api.get(f"/api/v1/{address}"), 422, "invalid_request")


async def test_other_odd_addresses_are_names_of_nothing(api: httpx2.AsyncClient) -> None:
    for odd in ("%01", "%FF", "%ED%A0%80", "%F0%9F%A6%84", "%2500"):
        problem(await api.get(f"/api/v1/runs/{odd}"), 404, "run_not_found")
        assert (await api.get(f"/api/v1/runs?correlation_id={odd}")).json()["items"] == []

"""Two processes on one PostgreSQL: what one of them was told of a workflow holds for the next start by the other.

Each has started the workflow before, so that it remembers what that was.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem
from tests.support.installation import installation
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.service("postgres")

URL = "/api/v1/workflows"


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database(clock=False))
        one, other = [await stack.enter_async_context(installation(tmp_path, url)) for _ in range(2)]
        yield await stack.enter_async_context(one.client()), await stack.enter_async_context(other.client())


def echo(value: Any) -> dict[str, Any]:
    return {"tasks": [{"id": "a", "type": "echo", "config": {"value": value}}]}


async def started(api: httpx2.AsyncClient, reference: str, **headers: str) -> tuple[str, int]:
    """The id of the workflow that a start took, and the number of the version."""
    answer = await api.post(f"{URL}/{reference}/execute", json={}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    workflow = answer.json()["workflow"]
    return workflow["id"], workflow["version"]


async def test_a_deployed_version_is_the_one_that_the_other_starts(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    here, there = both
    workflow = await create(here, {**definition("w"), **echo(0)})
    for number in range(2, 6):
        await started(there, "w")
        await here.put(f"{URL}/w", json=echo(number))
        assert await started(there, "w") == (workflow["id"], number)
        assert await started(there, workflow["id"]) == (workflow["id"], number)


async def test_its_status_is_what_the_other_goes_by(both: tuple[httpx2.AsyncClient, httpx2.AsyncClient]) -> None:
    here, there = both
    await create(here, definition("w"))
    for _ in range(2):
        await started(there, "w")
        await here.patch(f"{URL}/w", json={"status": "inactive"})
        problem(await there.post(f"{URL}/w/execute", json={}), 409, "workflow_inactive")
        await here.patch(f"{URL}/w", json={"status": "active"})


async def test_a_name_means_the_workflow_that_has_it_now(both: tuple[httpx2.AsyncClient, httpx2.AsyncClient]) -> None:
    here, there = both
    first = await create(here, definition("w"))
    await started(there, "w")
    await here.delete(f"{URL}/w")
    problem(await there.post(f"{URL}/w/execute", json={}), 404, "workflow_not_found")

    second = await create(here, definition("w"))
    assert await started(there, "w") == (second["id"], 1)
    assert second["id"] != first["id"]

    await here.patch(f"{URL}/w", json={"name": "other"})
    third = await create(here, definition("w"))
    assert await started(there, "w") == (third["id"], 1)
    assert (await there.get(f"/api/v1/runs?workflow={third['id']}")).json()["items"][0]["workflow"]["name"] == "w"


async def test_a_name_goes_before_a_slug_that_the_other_knows(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    here, there = both
    spelled = await create(here, definition("My Flow"))
    assert await started(there, "my-flow") == (spelled["id"], 1)
    named = await create(here, definition("my-flow"))
    assert await started(there, "my-flow") == (named["id"], 1)


async def test_a_repeated_request_finds_its_run_whatever_has_changed(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    here, there = both
    await create(here, {**definition("w"), **echo(0)})
    first = await there.post(f"{URL}/w/execute", json={}, headers={"Idempotency-Key": "once"})
    await here.put(f"{URL}/w", json=echo(1))
    again = await there.post(f"{URL}/w/execute", json={}, headers={"Idempotency-Key": "once"})
    assert again.json()["id"] == first.json()["id"]


async def test_a_key_finds_no_run_of_a_workflow_that_was_deleted(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    here, there = both
    key = {"Idempotency-Key": "once"}
    first = await create(here, definition("w"))
    assert await started(there, "w", **key) == (first["id"], 1)
    await here.delete(f"{URL}/w")
    problem(await there.post(f"{URL}/w/execute", json={}, headers=key), 404, "workflow_not_found")
    second = await create(here, definition("w"))
    assert await started(there, "w", **key) == (second["id"], 1)


async def test_a_start_for_later_and_the_end_of_all_starts_see_each_other(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    """Either the start is refused, or its run is there when the workflow ends its delayed ones; whoever is first."""
    here, there = both
    later = {"run_at": "2090-01-01T00:00:00Z"}
    for number in range(12):
        await create(here, definition(f"w{number}"))
        await started(there, f"w{number}")
        starting = asyncio.ensure_future(there.post(f"{URL}/w{number}/execute", json=later))
        await asyncio.sleep(0.001 * number)
        assert (await here.patch(f"{URL}/w{number}", json={"status": "inactive"})).status_code == 200
        answer = await starting
        if answer.status_code == 409:
            assert answer.json()["code"] == "workflow_inactive"
            continue
        run = answer.json()["id"]
        async with asyncio.timeout(20):
            while (await there.get(f"/api/v1/runs/{run}")).json()["status"] != "cancelled":  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_no_start_takes_a_version_older_than_the_one_deployed_when_it_was_asked_for(
    both: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    here, there = both
    await create(here, {**definition("w"), **echo(0)})
    deployed, done = 1, False

    async def start_on() -> int:
        count = 0
        while not done:
            least = deployed
            assert (await started(there, "w"))[1] >= least
            count += 1
        return count

    starting = [asyncio.ensure_future(start_on()) for _ in range(4)]
    for number in range(2, 12):
        answer = await here.put(f"{URL}/w", json=echo(number))
        assert answer.status_code == 200
        deployed = number
    done = True
    assert min(await asyncio.gather(*starting)) > 0

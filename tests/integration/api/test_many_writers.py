"""W3, W4: many who change the same thing at once: one after the other, or refused as usual. Nothing is lost or doubled.

On PostgreSQL the writers of several processes meet, too; here they are several installations on one database.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from millrace.storage.tables import deployments, workflow_versions, workflows
from tests.support.api import ECHO, create, definition, problem
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation, installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1/workflows"
MANY = 20


@pytest.fixture
async def apis(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path, database_url: str | None
) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Clients of three processes where one database can have several, of one process else."""
    async with AsyncExitStack() as stack:
        found = [api]
        for _ in range(2 if database_url else 0):
            other = await stack.enter_async_context(installation(tmp_path / "home", database_url))
            found.append(await stack.enter_async_context(other.client()))
        yield found


async def count(millrace: Installation, column: Any) -> int:
    found: int = await millrace.database.read(
        lambda connection: connection.execute(select(func.count(column))).scalar_one()
    )
    return found


async def at_once(apis: list[httpx2.AsyncClient], method: str, path: str, **words: Any) -> list[httpx2.Response]:
    """Ask all of them in turn, without waiting for answers."""
    return await asyncio.gather(*(apis[n % len(apis)].request(method, path, **words) for n in range(MANY)))


async def test_one_name_is_given_once(millrace: Installation, apis: list[httpx2.AsyncClient]) -> None:
    answers = await at_once(apis, "POST", URL, json=definition("wanted"))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (MANY - 1)
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "name_taken")
    assert await count(millrace, workflows.c.id) == await count(millrace, workflow_versions.c.id) == 1


async def test_names_that_make_one_slug_get_slugs_of_their_own(apis: list[httpx2.AsyncClient]) -> None:
    names = [f"Wanted{'!' * number}" for number in range(MANY)]
    made = await asyncio.gather(*(create(apis[n % len(apis)], definition(name)) for n, name in enumerate(names)))
    slugs = {one["slug"] for one in made}
    assert slugs == {"wanted", *(f"wanted-{number}" for number in range(2, MANY + 1))}


async def test_of_changes_of_one_version_one_is_made(millrace: Installation, apis: list[httpx2.AsyncClient]) -> None:
    made = await create(apis[0], definition("changed"))
    seen = (await apis[0].get(f"{URL}/changed")).headers["ETag"]
    bodies = [{"tasks": [{**ECHO, "config": {"value": f"new {number}"}}]} for number in range(MANY)]
    answers = await asyncio.gather(
        *(
            apis[n % len(apis)].put(f"{URL}/changed", json=body, headers={"If-Match": seen})
            for n, body in enumerate(bodies)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (MANY - 1)
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "stale_version")
    assert made["version"] == 1
    assert await count(millrace, workflow_versions.c.id) == 2


async def test_deployments_at_once_leave_one_that_holds(millrace: Installation, apis: list[httpx2.AsyncClient]) -> None:
    await create(apis[0], definition("deployed"))
    answers = await at_once(apis, "POST", f"{URL}/deployed/deploy")
    made = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer not in made:
            problem(answer, 503, "busy")
    assert len(made) >= 8
    assert await count(millrace, deployments.c.id) == 1 + len(made), "one by the creation, and each is recorded once"
    shown = (await apis[0].get(f"{URL}/deployed")).json()
    assert shown["deployed_version"] == 1


@ON_POSTGRES
async def test_secrets_set_at_once_are_counted(millrace: Installation, apis: list[httpx2.AsyncClient]) -> None:
    answers = await at_once(apis, "PUT", "/api/v1/secrets/door", json={"value": "the same value"})
    assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
    assert (await apis[0].get("/api/v1/secrets/door")).json()["version"] == MANY

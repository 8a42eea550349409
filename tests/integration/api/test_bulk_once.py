"""X3: a batch of an operation and the note that it is done are one transaction, so no run is asked twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, select

from millrace.core.values import SECOND
from millrace.storage import tables
from millrace.system import SystemClock
from tests.support.api import create, definition, start
from tests.support.installation import CountingDatabase, Installation
from tests.support.planting import Planted, plant

URL = "/api/v1"

SQLITE = ["create trigger refuse before update on operations begin select raise(abort, 'not now'); end"]
POSTGRES = [
    "create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$",
    "create trigger refuse before update on operations for each row execute function refuse()",
]


@asynccontextmanager
async def nothing_noted(millrace: Installation) -> AsyncIterator[None]:
    """Whatever would write how far an operation has come fails meanwhile."""
    on_sqlite = isinstance(millrace.database, CountingDatabase)
    await tell(millrace, SQLITE if on_sqlite else POSTGRES)
    try:
        yield
    finally:
        await tell(millrace, ["drop trigger refuse" if on_sqlite else "drop function refuse cascade"])


async def tell(millrace: Installation, statements: Sequence[str]) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await millrace.database.write(work)


async def events(api: httpx2.AsyncClient, run_id: str, kind: str) -> list[dict[str, Any]]:
    items = (await api.get(f"{URL}/runs/{run_id}/events")).json()["items"]
    return [item for item in items if item["type"] == kind]


async def settled(api: httpx2.AsyncClient) -> list[str]:
    """How the runs have ended, once they all have."""
    async with asyncio.timeout(60):
        while True:
            items = (await api.get(f"{URL}/runs?workflow=holding")).json()["items"]
            live = [run["id"] for run in items if run["finished_at"] is None]
            if not live:
                return [run["status"] for run in items]
            await api.get(f"{URL}/runs/{live[0]}/events?after=3&wait_seconds=5")


@pytest.fixture
async def held(api: httpx2.AsyncClient) -> list[str]:
    """The ids of three runs that go on for ever."""
    await create(api, definition("holding", {"id": "long", "type": "hold"}))
    return [(await start(api, "holding"))["id"] for _ in range(3)]


async def test_a_batch_that_is_not_noted_has_asked_nobody(
    millrace: Installation, api: httpx2.AsyncClient, held: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await api.post(f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"workflow": "holding"}})
    async with nothing_noted(millrace):
        assert await millrace.container.operations.run_once() is None
        assert "not now" in caplog.text
        waiting = await millrace.database.read(lambda connection: connection.execute(select(tables.inbox)).all())
        asked = [await events(api, run_id, "run.cancel_requested") for run_id in held]
    assert (waiting, asked) == ([], [[], [], []])

    while await millrace.container.operations.run_once() is not None:
        pass
    assert await settled(api) == ["cancelled"] * 3
    assert [len(await events(api, run_id, "run.cancel_requested")) for run_id in held] == [1, 1, 1]
    operation = (await api.get(f"{URL}/operations/{answer.json()['id']}")).json()
    assert (operation["done"], operation["failed"]) == (3, 0)


async def test_two_processes_that_are_at_the_same_batch_ask_each_run_once(
    millrace: Installation, api: httpx2.AsyncClient, held: list[str]
) -> None:
    answer = await api.post(f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"workflow": "holding"}})
    operations = millrace.container.operations

    while any(left is not None for left in await asyncio.gather(operations.run_once(), operations.run_once())):
        pass

    assert await settled(api) == ["cancelled"] * 3
    assert [len(await events(api, run_id, "run.cancel_requested")) for run_id in held] == [1, 1, 1]
    operation = (await api.get(f"{URL}/operations/{answer.json()['id']}")).json()
    assert (operation["done"], operation["failed"]) == (3, 0)


async def test_an_operation_that_cannot_go_on_holds_up_no_other(
    millrace: Installation, api: httpx2.AsyncClient, held: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = [await cancel_all(api) for _ in range(2)]

    def as_no_release_writes_it(connection: Connection) -> None:
        noted = tables.operations
        connection.execute(noted.update().where(noted.c.id == broken).values(request='{"narrow": {"colour": "red"}}'))

    await millrace.database.write(as_no_release_writes_it)
    while await millrace.container.operations.run_once() is not None:
        pass
    await millrace.container.operations.run_once()
    statuses = [(await api.get(f"{URL}/operations/{operation}")).json()["status"] for operation in (broken, whole)]
    assert statuses == ["running", "completed"]
    assert caplog.text.count(f"operation {broken} is put off") == 1


async def test_runs_of_a_process_whose_clock_is_ahead_are_meant_too(
    millrace: Installation, api: httpx2.AsyncClient, held: list[str]
) -> None:
    query = select(tables.runs.c.workflow_id, tables.runs.c.version_id).limit(1)
    workflow_id, version_id = await millrace.database.read(lambda connection: connection.execute(query).one())
    later = Planted(SystemClock().now() + 3_600 * SECOND, finished=False)
    await millrace.database.write(lambda connection: plant(connection, {"id": workflow_id}, version_id, later))
    operation = await cancel_all(api)
    while await millrace.container.operations.run_once() is not None:
        pass
    told = (await api.get(f"{URL}/operations/{operation}")).json()
    assert (told["total"], told["done"]) == (4, 4)


async def cancel_all(api: httpx2.AsyncClient) -> str:
    """The id of the operation."""
    answer = await api.post(f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"workflow": "holding"}})
    operation_id: str = answer.json()["id"]
    return operation_id

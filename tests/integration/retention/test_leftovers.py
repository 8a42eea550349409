"""What belongs to no run goes, too: operations that have ended, and workers that died, once nothing refers to them."""

import time
from typing import Any

import httpx2
from sqlalchemy import insert, select

from millrace.core.values import SECOND
from millrace.storage.tables import attempts, incarnations, operations
from tests.integration.retention.test_retention import AT_ONCE, a_round, ago, workflow
from tests.support.api import start
from tests.support.installation import Installation


def operation(id_: str, *, days: float, finished: bool = True) -> dict[str, Any]:
    return {
        "id": id_, "kind": "retry", "request": '{"filter":{},"until":""}', "total": 0, "created_at": ago(days),
        "status": "completed" if finished else "running", "finished_at": ago(days) if finished else None,
    }  # fmt: skip


def worker(id_: str, *, days: float, end: str | None = "retired_at") -> dict[str, Any]:
    row = {
        "id": id_, "host": "h", "pid": 1, "queues": '["default"]', "slots": 1, "started_at": ago(days + 1),
        "heartbeat_at": ago(days), "lease_until": ago(days) if end else int(time.time() * SECOND) + 3600 * SECOND,
        "lost_at": None, "retired_at": None,
    }  # fmt: skip
    return row if end is None else {**row, end: ago(days)}


async def add(millrace: Installation, table: Any, *rows: dict[str, Any]) -> None:
    await millrace.database.write(lambda connection: connection.execute(insert(table), list(rows)))


async def ids(millrace: Installation, table: Any) -> set[str]:
    return set(await millrace.database.read(lambda connection: connection.execute(select(table.c.id)).scalars().all()))


async def dry_run(api: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await api.post("/api/v1/retention/run", json={"dry_run": True})).json()
    return found


async def test_operations_go_when_they_ended_long_ago(millrace: Installation, api: httpx2.AsyncClient) -> None:
    rows = [operation("old", days=100), operation("young", days=80), operation("busy", days=400, finished=False)]
    await add(millrace, operations, *rows)
    assert (await dry_run(api))["operations"] == 1

    assert (await a_round(millrace, api))["operations"] == 1

    assert await ids(millrace, operations) == {"young", "busy"}
    assert (await dry_run(api))["operations"] == 0


async def test_dead_workers_go_when_nothing_refers_to_them(millrace: Installation, api: httpx2.AsyncClient) -> None:
    alive = await ids(millrace, incarnations)
    await workflow(api, "kept", runs="never")
    run = await start(api, "kept", wait=True)
    rows = [
        worker("retired", days=100),
        worker("lost", days=100, end="lost_at"),
        worker("young", days=80),
        worker("silent", days=100, end=None),
        worker("needed", days=100),
    ]
    await add(millrace, incarnations, *rows)
    await add(
        millrace,
        attempts,
        {
            "run_id": run["id"], "path": "a", "number": 2, "token": "t", "status": "lost", "queue": "default",
            "incarnation_id": "needed", "available_at": 1, "finished_at": 2,
        },
    )  # fmt: skip
    await millrace.database.write(
        lambda connection: connection.exec_driver_sql("update task_runs set attempt = 2 where path = 'a'")
    )
    assert (await dry_run(api))["incarnations"] == 2

    assert (await a_round(millrace, api))["incarnations"] == 2

    assert await ids(millrace, incarnations) == {"young", "silent", "needed", *alive}


async def test_many_go_in_batches(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await add(millrace, operations, *(operation(f"o{number}", days=100) for number in range(1200)))
    await add(millrace, incarnations, *(worker(f"w{number:04}", days=100) for number in range(1200)))
    preview = await dry_run(api)
    assert (preview["operations"], preview["incarnations"]) == (1200, 1200)

    last = await a_round(millrace, api)

    assert (last["operations"], last["incarnations"]) == (1200, 1200)
    assert await ids(millrace, operations) == set()


async def test_a_worker_goes_in_the_round_that_deletes_its_last_run(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await workflow(api, "short", **AT_ONCE)
    run = await start(api, "short", wait=True)
    await add(millrace, incarnations, worker("gone", days=100))
    await millrace.database.write(
        lambda connection: connection.exec_driver_sql("update attempts set incarnation_id = 'gone'")
    )
    assert (await dry_run(api))["incarnations"] == 0, "its run is still there"

    last = await a_round(millrace, api)

    assert (last["runs"], last["incarnations"]) == (1, 1)
    assert (await api.get(f"/api/v1/runs/{run['id']}")).status_code == 404

"""What belongs to no run goes, too: operations that have ended, and workers that died, once nothing refers to them."""

import time
from typing import Any

import httpx2
from sqlalchemy import Connection, insert, select, update

from millrace.app.retention.cleaning import Retention
from millrace.app.retention.incarnations import DeadIncarnations
from millrace.app.retention.policy import Policy
from millrace.app.retention.queries import RetentionQueries
from millrace.core.values import SECOND
from millrace.storage.tables import api_keys, attempts, incarnations, operations
from millrace.system import SystemClock, Uuid7Ids
from tests.integration.retention.test_retention import AT_ONCE, a_round, ago, planted, workflow
from tests.integration.storage.test_query_plans import listening
from tests.support.installation import Installation, archiver_of
from tests.support.planting import Planted


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


async def test_api_keys_go_when_they_ended_long_ago(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """The log has still who had them."""
    made = {
        name: (await api.post("/api/v1/api-keys", json={"name": name})).json()["id"]
        for name in ("revoked", "over", "just revoked", "just over", "over and revoked", "unused for years", "to come")
    }
    ended = {
        "revoked": {"revoked_at": ago(91)},
        "over": {"expires_at": ago(91)},
        "just revoked": {"revoked_at": ago(89)},
        "just over": {"expires_at": ago(89)},
        "over and revoked": {"revoked_at": ago(2), "expires_at": ago(91)},
        "unused for years": {"created_at": ago(1_000), "last_used_at": ago(999)},
        "to come": {"created_at": ago(1_000), "expires_at": ago(-1)},
    }

    def end(connection: Connection) -> None:
        for name, values in ended.items():
            connection.execute(update(api_keys).where(api_keys.c.id == made[name]).values(**values))

    await millrace.database.write(end)

    await a_round(millrace, api)

    left = {key["name"] for key in (await api.get("/api/v1/api-keys")).json()["items"]}
    assert left == {"first key", "just revoked", "just over", "unused for years", "to come"}
    log = (await api.get("/api/v1/audit-logs", params={"action": "api_key.create"})).json()["items"]
    assert {made["revoked"], made["over"]} <= {row["entity_id"] for row in log}


async def test_operations_stay_while_their_keys_may_be_used(millrace: Installation) -> None:
    """However short runs are kept: the same key and request give the same operation for seven days."""
    await add(millrace, operations, operation("keyed", days=6), operation("unkeyed", days=8))
    service = Retention(millrace.database, None, SystemClock(), Uuid7Ids(), Policy("1d", "1d"), archiver_of(millrace))
    seen = RetentionQueries(millrace.database, SystemClock(), Policy("1d", "1d"), service)
    assert (await seen.preview())["operations"] == 1

    service.request()
    await service.run_once()

    assert await ids(millrace, operations) == {"keyed"}


async def old_run(millrace: Installation, api: httpx2.AsyncClient, worker_id: str, **rule: str) -> Planted:
    """A run of 110 days ago whose attempt was claimed by a worker, of a workflow with that rule."""
    run = Planted(ago(110), 1)
    await planted(millrace, await workflow(api, "old", **rule), run)
    await claimed(millrace, run, worker_id)
    return run


async def claimed(millrace: Installation, run: Planted, worker_id: str | None) -> None:
    statement = update(attempts).where(attempts.c.run_id == run.id).values(incarnation_id=worker_id)
    await millrace.database.write(lambda connection: connection.execute(statement))


async def test_dead_workers_go_when_nothing_refers_to_them(millrace: Installation, api: httpx2.AsyncClient) -> None:
    alive = await ids(millrace, incarnations)
    await old_run(millrace, api, "needed", runs="never")
    rows = [
        worker("retired", days=100),
        worker("lost", days=100, end="lost_at"),
        worker("young", days=80),
        worker("silent", days=100, end=None),
        worker("needed", days=100),
    ]
    await add(millrace, incarnations, *rows)
    assert (await dry_run(api))["incarnations"] == 2

    assert (await a_round(millrace, api))["incarnations"] == 2

    assert await ids(millrace, incarnations) == {"young", "silent", "needed", *alive}


async def test_a_walk_along_many_attempts_is_spread_over_rounds(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    of = await workflow(api, "old", runs="never")
    runs = [Planted(ago(110), number) for number in range(10)]
    await planted(millrace, of, *runs)
    await claimed(millrace, runs[9], "needed")
    await add(millrace, incarnations, worker("needed", days=100), worker("unneeded", days=100))
    dead = DeadIncarnations(millrace.database, most=4)

    found = [[ids async for ids in dead.unreferenced(ago(90))] for _ in range(3)]

    assert found == [[], [], [["unneeded"]]]


async def test_who_is_known_to_be_needed_costs_no_walk(millrace: Installation, api: httpx2.AsyncClient) -> None:
    run = await old_run(millrace, api, "needed", runs="never")
    await add(millrace, incarnations, worker("needed", days=100))

    walks = []
    for _ in range(2):
        with listening() as issued:
            assert (await a_round(millrace, api))["incarnations"] == 0
        walks.append(len([sql for sql, _ in issued if "attempts" in sql and "LIMIT" in sql]))
    assert walks == [1, 0]

    await claimed(millrace, run, None)
    assert (await a_round(millrace, api))["incarnations"] == 1


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
    run = await old_run(millrace, api, "gone", **AT_ONCE)
    await add(millrace, incarnations, worker("gone", days=100))
    assert (await dry_run(api))["incarnations"] == 0, "its run is still there"

    last = await a_round(millrace, api)

    assert (last["runs"], last["incarnations"]) == (1, 1)
    assert (await api.get(f"/api/v1/runs/{run.id}")).status_code == 404

"""O5: what has been kept long enough goes, as a whole; everything else stays."""

import time
from typing import Any

import httpx2
import pytest

from millrace.core.values import SECOND, Instant
from millrace.storage import tables
from millrace.storage.doctor import Doctor
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation
from tests.support.planting import DAY, Planted, plant, rows_by_table

AT_ONCE = {"runs": "1ms"}


def ago(days: float) -> Instant:
    return int(time.time() * SECOND - days * DAY)


async def workflow(api: httpx2.AsyncClient, name: str, **retention: str) -> dict[str, Any]:
    return await create(api, {**definition(name), **({"retention": retention} if retention else {})})


async def planted(millrace: Installation, of: dict[str, Any], *runs: Planted) -> list[str]:
    def work(connection: Any) -> list[str]:
        query = f"select id from workflow_versions where workflow_id = '{of['id']}'"  # noqa: S608
        version_id = connection.exec_driver_sql(query).scalar_one()
        return [plant(connection, of, version_id, run) for run in runs]

    return await millrace.database.write(work)


async def rows(millrace: Installation, run_id: str) -> dict[str, int]:
    return await millrace.database.read(lambda connection: rows_by_table(connection, run_id))


async def a_round(millrace: Installation, api: httpx2.AsyncClient) -> dict[str, Any]:
    """Ask for a round as users do, and do it."""
    response = await api.post("/api/v1/retention/run")
    assert response.status_code == 202, response.text
    await millrace.container.retention.run_once()
    shown = (await api.get("/api/v1/retention")).json()
    assert shown["current_round"] is None
    last: dict[str, Any] = shown["last_round"]
    assert last["id"] == response.json()["round"]["id"]
    assert last["finished_at"] is not None
    assert last["error"] is None
    assert (await Doctor(millrace.database).examine())["problems"] == []
    return last


async def test_a_run_goes_with_everything_that_belonged_to_it(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await workflow(api, "short", **AT_ONCE)
    await workflow(api, "long")
    gone = (await start(api, "short", wait=True))["id"]
    kept = (await start(api, "long", wait=True))["id"]
    assert {"runs", "task_runs", "attempts", "records", "logs"} <= (await rows(millrace, gone)).keys()
    before = await rows(millrace, kept)

    assert (await a_round(millrace, api))["runs"] == 1

    assert await rows(millrace, gone) == {}
    assert await rows(millrace, kept) == before
    problem(await api.get(f"/api/v1/runs/{gone}"), 404, "run_not_found")
    assert (await api.get(f"/api/v1/runs/{kept}")).json()["status"] == "completed"


async def test_payloads_and_logs_go_before_the_run(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await workflow(api, "brief", payloads="1ms")
    run = await start(api, "brief", wait=True, input={"day": 1})
    assert run["payloads_deleted_at"] is None
    assert (await api.get(f"/api/v1/runs/{run['id']}/tasks/a")).json()["output"] == 1

    last = await a_round(millrace, api)
    assert (last["runs"], last["payloads"]) == (0, 1)

    task = (await api.get(f"/api/v1/runs/{run['id']}/tasks/a")).json()
    assert (task["status"], task["input"], task["output"]) == ("completed", None, None)
    shown = (await api.get(f"/api/v1/runs/{run['id']}")).json()
    assert (shown["status"], shown["input"]) == ("completed", {"day": 1})
    (listed,) = (await api.get("/api/v1/runs")).json()["items"]
    assert last["started_at"] <= shown["payloads_deleted_at"] == listed["payloads_deleted_at"] <= last["finished_at"]
    left = await rows(millrace, run["id"])
    assert left.keys() == {"runs", "task_runs", "attempts", "records"}
    assert (await a_round(millrace, api))["payloads"] == 0, "once is enough"


async def test_a_run_that_has_not_finished_is_never_touched(millrace: Installation, api: httpx2.AsyncClient) -> None:
    body = {**definition("held", {"id": "a", "type": "hold"}), "retention": {"runs": "1ms", "payloads": "1ms"}}
    await create(api, body)
    run = await start(api, "held")
    of = await workflow(api, "old")
    (old,) = await planted(millrace, of, Planted(ago(400), finished=False, run={"status": "paused"}))
    before = await rows(millrace, run["id"]), await rows(millrace, old)

    await api.post("/api/v1/retention/run")
    await millrace.container.retention.run_once()

    assert (await rows(millrace, run["id"]), await rows(millrace, old)) == before


async def test_the_rule_of_the_installation_and_the_end_of_a_run_decide(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    of = await workflow(api, "plain")
    fresh, stripped, gone, long_run = await planted(
        millrace,
        of,
        Planted(ago(29), 1),
        Planted(ago(31), 2),
        Planted(ago(91), 3),
        Planted(ago(200), 4, finished_at=ago(2)),
    )
    last = await a_round(millrace, api)
    assert (last["runs"], last["payloads"]) == (1, 1)
    assert (await rows(millrace, fresh))["logs"] == 2
    assert "logs" not in await rows(millrace, stripped)
    assert await rows(millrace, gone) == {}
    assert (await rows(millrace, long_run))["logs"] == 2


async def test_never_is_for_ever(millrace: Installation, api: httpx2.AsyncClient) -> None:
    of = await workflow(api, "kept", runs="never", payloads="never")
    (run_id,) = await planted(millrace, of, Planted(ago(4000)))
    before = await rows(millrace, run_id)
    last = await a_round(millrace, api)
    assert (last["runs"], last["payloads"]) == (0, 0)
    assert await rows(millrace, run_id) == before


@pytest.mark.parametrize("hindrance", ["runs", "has just finished"])
async def test_a_family_goes_as_one(millrace: Installation, api: httpx2.AsyncClient, hindrance: str) -> None:
    of = await workflow(api, "parent")
    at = ago(100)
    root = Planted(at, 1)
    retry = Planted(at + DAY, 2, root=root.id)
    last = Planted(at + 2 * DAY, 3, root=root.id, finished_at=ago(1))
    if hindrance == "runs":
        last = Planted(at + 2 * DAY, 3, root=root.id, finished=False, run={"status": "paused"})
    ids = await planted(millrace, of, root, retry, last)
    await api.post("/api/v1/retention/run")
    await millrace.container.retention.run_once()
    assert all([(await rows(millrace, run_id)).get("logs") == 2 for run_id in ids]), "also its payloads"

    def end(connection: Any) -> None:
        connection.exec_driver_sql(
            f"update runs set status = 'completed', finished_at = {ago(91)} where id = '{ids[2]}'"  # noqa: S608
        )

    await millrace.database.write(end)
    await api.post("/api/v1/retention/run")
    await millrace.container.retention.run_once()
    assert [await rows(millrace, run_id) for run_id in ids] == [{}, {}, {}]


async def test_a_dry_run_says_what_would_go_and_deletes_nothing(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    first, second = await workflow(api, "first"), await workflow(api, "second", payloads="7d", runs="never")
    root = Planted(ago(100), 1)
    ids = await planted(
        millrace, first, root, Planted(root.at + 1000, 2, root=root.id), Planted(ago(95), 3), Planted(ago(31), 4)
    )
    ids += await planted(millrace, second, Planted(ago(8), 5), Planted(ago(800), 6), Planted(ago(6), 7))
    before = [await rows(millrace, run_id) for run_id in ids]

    response = await api.post("/api/v1/retention/run", json={"dry_run": True})

    assert response.status_code == 200
    assert response.json() == {
        "dry_run": True, "families": 2, "runs": 3, "archived": 0, "payloads": 3, "operations": 0, "incarnations": 0,
        "archives": 0,
        "workflows": [
            {
                "workflow_id": first["id"], "name": "first",
                "kept": {"payloads": "30d", "runs": "90d", "archive": False},
                "families": 2, "runs": 3, "archived": 0, "payloads": 1,
            },
            {
                "workflow_id": second["id"], "name": "second",
                "kept": {"payloads": "7d", "runs": "never", "archive": False},
                "families": 0, "runs": 0, "archived": 0, "payloads": 2,
            },
        ],
    }  # fmt: skip
    assert [await rows(millrace, run_id) for run_id in ids] == before
    last = await a_round(millrace, api)
    assert (last["runs"], last["payloads"]) == (3, 3), "as it said"
    assert (await api.post("/api/v1/retention/run", json={"dry_run": True})).json()["workflows"] == []


async def test_firings_go_with_their_runs_and_events_when_they_are_old(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    of = await workflow(api, "fired")
    gone, kept = await planted(
        millrace, of, Planted(ago(100), 1), Planted(ago(100), 2, finished=False, run={"status": "paused"})
    )

    def add(connection: Any) -> None:
        for number, (at, run_id) in enumerate([(100, gone), (100, kept), (100, None), (2, None)]):
            id_ = Planted(ago(at), number).id
            firing = {"id": id_, "trigger_id": "t", "workflow_id": of["id"], "start_key": "k", "decision": "started"}
            connection.execute(tables.firings.insert().values(**firing, run_id=run_id, at=ago(at)))
            connection.execute(tables.events.insert().values(id=id_, type="x", source="y", at=ago(at)))

    await millrace.database.write(add)
    await api.post("/api/v1/retention/run")
    await millrace.container.retention.run_once()
    last = (await api.get("/api/v1/retention")).json()["last_round"]
    assert (last["runs"], last["firings"], last["events"]) == (1, 2, 3)
    left = await millrace.database.read(
        lambda connection: connection.exec_driver_sql("select run_id from firings order by id").scalars().all()
    )
    assert left == [kept, None]


async def test_a_definition_says_how_long_and_the_version_in_force_counts(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    of = await workflow(api, "changed", runs="400d")
    (run_id,) = await planted(millrace, of, Planted(ago(100)))
    shown = (await api.get("/api/v1/retention")).json()
    assert shown["workflows"] == [
        {"workflow_id": of["id"], "name": "changed", "payloads": "30d", "runs": "400d", "archive": False}
    ]
    assert (await a_round(millrace, api))["runs"] == 0
    response = await api.put("/api/v1/workflows/changed", json={"retention": None})
    assert response.status_code == 200, response.text
    assert (await api.get("/api/v1/retention")).json()["workflows"] == []
    assert (await a_round(millrace, api))["runs"] == 1
    assert await rows(millrace, run_id) == {}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"runs": "0s"}, "retention.runs"),
        ({"payloads": 7}, "retention.payloads"),
        ({"runs": "tomorrow"}, "retention.runs"),
        ({"logs": "1d"}, "retention.logs"),
    ],
)
async def test_a_wrong_period_is_a_fault(api: httpx2.AsyncClient, given: dict[str, Any], path: str) -> None:
    response = await api.post("/api/v1/workflows", json={**definition("wrong"), "retention": given})
    (fault,) = problem(response, 422, "invalid_definition")["faults"]
    assert fault["path"] == path
    assert fault["remedy"]


async def test_an_unknown_field_of_the_request_is_no_round(api: httpx2.AsyncClient) -> None:
    problem(await api.post("/api/v1/retention/run", json={"dry": True}), 422, "invalid_request")

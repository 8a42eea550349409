"""S5: an event starts one run of each trigger that waits for it, however often it is told, and whoever dies."""

import asyncio
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from millrace.app.firing.occasions import Firer, Occasion
from millrace.app.routing import repository
from millrace.app.routing.routing import EventRouting
from millrace.app.runs.starting import Fired
from millrace.app.triggers.repository import TriggerRow
from millrace.bootstrap import running
from millrace.config import Settings
from millrace.core.errors import Unavailable
from millrace.roles import Role
from millrace.storage.tables import events
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import ECHO, create
from tests.support.installation import Installation, installation
from tests.support.postgres import fresh_database
from tests.support.routing_kit import Millrace, millrace_on, waiting_for


async def test_an_event_starts_a_run_that_sees_it(millrace: Millrace) -> None:
    trigger = waiting_for(
        "orders.*", input={"n": "{{ trigger.event.data.count }}", "from": "{{ trigger.event.source }}"}
    )
    made = await millrace.deploy("Report", trigger)
    event = await millrace.publish("orders.imported", source="shop", subject="day/7", data={"count": 17}, id="x")
    (run,) = await millrace.until_runs(made["id"], 1)
    shown = await millrace.get(f"/runs/{run['id']}")
    assert shown["input"] == {"n": 17, "from": "shop"}
    assert await millrace.seen(run) == {
        "id": event["id"],
        "external_id": "x",
        "type": "orders.imported",
        "source": "shop",
        "subject": "day/7",
        "time": event["at"],
        "data": {"count": 17},
        "extensions": {},
    }
    (firing,) = await millrace.firings(made["id"])
    assert (firing["decision"], firing["run_id"]) == ("started", run["id"])
    assert firing["start_key"] == f"event:{event['id']}"


async def test_an_event_told_many_times_at_once_starts_one_run_of_each_trigger(millrace: Millrace) -> None:
    names = [f"w{number}" for number in range(3)]
    for name in names:
        await millrace.deploy(name, waiting_for("deployed"))
    told = await asyncio.gather(*(millrace.publish("deployed", source="ci", id="build-1", data=n) for n in range(50)))
    assert len({one["id"] for one in told}) == 1
    assert sorted(one["repeated"] for one in told) == [False, *[True] * 49]
    await millrace.until_routed()
    for name in names:
        assert len(await millrace.until_runs(name, 1)) == 1
        assert [firing["decision"] for firing in await millrace.firings(name)] == ["started"]


async def test_only_those_are_started_whose_filters_all_hold(millrace: Millrace) -> None:
    for name, trigger in {
        "exact": waiting_for("a.b.c"),
        "below": waiting_for(["a.b.*", "a.*", "*"]),
        "other": waiting_for("a.b"),
        "source": waiting_for("*", source="shops/*"),
        "elsewhere": waiting_for("*", source="shop"),
        "subject": waiting_for("a.*", subject=["order/1", "order/2"]),
        "if": waiting_for("a.*") | {"if": "{{ trigger.event.data.n > 1 }}"},
        "if-not": waiting_for("a.*") | {"if": "{{ trigger.event.data.n > 2 }}"},
        "disabled": waiting_for("a.*", enabled=False),
    }.items():
        await millrace.deploy(name, trigger)
    await millrace.publish("a.b.c", source="shops/berlin", subject="order/2", data={"n": 2})
    await millrace.until_routed()
    page = await millrace.get("/runs")
    assert {run["workflow"]["name"] for run in page["items"]} == {"exact", "below", "source", "subject", "if"}
    assert len(page["items"]) == 5
    assert await millrace.firings("if-not") == [], "an event that is not wanted is no firing"


async def test_an_expression_without_a_value_fails_the_firing_and_no_other(millrace: Millrace) -> None:
    await millrace.deploy("broken", waiting_for("a") | {"if": "{{ trigger.event.data.n > 1 }}"})
    await millrace.deploy("sound", waiting_for("a"))
    await millrace.publish("a", data={"m": 1})
    await millrace.until_runs("sound", 1)
    await millrace.until_routed()
    (firing,) = await millrace.firings("broken")
    assert firing["decision"] == "failed"
    assert "n" in firing["reason"]
    (trigger,) = (await millrace.get("/workflows/broken/triggers"))["items"]
    assert (trigger["counts"]["failed"], trigger["last_error"]) == (1, firing["reason"])


async def test_silence_takes_effect_at_once(millrace: Millrace) -> None:
    made = await millrace.deploy("w", waiting_for("a"))
    (trigger,) = (await millrace.get("/workflows/w/triggers"))["items"]
    await millrace.publish("a", data=1)
    await millrace.until_runs("w", 1)
    for method, silence, end in (
        ("POST", f"/triggers/{trigger['id']}/disable", f"/triggers/{trigger['id']}/enable"),
        ("DELETE", f"/workflows/{made['id']}/deploy", f"/workflows/{made['id']}/deploy"),
        ("POST", f"/workflows/{made['id']}/disable", f"/workflows/{made['id']}/enable"),
    ):
        assert (await millrace.api.request(method, f"/api/v1{silence}")).status_code == 200
        await millrace.publish("a", data="unheard")
        await millrace.until_routed()
        await millrace.post(end)
    await millrace.publish("a", data=2)
    runs = await millrace.until_runs("w", 2)
    assert [(await millrace.seen(run))["data"] for run in runs] == [1, 2]


async def test_a_trigger_that_asks_for_another_type_is_found_by_that_one_only(millrace: Millrace) -> None:
    made = await millrace.deploy("w", waiting_for("old"))
    response = await millrace.api.patch(f"/api/v1/workflows/{made['id']}", json={"triggers": [waiting_for("new")]})
    assert response.status_code == 200, response.text
    await millrace.publish("old")
    await millrace.publish("new")
    (run,) = await millrace.until_runs("w", 1)
    await millrace.until_routed()
    assert len(await millrace.runs("w")) == 1
    assert (await millrace.seen(run))["type"] == "new"


async def test_more_triggers_than_one_page_holds(millrace: Millrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.app.routing.router.PAGE", 2)
    for number in range(5):
        await millrace.deploy(f"w{number}", waiting_for(["a.b", "a.*"] if number % 2 else "*"))
    await millrace.publish("a.b")
    await millrace.until_routed()
    names = [run["workflow"]["name"] for run in (await millrace.get("/runs"))["items"]]
    assert sorted(names) == [f"w{number}" for number in range(5)]


# --- who dies between ---------------------------------------------------------------------------------------------


async def told(millrace: Installation, **event: Any) -> None:
    async with millrace.client() as api:
        response = await api.post("/api/v1/events", json={"type": "a", **event})
        assert response.status_code == 202, response.text


async def test_what_was_stored_before_a_crash_is_routed_by_the_next_start(
    tmp_path: Path, database_url: str | None
) -> None:
    home = tmp_path / "home"
    async with installation(home, database_url) as before:  # it has no router
        async with before.client() as api:
            await create(api, {"name": "w", "triggers": [waiting_for("a")], "tasks": [ECHO]})
        await told(before, data=1)
        await told(before, data=2)
    async with millrace_on(home, database_url) as after:
        await after.until_routed()
        assert len(await after.runs("w")) == 2


async def test_routing_the_same_events_many_times_at_once_starts_nothing_twice(
    tmp_path: Path, database_url: str | None
) -> None:
    async with installation(tmp_path / "home", database_url) as there:
        async with there.client() as api:
            for number in range(3):
                await create(api, {"name": f"w{number}", "triggers": [waiting_for("a")], "tasks": [ECHO]})
        for number in range(10):
            await told(there, data=number)
        of = there.container
        routers = [
            EventRouting(
                of.database, of.triggers.router, of.triggers.firer, of.triggers.waits, SystemClock(), Uuid7Ids()
            )
            for _ in range(4)
        ]
        await asyncio.gather(*(router.run_once() for router in routers))
        # And once more, as if none of them had come so far as to mark what is done.
        await there.database.write(
            lambda connection: connection.execute(events.update().values(routed_at=None)) and None
        )
        await routers[0].run_once()
        async with there.client() as api:
            page = (await api.get("/api/v1/runs", params={"limit": 200})).json()
    assert len(page["items"]) == 30


class Faulty:
    """Fires as the real one does, but for what is still to go wrong, by the name of the trigger."""

    def __init__(self, real: Firer, faults: dict[str, list[Exception]]) -> None:
        self._real = real
        self._faults = faults

    async def fire(self, row: TriggerRow, occasion: Occasion) -> Fired:
        if self._faults.get(row.name):
            raise self._faults[row.name].pop(0)
        return await self._real.fire(row, occasion)


async def test_a_trigger_that_cannot_be_fired_stands_in_nobodys_way(tmp_path: Path, database_url: str | None) -> None:
    async with installation(tmp_path / "home", database_url) as there, there.client() as api:
        triggers = [waiting_for("a", id=name) for name in ("broken", "away", "sound")]
        await create(api, {"name": "w", "triggers": triggers, "tasks": [ECHO]})
        await told(there)
        of = there.container
        faults: dict[str, list[Exception]] = {
            "broken": [RuntimeError("a defect")],
            "away": [Unavailable("store_unavailable", "the disk is full")],
        }
        clock = SystemClock()
        firer = cast(Firer, Faulty(of.triggers.firer, faults))
        routing = EventRouting(of.database, of.triggers.router, firer, of.triggers.waits, clock, Uuid7Ids())
        await routing.run_once()
        assert await decisions(api) == {"broken": "failed", "sound": "started"}
        assert await repository.unrouted(there.database, 1, without=()), "it is to be tried again"
        again = EventRouting(of.database, of.triggers.router, of.triggers.firer, of.triggers.waits, clock, Uuid7Ids())
        await again.run_once()
        runs = (await api.get("/api/v1/runs")).json()["items"]
        assert sorted(run["trigger_type"] for run in runs) == ["event"] * 3
        assert await repository.unrouted(there.database, 1, without=()) == []


async def decisions(api: httpx2.AsyncClient) -> dict[str, str]:
    """What became of the only firing of each trigger, by its name."""
    names = {one["id"]: one["name"] for one in (await api.get("/api/v1/triggers")).json()["items"]}
    firings = (await api.get("/api/v1/workflows/w/firings")).json()["items"]
    return {names[firing["trigger_id"]]: firing["decision"] for firing in firings}


@pytest.mark.service("postgres")
async def test_an_event_that_one_process_takes_is_routed_by_another(tmp_path: Path) -> None:
    async with fresh_database(clock=False) as url:
        settings = Settings(home=tmp_path / "home", port=0, database_url=url)
        async with (
            running(settings, role=Role.WORKER),
            running(settings, role=Role.SCHEDULER),
            millrace_on(tmp_path / "home", url, Role.API) as taking,
        ):
            await taking.deploy("w", waiting_for("a"))
            await taking.deploy("after", waiting_for("millrace.run.completed", source="workflows/w"))
            await taking.publish("a")
            await taking.until_runs("w", 1)
            await taking.until_runs("after", 1)

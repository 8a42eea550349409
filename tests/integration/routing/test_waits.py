"""D3: a task that waits for an event goes on when one is stored that it waits for, whoever else wants that event."""

from pathlib import Path
from typing import Any

from millrace.app.events.storing import FEW
from millrace.app.routing.routing import EventRouting
from millrace.roles import Role
from millrace.system import SystemClock, Uuid7Ids
from tests.support.databases import ON_POSTGRES
from tests.support.routing_kit import Millrace, millrace_on, waiting_for

MORE = FEW + 3


def waits_for(type_: str | list[str], **more: Any) -> dict[str, Any]:
    return {"id": "wait", "type": "wait_for_event", "config": {"type": type_, **more}}


async def waiting_run(millrace: Millrace, workflow: str, **given: Any) -> str:
    """A run that has come to wait, or the runs of a loop over its input."""
    started = await millrace.post(f"/workflows/{workflow}/execute", input=given)
    run_id: str = started["id"]

    async def waits() -> bool:
        return bool(await millrace.rows("select 1 from waits where run_id = :id and kind = 'event'", id=run_id))

    await millrace.until(waits)
    return run_id


async def ended(millrace: Millrace, run_id: str) -> dict[str, Any]:
    async def finished() -> dict[str, Any] | None:
        run: dict[str, Any] = await millrace.get(f"/runs/{run_id}")
        return run if run["finished_at"] else None

    found: dict[str, Any] = await millrace.until(finished)
    return found


async def test_an_event_that_tasks_alone_wait_for_is_done_with_when_it_is_stored(millrace: Millrace) -> None:
    await millrace.deploy("w", tasks=[waits_for("came", key="{{ input.key }}")])
    chosen = await waiting_run(millrace, "w", key="a")
    other = await waiting_run(millrace, "w", key="b")
    event = await millrace.publish("came", subject="a")
    (times,) = await millrace.rows("select at, told_at, routed_at from events where id = :id", id=event["id"])
    assert len(set(times)) == 1, "nobody else had to look at it"
    assert (await ended(millrace, chosen))["status"] == "completed"
    assert (await millrace.get(f"/runs/{other}"))["status"] == "waiting"


@ON_POSTGRES
async def test_a_process_that_only_serves_http_wakes_who_waits(tmp_path: Path, database_url: str | None) -> None:
    """It has no router, and there is no other process that could read the inbox."""
    async with millrace_on(tmp_path / "home", database_url, Role.API) as millrace:
        await millrace.deploy("w", tasks=[waits_for("came")])
        run_id = await waiting_run(millrace, "w")
        await millrace.publish("came")
        assert (await ended(millrace, run_id))["status"] == "completed"


@ON_POSTGRES
async def test_an_event_for_a_task_and_a_trigger_reaches_both_once(tmp_path: Path, database_url: str | None) -> None:
    """A wait that comes after it, in the next iteration, is not for an event that came before, however late that is
    routed."""
    loop = {
        "id": "each",
        "type": "foreach",
        "config": {"items": [1, 2], "concurrency": 1},
        "tasks": [waits_for("came")],
    }
    async with millrace_on(tmp_path / "home", database_url, Role.API) as millrace:
        await millrace.deploy("loop", tasks=[loop])
        await millrace.deploy("started", waiting_for("came"))
        run_id = await waiting_run(millrace, "loop")
        await millrace.publish("came", data=1)

        async def second_waits() -> bool:
            query = "select 1 from waits where run_id = :id and path = 'each[1].wait'"
            return bool(await millrace.rows(query, id=run_id))

        await millrace.until(second_waits)
        await routing_of(millrace).run_once()
        await millrace.until_routed()
        assert len(await millrace.runs("started")) == 1
        assert await second_waits()
        assert await millrace.rows("select 1 from inbox where run_id = :id", id=run_id) == []
        await millrace.publish("came", data=2)
        assert (await ended(millrace, run_id))["status"] == "completed"


def routing_of(millrace: Millrace) -> EventRouting:
    of = millrace.runtime.container.triggers
    database = millrace.runtime.database
    return EventRouting(database, of.router, of.firer, of.waits, SystemClock(), Uuid7Ids())


async def test_very_many_tasks_are_told_by_the_router(millrace: Millrace) -> None:
    many = {
        "id": "each",
        "type": "foreach",
        "config": {"items": "{{ input.items }}", "concurrency": MORE},
        "tasks": [waits_for("came")],
    }
    await millrace.deploy("many", tasks=[many])
    run_id = await waiting_run(millrace, "many", items=list(range(MORE)))

    async def all_wait() -> bool:
        ((count,),) = await millrace.rows("select count(*) from waits where run_id = :id and kind = 'event'", id=run_id)
        return bool(count == MORE)

    await millrace.until(all_wait)
    await millrace.publish("came")
    assert (await ended(millrace, run_id))["status"] == "completed"
    await millrace.until_routed()


async def test_a_task_may_wait_for_the_end_of_a_run_without_any_trigger(millrace: Millrace) -> None:
    await millrace.deploy("waits", tasks=[waits_for("millrace.run.completed", key="runs/{{ input.run }}")])
    await millrace.deploy("ends", tasks=[{"id": "nap", "type": "wait_for_event", "config": {"signal": "go"}}])
    first = await millrace.post("/workflows/ends/execute", input={})
    run_id = await waiting_run(millrace, "waits", run=first["id"])
    await millrace.post(f"/runs/{first['id']}/signal", name="go")
    run = await ended(millrace, run_id)
    assert run["status"] == "completed"
    (task,) = (await millrace.get(f"/runs/{run_id}/tasks"))["items"]
    shown = await millrace.get(f"/runs/{run_id}/tasks/{task['path']}")
    assert shown["output"]["event"]["data"]["run_id"] == first["id"]


async def test_a_task_is_told_of_what_another_publishes(millrace: Millrace) -> None:
    await millrace.deploy("waits", tasks=[waits_for("orders.*", filter="{{ event.data.n > 1 }}")])
    publish = {"id": "tell", "type": "publish_event", "config": {"type": "orders.in", "data": {"n": "{{ input.n }}"}}}
    await millrace.deploy("tells", tasks=[publish])
    run_id = await waiting_run(millrace, "waits")
    for number in (1, 2):
        await millrace.post("/workflows/tells/execute", input={"n": number})
        await millrace.until_runs("tells", number)
    assert (await ended(millrace, run_id))["status"] == "completed"


async def test_who_was_told_goes_on_though_nobody_says_so(millrace: Millrace) -> None:
    """As when the process dies as soon as the event is stored."""
    await millrace.deploy("w", tasks=[waits_for("came")])
    run_id = await waiting_run(millrace, "w")
    millrace.runtime.container.triggers.event_intake.after_publish = lambda _: None
    await millrace.publish("came")
    assert (await ended(millrace, run_id))["status"] == "completed"

"""S2: intervals that are counted from the end of the last run: the next one comes after it, and never beside it."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from millrace.app.endings.listeners import EndedRun
from millrace.app.firing.repository import AWAITING
from millrace.core.values import SECOND
from millrace.storage.tables import triggers
from tests.support.trigger_kit import Process, TriggerKit, definition

HOUR = 3_600 * SECOND


def after_end(**config: Any) -> dict[str, Any]:
    return {"id": "clock", "type": "interval", "config": {"every": "10m", "counted_from": "last_end", **config}}


async def finish(kit: TriggerKit) -> str:
    """End the run that is at work; answers its id."""
    ((run_id,),) = await kit.rows("select id from runs where finished_at is null")
    await kit.execute(
        "update runs set status = 'completed', outcome = 'completed', started_at = now_us(), finished_at = now_us()"
        " where id = :run",
        run=run_id,
    )
    return str(run_id)


def ended(kit: TriggerKit, run_id: str, trigger_id: str) -> EndedRun:
    return EndedRun(
        run_id, "w", "w", "w", "v", "completed", "completed", "interval", trigger_id, 0, None, kit.clock.now()
    )


async def next_due(kit: TriggerKit) -> str | None:
    upcoming = (await kit.trigger())["next_firing"]
    return None if upcoming is None else upcoming["due_at"][:19]


async def test_the_first_run_starts_at_once_and_the_next_after_its_end(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end()))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:00:05Z")
    assert await kit.told() == [("started", "2026-03-01T12:00:00")]
    shown = await kit.trigger()
    ((run_id,),) = await kit.rows("select id from runs")
    assert (shown["next_firing"], shown["awaits_run"], shown["silent_because"]) == (None, run_id, None)
    await kit.sleep_until("2026-03-01T14:05:00Z")
    assert len(await kit.told()) == 1, "never two at once, however long it takes"
    await process.awaited.runs_ended([ended(kit, await finish(kit), shown["id"])])
    assert await next_due(kit) == "2026-03-01T14:15:00"
    assert (await kit.trigger())["awaits_run"] is None
    await kit.sleep_until("2026-03-01T14:15:05Z")
    assert await kit.told() == [("started", "2026-03-01T12:00:00"), ("started", "2026-03-01T14:15:00")]


async def test_an_end_that_nobody_was_told_of_is_found(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end()))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:30:00Z")
    await finish(kit)
    await kit.sleep_until("2026-03-01T12:41:05Z")
    assert [due for _, due in await kit.told()] == ["2026-03-01T12:00:00", "2026-03-01T12:40:00"]


async def test_a_run_that_was_deleted_silences_no_schedule(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end()))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:00:05Z")
    await process.crash()
    for table in ("attempts", "task_runs", "records", "runs"):
        await kit.execute(f"delete from {table}")  # noqa: S608 - names of tables
    await kit.sleep_until("2026-03-01T12:05:00Z")
    await (await kit.process()).awaited.run_once()
    assert await next_due(kit) == "2026-03-01T12:10:00"


async def test_the_same_end_told_twice_and_by_two_processes_counts_once(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end()))
    await process.fire()
    other, shown = await kit.process(), await kit.trigger()
    told = [ended(kit, await finish(kit), shown["id"])]
    await process.awaited.runs_ended(told)
    await other.awaited.runs_ended(told)
    await other.awaited.run_once()
    await kit.sleep_until("2026-03-01T12:10:00Z")
    await process.fire()
    await other.awaited.runs_ended(told)
    await other.fire()
    assert [due for _, due in await kit.told()] == ["2026-03-01T12:00:00", "2026-03-01T12:10:00"]
    assert await next_due(kit) is None


@pytest.mark.parametrize("how", ["skipped", "failed"])
async def test_a_time_at_which_no_run_starts_counts_as_ended_at_once(
    kit: TriggerKit, process: Process, how: str
) -> None:
    fields = {"skipped": {"if": "{{ false }}"}, "failed": {"input": {"x": "{{ variables.days[3] }}"}}}[how]
    await process.deploy(definition(after_end() | fields, variables={"days": []}))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:25:00Z")
    assert await kit.told() == [(how, f"2026-03-01T12:{minute}:00") for minute in ("00", "10", "20")]


async def test_bounds_hold(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end(start="2026-03-01T12:20", end="2026-03-01T12:40")))
    process.schedule()
    assert await next_due(kit) == "2026-03-01T12:20:00"
    await kit.sleep_until("2026-03-01T12:35:00Z")
    await finish(kit)
    await kit.sleep_until("2026-03-01T12:55:00Z")
    assert [due for _, due in await kit.told()] == ["2026-03-01T12:20:00"]
    assert (await kit.trigger())["silent_because"] == "no_next_time"


@pytest.mark.parametrize("how", ["disabled", "edited", "paused"])
async def test_a_schedule_that_begins_anew_waits_for_the_run_it_started(
    kit: TriggerKit, process: Process, how: str
) -> None:
    await process.deploy(definition(after_end()))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:05:00Z")
    await begin_anew(kit, process, how)
    await kit.sleep_until("2026-03-01T12:20:00Z")
    assert len(await kit.told()) == 1, "its run is at work"
    await finish(kit)
    await kit.sleep_until("2026-03-01T12:21:05Z")
    assert await next_due(kit) == "2026-03-01T12:30:00"
    await begin_anew(kit, process, how)
    await kit.sleep_until("2026-03-01T12:29:00Z")
    assert await next_due(kit) == "2026-03-01T12:30:00", "its run ended ten minutes before"


@pytest.mark.parametrize("how", ["disabled", "paused"])
async def test_a_run_that_ended_long_ago_is_followed_by_one_at_once(
    kit: TriggerKit, process: Process, how: str
) -> None:
    await process.deploy(definition(after_end(catch_up="none")))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:05:00Z")
    await begin_anew(kit, process, how, meanwhile=finish_and_wait)
    await kit.sleep_until("2026-03-01T14:00:05Z")
    assert await kit.told() == [("started", "2026-03-01T12:00:00"), ("started", "2026-03-01T14:00:00")]


async def finish_and_wait(kit: TriggerKit) -> None:
    await finish(kit)
    await kit.sleep_until("2026-03-01T14:00:00Z")


async def begin_anew(kit: TriggerKit, process: Process, how: str, meanwhile: Any = None) -> None:
    trigger_id = (await kit.trigger())["id"]
    if how == "edited":
        await process.deploy(definition(after_end() | {"input": {"at": str(kit.clock.now())}}))
        return
    if how == "disabled":
        await process.triggers.disable(trigger_id)
    else:
        await process.deploy({"name": "scheduled", "status": "paused"})
    if meanwhile is not None:
        await meanwhile(kit)
    if how == "disabled":
        await process.triggers.enable(trigger_id)
    else:
        await process.deploy({"name": "scheduled", "status": "active"})


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("none", ("missed", "2026-03-01T12:15:00 to 2026-03-01T12:15:00: 1")),
        ("latest", ("started", "2026-03-01T12:15:00")),
        ("all", ("started", "2026-03-01T12:15:00")),
    ],
)
async def test_after_a_downtime_there_is_one_due_time_at_most(
    kit: TriggerKit, process: Process, policy: str, told: tuple[str, str]
) -> None:
    await process.deploy(definition(after_end(catch_up=policy)))
    await process.fire()
    await process.crash()
    await kit.sleep_until("2026-03-01T12:05:00Z")
    await finish(kit)
    await kit.sleep_until("2026-03-01T14:05:00Z")
    process = await kit.process()
    await process.awaited.run_once()
    await process.fire()
    assert await kit.told() == [("started", "2026-03-01T12:00:00"), told]
    assert await next_due(kit) == ("2026-03-01T14:15:00" if policy == "none" else None)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_set_starts_no_second_run(kit: TriggerKit, process: Process, hours: int) -> None:
    await process.deploy(definition(after_end()))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:05:00Z")
    kit.clock.jump(hours * HOUR)
    await kit.sleep_until("2026-03-01T13:30:00Z")
    assert len(await kit.told()) == 1
    await finish(kit)
    await kit.sleep_until("2026-03-01T13:45:00Z")
    assert [due for _, due in await kit.told()] == ["2026-03-01T12:00:00", "2026-03-01T13:40:00"]


async def test_a_look_at_what_waits_is_a_look_into_an_index(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(after_end(), after_end() | {"id": "silent", "enabled": False}))
    assert not await kit.database.read(process.awaited.listens)
    await process.fire()
    assert await kit.database.read(process.awaited.listens)
    plan = await kit.database.read(plan_of_what_waits)
    assert "ix_triggers_awaiting" in plan, plan


def plan_of_what_waits(connection: Connection) -> str:
    """As for a large table, which PostgreSQL would not read as a whole."""
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.execute(text("set local enable_seqscan = off"))
    asked = AWAITING.where(triggers.c.id > "a").limit(500)
    sql = asked.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    rows = connection.exec_driver_sql(f"explain {'query plan ' if sqlite else ''}{sql}")
    return "\n".join(str(row) for row in rows)

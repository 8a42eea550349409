"""S1: backfills: one run for each due time of the past that has none, in order or so many at once, across crashes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from millrace.app.backfills.commands import BackfillRequest
from millrace.app.backfills.repository import KEPT
from millrace.app.housekeeping import OldBackfills
from millrace.app.retention.repository import first_id_at
from millrace.core.errors import Conflict, InvalidRequest, NotFound
from millrace.core.values import SECOND
from tests.integration.triggers.test_many_schedulers import FailingStore
from tests.support.trigger_kit import USER, Process, TriggerKit, at, cron, definition

MORNING, NOON = "2026-03-01T06:00:00Z", "2026-03-01T12:00:00Z"


def asked(start: str = MORNING, until: str = NOON, **fields: Any) -> BackfillRequest:
    wanted = {"at_once": 1, "again": False, "stop_on_failure": False} | fields
    return BackfillRequest(at(start), at(until), **wanted)


async def begun(kit: TriggerKit, process: Process, request: BackfillRequest | None = None) -> str:
    view = await process.backfills.begin((await kit.trigger())["id"], request or asked(), by=USER)
    return str(view["id"])


async def fill(*processes: Process) -> None:
    """Let them do all there is to do now."""
    while any([await process.filler.run_once() == 0.0 for process in processes]):
        pass


async def shown(process: Process, backfill_id: str, *fields: str) -> dict[str, Any]:
    view: Mapping[str, Any] = await process.backfills.get(backfill_id)
    return {field: view[field] for field in fields} if fields else dict(view)


async def at_work(kit: TriggerKit) -> list[str]:
    """The due hours of the runs that have not finished, in order of their start."""
    rows = await kit.rows("select trigger_data from runs where finished_at is null order by created_at, id")
    return [orjson.loads(row.trigger_data)["due_at"][11:13] for row in rows]


async def finish(kit: TriggerKit, status: str = "completed", limit: int = 100) -> None:
    """End the oldest runs that are at work."""
    for (run_id,) in (await kit.rows("select id from runs where finished_at is null order by id"))[:limit]:
        await kit.execute(
            "update runs set status = :status, outcome = :outcome, error = :error, started_at = now_us(),"
            " finished_at = now_us() where id = :run",
            status=status,
            outcome=status,
            error="{}" if status == "failed" else None,
            run=run_id,
        )


async def test_in_order_the_next_starts_when_the_one_before_has_finished(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process)
    for hour in ("06", "07", "08", "09", "10", "11", "12"):
        await fill(process)
        assert await at_work(kit) == [hour]
        await finish(kit, "failed" if hour == "08" else "completed")
    await fill(process)
    assert await shown(process, backfill_id, "status", "total", "left", "started", "completed", "failed") == {
        "status": "completed", "total": 7, "left": 0, "started": 7, "completed": 6, "failed": 1
    }  # fmt: skip
    ((first,), *_) = await kit.rows("select trigger_data from runs order by id")
    told = orjson.loads(first)
    assert (told["due_at"], told["backfill"]) == ("2026-03-01T06:00:00+00:00", backfill_id)
    assert (await kit.told())[0] == ("started", "2026-03-01T06:00:00")
    assert (await kit.trigger())["next_firing"]["due_at"] == "2026-03-01T13:00:00.000000Z", "its own place is kept"


async def test_so_many_at_once_and_no_more(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process, asked(at_once=3))
    await fill(process)
    assert await at_work(kit) == ["06", "07", "08"]
    await finish(kit, limit=2)
    await fill(process)
    assert await at_work(kit) == ["08", "09", "10"]
    view = await shown(process, backfill_id)
    assert (view["completed"], view["left"], len(view["under_way"])) == (2, 2, 3)


async def test_what_has_fired_is_not_fired_again_unless_that_is_asked_for(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T14:00:05Z")
    await finish(kit)
    wanted = asked("2026-03-01T11:00:00Z", "2026-03-01T14:00:00Z", at_once=9)
    backfill_id = await begun(kit, process, wanted)
    await fill(process)
    assert await at_work(kit) == ["11", "12"]
    assert await shown(process, backfill_id, "fired_before", "started") == {"fired_before": 2, "started": 2}
    await finish(kit)
    await fill(process)
    again = await begun(kit, process, asked("2026-03-01T11:00:00Z", "2026-03-01T14:00:00Z", at_once=9, again=True))
    await fill(process)
    assert await at_work(kit) == ["11", "12", "13", "14"]
    assert await shown(process, again, "fired_before", "started") == {"fired_before": 0, "started": 4}


async def test_what_fired_so_long_ago_that_its_start_key_is_gone_is_known(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T14:00:05Z")
    await finish(kit)
    await kit.execute("delete from start_keys")
    for firing in await kit.firings():
        # Ids of tests are counted; those of an installation begin with the time.
        new = f"{first_id_at(at(firing['at']))}-7000-8000-000000000000"
        await kit.execute("update firings set id = :new where id = :old", new=new, old=firing["id"])
    trigger_id, wanted = (await kit.trigger())["id"], asked("2026-03-01T11:00:00Z", "2026-03-01T14:00:00Z", at_once=9)
    told = await process.backfills.preview(trigger_id, wanted)
    assert (told["total"], told["fired_before"]) == (4, 2)
    await begun(kit, process, wanted)
    await fill(process)
    assert await at_work(kit) == ["11", "12"]


async def test_a_preview_begins_nothing(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *", timezone="Asia/Tokyo")))
    assert await process.backfills.preview((await kit.trigger())["id"], asked()) == {
        "dry_run": True,
        "total": 7,
        "fired_before": 0,
        "first": {"due_at": "2026-03-01T06:00:00.000000Z", "local": "2026-03-01T15:00:00+09:00"},
        "last": {"due_at": "2026-03-01T12:00:00.000000Z", "local": "2026-03-01T21:00:00+09:00"},
    }
    assert await kit.rows("select 1 from backfills") == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_it_can_stop_at_the_first_failure(kit: TriggerKit, process: Process, status: str) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process, asked(stop_on_failure=True))
    await fill(process)
    await finish(kit, status)
    await fill(process)
    view = await shown(process, backfill_id)
    assert (view["status"], view["started"], view["failed"]) == ("failed", 1, 1)
    assert "a run failed" in view["reason"]
    assert await at_work(kit) == []


async def test_what_starts_no_run_is_counted(kit: TriggerKit, process: Process) -> None:
    fields = {
        "if": "{{ trigger.backfill != null && trigger.due_time != '07:00:00' }}",
        "input": {"x": "{{ variables.days[trigger.due_time] }}"},
    }
    days = {f"{hour:02}:00:00": 1 for hour in range(7, 13)}
    await process.deploy(definition(cron("0 * * * *") | fields, variables={"days": days}))
    backfill_id = await begun(kit, process, asked(at_once=9))
    await fill(process)
    view = await shown(process, backfill_id)
    assert (view["skipped"], view["refused"], view["started"], view["left"]) == (1, 1, 5, 0)
    assert [told for told in await kit.told() if told[0] != "started"] == [("failed", "2026-03-01T06:00:00")]


async def test_pause_resume_and_cancel(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process)
    await fill(process)
    assert (await process.backfills.pause(backfill_id))["status"] == "paused"
    await finish(kit)
    await fill(process)
    assert await at_work(kit) == []
    assert await shown(process, backfill_id, "status", "completed") == {"status": "paused", "completed": 1}
    await process.backfills.resume(backfill_id)
    await fill(process)
    assert await at_work(kit) == ["07"]
    assert (await process.backfills.cancel(backfill_id))["status"] == "cancelled"
    await finish(kit)
    await fill(process)
    assert await at_work(kit) == []
    with pytest.raises(Conflict, match="is cancelled already"):
        await process.backfills.resume(backfill_id)
    with pytest.raises(NotFound):
        await process.backfills.pause("none")


@pytest.mark.parametrize("how", ["disabled", "paused"])
async def test_a_silent_trigger_rests_its_backfill(kit: TriggerKit, process: Process, how: str) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id, trigger_id = await begun(kit, process), (await kit.trigger())["id"]
    if how == "disabled":
        await process.triggers.disable(trigger_id)
    else:
        await process.deploy({"name": "scheduled", "status": "paused"})
    await fill(process)
    assert await at_work(kit) == []
    expected = "trigger_disabled" if how == "disabled" else "workflow_paused"
    assert (await shown(process, backfill_id))["rests_because"] == expected
    with pytest.raises(Conflict, match="is silent"):
        await process.backfills.begin(trigger_id, asked(), by=USER)
    if how == "disabled":
        await process.triggers.enable(trigger_id)
    else:
        await process.deploy({"name": "scheduled", "status": "active"})
    await fill(process)
    assert await at_work(kit) == ["06"]


@pytest.mark.parametrize(("how", "told"), [("removed", "was removed"), ("edited", "was changed")])
async def test_it_ends_with_the_schedule_it_is_of(kit: TriggerKit, process: Process, how: str, told: str) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process)
    await fill(process)
    await process.deploy(definition(*([cron("30 * * * *")] if how == "edited" else [])))
    await fill(process)
    view = await shown(process, backfill_id)
    assert (view["status"], told in view["reason"], view["started"]) == ("cancelled", True, 1)


async def test_any_number_of_processes_start_each_due_time_once(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    backfill_id = await begun(kit, process, asked(at_once=20))
    processes = [process, *[await kit.process() for _ in range(2)]]
    while (await shown(process, backfill_id))["status"] == "running":
        await asyncio.gather(*(one.filler.run_once() for one in processes))
        await finish(kit, limit=15)
    assert len(await kit.started()) == 37
    assert await shown(process, backfill_id, "total", "started", "completed", "fired_before") == {
        "total": 37, "started": 37, "completed": 37, "fired_before": 0
    }  # fmt: skip


@pytest.mark.parametrize("fails", ["before", "after"])
@pytest.mark.parametrize("again", [False, True])
async def test_a_crash_at_a_start_neither_loses_nor_repeats_it(kit: TriggerKit, fails: str, again: bool) -> None:
    store = FailingStore(kit)
    process = await kit.process(store)
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process, asked(at_once=9, again=again))
    store.fails = fails
    assert await process.filler.run_once() != 0.0, "the store is away: it is tried again after a while"
    await process.crash()
    process = await kit.process()
    await fill(process)
    assert len(await kit.started()) == 7
    assert await shown(process, backfill_id, "started", "fired_before") == {"started": 7, "fired_before": 0}


@pytest.mark.parametrize(
    ("trigger", "start", "until", "told"),
    [
        (cron("0 * * * *"), NOON, MORNING, "it is before `from`"),
        (cron("0 * * * *"), MORNING, "2026-03-01T12:00:01Z", "it is in the future"),
        (cron("0 * * * *"), "2026-03-01T06:00:01Z", "2026-03-01T06:59:59Z", "no time of this range is due"),
        (cron("* * * * * *"), MORNING, NOON, "more than 10,000 due times"),
        ({"id": "clock", "type": "manual"}, MORNING, NOON, "is of the type manual"),
        (
            {"id": "clock", "type": "interval", "config": {"every": "1h", "counted_from": "last_end"}},
            MORNING, NOON, "is counted from the end of its last run",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_filled_is_told(
    kit: TriggerKit, process: Process, trigger: dict[str, Any], start: str, until: str, told: str
) -> None:
    await process.deploy(definition(trigger))
    with pytest.raises(InvalidRequest) as refused:
        await begun(kit, process, asked(start, until))
    assert told in refused.value.faults[0].message
    assert refused.value.faults[0].remedy


async def test_of_a_trigger_one_backfill_is_open_at_a_time(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    backfill_id = await begun(kit, process)
    with pytest.raises(Conflict, match=backfill_id):
        await begun(kit, process)
    await process.backfills.cancel(backfill_id)
    assert await begun(kit, process) != backfill_id


async def test_one_that_ended_long_ago_is_forgotten(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    await begun(kit, process)
    old, left, now = OldBackfills(kit.database), "select id from backfills", kit.clock.now()
    await kit.execute("update backfills set id = :id", id=first_id_at(now - 2 * KEPT))
    await old.run_once()
    ((backfill,),) = await kit.rows(left)

    await process.backfills.cancel(backfill)
    await kit.execute("update backfills set finished_at = :at", at=now - KEPT + 60 * SECOND)
    await old.run_once()
    assert len(await kit.rows(left)) == 1

    await kit.execute("update backfills set finished_at = :at", at=now - KEPT - 1)
    await old.run_once()
    assert await kit.rows(left) == []

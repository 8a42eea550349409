"""S10: schedules that should have fired and did not are seen, also where no scheduler is at work."""

import logging

import pytest

from millrace.app.firing.watching import OverdueWatch
from millrace.app.triggers.repository import TriggerFilter
from tests.support.trigger_kit import Process, TriggerKit, cron, definition


async def overdue_ones(kit: TriggerKit, overdue: bool) -> list[object]:
    page = await kit.queries.list(TriggerFilter(overdue=overdue), cursor=None, limit=200)
    return [shown["name"] for shown in page.items]


async def test_an_overdue_schedule_is_told_once_and_shown_until_it_has_fired(
    kit: TriggerKit, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "millrace.app.firing.watching")
    watch = OverdueWatch(kit.database)
    silent = [cron("* * * * *") | {"id": "off", "enabled": False}, {"id": "hand", "type": "manual"}]
    await process.deploy(definition(cron("0 * * * *"), cron("0 14 * * *") | {"id": "later"}, *silent))
    await kit.sleep_until("2026-03-01T13:01:00Z")
    await watch.run_once()
    assert (watch.count, (await kit.trigger())["overdue_since"]) == (0, None), "not before a minute is over"
    await kit.sleep_until("2026-03-01T13:01:00.1Z")
    for _ in range(2):
        await watch.run_once()
    assert (watch.count, await overdue_ones(kit, True)) == (1, ["clock"])
    assert await overdue_ones(kit, False) == ["later", "off", "hand"]
    shown = await kit.trigger()
    assert (shown["overdue"], shown["overdue_since"]) == (True, "2026-03-01T13:00:00.000000Z")
    await process.fire()
    await watch.run_once()
    assert (watch.count, await overdue_ones(kit, True)) == (0, [])
    name = f"scheduled/clock ({shown['id']})"
    assert [record.message for record in caplog.records] == [
        f"schedule {name} is overdue: it should have fired at 2026-03-01T13:00:00.000000Z",
        f"schedule {name} is not overdue any more",
    ]


async def test_jitter_is_no_delay(kit: TriggerKit, process: Process) -> None:
    watch = OverdueWatch(kit.database)
    await process.deploy(definition(cron("0 * * * *", jitter="40m")))
    await kit.sleep_until((await kit.trigger())["next_firing"]["starts_at"])
    await watch.run_once()
    assert watch.count == 0
    await kit.sleep_until("2026-03-01T13:41:01Z")
    await watch.run_once()
    assert watch.count == 1


async def test_a_schedule_without_any_scheduler_fills_no_log(
    kit: TriggerKit, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    watch = OverdueWatch(kit.database)
    for number in range(2):
        many = [cron("* * * * *") | {"id": f"t{one}"} for one in range(60)]
        await process.deploy(definition(*many, name=f"many {number}"))
    await kit.sleep_until("2026-03-01T12:05:00Z")
    for _ in range(3):
        await watch.run_once()
    assert watch.count == 101
    assert len(caplog.records) == 101, "each of a hundred once, and that there are more"
    await process.fire()
    await watch.run_once()
    assert watch.count == 0

"""S1: what becomes of due times that nobody was there to act on, and of clocks that are set."""

from typing import Any

import pytest

from millrace.core.values import SECOND
from tests.support.trigger_kit import Process, TriggerKit, cron, definition

HOUR = 3_600 * SECOND


async def after_a_downtime(kit: TriggerKit, process: Process, until: str, *triggers: dict[str, Any]) -> None:
    """The process stops after the deploy at noon, and another starts at `until`."""
    await process.deploy(definition(*triggers))
    await process.crash()
    await kit.sleep_until(until)
    await (await kit.process()).fire()


async def test_after_a_downtime_the_latest_due_time_is_made_up_for(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T15:30:00Z", cron("0 * * * *"))
    assert await kit.told() == [
        ("missed", "2026-03-01T13:00:00 to 2026-03-01T14:00:00: 2"),
        ("started", "2026-03-01T15:00:00"),
    ]
    shown = await kit.trigger()
    assert shown["counts"] == {"fired": 1, "started": 1, "failed": 0, "missed": 2}
    assert shown["next_firing"]["due_at"] == "2026-03-01T16:00:00.000000Z"


async def test_a_single_due_time_in_a_downtime_is_made_up_for_without_a_word(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T13:30:00Z", cron("0 * * * *"))
    assert await kit.told() == [("started", "2026-03-01T13:00:00")]


async def test_the_policy_none_drops_what_was_missed_and_records_it(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T15:30:00Z", cron("0 * * * *", catch_up="none"))
    assert await kit.told() == [("missed", "2026-03-01T13:00:00 to 2026-03-01T15:00:00: 3")]
    shown = await kit.trigger()
    assert shown["next_firing"]["due_at"] == "2026-03-01T16:00:00.000000Z"
    assert (shown["last_firing"], shown["last_error"]) == (None, None)


async def test_the_policy_none_still_fires_what_is_late_by_seconds(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T15:00:09Z", cron("0 * * * *", catch_up="none"))
    assert await kit.told() == [
        ("missed", "2026-03-01T13:00:00 to 2026-03-01T14:00:00: 2"),
        ("started", "2026-03-01T15:00:00"),
    ]


async def test_the_policy_all_makes_up_for_everything_in_order(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T15:30:00Z", cron("0 * * * *", catch_up="all"))
    assert await kit.told() == [("started", f"2026-03-01T{hour}:00:00") for hour in (13, 14, 15)]


async def test_the_policy_all_keeps_to_its_limit(kit: TriggerKit, process: Process) -> None:
    catch_up = {"policy": "all", "limit": 3}
    await after_a_downtime(kit, process, "2026-03-02T12:30:00Z", cron("*/10 * * * *", catch_up=catch_up))
    assert await kit.told() == [
        ("missed", "2026-03-01T12:10:00 to 2026-03-02T12:00:00: 144"),
        ("started", "2026-03-02T12:10:00"),
        ("started", "2026-03-02T12:20:00"),
        ("started", "2026-03-02T12:30:00"),
    ]


async def test_what_a_schedule_of_seconds_missed_in_months_is_counted_within_reason(
    kit: TriggerKit, process: Process
) -> None:
    triggers = [cron("* * * * * *", catch_up={"policy": "all", "limit": 2}), cron("* * * * *") | {"id": "minutes"}]
    await after_a_downtime(kit, process, "2026-06-01T12:00:00Z", *triggers)
    assert sorted(await kit.told()) == [
        ("missed", "2026-03-01T12:00:01 to 2026-06-01T11:59:58: 10000"),
        ("missed", "2026-03-01T12:01:00 to 2026-06-01T11:59:00: 10000"),
        ("started", "2026-06-01T11:59:59"),
        ("started", "2026-06-01T12:00:00"),
        ("started", "2026-06-01T12:00:00"),
    ]


async def test_a_short_restart_misses_nothing(kit: TriggerKit, process: Process) -> None:
    await after_a_downtime(kit, process, "2026-03-01T12:00:08.5Z", cron("* * * * * *"))
    assert await kit.told() == [("started", f"2026-03-01T12:00:0{second}") for second in range(1, 9)]


async def test_with_jitter_a_due_time_is_missed_only_after_its_delay(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *", jitter="40m", catch_up="none")))
    starts_at = (await kit.trigger())["next_firing"]["starts_at"]
    assert starts_at > "2026-03-01T13:01"
    await process.crash()
    await kit.sleep_until(starts_at)
    await (await kit.process()).fire()
    assert await kit.told() == [("started", "2026-03-01T13:00:00")]


@pytest.mark.parametrize("policy", ["none", "latest", "all"])
async def test_nothing_of_the_past_fires_after_a_trigger_was_disabled(
    kit: TriggerKit, process: Process, policy: str
) -> None:
    await process.deploy(definition(cron("0 * * * *", catch_up=policy)))
    process.schedule()
    trigger_id = (await kit.trigger())["id"]
    await process.triggers.disable(trigger_id)
    await kit.sleep_until("2026-03-01T15:30:00Z")
    await process.triggers.enable(trigger_id)
    await kit.sleep_until("2026-03-01T16:00:05Z")
    assert await kit.told() == [("started", "2026-03-01T16:00:00")]


async def test_a_clock_that_is_set_back_fires_nothing_twice(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T13:05:00Z")
    before = await kit.told()
    kit.clock.jump(-HOUR)
    await kit.sleep_until("2026-03-01T13:05:00Z")
    assert await kit.told() == before, "the hour that comes twice has fired already"
    await kit.sleep_until("2026-03-01T13:10:05Z")
    assert await kit.told() == [*before, ("started", "2026-03-01T13:10:00")]


async def test_even_an_edit_in_the_repeated_hour_does_not_fire_twice(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T13:05:00Z")
    await process.deploy(definition(cron("*/10 * * * *"), description="changed in the hour that comes twice"))
    kit.clock.jump(-HOUR)
    await process.deploy(definition(cron("*/5 * * * *")))
    await kit.sleep_until("2026-03-01T13:12:00Z")
    started = await kit.started()
    assert sorted(started) == [f"2026-03-01T12:{minute:02}:00+00:00" for minute in range(10, 60, 5)] + [
        f"2026-03-01T13:{minute:02}:00+00:00" for minute in (0, 5, 10)
    ]


async def test_a_clock_that_is_set_forward_is_a_downtime(kit: TriggerKit, process: Process) -> None:
    process.scheduler.interval = 1.0
    await process.deploy(definition(cron("*/10 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:15:00Z")
    kit.clock.jump(2 * HOUR)
    await kit.sleep_until("2026-03-01T14:20:05Z")
    assert await kit.told() == [
        ("started", "2026-03-01T12:10:00"),
        ("missed", "2026-03-01T12:20:00 to 2026-03-01T14:00:00: 11"),
        ("started", "2026-03-01T14:10:00"),
        ("started", "2026-03-01T14:20:00"),
    ]

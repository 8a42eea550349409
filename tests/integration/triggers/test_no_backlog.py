"""S1, S2: what was due while a trigger was silent, or before it was as it is, never fires by itself, for each policy
and type of schedule. And a downtime of two hours, and clocks that are set by an hour, for each of them."""

from typing import Any

import pytest

from millrace.core.values import SECOND, JsonObject
from tests.support.trigger_kit import USER, Process, TriggerKit, cron, definition

HOUR = 3_600 * SECOND
POLICIES = ("none", "latest", "all")
KINDS = {
    "cron": {"expression": "0 * * * *"},
    "interval": {"every": "1h", "anchor": "2026-03-01T00:00:00Z"},
}
"""The same times, told in two ways."""


def hourly(**fields: Any) -> JsonObject:
    """A workflow with a schedule of each kind with each policy."""
    triggers = [
        {"id": f"{kind}_{policy}", "type": kind, "config": {**config, "catch_up": policy}, **fields}
        for kind, config in KINDS.items()
        for policy in POLICIES
    ]
    return definition(*triggers)


def of_each(told: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """What is told of each policy, for schedules of both kinds."""
    return {f"{kind}_{policy}": told[policy] for kind in KINDS for policy in POLICIES}


async def told_of_each(kit: TriggerKit) -> dict[str, list[tuple[str, str]]]:
    """Decision and due time of each firing, by trigger."""
    names = [f"{kind}_{policy}" for kind in KINDS for policy in POLICIES]
    return {name: await kit.told((await kit.trigger(name))["id"]) for name in names}


async def disabled_and_enabled(kit: TriggerKit, process: Process) -> None:
    ids = [row.id for row in await kit.rows("select id from triggers")]
    for trigger_id in ids:
        await process.triggers.disable(trigger_id)
    await kit.sleep_until("2026-03-01T15:30:00Z")
    for trigger_id in ids:
        await process.triggers.enable(trigger_id)


async def paused_and_resumed(kit: TriggerKit, process: Process) -> None:
    await process.deploy({"name": "scheduled", "status": "paused"})
    await kit.sleep_until("2026-03-01T15:30:00Z")
    await process.deploy({"name": "scheduled", "status": "active"})


async def taken_out_and_put_in(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition())
    await kit.sleep_until("2026-03-01T15:30:00Z")
    await process.deploy(hourly())


async def edited_after_a_downtime(kit: TriggerKit, process: Process) -> None:
    """Nobody was at work since the first deploy, so all of this is late when the edit comes."""
    await kit.sleep_until("2026-03-01T15:30:00Z")
    await process.deploy(hourly(input={"edited": True}))


async def deleted_and_imported(kit: TriggerKit, process: Process) -> None:
    await process.workflows.delete("scheduled", by=USER)
    await kit.sleep_until("2026-03-01T15:30:00Z")
    await process.workflows.apply(hourly(), by=USER, source="scheduled.yaml", dry_run=False)


CHANGES = [
    disabled_and_enabled,
    paused_and_resumed,
    taken_out_and_put_in,
    edited_after_a_downtime,
    deleted_and_imported,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_trigger_that_begins_anew_makes_up_for_nothing(kit: TriggerKit, process: Process, change: Any) -> None:
    await process.deploy(hourly())
    await change(kit, process)
    await process.fire()
    assert await kit.told() == []
    await kit.sleep_until("2026-03-01T16:00:00Z")
    await process.fire()
    assert await told_of_each(kit) == of_each({policy: [("started", "2026-03-01T16:00:00")] for policy in POLICIES})


@pytest.mark.parametrize("policy", POLICIES)
async def test_one_moment_that_passed_in_silence_is_over(kit: TriggerKit, process: Process, policy: str) -> None:
    once = {"id": "clock", "type": "once", "config": {"at": "2026-03-01T14:00:00Z", "catch_up": policy}}
    await process.deploy(definition(once))
    await paused_and_resumed(kit, process)
    await process.fire()
    assert await kit.told() == []
    assert (await kit.trigger())["silent_because"] == "no_next_time"


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_imported_schedule_whose_time_is_long_over_does_not_fire(
    kit: TriggerKit, process: Process, policy: str
) -> None:
    config = {"expression": "0 * * * *", "catch_up": policy, "start": "2020-01-01", "end": "2026-03-01T11:00"}
    await process.deploy(definition({"id": "clock", "type": "cron", "config": config}))
    await process.fire()
    assert await kit.told() == []


async def test_a_redeploy_at_work_neither_repeats_nor_loses(kit: TriggerKit, process: Process) -> None:
    await process.deploy(hourly())
    process.schedule()
    for hour in (13, 14, 15):
        for minute in (0, 20, 40):
            await kit.sleep_until(f"2026-03-01T{hour}:{minute:02}:00Z")
            await process.deploy({**hourly(), "variables": {"at": f"{hour}:{minute}"}})
    await kit.sleep_until("2026-03-01T16:00:05Z")
    all_ = [("started", f"2026-03-01T{hour}:00:00") for hour in (13, 14, 15, 16)]
    assert await told_of_each(kit) == of_each(dict.fromkeys(POLICIES, all_))


MISSED = {
    "none": [("missed", "2026-03-01T13:00:00 to 2026-03-01T14:00:00: 2")],
    "latest": [("missed", "2026-03-01T13:00:00 to 2026-03-01T13:00:00: 1"), ("started", "2026-03-01T14:00:00")],
    "all": [("started", "2026-03-01T13:00:00"), ("started", "2026-03-01T14:00:00")],
}


async def test_after_two_hours_of_downtime_the_policy_holds(kit: TriggerKit, process: Process) -> None:
    await process.deploy(hourly())
    await kit.sleep_until("2026-03-01T12:15:00Z")
    await process.crash()
    await kit.sleep_until("2026-03-01T14:15:00Z")
    await (await kit.process()).fire()
    assert await told_of_each(kit) == of_each(MISSED)
    assert (await kit.trigger("cron_none"))["next_firing"]["due_at"] == "2026-03-01T15:00:00.000000Z"


@pytest.mark.parametrize("policy", POLICIES)
async def test_one_moment_within_a_downtime_is_made_up_for_but_by_none(
    kit: TriggerKit, process: Process, policy: str
) -> None:
    once = {"id": "clock", "type": "once", "config": {"at": "2026-03-01T13:00:00Z", "catch_up": policy}}
    await process.deploy(definition(once))
    await process.crash()
    await kit.sleep_until("2026-03-01T14:15:00Z")
    await (await kit.process()).fire()
    dropped = ("missed", "2026-03-01T13:00:00 to 2026-03-01T13:00:00: 1")
    assert await kit.told() == [dropped if policy == "none" else ("started", "2026-03-01T13:00:00")]


async def test_a_clock_that_is_set_forward_by_an_hour_is_a_downtime_of_an_hour(
    kit: TriggerKit, process: Process
) -> None:
    process.scheduler.interval = 1.0
    await process.deploy(hourly())
    process.schedule()
    await kit.sleep_until("2026-03-01T12:30:00Z")
    kit.clock.jump(HOUR)
    await kit.sleep_until("2026-03-01T14:00:05Z")
    late, then = ("started", "2026-03-01T13:00:00"), ("started", "2026-03-01T14:00:00")
    dropped = ("missed", "2026-03-01T13:00:00 to 2026-03-01T13:00:00: 1")
    expected = {"none": [dropped, then], "latest": [late, then], "all": [late, then]}
    assert await told_of_each(kit) == of_each(expected)


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_clock_that_is_set_back_and_forward_again_repeats_and_loses_nothing(
    kit: TriggerKit, process: Process, policy: str
) -> None:
    process.scheduler.interval = 10.0
    await process.deploy(definition(cron("*/10 * * * *", catch_up=policy)))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:55:00Z")
    kit.clock.jump(-HOUR)
    await kit.sleep_until("2026-03-01T12:15:00Z")
    kit.clock.jump(HOUR)
    await kit.sleep_until("2026-03-01T13:25:00Z")
    minutes = ["12:10", "12:20", "12:30", "12:40", "12:50", "13:00", "13:10", "13:20"]
    told = [(kind, due[11:16]) for kind, due in await kit.told()]
    assert [due for kind, due in told if kind == "started"] == (
        [due for due in minutes if due not in ("13:00", "13:10")] if policy == "none"
        else [due for due in minutes if due != "13:00"] if policy == "latest" else minutes
    )  # fmt: skip

"""S, S10: trigger rows follow the deployed version, and a decision on an old row has no effect."""

import asyncio
from typing import Any

import pytest

from millrace.core.errors import NotFound
from tests.support.stores import GatedStore
from tests.support.trigger_kit import Process, TriggerKit, cron, definition


async def test_a_trigger_that_stays_keeps_its_row_and_its_cursor(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:15:00Z")
    before = await kit.trigger()
    await process.deploy(definition(cron("*/10 * * * *"), {"id": "more", "type": "manual"}, description="changed"))
    after = await kit.trigger()
    for field in ("id", "counts", "last_firing", "next_firing"):
        assert after[field] == before[field]
    assert (await kit.trigger("more"))["next_firing"] is None
    await kit.sleep_until("2026-03-01T12:20:05Z")
    runs = await kit.rows("select v.number from runs r join workflow_versions v on v.id = r.version_id order by r.id")
    assert [run.number for run in runs] == [1, 2], "the deployed version is the one that is started"


async def test_a_deploy_while_something_is_due_loses_nothing(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    await kit.sleep_until("2026-03-01T12:10:02Z")
    await process.deploy(definition(cron("*/10 * * * *"), variables={"new": 1}))
    await process.fire()
    assert await kit.told() == [("started", "2026-03-01T12:10:00")]


async def test_an_edited_schedule_begins_anew(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    before = await kit.trigger()
    await kit.sleep_until("2026-03-01T12:35:00Z")
    await process.deploy(definition(cron("*/20 * * * *")))
    await process.fire()
    after = await kit.trigger()
    assert await kit.told() == [], "what was due before the edit does not fire"
    assert after["id"] == before["id"]
    assert after["next_firing"]["due_at"] == "2026-03-01T12:40:00.000000Z"


async def test_a_trigger_that_is_taken_out_fires_no_more(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("* * * * *"), cron("* * * * *") | {"id": "other"}))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:01:05Z")
    gone = await kit.trigger("other")
    await process.deploy(definition(cron("* * * * *")))
    await kit.sleep_until("2026-03-01T12:03:05Z")
    with pytest.raises(NotFound):
        await kit.queries.get(gone["id"])
    assert len(await kit.firings(gone["id"])) == 1, "what it did stays readable"
    assert len(await kit.firings()) == 4


async def test_what_a_user_said_holds_until_the_definition_says_something_else(
    kit: TriggerKit, process: Process
) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    shown = await kit.trigger()
    await process.triggers.disable(shown["id"])
    await process.deploy(definition(cron("0 * * * *"), description="other"))
    await process.deploy(definition(cron("5 * * * *")))
    shown = await kit.trigger()
    assert (shown["enabled"], shown["next_firing"], shown["silent_because"]) == (False, None, "disabled")
    await process.deploy(definition(cron("5 * * * *") | {"enabled": False}))
    assert not (await kit.trigger())["enabled"]
    await process.deploy(definition(cron("5 * * * *") | {"enabled": True}))
    assert (await kit.trigger())["enabled"], "the definition has changed its mind, so it counts"


@pytest.mark.parametrize("status", ["paused", "inactive", "archived", "draft"])
async def test_triggers_of_a_workflow_that_is_not_active_are_silent(
    kit: TriggerKit, process: Process, status: str
) -> None:
    await process.deploy(definition(cron("* * * * *")))
    process.schedule()
    await process.deploy({"name": "scheduled", "status": status})
    shown = await kit.trigger()
    assert (shown["active"], shown["enabled"], shown["next_firing"]) == (False, True, None)
    assert shown["silent_because"] == f"workflow_{status}"
    await kit.sleep_until("2026-03-01T12:05:30Z")
    await process.deploy({"name": "scheduled", "status": "active"})
    assert (await kit.trigger())["silent_because"] is None
    await kit.sleep_until("2026-03-01T12:06:30Z")
    assert await kit.told() == [("started", "2026-03-01T12:06:00")], "and what was due meanwhile does not fire"


async def test_a_workflow_that_was_never_deployed_has_no_triggers(kit: TriggerKit, process: Process) -> None:
    await process.deploy({**definition(cron("* * * * *")), "deploy": False})
    assert await kit.rows("select 1 from triggers") == []


async def test_enabling_what_is_enabled_changes_nothing(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/10 * * * *")))
    await kit.sleep_until("2026-03-01T12:10:02Z")
    shown = await kit.trigger()
    await process.triggers.enable(shown["id"])
    await process.fire()
    assert await kit.told() == [("started", "2026-03-01T12:10:00")]


@pytest.mark.parametrize("what", ["disabled", "edited", "removed", "paused", "redeployed"])
async def test_a_start_that_was_decided_before_a_change_is_refused_in_its_commit(kit: TriggerKit, what: str) -> None:
    store = GatedStore(kit.store())
    process, other = await kit.process(store), await kit.process()
    await process.deploy(definition(cron("0 * * * *")))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    store.gate.clear()
    round_ = asyncio.create_task(process.fire())
    await store.waiting.wait()
    await change(kit, other, what)
    store.gate.set()
    await round_
    expected: list[tuple[str, str]] = [("started", "2026-03-01T13:00:00")] if what == "redeployed" else []
    assert await kit.told() == expected
    numbers = await kit.rows("select v.number from runs r join workflow_versions v on v.id = r.version_id")
    assert [row.number for row in numbers] == ([2] if what == "redeployed" else []), "never the old version"


async def change(kit: TriggerKit, other: Process, what: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "edited": definition(cron("30 * * * *")),
        "removed": definition(),
        "paused": {"name": "scheduled", "status": "paused"},
        "redeployed": definition(cron("0 * * * *"), variables={"new": 1}),
    }
    if what == "disabled":
        await other.triggers.disable((await kit.trigger())["id"])
    else:
        await other.deploy(bodies[what])

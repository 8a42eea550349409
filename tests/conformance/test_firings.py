"""Firings: a trigger starts a run once, and only as it was when that was decided, however many schedulers there are."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from millrace.core.effects import Record
from millrace.core.values import SECOND, Instant
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    Committed,
    NewFiring,
    NotStarted,
    Refusal,
    Rejected,
    RunChange,
    StartKey,
    WhenFull,
)
from millrace.storage import tables
from tests.conformance.builders import IDS, Owner
from tests.conformance.kits import WORKFLOW, Kit

TRIGGER = "trigger-1"
REVISION = 4
HOUR = 3_600 * SECOND


async def plant(kit: Kit, due_at: Instant, **fields: object) -> None:
    """A trigger that is due at `due_at`."""
    row: dict[str, Any] = {
        "id": TRIGGER, "workflow_id": WORKFLOW, "origin": "definition", "name": "hourly", "type": "cron",
        "enabled": True, "config": "{}", "input": "{}", "next_due_at": due_at, "revision": REVISION,
        "created_at": 1, "updated_at": 1,
    }  # fmt: skip
    await kit.write(insert(tables.triggers).values({**row, **fields}))


async def change_trigger(kit: Kit, **fields: object) -> None:
    await kit.write(update(tables.triggers).where(tables.triggers.c.id == TRIGGER).values(**fields))


def fired(kit: Kit, due_at: Instant, *, revision: int = REVISION, **fields: object) -> Owner:
    """The run that one scheduler wants to start for a due time."""
    key = f"cron:{due_at}"
    firing = NewFiring(
        id=IDS.new(), trigger_id=TRIGGER, trigger_revision=revision, start_key=key, due_at=due_at,
        next_due_at=due_at + HOUR, decided_until=due_at,
    )  # fmt: skip
    start_key = StartKey("trigger", TRIGGER, key, key, kit.clock.now() + 720 * HOUR)
    return Owner(
        kit.store, kit.clock, trigger_type="cron", trigger_id=TRIGGER, firing=firing, start_key=start_key, **fields
    )


async def answered(kit: Kit, run: Owner) -> ChangeReply:
    return (await kit.store.commit([run.starts()])).changes[0]


async def assert_nothing_happened(kit: Kit, due_at: Instant) -> None:
    for table in (tables.runs, tables.firings, tables.start_keys, tables.records):
        assert await kit.rows(table) == []
    for trigger in await kit.rows(tables.triggers):
        assert (trigger["next_due_at"], trigger["fired_count"], trigger["last_run_id"]) == (due_at, 0, None)


async def test_run_key_firing_and_cursor_are_written_together(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    kit.clock.advance(SECOND)
    run = await fired(kit, due_at).start()
    assert run.new.firing is not None

    trigger = await kit.row(tables.triggers)
    assert (trigger["next_due_at"], trigger["decided_until"]) == (due_at + HOUR, due_at)
    assert (trigger["last_fired_at"], trigger["last_run_id"]) == (kit.clock.now(), run.run_id)
    assert (trigger["fired_count"], trigger["started_count"]) == (1, 1)
    firing = await kit.row(tables.firings)
    assert firing["id"] == run.new.firing.id
    assert (firing["trigger_id"], firing["workflow_id"]) == (TRIGGER, WORKFLOW)
    assert (firing["decision"], firing["run_id"], firing["due_at"]) == ("started", run.run_id, due_at)
    assert (firing["start_key"], firing["at"]) == (f"cron:{due_at}", kit.clock.now())
    assert (await kit.row(tables.start_keys))["run_id"] == run.run_id
    assert (await kit.row(tables.runs))["trigger_id"] == TRIGGER


async def test_a_start_leaves_the_revision_so_that_another_decision_on_the_row_still_holds(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)

    await fired(kit, due_at).start()
    await fired(kit, due_at + HOUR).start()

    trigger = await kit.row(tables.triggers)
    assert (trigger["revision"], trigger["started_count"]) == (REVISION, 2)


async def test_two_schedulers_that_decide_the_same_start_one_run(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    first, second = fired(kit, due_at), fired(kit, due_at)

    assert await answered(kit, first) == Committed(first.run_id)
    assert await answered(kit, second) == AlreadyStarted(second.run_id, first.run_id, same_request=True)

    assert [row["id"] for row in await kit.rows(tables.runs)] == [first.run_id]
    assert [row["run_id"] for row in await kit.rows(tables.firings)] == [first.run_id]
    assert (await kit.row(tables.triggers))["fired_count"] == 1


async def test_a_due_time_that_is_there_twice_in_one_batch_starts_one_run(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    first, second = fired(kit, due_at), fired(kit, due_at)

    reply = await kit.store.commit([first.starts(), second.starts()])

    assert reply.changes == (Committed(first.run_id), AlreadyStarted(second.run_id, first.run_id, same_request=True))
    assert len(await kit.rows(tables.firings)) == 1


async def test_a_start_whose_answer_was_lost_is_told_itself_and_counts_once(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    run = fired(kit, due_at)
    assert await answered(kit, run) == Committed(run.run_id)
    await change_trigger(kit, enabled=False, revision=REVISION + 1)

    assert await answered(kit, run) == AlreadyStarted(run.run_id, run.run_id, same_request=True)
    assert (await kit.row(tables.triggers))["fired_count"] == 1


@pytest.mark.parametrize(
    "change", [{"revision": REVISION + 1}, {"revision": REVISION - 1}, {"enabled": False}], ids=str
)
async def test_what_was_decided_on_a_row_that_has_changed_starts_nothing(kit: Kit, change: dict[str, object]) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    run = fired(kit, due_at)
    await change_trigger(kit, **change)

    assert await answered(kit, run) == NotStarted(run.run_id, Refusal.TRIGGER_CHANGED)
    await assert_nothing_happened(kit, due_at)


async def test_a_trigger_that_was_removed_starts_nothing(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    run = fired(kit, due_at)
    await kit.write(delete(tables.triggers))

    assert await answered(kit, run) == NotStarted(run.run_id, Refusal.TRIGGER_CHANGED)
    await assert_nothing_happened(kit, due_at)


async def test_a_due_time_that_was_started_before_the_change_is_told_as_started(kit: Kit) -> None:
    """The second scheduler may be late by more than a change: the run is there, and that is what counts."""
    due_at = kit.clock.now()
    await plant(kit, due_at)
    first, late = fired(kit, due_at), fired(kit, due_at)
    await answered(kit, first)
    await change_trigger(kit, revision=REVISION + 1)

    assert await answered(kit, late) == AlreadyStarted(late.run_id, first.run_id, same_request=True)


async def test_the_next_revision_starts_what_the_last_could_not(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    stale = fired(kit, due_at)
    await change_trigger(kit, revision=REVISION + 1)
    await answered(kit, stale)

    run = await fired(kit, due_at, revision=REVISION + 1).start()

    assert (await kit.row(tables.firings))["run_id"] == run.run_id


async def test_a_refused_firing_does_not_hinder_the_others_of_its_batch(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    stale, good, plain = fired(kit, due_at, revision=1), fired(kit, due_at), Owner(kit.store, kit.clock)

    reply = await kit.store.commit([one.starts() for one in (stale, good, plain)])

    assert [type(one) for one in reply.changes] == [NotStarted, Committed, Committed]


async def test_a_firing_without_room_is_refused_and_its_due_time_stays_undecided(kit: Kit) -> None:
    """What becomes of it is the scheduler's to write: the store only says that it was not started."""
    due_at = kit.clock.now()
    await plant(kit, due_at)
    full = {"admission_key": "orders", "admission_limit": 0, "when_full": WhenFull.SKIP}
    run = fired(kit, due_at, **full)

    assert await answered(kit, run) == NotStarted(run.run_id, Refusal.LIMIT_FULL)
    await assert_nothing_happened(kit, due_at)


def spoiled(change: RunChange) -> RunChange:
    return replace(change, records=[*change.records, Record(None, 0)])  # type: ignore[arg-type]


async def test_of_a_rejected_run_there_is_no_firing_and_the_cursor_stays(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)

    (reply,) = (await kit.store.commit([spoiled(fired(kit, due_at).starts())])).changes

    assert isinstance(reply, Rejected)
    await assert_nothing_happened(kit, due_at)


async def test_the_cursor_of_what_is_decided_never_goes_back(kit: Kit) -> None:
    """A scheduler with an older look at the row starts a time that the newer one left."""
    due_at = kit.clock.now()
    await plant(kit, due_at, decided_until=due_at + 5 * HOUR)

    await fired(kit, due_at).start()

    assert (await kit.row(tables.triggers))["decided_until"] == due_at + 5 * HOUR


async def test_a_trigger_may_fire_for_the_last_time(kit: Kit) -> None:
    due_at = kit.clock.now()
    await plant(kit, due_at)
    run = fired(kit, due_at)
    change = run.starts()
    assert change.new is not None
    assert change.new.firing is not None
    last = replace(change, new=replace(change.new, firing=replace(change.new.firing, next_due_at=None)))

    await kit.store.commit([last])

    assert (await kit.row(tables.triggers))["next_due_at"] is None

"""Admission: who gets a place under a limit, in which order; occupancy is counted from live rows."""

from dataclasses import replace

import pytest

from millrace.core.events import Admitted, CancelRequested, PauseRequested, ResumeRequested
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, ONE, Owner, claim, plan_of, registered
from tests.conformance.kits import Kit


def limited(kit: Kit, limit: int = 1, *, key: str = "orders", **fields: object) -> Owner:
    return Owner(kit.store, kit.clock, ONE, admission_key=key, admission_limit=limit, **fields)


async def waiting(kit: Kit, count: int, limit: int = 1, **fields: object) -> list[Owner]:
    """New runs that wait for their admission, oldest first."""
    return [await limited(kit, limit, **fields).start() for _ in range(count)]


async def take_in(kit: Kit, run: Owner) -> None:
    """Fold the run's fact `admitted`, so that it starts."""
    (item,) = [item for item in await kit.store.read_inbox(EVERYTHING) if item.run_id == run.run_id]
    assert item.kind == "admitted"
    await run.fold(Mail(Admitted(), inbox_id=item.id))


def ids(runs: list[Owner]) -> list[str]:
    return [run.run_id for run in runs]


async def test_a_limited_run_waits_until_it_is_admitted_and_is_told_so_in_its_inbox(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    assert (await kit.row(tables.runs))["status"] == "pending"
    assert await kit.store.read_inbox(10) == []

    assert await kit.store.admit(10) == [run.run_id]

    (item,) = await kit.store.read_inbox(10)
    assert (item.run_id, item.kind, item.data) == (run.run_id, "admitted", {})
    await take_in(kit, run)
    assert (await kit.row(tables.runs))["status"] == "running"


async def test_no_more_are_admitted_than_the_limit_has_room_for(kit: Kit) -> None:
    runs = await waiting(kit, 4, limit=2)

    assert await kit.store.admit(10) == ids(runs[:2])
    assert await kit.store.admit(10) == []


async def test_calling_again_before_anything_was_folded_admits_nobody_twice(kit: Kit) -> None:
    runs = await waiting(kit, 3, limit=2)
    assert await kit.store.admit(1) == ids(runs[:1])
    assert await kit.store.admit(1) == ids(runs[1:2])
    assert await kit.store.admit(1) == []

    assert [item.run_id for item in await kit.store.read_inbox(10)] == ids(runs[:2])


async def test_the_place_of_a_run_that_finished_goes_to_the_next(kit: Kit) -> None:
    first, second, third = await waiting(kit, 3)
    await kit.store.admit(10)
    await take_in(kit, first)
    assert await kit.store.admit(10) == []

    await first.fold(first.completes("a"))
    assert await kit.store.admit(10) == [second.run_id]
    await take_in(kit, second)
    await claim(kit.store, await registered(kit.store))
    await second.fold(CancelRequested())
    assert await kit.store.admit(10) == [], "it is being cancelled, but has not finished"
    await second.fold(second.completes("a"))

    assert await kit.store.admit(10) == [third.run_id]


async def test_the_highest_priority_is_admitted_first_then_the_oldest(kit: Kit) -> None:
    runs = [limited(kit, 10, priority=priority) for priority in (0, 3, -1, 3)]
    for run in runs:
        await run.start()
        kit.clock.advance(SECOND)

    assert await kit.store.admit(10) == ids([runs[1], runs[3], runs[0], runs[2]])


async def test_the_limit_of_the_call_holds_over_all_keys(kit: Kit) -> None:
    for key in ("one", "two", "three"):
        await waiting(kit, 2, limit=2, key=key)

    assert [len(await kit.store.admit(limit)) for limit in (0, 4, 4)] == [0, 4, 2]


async def test_keys_do_not_take_each_others_places(kit: Kit) -> None:
    full, blocked = await waiting(kit, 2, key="one")
    other = (await waiting(kit, 1, key="two"))[0]

    assert set(await kit.store.admit(10)) == {full.run_id, other.run_id}
    assert blocked.run_id not in await kit.store.admit(10)


async def test_runs_without_a_limit_neither_wait_nor_take_a_place(kit: Kit) -> None:
    await Owner(kit.store, kit.clock).start()
    (run,) = await waiting(kit, 1)

    assert await kit.store.admit(10) == [run.run_id]


async def test_a_run_counts_under_the_limit_it_was_made_with(kit: Kit) -> None:
    (first,) = await waiting(kit, 1, limit=1)
    assert await kit.store.admit(10) == [first.run_id]
    second, third = await waiting(kit, 2, limit=2)

    assert await kit.store.admit(10) == [second.run_id]
    await take_in(kit, first)
    await first.fold(first.completes("a"))
    assert await kit.store.admit(10) == [third.run_id]


async def test_paused_cancelled_and_finished_runs_are_not_admitted(kit: Kit) -> None:
    paused, cancelled, eager = await waiting(kit, 3, limit=9)
    await paused.fold(PauseRequested())
    await cancelled.fold(CancelRequested())

    assert await kit.store.admit(10) == [eager.run_id]

    await paused.fold(ResumeRequested())
    assert await kit.store.admit(10) == [paused.run_id]


async def test_an_admitted_run_that_is_paused_keeps_its_place(kit: Kit) -> None:
    first, _ = await waiting(kit, 2)
    await kit.store.admit(10)
    await first.fold(PauseRequested())
    assert await kit.store.admit(10) == []

    await take_in(kit, first)
    assert await kit.store.admit(10) == []
    await first.fold(CancelRequested())
    assert (await kit.row(tables.runs, id=first.run_id))["status"] in ("cancelling", "cancelled")


async def test_a_run_that_is_cancelled_between_its_admission_and_its_start_gives_its_place_back(kit: Kit) -> None:
    first, second = await waiting(kit, 2)
    await kit.store.admit(10)

    await first.fold(CancelRequested())

    assert (await kit.row(tables.runs, id=first.run_id))["status"] == "cancelled"
    assert await kit.store.admit(10) == [second.run_id]


async def test_a_rejected_newcomer_takes_no_place(kit: Kit) -> None:
    bad = limited(kit)
    change = bad.starts()
    await kit.store.commit([replace(change, tasks=[*change.tasks, *change.tasks])])
    (run,) = await waiting(kit, 1)

    assert await kit.store.admit(10) == [run.run_id]


@pytest.mark.parametrize("limit", [1, 3])
async def test_over_a_long_queue_the_limit_is_never_exceeded_and_everyone_has_a_turn(kit: Kit, limit: int) -> None:
    runs = {run.run_id: run for run in await waiting(kit, 9, limit=limit)}
    active: list[str] = []
    turns: list[str] = []
    while len(turns) < len(runs):
        admitted = list(await kit.store.admit(EVERYTHING))
        active += admitted
        turns += admitted
        assert len(active) == min(limit, len(active) + len(runs) - len(turns))
        done = runs[active.pop(0)]
        await take_in(kit, done)
        await done.fold(done.completes("a"))

    assert turns == list(runs)


async def test_a_plan_without_tasks_gives_its_place_back_at_once(kit: Kit) -> None:
    empty = Owner(kit.store, kit.clock, plan_of(), admission_key="orders", admission_limit=1)
    await empty.start()
    (second,) = await waiting(kit, 1)
    assert await kit.store.admit(10) == [empty.run_id]

    await take_in(kit, empty)

    assert (await kit.row(tables.runs, id=empty.run_id))["status"] == "completed"
    assert await kit.store.admit(10) == [second.run_id]

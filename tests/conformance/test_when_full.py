"""What becomes of a new run when its limit has no room: it waits, it is not started, or another one gives way."""

from dataclasses import replace

import pytest

from millrace.core.events import Admitted, AttemptWithdrawn, CancelRequested, PauseRequested
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    Committed,
    InboxItem,
    NotStarted,
    Refusal,
    Rejected,
    StartKey,
    WhenFull,
)
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, ONE, Owner, claim, registered, start_key
from tests.conformance.kits import Kit

QUEUE, SKIP = WhenFull.QUEUE, WhenFull.SKIP
OLDEST, NEWEST = WhenFull.CANCEL_OLDEST, WhenFull.CANCEL_NEWEST


def limited(kit: Kit, when_full: WhenFull, limit: int = 1, *, key: str = "orders", **fields: object) -> Owner:
    return Owner(kit.store, kit.clock, ONE, admission_key=key, admission_limit=limit, when_full=when_full, **fields)


async def asked(kit: Kit, run: Owner) -> ChangeReply:
    """What a start of the run answers."""
    change = run.starts()
    (reply,) = (await kit.store.commit([change])).changes
    if isinstance(reply, Committed):
        run.took(change)
    return reply


async def inbox(kit: Kit, kind: str) -> list[InboxItem]:
    return [item for item in await kit.store.read_inbox(EVERYTHING) if item.kind == kind]


async def told_to_cancel(kit: Kit) -> list[str]:
    return [item.run_id for item in await inbox(kit, "cancel")]


async def begin(kit: Kit, run: Owner) -> None:
    """Fold the fact that the run is admitted."""
    (item,) = [item for item in await inbox(kit, "admitted") if item.run_id == run.run_id]
    await run.fold(Mail(Admitted(), inbox_id=item.id))


async def under_way(kit: Kit, when_full: WhenFull, count: int, limit: int) -> list[Owner]:
    """Runs that are admitted and have begun."""
    runs = [await limited(kit, when_full, limit).start() for _ in range(count)]
    await kit.store.admit(EVERYTHING)
    for run in runs:
        await begin(kit, run)
    return runs


async def give_way(kit: Kit, run: Owner) -> None:
    """Fold the wish to cancel: nothing of the run has been claimed, so that it ends at once."""
    (item,) = [item for item in await inbox(kit, "cancel") if item.run_id == run.run_id]
    withdrawn = (await run.fold(Mail(CancelRequested(), inbox_id=item.id))).withdrawn
    for fact in withdrawn:
        path, number = str(fact.data["path"]), fact.data["number"]
        assert isinstance(number, int)
        await run.fold(Mail(AttemptWithdrawn(path, number), inbox_id=fact.id))
    assert (await kit.row(tables.runs, id=run.run_id))["status"] == "cancelled"


# --- queue ------------------------------------------------------------------------------------------------------------


async def test_queue_starts_the_run_and_disturbs_nobody(kit: Kit) -> None:
    await under_way(kit, QUEUE, 1, limit=1)

    assert isinstance(await asked(kit, limited(kit, QUEUE)), Committed)
    assert await kit.store.admit(EVERYTHING) == []
    assert await inbox(kit, "cancel") == []


# --- skip -------------------------------------------------------------------------------------------------------------


async def test_skip_refuses_what_has_no_room_and_writes_nothing_of_it(kit: Kit) -> None:
    await under_way(kit, SKIP, 2, limit=2)
    key = start_key(expires_at=kit.clock.now() + SECOND)
    late = limited(kit, SKIP, 2, start_key=key)

    assert await asked(kit, late) == NotStarted(late.run_id, Refusal.LIMIT_FULL)

    for table in (tables.runs, tables.task_runs, tables.records):
        column = "id" if table is tables.runs else "run_id"
        assert await kit.rows(table, **{column: late.run_id}) == []
    assert await kit.rows(tables.start_keys) == []


async def test_skip_counts_those_that_wait_for_their_admission_too(kit: Kit) -> None:
    first, second = limited(kit, SKIP), limited(kit, SKIP)

    assert isinstance(await asked(kit, first), Committed)
    assert await asked(kit, second) == NotStarted(second.run_id, Refusal.LIMIT_FULL)


async def test_of_one_batch_skip_starts_no_more_than_there_is_room_for(kit: Kit) -> None:
    runs = [limited(kit, SKIP, 2) for _ in range(4)]

    reply = await kit.store.commit([run.starts() for run in runs])

    assert [type(one) for one in reply.changes] == [Committed, Committed, NotStarted, NotStarted]


async def test_a_change_that_is_rejected_leaves_its_room_to_the_next_of_the_batch(kit: Kit) -> None:
    bad, good = limited(kit, SKIP), limited(kit, SKIP)
    spoiled = bad.starts()
    spoiled = replace(spoiled, tasks=[*spoiled.tasks, *spoiled.tasks])

    reply = await kit.store.commit([spoiled, good.starts()])

    assert [type(one) for one in reply.changes] == [Rejected, Committed]


async def test_skip_starts_again_once_a_run_has_finished(kit: Kit) -> None:
    (first,) = await under_way(kit, SKIP, 1, limit=1)
    assert isinstance(await asked(kit, limited(kit, SKIP)), NotStarted)

    await first.fold(first.completes("a"))

    assert isinstance(await asked(kit, limited(kit, SKIP)), Committed)


async def test_skip_counts_its_own_key_alone(kit: Kit) -> None:
    await under_way(kit, SKIP, 1, limit=1)

    assert isinstance(await asked(kit, limited(kit, SKIP, key="other")), Committed)


async def test_a_start_key_that_is_taken_is_told_before_the_limit(kit: Kit) -> None:
    """A caller that asks again must hear of the run it has, however full it is by now."""
    key = start_key(expires_at=kit.clock.now() + SECOND)
    first = limited(kit, SKIP, start_key=key)
    await asked(kit, first)
    again, other = limited(kit, SKIP, start_key=key), limited(kit, SKIP, start_key=replace(key, request_hash="other"))

    assert await asked(kit, again) == AlreadyStarted(again.run_id, first.run_id, same_request=True)
    assert await asked(kit, other) == AlreadyStarted(other.run_id, first.run_id, same_request=False)


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_run_that_is_there_already_is_not_refused_for_the_room_it_takes_itself(kit: Kit, keyed: bool) -> None:
    """Its first commit was applied and the answer lost."""
    key: StartKey | None = start_key(expires_at=kit.clock.now() + SECOND) if keyed else None
    run = limited(kit, SKIP, start_key=key)
    change = run.starts()
    await kit.store.commit([change])

    assert (await kit.store.commit([change])).changes == (AlreadyStarted(run.run_id, run.run_id, same_request=True),)


# --- cancel_oldest ----------------------------------------------------------------------------------------------------


async def test_cancel_oldest_asks_the_oldest_to_end_and_waits_until_it_has(kit: Kit) -> None:
    old, young = await under_way(kit, OLDEST, 2, limit=2)
    newcomer = await limited(kit, OLDEST, 2).start()

    assert await kit.store.admit(EVERYTHING) == []
    assert await told_to_cancel(kit) == [old.run_id]
    (item,) = await inbox(kit, "cancel")
    assert newcomer.run_id in str(item.data["reason"])

    await give_way(kit, old)
    assert await kit.store.admit(EVERYTHING) == [newcomer.run_id]
    assert (await kit.row(tables.runs, id=young.run_id))["status"] == "running"


async def test_a_run_in_the_way_is_told_once_however_often_it_is_found_there(kit: Kit) -> None:
    (old,) = await under_way(kit, OLDEST, 1, limit=1)
    await limited(kit, OLDEST).start()

    for _ in range(3):
        await kit.store.admit(EVERYTHING)

    assert await told_to_cancel(kit) == [old.run_id]


async def test_a_run_that_is_ending_is_not_told_again(kit: Kit) -> None:
    """A second cancel would skip what tidies up."""
    (old,) = await under_way(kit, OLDEST, 1, limit=1)
    await claim(kit.store, await registered(kit.store))
    newcomer = await limited(kit, OLDEST).start()
    await kit.store.admit(EVERYTHING)
    (item,) = await inbox(kit, "cancel")
    await old.fold(Mail(CancelRequested(), inbox_id=item.id))

    assert await kit.store.admit(EVERYTHING) == []
    assert await told_to_cancel(kit) == []
    await old.fold(old.completes("a"))
    assert await kit.store.admit(EVERYTHING) == [newcomer.run_id]


async def test_with_cancel_oldest_those_that_wait_give_way_to_younger_ones(kit: Kit) -> None:
    (old,) = await under_way(kit, OLDEST, 1, limit=1)
    waiting, newest = await limited(kit, OLDEST).start(), await limited(kit, OLDEST).start()

    await kit.store.admit(EVERYTHING)

    assert set(await told_to_cancel(kit)) == {old.run_id, waiting.run_id}
    await give_way(kit, old)
    await give_way(kit, waiting)
    assert await kit.store.admit(EVERYTHING) == [newest.run_id]


# --- cancel_newest ----------------------------------------------------------------------------------------------------


async def test_cancel_newest_takes_the_place_of_the_newest_that_was_admitted(kit: Kit) -> None:
    old, young = await under_way(kit, NEWEST, 2, limit=2)
    newcomer = await limited(kit, NEWEST, 2).start()

    assert await kit.store.admit(EVERYTHING) == []
    assert await told_to_cancel(kit) == [young.run_id]

    await give_way(kit, young)
    assert await kit.store.admit(EVERYTHING) == [newcomer.run_id]
    assert (await kit.row(tables.runs, id=old.run_id))["status"] == "running"


async def test_with_cancel_newest_one_that_is_ending_counts_as_giving_way(kit: Kit) -> None:
    _, young = await under_way(kit, NEWEST, 2, limit=2)
    await claim(kit.store, await registered(kit.store))
    newcomer = await limited(kit, NEWEST, 2).start()
    await kit.store.admit(EVERYTHING)
    (item,) = await inbox(kit, "cancel")
    await young.fold(Mail(CancelRequested(), inbox_id=item.id))

    assert await kit.store.admit(EVERYTHING) == []
    assert await told_to_cancel(kit) == [], "the place of the one that ends is enough"
    await young.fold(young.completes("a"))
    assert await kit.store.admit(EVERYTHING) == [newcomer.run_id]


async def test_with_cancel_newest_as_many_give_way_as_wait(kit: Kit) -> None:
    runs = await under_way(kit, NEWEST, 3, limit=3)
    waiting = [await limited(kit, NEWEST, 3).start() for _ in range(2)]

    await kit.store.admit(EVERYTHING)
    await kit.store.admit(EVERYTHING)

    assert set(await told_to_cancel(kit)) == {run.run_id for run in runs[1:]}
    for run in runs[1:]:
        await give_way(kit, run)
    assert await kit.store.admit(EVERYTHING) == [run.run_id for run in waiting]


# --- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when_full", [OLDEST, NEWEST])
async def test_nobody_gives_way_while_there_is_room(kit: Kit, when_full: WhenFull) -> None:
    await under_way(kit, when_full, 1, limit=2)
    newcomer = await limited(kit, when_full, 2).start()

    assert await kit.store.admit(EVERYTHING) == [newcomer.run_id]
    assert await told_to_cancel(kit) == []


@pytest.mark.parametrize("when_full", [OLDEST, NEWEST])
async def test_nobody_gives_way_to_a_run_whose_time_has_not_come(kit: Kit, when_full: WhenFull) -> None:
    (old,) = await under_way(kit, when_full, 1, limit=1)
    await limited(kit, when_full, run_at=kit.clock.now() + 60 * SECOND).start()

    await kit.store.admit(EVERYTHING)
    assert await told_to_cancel(kit) == []

    kit.clock.advance(60 * SECOND)
    await kit.store.admit(EVERYTHING)
    assert await told_to_cancel(kit) == [old.run_id]


@pytest.mark.parametrize("when_full", [OLDEST, NEWEST])
async def test_one_that_waits_makes_no_more_give_way_for_others_that_cannot_start_yet(
    kit: Kit, when_full: WhenFull
) -> None:
    old, young = await under_way(kit, when_full, 2, limit=2)
    later = await limited(kit, when_full, 2, run_at=kit.clock.now() + 60 * SECOND).start()
    paused = await limited(kit, when_full, 2).start()
    await paused.fold(PauseRequested())
    newcomer = await limited(kit, when_full, 2).start()

    await kit.store.admit(EVERYTHING)

    told = await told_to_cancel(kit)
    assert told == [(old if when_full is OLDEST else young).run_id]
    assert not {later.run_id, paused.run_id, newcomer.run_id} & set(told)


@pytest.mark.parametrize("when_full", [OLDEST, NEWEST])
async def test_runs_of_other_keys_are_left_alone(kit: Kit, when_full: WhenFull) -> None:
    other = await limited(kit, when_full, key="other").start()
    (old,) = await under_way(kit, when_full, 1, limit=1)
    await begin(kit, other)
    await limited(kit, when_full).start()

    await kit.store.admit(EVERYTHING)

    assert await told_to_cancel(kit) == [old.run_id]

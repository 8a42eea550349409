"""Leases: one row an incarnation, dead for ever once it was declared lost; and whose attempts are to be given up."""

import pytest

from millrace.core.events import CancelRequested
from millrace.core.values import SECOND
from millrace.ports.incarnations import HeartbeatReply, LostAttempt
from millrace.ports.store import ClaimRequest, IncarnationDead
from millrace.storage import tables
from tests.conformance.builders import CHAIN, LEASE, TWO, Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit

NOTHING = HeartbeatReply(frozenset(), frozenset())


async def test_a_registered_incarnation_is_live_and_its_row_says_who_it_is(kit: Kit) -> None:
    worker = await registered(kit.store, queues=("default", "slow"))

    assert await kit.store.live_incarnations() == {worker}
    row = await kit.row(tables.incarnations)
    assert (row["host"], row["pid"], row["slots"]) == ("host-1", 4711, 8)
    assert row["queues"] == '["default","slow"]'
    assert row["lease_until"] == kit.clock.now() + LEASE


async def test_who_was_silent_since_the_clock_was_set_back_is_lost(kit: Kit) -> None:
    silent, alive = await registered(kit.store), await registered(kit.store)
    kit.clock.jump(-3600 * SECOND)
    await kit.store.heartbeat(alive, LEASE)

    assert await kit.store.reap() == [silent]
    assert await kit.store.live_incarnations() == {alive}


async def test_a_clock_that_is_set_back_by_less_than_a_lease_loses_nobody(kit: Kit) -> None:
    worker = await registered(kit.store)
    kit.clock.jump(-LEASE)

    assert await kit.store.reap() == []
    kit.clock.advance(2 * LEASE + 1)
    assert await kit.store.reap() == [worker]


async def test_sole_registration_declares_every_earlier_incarnation_lost_at_once(kit: Kit) -> None:
    first, second = await registered(kit.store), await registered(kit.store)
    assert await kit.store.live_incarnations() == {first, second}

    third = await registered(kit.store, sole=True)

    assert await kit.store.live_incarnations() == {third}
    for dead in (first, second):
        with pytest.raises(IncarnationDead):
            await kit.store.heartbeat(dead, LEASE)
    assert await kit.store.heartbeat(third, LEASE) == NOTHING


async def test_sole_registration_keeps_when_the_others_were_lost_or_retired(kit: Kit) -> None:
    lost, retired = await registered(kit.store), await registered(kit.store)
    await kit.store.retire(retired)
    kit.clock.advance(LEASE + 1)
    assert await kit.store.reap() == [lost]
    before = {row["id"]: row for row in await kit.rows(tables.incarnations)}
    kit.clock.advance(SECOND)

    await registered(kit.store, sole=True)

    for one in (lost, retired):
        assert await kit.row(tables.incarnations, id=one) == before[one]


# --- heartbeat --------------------------------------------------------------------------------------------------------


async def test_a_heartbeat_tells_which_attempts_the_database_holds_for_the_worker(kit: Kit) -> None:
    worker, other = await registered(kit.store), await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start(claimed_by=worker)
    queued = await Owner(kit.store, kit.clock).start()
    await claim(kit.store, worker)
    await Owner(kit.store, kit.clock).start(claimed_by=other)
    await Owner(kit.store, kit.clock).start()

    held = frozenset({(run.run_id, "a", 1), (queued.run_id, "a", 1)})
    assert await kit.store.heartbeat(worker, LEASE) == HeartbeatReply(held, frozenset())

    await run.fold(run.completes("a"))
    assert await kit.store.heartbeat(worker, LEASE) == HeartbeatReply(frozenset({(queued.run_id, "a", 1)}), frozenset())


async def test_a_heartbeat_tells_which_attempts_are_to_be_stopped(kit: Kit) -> None:
    worker = await registered(kit.store)
    ending = await Owner(kit.store, kit.clock, TWO).start(claimed_by=worker)
    going = await Owner(kit.store, kit.clock).start(claimed_by=worker)
    await ending.fold(CancelRequested())

    reply = await kit.store.heartbeat(worker, LEASE)

    to_stop = {(ending.run_id, "a", 1), (ending.run_id, "b", 1)}
    assert reply == HeartbeatReply(frozenset({*to_stop, (going.run_id, "a", 1)}), frozenset(to_stop))


async def test_heartbeats_extend_the_lease_from_now_by_the_stores_clock(kit: Kit) -> None:
    worker = await registered(kit.store)
    for _ in range(5):
        kit.clock.advance(LEASE - SECOND)
        await kit.store.heartbeat(worker, LEASE)
        assert await kit.store.reap() == []
    assert (await kit.row(tables.incarnations))["lease_until"] == kit.clock.now() + LEASE

    await kit.store.heartbeat(worker, 3 * SECOND)
    kit.clock.advance(3 * SECOND + 1)
    assert await kit.store.reap() == [worker]


async def test_an_unknown_incarnation_has_no_heartbeat(kit: Kit) -> None:
    with pytest.raises(IncarnationDead):
        await kit.store.heartbeat("nobody", LEASE)


# --- the end of an incarnation ----------------------------------------------------------------------------------------


async def test_only_incarnations_whose_lease_is_over_are_reaped_each_once(kit: Kit) -> None:
    late = await registered(kit.store)
    kit.clock.advance(10 * SECOND)
    fresh = await registered(kit.store)
    kit.clock.advance(LEASE - 10 * SECOND - 1)
    assert await kit.store.reap() == []

    kit.clock.advance(2)
    assert await kit.store.reap() == [late]
    assert await kit.store.reap() == []
    assert await kit.store.live_incarnations() == {fresh}


async def test_a_lease_that_was_not_over_at_the_given_time_is_left_alone(kit: Kit) -> None:
    worker = await registered(kit.store)
    asked = await kit.store.now()
    assert asked == kit.clock.now()
    kit.clock.jump(LEASE + SECOND)

    assert await kit.store.reap(asked) == []
    assert await kit.store.reap(await kit.store.now()) == [worker]


async def test_a_reaped_incarnation_is_dead_for_ever(kit: Kit) -> None:
    worker = await registered(kit.store)
    kit.clock.advance(LEASE + 1)
    await kit.store.reap()
    run = Owner(kit.store, kit.clock)

    for _ in range(2):
        with pytest.raises(IncarnationDead):
            await kit.store.heartbeat(worker, LEASE)
        with pytest.raises(IncarnationDead):
            await kit.store.commit([run.starts()], ClaimRequest(worker, ("default",), 1))
        kit.clock.jump(-10 * LEASE)

    await kit.store.retire(worker)
    assert (await kit.row(tables.incarnations))["retired_at"] is None
    assert await kit.rows(tables.runs) == []


async def test_an_overdue_lease_that_nobody_reaped_is_still_good(kit: Kit) -> None:
    worker = await registered(kit.store)
    kit.clock.advance(3 * LEASE)

    assert await kit.store.heartbeat(worker, LEASE) == NOTHING
    assert await kit.store.reap() == []


async def test_a_retired_incarnation_is_neither_live_nor_lost(kit: Kit) -> None:
    worker, other = await registered(kit.store), await registered(kit.store)
    await kit.store.retire(worker)

    assert await kit.store.live_incarnations() == {other}
    kit.clock.advance(LEASE + 1)
    assert await kit.store.reap() == [other]
    with pytest.raises(IncarnationDead):
        await kit.store.heartbeat(worker, LEASE)
    row = await kit.row(tables.incarnations, id=worker)
    assert (row["lost_at"], row["retired_at"]) == (None, kit.clock.now() - LEASE - 1)


# --- attempts to be given up ------------------------------------------------------------------------------------------


async def test_the_running_attempts_of_lost_and_retired_incarnations_are_lost(kit: Kit) -> None:
    lost, retired = await registered(kit.store), await registered(kit.store)
    first = await Owner(kit.store, kit.clock, CHAIN).start(claimed_by=lost)
    second = await Owner(kit.store, kit.clock).start(claimed_by=retired)
    ended = await Owner(kit.store, kit.clock).start(claimed_by=lost)
    await ended.fold(ended.completes("a"))
    await Owner(kit.store, kit.clock).start()
    assert await kit.store.lost_attempts(10) == []

    await kit.store.retire(retired)
    assert await kit.store.lost_attempts(10) == [LostAttempt(second.run_id, "a", 1)]
    alive = await registered(kit.store, sole=True)
    await Owner(kit.store, kit.clock).start(claimed_by=alive)

    found = await kit.store.lost_attempts(10)
    assert set(found) == {LostAttempt(first.run_id, "a", 1), LostAttempt(second.run_id, "a", 1)}
    assert len(found) == 2
    assert len(await kit.store.lost_attempts(1)) == 1


async def test_an_attempt_is_lost_until_a_commit_ends_it(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock).start(claimed_by=worker)
    await registered(kit.store, sole=True)
    assert await kit.store.lost_attempts(10) == [LostAttempt(run.run_id, "a", 1)]

    await run.fold(run.loses("a"))

    assert await kit.store.lost_attempts(10) == []


async def test_an_attempt_is_overdue_when_its_deadline_passed_more_than_the_grace_ago(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", timeout=10 * SECOND), task("b", timeout=20 * SECOND), task("c"))
    run = await Owner(kit.store, kit.clock, plan).start(claimed_by=worker)

    kit.clock.advance(15 * SECOND)
    assert await kit.store.overdue_attempts(5 * SECOND, 10) == []
    kit.clock.advance(1)
    assert await kit.store.overdue_attempts(5 * SECOND, 10) == [LostAttempt(run.run_id, "a", 1)]
    kit.clock.advance(60 * SECOND)

    both = [LostAttempt(run.run_id, "a", 1), LostAttempt(run.run_id, "b", 1)]
    assert sorted(await kit.store.overdue_attempts(5 * SECOND, 10), key=lambda one: one.path) == both
    assert len(await kit.store.overdue_attempts(5 * SECOND, 1)) == 1
    assert await kit.store.overdue_attempts(60 * SECOND, 10) == both[:1]


async def test_only_running_attempts_of_live_incarnations_are_overdue(kit: Kit) -> None:
    dead = await registered(kit.store)
    plan = plan_of(task("a", timeout=SECOND))
    lost = await Owner(kit.store, kit.clock, plan).start(claimed_by=dead)
    alive = await registered(kit.store, sole=True)
    late = await Owner(kit.store, kit.clock, plan).start(claimed_by=alive)
    ended = await Owner(kit.store, kit.clock, plan).start(claimed_by=alive)
    await ended.fold(ended.completes("a"))
    await Owner(kit.store, kit.clock, plan).start()
    kit.clock.advance(60 * SECOND)

    assert await kit.store.overdue_attempts(0, 10) == [LostAttempt(late.run_id, "a", 1)]
    assert await kit.store.lost_attempts(10) == [LostAttempt(lost.run_id, "a", 1)]


async def test_the_installation_has_one_id_for_ever(kit: Kit) -> None:
    first = await kit.store.installation_id()

    assert first
    assert await kit.store.installation_id() == first
    assert [row["id"] for row in await kit.rows(tables.installation)] == [first]

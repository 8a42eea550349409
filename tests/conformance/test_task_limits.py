"""Attempts under a limit, their own key's or their task type's: how many run at the same time, and who has a turn."""

import pytest

from millrace.core.plan import Plan, RetryPlan, TaskLimit
from millrace.core.values import SECOND
from millrace.ports.store import ClaimedAttempt, ClaimRequest
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit


def under(key: str, size: int, name: str = "a", **fields: object) -> Plan:
    return plan_of(task(name, limit=TaskLimit(key, size), **fields))


def limited(kit: Kit, key: str = "db", size: int = 1, **fields: object) -> Owner:
    return Owner(kit.store, kit.clock, under(key, size), **fields)


def typed(kit: Kit, limit: int, plan: Plan | None = None, **fields: object) -> Owner:
    """A run whose tasks are of a type of which the installation runs `limit` at a time."""
    return Owner(kit.store, kit.clock, plan or plan_of(task("a")), type_limits={"noop": limit}, **fields)


def runs_of(claimed: tuple[ClaimedAttempt, ...]) -> list[str]:
    return [one.run_id for one in claimed]


def ids(runs: list[Owner]) -> list[str]:
    return [run.run_id for run in runs]


async def started(kit: Kit, *runs: Owner) -> list[Owner]:
    """The runs, started one second after another."""
    for run in runs:
        await run.start()
        kit.clock.advance(SECOND)
    return list(runs)


# --- a key of the task's own --------------------------------------------------------------------------------------


async def test_no_more_attempts_of_a_key_run_than_its_size(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = await started(kit, *(limited(kit, size=2) for _ in range(4)))

    assert runs_of(await claim(kit.store, worker)) == ids(runs[:2])
    assert await claim(kit.store, worker) == ()
    assert [row["status"] for row in await kit.rows(tables.attempts)].count("running") == 2


async def test_tasks_of_one_run_share_the_places_of_their_key(kit: Kit) -> None:
    worker = await registered(kit.store)
    limit = TaskLimit("db", 2)
    plan = plan_of(*(task(name, limit=limit) for name in "abc"))
    await Owner(kit.store, kit.clock, plan).start()

    assert len(await claim(kit.store, worker)) == 2


async def test_the_attempts_of_every_worker_count(kit: Kit) -> None:
    first, second = await registered(kit.store), await registered(kit.store)
    runs = await started(kit, *(limited(kit, size=2) for _ in range(3)))

    assert runs_of(await claim(kit.store, first, limit=1)) == ids(runs[:1])
    assert runs_of(await claim(kit.store, second)) == ids(runs[1:2])
    assert await claim(kit.store, first) == ()


async def test_an_attempt_that_ends_gives_its_place_to_the_next(kit: Kit) -> None:
    worker = await registered(kit.store)
    first, second, third = await started(kit, *(limited(kit) for _ in range(3)))
    await claim(kit.store, worker)

    await first.fold(first.completes("a"))
    assert runs_of(await claim(kit.store, worker)) == [second.run_id]
    await second.fold(second.fails("a"))
    assert runs_of(await claim(kit.store, worker)) == [third.run_id]


async def test_a_retry_that_waits_holds_no_place(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = under("db", 1, retry=RetryPlan(max_attempts=2, delay=60 * SECOND))
    first, second = await started(kit, Owner(kit.store, kit.clock, plan), limited(kit))
    await claim(kit.store, worker)

    await first.fold(first.fails("a"))

    assert runs_of(await claim(kit.store, worker)) == [second.run_id]
    kit.clock.advance(60 * SECOND)
    assert await claim(kit.store, worker) == ()


async def test_an_attempt_that_is_lost_holds_its_place_until_its_end_is_committed(kit: Kit) -> None:
    worker, other = await registered(kit.store), await registered(kit.store)
    first, second = await started(kit, limited(kit), limited(kit))
    assert runs_of(await claim(kit.store, worker)) == [first.run_id]
    await kit.store.retire(worker)
    assert await claim(kit.store, other) == ()

    await first.fold(first.loses("a"))

    # The one that was lost is tried again, but is younger now.
    assert runs_of(await claim(kit.store, other)) == [second.run_id]


async def test_an_attempt_that_is_claimed_in_the_commit_that_makes_it_takes_a_place(kit: Kit) -> None:
    worker = await registered(kit.store)
    await limited(kit).start(claimed_by=worker)
    await limited(kit).start()

    assert await claim(kit.store, worker) == ()


async def test_keys_do_not_take_each_others_places(kit: Kit) -> None:
    worker = await registered(kit.store)
    one, _, other = await started(kit, limited(kit, "one"), limited(kit, "one"), limited(kit, "two"))

    assert runs_of(await claim(kit.store, worker)) == [one.run_id, other.run_id]


async def test_an_attempt_is_held_to_the_size_it_was_made_with(kit: Kit) -> None:
    """A newer version may say another size; each attempt counts all that run under the key."""
    worker = await registered(kit.store)
    first, second, third = await started(kit, limited(kit, size=1), limited(kit, size=1), limited(kit, size=2))

    assert runs_of(await claim(kit.store, worker, limit=1)) == [first.run_id]
    assert runs_of(await claim(kit.store, worker)) == [third.run_id]
    await first.fold(first.completes("a"))
    assert await claim(kit.store, worker) == ()
    await third.fold(third.completes("a"))
    assert runs_of(await claim(kit.store, worker)) == [second.run_id]


@pytest.mark.parametrize("by", ["key", "type"])
async def test_attempts_of_a_queue_that_nobody_serves_do_not_stand_in_the_way(kit: Kit, by: str) -> None:
    worker = await registered(kit.store)
    limits = {"noop": 50} if by == "type" else {}
    fields = {"limit": TaskLimit("db", 50)} if by == "key" else {}
    away, here = [plan_of(task("a", queue=queue, **fields)) for queue in ("gpu", "default")]
    runs = [Owner(kit.store, kit.clock, one, type_limits=limits) for one in (away, away, away, here)]
    await started(kit, *runs)

    assert runs_of(await claim(kit.store, worker, limit=2, type_limits=limits)) == [runs[-1].run_id]


# --- beside others in the queue -----------------------------------------------------------------------------------


async def test_limited_and_unlimited_attempts_are_claimed_in_one_order(kit: Kit) -> None:
    worker = await registered(kit.store)
    low, free, high, best = await started(
        kit, limited(kit, size=9), Owner(kit.store, kit.clock), limited(kit, size=9, priority=3),
        Owner(kit.store, kit.clock, priority=5),
    )  # fmt: skip

    assert runs_of(await claim(kit.store, worker, limit=3)) == ids([best, high, low])
    assert runs_of(await claim(kit.store, worker)) == [free.run_id]


async def test_those_who_wait_behind_a_full_limit_do_not_stand_in_the_way(kit: Kit) -> None:
    worker = await registered(kit.store)
    await started(kit, *(limited(kit, priority=9) for _ in range(30)))
    await claim(kit.store, worker)
    free, other = await started(kit, Owner(kit.store, kit.clock), limited(kit, "other"))

    assert runs_of(await claim(kit.store, worker, limit=1)) == [free.run_id]
    assert runs_of(await claim(kit.store, worker, limit=1)) == [other.run_id]


async def test_only_the_queues_asked_for_are_claimed(kit: Kit) -> None:
    worker = await registered(kit.store)
    slow = Owner(kit.store, kit.clock, under("db", 1, queue="slow"))
    here = limited(kit)
    await started(kit, slow, here)

    assert await claim(kit.store, worker, "other") == ()
    assert runs_of(await claim(kit.store, worker)) == [here.run_id]
    assert await claim(kit.store, worker, "slow") == (), "the key is the same in all queues"
    await here.fold(here.completes("a"))
    assert runs_of(await claim(kit.store, worker, "*")) == [slow.run_id]


async def test_a_limited_attempt_is_available_from_its_time_on(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = under("db", 1, retry=RetryPlan(max_attempts=2, delay=5 * SECOND))
    run = await Owner(kit.store, kit.clock, plan).start()
    await claim(kit.store, worker)
    await run.fold(run.fails("a"))

    kit.clock.advance(5 * SECOND - 1)
    assert await claim(kit.store, worker) == ()
    kit.clock.advance(1)
    assert runs_of(await claim(kit.store, worker)) == [run.run_id]


async def test_a_claim_of_a_commit_sees_the_place_that_the_same_commit_gives_back(kit: Kit) -> None:
    worker = await registered(kit.store)
    first, second = await started(kit, limited(kit), limited(kit))
    request = ClaimRequest(worker, ("default",), EVERYTHING)
    await kit.store.commit([], request)

    reply = await kit.store.commit([first.folds(first.completes("a"))], request)

    assert runs_of(reply.claimed) == [second.run_id]


# --- task types ---------------------------------------------------------------------------------------------------


async def test_no_more_attempts_of_a_type_run_than_the_claim_allows(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = await started(kit, *(typed(kit, 2) for _ in range(4)))

    assert runs_of(await claim(kit.store, worker, type_limits={"noop": 2})) == ids(runs[:2])
    assert await claim(kit.store, worker, type_limits={"noop": 2}) == ()
    assert runs_of(await claim(kit.store, worker, type_limits={"noop": 3})) == ids(runs[2:3]), "raised since"


async def test_a_type_whose_limit_was_lifted_runs_without_one(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = await started(kit, *(typed(kit, 1) for _ in range(3)))

    assert runs_of(await claim(kit.store, worker, type_limits={"http": 1})) == ids(runs)


async def test_a_type_that_was_limited_only_later_has_none_for_the_attempts_made_before(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = await started(kit, Owner(kit.store, kit.clock), Owner(kit.store, kit.clock))

    assert runs_of(await claim(kit.store, worker, type_limits={"noop": 1})) == ids(runs)


@pytest.mark.parametrize("full", ["key", "type"])
async def test_an_attempt_under_two_limits_takes_a_place_of_both_or_of_none(kit: Kit, full: str) -> None:
    worker = await registered(kit.store)
    both = [typed(kit, 2, under("db", 1)) for _ in range(2)]
    first, second, by_type = await started(kit, *both, typed(kit, 2, under("other", 1)))
    limits = {"noop": 2 if full == "key" else 1}

    claimed = runs_of(await claim(kit.store, worker, type_limits=limits))

    # The second is held up by its key, and must leave the place of its type to the third.
    assert claimed == ([first.run_id, by_type.run_id] if full == "key" else [first.run_id])
    await first.fold(first.completes("a"))
    assert runs_of(await claim(kit.store, worker, type_limits=limits)) == [second.run_id]


async def test_an_attempt_under_two_limits_is_handed_out_once(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await typed(kit, 5, under("db", 5)).start()

    assert runs_of(await claim(kit.store, worker, type_limits={"noop": 5})) == [run.run_id]
    assert len(await kit.rows(tables.records, type="task.started")) == 1


async def test_over_a_long_queue_the_limit_is_never_exceeded_and_everyone_has_a_turn(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = {run.run_id: run for run in await started(kit, *(limited(kit, size=2) for _ in range(9)))}
    active: list[str] = []
    turns: list[str] = []
    while len(turns) < len(runs):
        claimed = runs_of(await claim(kit.store, worker))
        active += claimed
        turns += claimed
        assert len(active) == min(2, len(active) + len(runs) - len(turns))
        done = runs[active.pop(0)]
        await done.fold(done.completes("a"))

    assert turns == list(runs)

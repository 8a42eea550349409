"""How long an attempt may wait for a worker: past `queue_until` it is taken back, unless somebody claimed it first."""

from collections.abc import Sequence
from dataclasses import replace

from millrace.core.events import AttemptExpired, PauseRequested
from millrace.core.plan import RetryPlan, TaskLimit
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.ports.store import InboxItem
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit

PATIENT = plan_of(task("a", queue_timeout=10 * SECOND))


async def waiting(kit: Kit, count: int) -> list[Owner]:
    """Runs whose attempt waits for a worker, begun one second after another."""
    runs = []
    for _ in range(count):
        runs.append(await Owner(kit.store, kit.clock, PATIENT).start())
        kit.clock.advance(SECOND)
    return runs


def told(items: Sequence[InboxItem]) -> list[tuple[str, str, object]]:
    return [(item.run_id, item.kind, item.data) for item in items]


async def test_an_attempt_that_nobody_claimed_in_time_is_taken_back_and_told_of(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    kit.clock.advance(9 * SECOND - 1)
    assert list(await kit.store.expire_attempts(EVERYTHING)) == []
    assert (await kit.row(tables.attempts))["status"] == "scheduled"

    kit.clock.advance(1)
    expired = await kit.store.expire_attempts(EVERYTHING)

    assert told(expired) == [(run.run_id, "attempt_expired", {"path": "a", "number": 1})]
    assert list(await kit.store.read_inbox(EVERYTHING)) == list(expired)
    attempt = await kit.row(tables.attempts)
    assert (attempt["status"], attempt["finished_at"]) == ("cancelled", kit.clock.now())
    assert await claim(kit.store, await registered(kit.store)) == ()


async def test_what_was_taken_back_is_not_taken_back_again(kit: Kit) -> None:
    await waiting(kit, 1)
    kit.clock.advance(10 * SECOND)
    assert len(await kit.store.expire_attempts(EVERYTHING)) == 1

    assert list(await kit.store.expire_attempts(EVERYTHING)) == []
    assert len(await kit.store.read_inbox(EVERYTHING)) == 1


async def test_a_claim_that_was_first_wins(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    await claim(kit.store, await registered(kit.store))
    kit.clock.advance(60 * SECOND)

    assert list(await kit.store.expire_attempts(EVERYTHING)) == []
    await run.fold(run.completes("a"))
    assert (await kit.row(tables.runs))["status"] == "completed"


async def test_an_attempt_whose_time_is_over_may_still_be_claimed_until_it_is_taken_back(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    kit.clock.advance(60 * SECOND)

    claimed = await claim(kit.store, await registered(kit.store))

    assert [one.run_id for one in claimed] == [run.run_id]
    assert list(await kit.store.expire_attempts(EVERYTHING)) == []


async def test_the_longest_overdue_goes_first_and_no_more_than_the_limit(kit: Kit) -> None:
    runs = await waiting(kit, 3)
    kit.clock.advance(60 * SECOND)

    first = await kit.store.expire_attempts(2)
    rest = await kit.store.expire_attempts(2)

    assert [item.run_id for item in (*first, *rest)] == [run.run_id for run in runs]
    assert (len(first), len(rest)) == (2, 1)


async def test_attempts_without_such_a_limit_wait_for_ever(kit: Kit) -> None:
    await Owner(kit.store, kit.clock).start()
    kit.clock.advance(10**9 * SECOND)

    assert list(await kit.store.expire_attempts(EVERYTHING)) == []


async def test_the_time_counts_from_when_a_retry_may_start(kit: Kit) -> None:
    plan = plan_of(task("a", queue_timeout=10 * SECOND, retry=RetryPlan(max_attempts=2, delay=30 * SECOND)))
    run = await Owner(kit.store, kit.clock, plan).start()
    await claim(kit.store, await registered(kit.store))
    await run.fold(run.fails("a"))

    kit.clock.advance(40 * SECOND - 1)
    assert list(await kit.store.expire_attempts(EVERYTHING)) == []
    kit.clock.advance(1)
    assert told(await kit.store.expire_attempts(EVERYTHING)) == [
        (run.run_id, "attempt_expired", {"path": "a", "number": 2})
    ]


async def test_one_that_waits_behind_a_full_limit_expires_too(kit: Kit) -> None:
    plan = plan_of(task("a", queue_timeout=10 * SECOND, limit=TaskLimit("db", 1)))
    first, second = [await Owner(kit.store, kit.clock, plan).start() for _ in range(2)]
    claimed = await claim(kit.store, await registered(kit.store))
    (blocked,) = {first.run_id, second.run_id} - {one.run_id for one in claimed}
    kit.clock.advance(10 * SECOND)

    assert [item.run_id for item in await kit.store.expire_attempts(EVERYTHING)] == [blocked]


async def test_a_withdrawal_that_was_first_wins_and_leaves_one_fact(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    (withdrawn,) = (await run.fold(PauseRequested())).withdrawn
    kit.clock.advance(60 * SECOND)

    assert list(await kit.store.expire_attempts(EVERYTHING)) == []
    assert await kit.store.read_inbox(EVERYTHING) == [withdrawn]


async def test_a_withdrawal_that_comes_after_it_leaves_no_second_fact(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    kit.clock.advance(60 * SECOND)
    (expired,) = await kit.store.expire_attempts(EVERYTHING)

    assert (await run.commit(replace(run.folds(), withdraw=[("a", 1)]))).withdrawn == ()
    assert await kit.store.read_inbox(EVERYTHING) == [expired]


async def test_the_run_goes_on_through_the_fact(kit: Kit) -> None:
    (run,) = await waiting(kit, 1)
    kit.clock.advance(60 * SECOND)
    (item,) = await kit.store.expire_attempts(EVERYTHING)

    await run.fold(Mail(AttemptExpired("a", 1), inbox_id=item.id))

    row = await kit.row(tables.runs)
    assert row["status"] == "failed"
    assert await kit.store.read_inbox(EVERYTHING) == []


async def test_the_next_wake_is_no_later_than_the_first_that_expires(kit: Kit) -> None:
    await Owner(kit.store, kit.clock, PATIENT).start()
    assert await kit.store.next_wake() == 10 * SECOND

    await claim(kit.store, await registered(kit.store))
    assert await kit.store.next_wake() is None

"""What a run waits for: facts in its inbox, timers, and the time at which something next happens."""

from dataclasses import replace

from millrace.core.events import CancelRequested, TimerFired, TimerKind
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.ports.store import Committed, Conflict, InboxItem, RunChange
from millrace.ports.waits import DueTimer, NewWait
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, IDS, ONE, TWO, Owner, claim, inbox_item, plan_of, registered, task
from tests.conformance.kits import Kit

RUN_TIMEOUT, ON_FAILURE, FINALLY = TimerKind.RUN_TIMEOUT, TimerKind.ON_FAILURE_TIMEOUT, TimerKind.FINALLY_TIMEOUT

# --- inbox ------------------------------------------------------------------------------------------------------------


async def test_only_facts_for_live_runs_are_kept_and_answered(kit: Kit) -> None:
    live = await Owner(kit.store, kit.clock).start()
    finished = await Owner(kit.store, kit.clock).start()
    await finished.fold(finished.completes("a"))
    wanted, late, lost = [inbox_item(run_id) for run_id in (live.run_id, finished.run_id, IDS.new())]

    assert await kit.store.post([late, wanted, lost]) == {wanted.id}
    assert await kit.store.read_inbox(10) == [wanted]
    assert await kit.store.post([]) == frozenset()


async def test_a_run_is_told_what_concerns_it_if_it_lives_or_is_yet_to_start(kit: Kit) -> None:
    live = await Owner(kit.store, kit.clock).start()
    finished = await Owner(kit.store, kit.clock).start()
    await finished.fold(finished.completes("a"))
    wanted, refused, never = IDS.new(), IDS.new(), IDS.new()
    waits = [NewWait("a", None, "child", {}, child_run_id=wanted, wanted=True),
             NewWait("b", None, "child", {}, child_run_id=refused)]  # fmt: skip
    told = [inbox_item(run_id) for run_id in (live.run_id, finished.run_id, wanted, refused, never)]

    change = replace(Owner(kit.store, kit.clock, TWO).starts(), waits=waits, told=told, with_controls=True)
    await kit.store.commit([change])

    assert {item.id for item in await kit.store.read_inbox(10)} == {told[0].id, told[2].id}


async def test_posting_the_same_fact_again_says_the_same_and_keeps_it_once(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    item = inbox_item(run.run_id)

    assert await kit.store.post([item]) == {item.id}
    assert await kit.store.post([item]) == {item.id}
    assert await kit.store.read_inbox(10) == [item]


async def test_a_fact_keeps_its_data(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    item = InboxItem(IDS.new(), run.run_id, "cancel", {"by": "Zoë ☃", "n": [1, 2.5, None, {}], "": ""})

    await kit.store.post([item])

    assert await kit.store.read_inbox(1) == [item]


async def test_the_inbox_is_read_oldest_first_and_no_further_than_the_limit(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    items = [inbox_item(run.run_id) for _ in range(4)]
    for item in (items[3], items[0], items[2]):
        await kit.store.post([item])
        kit.clock.advance(1)
    await kit.store.post([items[1]])

    in_order = [items[3], items[0], items[2], items[1]]
    assert await kit.store.read_inbox(10) == in_order
    assert await kit.store.read_inbox(2) == in_order[:2]


async def test_a_fact_goes_with_the_commit_that_folds_it_and_not_before(kit: Kit) -> None:
    run, other = [await Owner(kit.store, kit.clock).start() for _ in range(2)]
    folded, left, others = inbox_item(run.run_id), inbox_item(run.run_id), inbox_item(other.run_id)
    await kit.store.post([folded, left, others])
    change = replace(run.folds(), inbox_done=[folded.id])

    await kit.store.commit([replace(change, revision=9)])
    assert await kit.store.read_inbox(10) == [folded, left, others]

    await run.commit(change)
    assert await kit.store.read_inbox(10) == [left, others]


async def test_a_fact_that_another_commit_has_folded_is_not_folded_again(kit: Kit) -> None:
    """Two engines read it; one folds it, and only then the other loads the run: by the revision alone it may fold it
    again, and a cancel would count twice."""
    run, other = [await Owner(kit.store, kit.clock, TWO).start() for _ in range(2)]
    cancel = inbox_item(run.run_id)
    await kit.store.post([cancel])
    await run.fold(Mail(CancelRequested(None, None), inbox_id=cancel.id))
    before = await kit.row(tables.runs, id=run.run_id)

    again = run.folds(Mail(CancelRequested(None, None), inbox_id=cancel.id))
    reply = await kit.store.commit([again, other.folds(other.completes("a"))])

    assert [type(one) for one in reply.changes] == [Conflict, Committed]
    assert await kit.row(tables.runs, id=run.run_id) == before


# --- timers -----------------------------------------------------------------------------------------------------------


async def set_timers(run: Owner, *timers: tuple[TimerKind, int], **fields: object) -> RunChange:
    change = replace(run.folds(), timers=timers, **fields)
    await run.commit(change)
    return change


async def test_a_run_limit_becomes_a_timer_and_goes_when_the_run_ends(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, plan_of(task("a"), timeout=60 * SECOND)).start()
    row = await kit.row(tables.timers)
    assert (row["run_id"], row["kind"], row["fire_at"]) == (run.run_id, "run_timeout", kit.clock.now() + 60 * SECOND)

    await run.fold(run.completes("a"))

    assert await kit.rows(tables.timers) == []


async def test_timers_are_due_from_their_time_on_by_the_stores_clock_earliest_first(kit: Kit) -> None:
    first, second = [await Owner(kit.store, kit.clock, TWO).start() for _ in range(2)]
    now = kit.clock.now()
    await set_timers(first, (RUN_TIMEOUT, now + 30), (FINALLY, now + 10))
    await set_timers(second, (RUN_TIMEOUT, now + 20))

    kit.clock.advance(9)
    assert await kit.store.due_timers(10) == []
    kit.clock.advance(1)
    assert await kit.store.due_timers(10) == [DueTimer(first.run_id, FINALLY)]
    kit.clock.advance(60)
    in_order = [
        DueTimer(first.run_id, FINALLY),
        DueTimer(second.run_id, RUN_TIMEOUT),
        DueTimer(first.run_id, RUN_TIMEOUT),
    ]
    assert await kit.store.due_timers(10) == in_order
    assert await kit.store.due_timers(2) == in_order[:2]


async def test_a_timer_that_is_set_again_is_replaced(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    now = kit.clock.now()
    await set_timers(run, (RUN_TIMEOUT, now + 10))
    await set_timers(run, (RUN_TIMEOUT, now + 50))

    assert [row["fire_at"] for row in await kit.rows(tables.timers)] == [now + 50]


async def test_of_a_timer_set_twice_in_one_change_the_last_counts(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    now = kit.clock.now()
    await set_timers(run, (RUN_TIMEOUT, now + 10), (FINALLY, now + 7), (RUN_TIMEOUT, now + 5))

    assert {row["kind"]: row["fire_at"] - now for row in await kit.rows(tables.timers)} == {
        "run_timeout": 5, "finally_timeout": 7,
    }  # fmt: skip


async def test_a_timer_that_fired_is_deleted_by_the_commit_that_folds_it(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, plan_of(task("a"), timeout=SECOND)).start()
    other = await Owner(kit.store, kit.clock, plan_of(task("a"), timeout=SECOND)).start()
    kit.clock.advance(SECOND)
    change = run.folds(TimerFired(RUN_TIMEOUT))
    assert change.timers_done == [RUN_TIMEOUT]

    assert (await kit.store.commit([replace(change, revision=3)])).changes == (Conflict(run.run_id),)
    assert len(await kit.rows(tables.timers)) == 2
    await run.commit(change)

    assert await kit.store.due_timers(10) == [DueTimer(other.run_id, RUN_TIMEOUT)]


async def test_a_timer_may_be_done_and_set_anew_in_one_change(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    now = kit.clock.now()
    await set_timers(run, (RUN_TIMEOUT, now))
    await set_timers(run, (RUN_TIMEOUT, now + 9), timers_done=[RUN_TIMEOUT])

    assert [row["fire_at"] for row in await kit.rows(tables.timers)] == [now + 9]


async def test_clearing_takes_all_timers_of_the_run_and_of_no_other(kit: Kit) -> None:
    run, other = [await Owner(kit.store, kit.clock, TWO).start() for _ in range(2)]
    for one in (run, other):
        await set_timers(one, (RUN_TIMEOUT, 1), (ON_FAILURE, 2), (FINALLY, 3))

    await run.commit(replace(run.folds(), clear_timers=True))

    assert {row["run_id"] for row in await kit.rows(tables.timers)} == {other.run_id}


# --- the next wake ----------------------------------------------------------------------------------------------------


async def test_nothing_to_wait_for_means_no_wake(kit: Kit) -> None:
    assert await kit.store.next_wake() is None
    run = await Owner(kit.store, kit.clock, ONE).start()
    assert await kit.store.next_wake() is None
    await run.fold(CancelRequested())
    assert await kit.store.next_wake() is None


async def test_the_next_wake_is_the_earliest_future_timer_or_delayed_attempt(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", retry=RetryPlan(2, delay=10)), timeout=30)
    run = await Owner(kit.store, kit.clock, plan).start()
    assert await kit.store.next_wake() == 30

    await claim(kit.store, worker, limit=EVERYTHING)
    await run.fold(run.fails("a"))
    assert await kit.store.next_wake() == 10

    kit.clock.advance(10)
    assert await kit.store.next_wake() == 20
    kit.clock.advance(20)
    assert await kit.store.next_wake() is None

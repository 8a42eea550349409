"""Claims: which attempts, in which order, once each; and what the rows say of a claimed attempt."""

import json
from dataclasses import replace

import pytest

from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from millrace.ports.store import ClaimedAttempt, ClaimRequest, Committed, IncarnationDead
from millrace.storage import tables
from tests.conformance.builders import CHAIN, TWO, Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit


def paths(claimed: tuple[ClaimedAttempt, ...]) -> list[tuple[str, str]]:
    return [(one.run_id, one.path) for one in claimed]


async def test_a_claim_hands_out_the_attempt_with_its_token_once(kit: Kit) -> None:
    worker, other = await registered(kit.store), await registered(kit.store)
    run = await Owner(kit.store, kit.clock).start()

    claimed = await claim(kit.store, worker)

    assert claimed == (ClaimedAttempt(run.run_id, "a", 1, run.token("a"), None),)
    assert await claim(kit.store, worker) == ()
    assert await claim(kit.store, other) == ()
    attempt = await kit.row(tables.attempts)
    assert (attempt["status"], attempt["incarnation_id"]) == ("running", worker)
    assert attempt["started_at"] == kit.clock.now()


async def test_the_task_reads_running_with_its_worker_and_since_when(kit: Kit) -> None:
    worker = await registered(kit.store)
    await Owner(kit.store, kit.clock, CHAIN).start()
    kit.clock.advance(SECOND)

    await claim(kit.store, worker)

    row = await kit.row(tables.task_runs, path="a")
    assert (row["status"], row["worker"], row["started_at"]) == ("running", worker, kit.clock.now())
    assert (await kit.row(tables.task_runs, path="b"))["status"] == "pending"


async def test_a_claim_is_recorded_as_the_start_beside_the_scheduling(kit: Kit) -> None:
    worker = await registered(kit.store)
    await Owner(kit.store, kit.clock).start()
    kit.clock.advance(SECOND)

    await claim(kit.store, worker)

    before, last = (await kit.rows(tables.records))[-2:]
    assert before["type"] == "task.scheduled"
    assert (last["type"], last["path"], last["at"]) == ("task.started", "a", kit.clock.now())
    assert json.loads(last["data"]) == {"attempt": 1, "worker": worker}


async def test_a_claim_bumps_no_revision(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start()
    await claim(kit.store, worker)

    assert (await kit.row(tables.runs))["revision"] == 1
    await run.fold(run.completes("a"))


async def test_the_highest_priority_comes_first_then_the_oldest(kit: Kit) -> None:
    worker = await registered(kit.store)
    runs = []
    for priority in (0, 5, -3, 5, 0):
        runs.append((await Owner(kit.store, kit.clock, priority=priority).start()).run_id)
        kit.clock.advance(SECOND)

    one_by_one = [run_id for _ in range(5) for run_id, _ in paths(await claim(kit.store, worker, limit=1))]

    assert one_by_one == [runs[1], runs[3], runs[0], runs[4], runs[2]]


async def test_one_claim_answers_in_order_over_all_its_queues(kit: Kit) -> None:
    worker = await registered(kit.store)
    plans = {name: plan_of(task("a", queue=name)) for name in ("default", "slow", "other")}
    runs = {}
    for queue, priority in (("slow", 0), ("default", 1), ("other", 9), ("slow", 2), ("default", 0)):
        runs[queue, priority] = (await Owner(kit.store, kit.clock, plans[queue], priority=priority).start()).run_id
        kit.clock.advance(SECOND)

    claimed = await claim(kit.store, worker, "default", "slow", limit=3)

    assert [run_id for run_id, _ in paths(claimed)] == [runs["slow", 2], runs["default", 1], runs["slow", 0]]
    assert [run_id for run_id, _ in paths(await claim(kit.store, worker, "default", "slow"))] == [runs["default", 0]]


async def test_only_the_queues_asked_for_are_claimed(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, plan_of(task("a"), task("b", queue="slow"))).start()

    assert await claim(kit.store, worker, "other") == ()
    assert paths(await claim(kit.store, worker, "slow", "other")) == [(run.run_id, "b")]
    assert paths(await claim(kit.store, worker, "default")) == [(run.run_id, "a")]


async def test_a_queue_that_is_named_twice_gives_no_attempt_twice(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, TWO).start()

    assert paths(await claim(kit.store, worker, "default", "default")) == [(run.run_id, "a"), (run.run_id, "b")]
    assert len(await kit.rows(tables.records, type="task.started")) == 2


async def test_a_claim_takes_no_more_than_its_limit(kit: Kit) -> None:
    worker = await registered(kit.store)
    for _ in range(5):
        await Owner(kit.store, kit.clock).start()

    assert [len(await claim(kit.store, worker, limit=limit)) for limit in (0, 2, 2, 2, 2)] == [0, 2, 2, 1, 0]


async def test_an_attempt_is_available_from_its_time_on_by_the_stores_clock(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", retry=RetryPlan(max_attempts=2, delay=5 * SECOND)))
    run = await Owner(kit.store, kit.clock, plan).start()
    await claim(kit.store, worker)
    await run.fold(run.fails("a"))
    assert (await kit.row(tables.task_runs))["status"] == "ready"
    assert await claim(kit.store, worker) == ()

    kit.clock.advance(5 * SECOND - 1)
    assert await claim(kit.store, worker) == ()
    kit.clock.advance(1)
    (claimed,) = await claim(kit.store, worker)

    assert (claimed.number, claimed.token) == (2, run.token("a", 2))
    assert (await kit.row(tables.task_runs))["started_at"] == kit.clock.now() - 5 * SECOND


async def test_a_commit_claims_what_it_has_just_scheduled(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = Owner(kit.store, kit.clock, TWO)

    reply = await kit.store.commit([run.starts()], ClaimRequest(worker, ("default",), 10))

    assert reply.changes == (Committed(run.run_id),)
    assert paths(reply.claimed) == [(run.run_id, "a"), (run.run_id, "b")]


async def test_what_a_refused_change_would_have_scheduled_cannot_be_claimed(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start(claimed_by=worker)

    change = replace(run.folds(run.completes("a")), revision=7)

    assert (await kit.store.commit([change], ClaimRequest(worker, ("default",), 10))).claimed == ()


@pytest.mark.parametrize(
    ("timeout", "total", "expected"),
    [(None, None, None), (4, None, 3 + 4), (None, 20, 20), (4, 20, 3 + 4), (4, 5, 5), (17, 20, 20)],
)
async def test_the_deadline_is_the_earlier_of_the_timeout_from_the_claim_and_the_tasks_total_limit(
    kit: Kit, timeout: int | None, total: int | None, expected: int | None
) -> None:
    worker = await registered(kit.store)
    start = kit.clock.now()
    limits = {
        "timeout": None if timeout is None else timeout * SECOND,
        "total_timeout": None if total is None else total * SECOND,
    }
    await Owner(kit.store, kit.clock, plan_of(task("a", **limits))).start()
    kit.clock.advance(3 * SECOND)

    (claimed,) = await claim(kit.store, worker)

    assert claimed.time_left == (None if expected is None else (expected - 3) * SECOND)
    deadline = (await kit.row(tables.attempts))["deadline_at"]
    assert deadline == (None if expected is None else start + expected * SECOND)


async def test_an_inline_claim_writes_the_same_rows_as_one_from_the_queue(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", timeout=4 * SECOND, total_timeout=9 * SECOND))
    inline = await Owner(kit.store, kit.clock, plan).start(claimed_by=worker)
    queued = await Owner(kit.store, kit.clock, plan).start()
    await claim(kit.store, worker)

    for table in (tables.attempts, tables.task_runs):
        of_inline, of_queued = [await kit.row(table, run_id=run.run_id) for run in (inline, queued)]
        own = {"run_id": queued.run_id, **({"token": queued.token("a")} if "token" in of_queued else {})}
        assert {**of_inline, **own} == of_queued
        assert of_queued["status"] == "running"


async def test_an_inline_claim_is_not_handed_out_again(kit: Kit) -> None:
    worker, other = await registered(kit.store), await registered(kit.store)
    await Owner(kit.store, kit.clock).start(claimed_by=worker)

    assert await claim(kit.store, other) == ()
    assert (await kit.row(tables.attempts))["incarnation_id"] == worker


async def test_a_later_attempt_names_its_own_worker_and_keeps_the_tasks_first_start(kit: Kit) -> None:
    first, second = await registered(kit.store), await registered(kit.store)
    run = await Owner(kit.store, kit.clock, plan_of(task("a", retry=RetryPlan(3, delay=0)))).start(claimed_by=first)
    started_at = kit.clock.now()
    kit.clock.advance(SECOND)
    await run.fold(run.fails("a"), claimed_by=second)
    row = await kit.row(tables.task_runs)
    assert (row["status"], row["worker"], row["started_at"]) == ("running", second, started_at)

    await run.fold(run.fails("a", 2))
    row = await kit.row(tables.task_runs)
    assert (row["status"], row["worker"]) == ("ready", second)


async def test_a_lost_or_retired_or_unknown_incarnation_claims_nothing_and_nothing_is_written(kit: Kit) -> None:
    lost = await registered(kit.store)
    alive = await registered(kit.store, sole=True)
    retired = await registered(kit.store)
    await kit.store.retire(retired)
    waiting = await Owner(kit.store, kit.clock).start()
    for dead in (lost, retired, "nobody"):
        run = Owner(kit.store, kit.clock)
        with pytest.raises(IncarnationDead):
            await kit.store.commit([run.starts()], ClaimRequest(dead, ("default",), 10))
        with pytest.raises(IncarnationDead):
            await kit.store.commit([run.starts(claimed_by=dead)])
        assert await kit.store.load(run.run_id) is None

    assert paths(await claim(kit.store, alive)) == [(waiting.run_id, "a")]

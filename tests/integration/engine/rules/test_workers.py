"""Workers that die, hang, drain and come back: incarnations, leases, heartbeats, the reaper."""

import asyncio

import pytest

from millrace.core.plan import RetryPlan
from millrace.core.retry import MAX_CRASHES
from millrace.core.values import SECOND
from millrace.engine.reaper import Reaper
from millrace.storage import tables
from tests.integration.engine.rules.rules_kit import LEASE, Kit, plan_of, task, until

HOUR = 3600 * SECOND


async def test_a_worker_that_was_declared_lost_comes_back_under_a_new_id_and_the_task_goes_on(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"))
    await until(lambda: hanging.running)
    dead = kit.worker.incarnation_id
    kit.clock.advance(LEASE + 1)
    assert await kit.store.reap() == [dead]
    await kit.here.heartbeat.run_once()
    await until(lambda: not hanging.running)
    assert kit.worker.incarnation_id != dead
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id}
    hanging.go.set()
    await kit.here.reaper.run_once()
    run = await kit.ends(run_id)
    assert (run.status, run.tasks["a"].crashes, run.tasks["a"].failures) == ("completed", 1, 0)
    assert await kit.attempts(run_id) == [("a", 1, "lost"), ("a", 2, "completed")]


async def test_a_commit_that_finds_its_incarnation_dead_writes_nothing_and_nothing_is_lost(kit: Kit) -> None:
    dead = kit.worker.incarnation_id
    kit.clock.advance(LEASE + 1)
    await kit.store.reap()
    run_id = await kit.start(task("a"), task("b", "a"))
    await kit.here.heartbeat.run_once()
    await kit.here.timers.run_once()
    assert (await kit.ends(run_id)).status == "completed"
    assert kit.worker.incarnation_id != dead


async def test_the_late_result_of_a_dead_incarnation_is_refused(kit: Kit) -> None:
    stubborn = kit.hangs("stubborn", stubborn=True)
    run_id = await kit.start(task("a", type="stubborn", retry=RetryPlan(on_crash=False)))
    await until(lambda: stubborn.running)
    kit.clock.advance(LEASE + 1)
    await kit.store.reap()
    await kit.here.heartbeat.run_once()
    stubborn.go.set()
    await until(lambda: not stubborn.running)
    await kit.here.reaper.run_once()
    run = await kit.ends(run_id)
    failure = run.tasks["a"].failure
    assert failure is not None
    assert (run.status, failure.kind) == ("failed", "worker_lost")
    assert await kit.attempts(run_id) == [("a", 1, "lost")]


async def test_an_attempt_that_only_the_database_knows_for_a_while_is_lost(kit: Kit) -> None:
    run_id = await kit.start(task("a", queue="elsewhere"))
    await kit.database.write(
        lambda connection: connection.execute(
            tables.attempts.update()
            .where(tables.attempts.c.run_id == run_id)
            .values(status="running", incarnation_id=kit.worker.incarnation_id, started_at=1)
        )
    )
    await kit.here.heartbeat.run_once()
    await kit.here.heartbeat.run_once()
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "running")], "two heartbeats in a row may come at once"
    kit.clock.advance(3 * SECOND)
    await kit.here.heartbeat.run_once()
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "lost"), ("a", 2, "scheduled")]


async def test_an_attempt_that_only_the_worker_knows_is_stopped(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), task("b", "a"))
    await until(lambda: hanging.running)
    kit.engine.lost(run_id, "a", 1)
    await kit.settled()
    await until(lambda: hanging.running == 2)
    await kit.here.heartbeat.run_once()
    await until(lambda: hanging.running == 1)
    hanging.go.set()
    run = await kit.ends(run_id)
    assert (run.status, run.tasks["a"].attempt) == ("completed", 2)


async def test_a_task_whose_worker_is_lost_every_time_fails_in_the_end(kit: Kit) -> None:
    kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"))
    for crash in range(1, MAX_CRASHES + 1):
        await until(lambda: _running(kit, run_id, crash))  # noqa: B023 - awaited before the next round
        kit.engine.lost(run_id, "a", crash)
        await kit.settled()
        kit.clock.advance(30 * SECOND)
        await kit.here.timers.run_once()
    run = await kit.ends(run_id)
    assert (run.status, run.tasks["a"].crashes, run.tasks["a"].failures) == ("failed", MAX_CRASHES, 0)


async def test_the_reaper_waits_for_the_end_of_a_lease(kit: Kit) -> None:
    quiet = await kit.process(attached=False)
    for _ in range(3):
        kit.clock.advance(5 * SECOND)
        await kit.here.heartbeat.run_once()
        await kit.here.reaper.run_once()
    assert quiet.worker.incarnation_id in await kit.store.live_incarnations()
    kit.clock.advance(1)
    await kit.here.reaper.run_once()
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id}


async def test_hosts_hear_at_once_of_a_lost_worker_to_end_what_it_left_behind(kit: Kit) -> None:
    await kit.process(attached=False)
    told: list[str] = []
    reaper = Reaper(kit.store, kit.engine, kit.clock, LEASE, after_loss=lambda: told.append("lost"))
    await reaper.run_once()
    assert told == []
    for _ in range(8):
        kit.clock.advance(2 * SECOND)
        await kit.here.heartbeat.run_once()
        await reaper.run_once()
    assert told == ["lost"]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_after_a_jump_of_the_wall_clock_nobody_is_declared_lost_for_one_lease(kit: Kit, jump: int) -> None:
    await kit.here.reaper.run_once()
    kit.clock.jump(jump)
    await kit.here.reaper.run_once()
    assert kit.worker.incarnation_id in await kit.store.live_incarnations()
    kit.clock.advance(2 * SECOND)
    await kit.here.heartbeat.run_once()
    for _ in range(7):
        kit.clock.advance(2 * SECOND)
        await kit.here.reaper.run_once()
    assert kit.worker.incarnation_id in await kit.store.live_incarnations()


async def test_a_jump_of_the_wall_clock_does_not_end_an_attempt_within_its_limit(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang", timeout=60 * SECOND))
    await until(lambda: hanging.running)
    await kit.here.reaper.run_once()
    kit.clock.jump(HOUR)
    await kit.here.reaper.run_once()
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "running")]


@pytest.mark.parametrize("on_crash", [True, False])
async def test_an_attempt_that_its_worker_never_ends_is_given_up_like_that_of_a_lost_worker(
    kit: Kit, on_crash: bool
) -> None:
    stubborn = kit.hangs("stubborn", stubborn=True)
    retry = RetryPlan(max_attempts=5, delay=0, on_crash=on_crash)
    run_id = await kit.start(task("a", type="stubborn", timeout=60 * SECOND, retry=retry))
    await until(lambda: stubborn.running)
    await _pass(kit, 80)
    await kit.settled()
    assert (await kit.attempts(run_id))[0] == ("a", 1, "lost")
    if on_crash:
        await until(lambda: _running(kit, run_id, 2))
    else:
        assert (await kit.ends(run_id)).status == "failed"
        assert len(kit.runners.get("stubborn").calls) == 1  # type: ignore[union-attr]
    stubborn.go.set()
    await until(lambda: not stubborn.running)


async def test_a_drained_worker_takes_nothing_more_and_lets_its_attempts_end(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), task("b", "a"))
    await until(lambda: hanging.running)
    draining = asyncio.create_task(kit.worker.drain(60))
    await asyncio.sleep(0)
    hanging.go.set()
    await draining
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "completed"), ("b", 1, "scheduled")]


async def test_an_attempt_ended_by_a_drain_is_neither_a_failure_nor_a_crash(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"))
    await until(lambda: hanging.running)
    await kit.worker.drain(0)
    await kit.settled()
    assert hanging.running == 0
    assert await kit.attempts(run_id) == [("a", 1, "cancelled"), ("a", 2, "scheduled")]
    assert await kit.rows("select failures, crashes from task_runs where run_id = ?", run_id) == [(0, 0)]
    ((error,),) = await kit.rows("select error from attempts where run_id = ? and number = 1", run_id)
    assert "worker_stopped" in error
    hanging.go.set()
    await kit.process()
    await until(lambda: _finished(kit, run_id))
    assert await kit.status(run_id) == "completed"


async def test_a_drain_ends_what_a_commit_under_way_still_hands_to_the_worker(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    kit.store.open.clear()
    new = await kit.new(plan_of(task("a", type="hang")))
    starting = asyncio.create_task(kit.begin(new))
    await until(lambda: kit.store.commits and kit.store.commits[-1] == (new.id,))
    draining = asyncio.create_task(kit.worker.drain(0))
    await asyncio.sleep(0)
    kit.store.open.set()
    await starting
    async with asyncio.timeout(60):
        await draining
        await kit.engine.settle()
    assert hanging.running == 0
    assert await kit.attempts(new.id) == [("a", 1, "cancelled"), ("a", 2, "scheduled")]


async def _pass(kit: Kit, seconds: int) -> None:
    """Time passes as it does in a healthy process: with heartbeats, and rounds of the reaper."""
    for _ in range(seconds // 2):
        kit.clock.advance(2 * SECOND)
        await kit.here.heartbeat.run_once()
        await kit.here.reaper.run_once()


async def _running(kit: Kit, run_id: str, number: int) -> bool:
    return ("a", number, "running") in await kit.attempts(run_id)


async def _finished(kit: Kit, run_id: str) -> bool:
    return await kit.status(run_id) in ("completed", "failed", "cancelled")

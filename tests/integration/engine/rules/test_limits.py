"""Retries and time limits, moved by the clock of the test; only an attempt's own limit is real time, and short."""

from typing import Any

import pytest

from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from tests.integration.engine.rules.rules_kit import Kit, closing, fails, handler, task, until

SHORT = SECOND // 100


async def test_a_failed_task_is_tried_again_after_its_delay_and_not_before(kit: Kit) -> None:
    kit.runners.add("flaky", fails(2))
    retry = RetryPlan(max_attempts=3, delay=10 * SECOND, multiplier=3.0)
    run_id = await kit.start(task("a", type="flaky", retry=retry))
    await until(lambda: _scheduled(kit, run_id, 2))
    kit.clock.advance(10 * SECOND - 1)
    await kit.here.timers.run_once()
    assert (await kit.attempts(run_id))[-1] == ("a", 2, "scheduled")
    kit.clock.advance(1)
    await kit.here.timers.run_once()
    await until(lambda: _scheduled(kit, run_id, 3))
    kit.clock.advance(30 * SECOND)
    await kit.here.timers.run_once()
    run = await kit.ends(run_id)
    assert (run.status, run.tasks["a"].failures, run.tasks["a"].attempt) == ("completed", 2, 3)


@pytest.mark.parametrize("slow", ["next_wake", "due_timers", "expire_attempts"])
async def test_what_becomes_due_while_the_timers_look_is_found_by_the_next_look(
    kit: Kit, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written meanwhile, so no other look would find it."""
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), timeout=10 * SECOND)
    await until(lambda: hanging.running)
    kit.clock.advance(10 * SECOND - 1)
    ask = getattr(kit.store, slow)

    async def slowly(*values: int) -> Any:
        kit.clock.advance(2)
        return await ask(*values)

    monkeypatch.setattr(kit.store, slow, slowly, raising=False)
    await kit.here.timers.run_once()
    await kit.here.timers.run_once()
    assert (await kit.ends(run_id)).status == "failed"


async def test_the_timers_sleep_until_the_next_retry(kit: Kit) -> None:
    kit.runners.add("flaky", fails(1))
    run_id = await kit.start(task("a", type="flaky", retry=RetryPlan(max_attempts=2, delay=SECOND // 2)))
    await until(lambda: _scheduled(kit, run_id, 2))
    assert await kit.here.timers.run_once() == pytest.approx(0.5)


async def test_an_attempt_is_ended_at_its_limit_and_counts_as_a_failure(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run = await kit.play(task("a", type="hang", timeout=SHORT, retry=RetryPlan(max_attempts=2, delay=0)))
    failure = run.tasks["a"].failure
    assert failure is not None
    assert (run.status, failure.kind, run.tasks["a"].failures, hanging.running) == ("failed", "timeout", 2, 0)


async def test_the_total_limit_holds_over_all_attempts_and_their_delays(kit: Kit) -> None:
    kit.runners.add("flaky", fails(9))
    retry = RetryPlan(max_attempts=9, delay=20 * SECOND, multiplier=1.0)
    run_id = await kit.start(task("a", type="flaky", retry=retry, total_timeout=30 * SECOND))
    await until(lambda: _scheduled(kit, run_id, 2))
    kit.clock.advance(20 * SECOND)
    await kit.here.timers.run_once()
    run = await kit.ends(run_id)
    failure = run.tasks["a"].failure
    assert failure is not None
    assert (failure.kind, run.tasks["a"].attempt) == ("timeout", 2)
    assert "total limit of 30 s" in failure.message


async def test_a_run_that_takes_too_long_is_ended_and_its_handlers_run(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), handler("h"), closing("f"), timeout=60 * SECOND)
    await until(lambda: hanging.running)
    kit.clock.advance(60 * SECOND)
    await kit.here.timers.run_once()
    run = await kit.ends(run_id)
    assert run.failure is not None
    assert (run.status, run.failure.kind, hanging.running) == ("failed", "timeout", 0)
    assert await kit.tasks(run_id) == {"a": "cancelled", "h": "completed", "f": "completed"}
    assert await kit.rows("select * from timers") == []


async def test_a_handler_that_takes_too_long_is_ended_by_its_own_limit(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a"), closing("f", type="hang"), timeout=SECOND, handler_timeout=5 * SECOND)
    await until(lambda: hanging.running)
    kit.clock.advance(4 * SECOND)
    await kit.here.timers.run_once()
    await kit.settled()
    assert hanging.running == 1
    kit.clock.advance(SECOND)
    await kit.here.timers.run_once()
    run = await kit.ends(run_id)
    assert run.failure is not None
    assert (run.status, run.failure.kind) == ("failed", "timeout")


async def test_a_failure_that_is_allowed_does_not_fail_the_run(kit: Kit) -> None:
    run = await kit.play(task("a", type="broken", allow_failure=True), task("b", "a"))
    assert run.status == "completed"
    assert {path: one.status for path, one in run.tasks.items()} == {"a": "failed", "b": "completed"}


async def test_on_failure_and_finally_run_after_a_failure_which_they_cannot_mend(kit: Kit) -> None:
    run = await kit.play(task("a", type="broken"), task("b", "a"), handler("h"), closing("f"))
    assert run.status == "failed"
    assert {path: one.status for path, one in run.tasks.items()} == {
        "a": "failed", "b": "skipped", "h": "completed", "f": "completed",
    }  # fmt: skip


async def test_a_failed_finally_fails_a_completed_run(kit: Kit) -> None:
    run = await kit.play(task("a"), handler("h"), closing("f", type="broken"))
    assert run.status == "failed"
    assert run.tasks["h"].status == "skipped"


async def _scheduled(kit: Kit, run_id: str, number: int) -> bool:
    return ("a", number, "scheduled") in await kit.attempts(run_id)

"""Commits: one a task in a chain, grouped over many runs, and claims that continue inline."""

import asyncio
from pathlib import Path

import pytest

from millrace.core.errors import Unavailable
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from millrace.ports.runner import Completed, Outcome, RunnerContext
from tests.integration.engine.rules.rules_kit import Kit, chain, engine_kit, fails, plan_of, task, until


@pytest.mark.parametrize("kind", ["noop", "done"])
async def test_a_chain_costs_one_commit_a_task_and_one_for_its_start(kit: Kit, kind: str) -> None:
    before = kit.engine.counts.commits
    run = await kit.play(*chain(10, type=kind))
    assert run.status == "completed"
    assert kit.engine.counts.commits - before == 11


async def test_many_runs_share_their_commits(kind: str, tmp_path: Path) -> None:
    async with engine_kit(kind, tmp_path, slots=200) as kit:
        runs = [await kit.new(plan_of(*chain(10, type="noop"))) for _ in range(200)]
        before = kit.engine.counts.commits
        started = await asyncio.gather(*(kit.begin(new) for new in runs))
        ended = await asyncio.gather(*(kit.ends(one.run_id) for one in started))
        assert {run.status for run in ended} == {"completed"}
        assert kit.engine.counts.commits - before <= 60


async def test_nothing_is_claimed_without_a_free_slot_and_the_oldest_attempt_comes_first(
    kind: str, tmp_path: Path
) -> None:
    async with engine_kit(kind, tmp_path, slots=1) as kit:
        order: list[str] = []
        hanging = kit.hangs("hang")

        async def note(value: str, context: RunnerContext) -> Outcome:
            order.append(value)
            return Completed()

        kit.runners.add("note", note)
        first = await kit.start(task("a", type="hang"), task("b", "a", type="note", config={"value": "next of first"}))
        await until(lambda: hanging.running)
        kit.clock.advance(SECOND)
        second = await kit.start(task("a", type="note", config={"value": "second"}))
        kit.clock.advance(SECOND)
        third = await kit.start(task("a", type="note", config={"value": "third"}))
        assert await kit.attempts(second) == [("a", 1, "scheduled")]
        assert await kit.attempts(third) == [("a", 1, "scheduled")]
        kit.clock.advance(SECOND)
        hanging.go.set()
        for run_id in (first, second, third):
            await kit.ends(run_id)
        assert order == ["second", "third", "next of first"]


async def test_an_attempt_is_continued_inline_when_a_slot_is_free(kit: Kit) -> None:
    run_id = await kit.start(task("a", type="noop"), task("b", "a", type="noop"))
    await kit.ends(run_id)
    assert all(status == "completed" for _, _, status in await kit.attempts(run_id))
    assert (await kit.records(run_id)).count("task.started b") == 1


async def test_more_starts_than_the_disk_can_take_are_refused(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.engine.engine.MAX_BACKLOG", 3)
    kit.store.open.clear()
    runs = [await kit.new(plan_of(task("a"))) for _ in range(5)]
    first = asyncio.create_task(kit.begin(runs[0]))
    await until(lambda: kit.store.commits and kit.store.commits[-1] == (runs[0].id,))
    waiting = [asyncio.create_task(kit.begin(new)) for new in runs[1:4]]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many runs"):
        await kit.begin(runs[4])
    kit.store.open.set()
    await asyncio.gather(first, *waiting)
    assert {(await kit.ends(new.id)).status for new in runs[:4]} == {"completed"}


async def test_work_that_becomes_available_while_a_commit_looks_for_work_is_found_at_once(kit: Kit) -> None:
    kit.runners.add("flaky", fails(1))
    run_id = await kit.start(task("a", type="flaky", retry=RetryPlan(max_attempts=2, delay=10 * SECOND)))
    await kit.settled()
    await until(lambda: _is_scheduled(kit, run_id, 2))
    before = kit.store.written
    kit.store.answering.clear()
    await kit.here.timers.run_once()
    await until(lambda: kit.store.written == before + 1)
    kit.clock.advance(10 * SECOND)
    await kit.here.timers.run_once()
    kit.store.answering.set()
    assert (await kit.ends(run_id)).status == "completed"


async def _is_scheduled(kit: Kit, run_id: str, number: int) -> bool:
    return ("a", number, "scheduled") in await kit.attempts(run_id)

"""What the engine is told: late, twice, by the wrong one, for runs that are not there; and runs that are refused."""

import asyncio

import pytest

from millrace.core.plan import Phase
from millrace.ports.runner import Completed
from millrace.ports.store import ClaimedAttempt, TaskPayload
from millrace.ports.worker import Report
from tests.integration.engine.rules.rules_kit import PATIENCE, Kit, chain, plan_of, task, until


def report(run_id: str, path: str, number: int, token: str, output: str = "forged") -> Report:
    attempt = ClaimedAttempt(run_id, path, number, token, None)
    return Report(attempt, Completed(output), TaskPayload(output=output))


async def test_a_report_with_a_stale_token_changes_nothing_and_the_real_one_still_counts(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang", config={"value": "real"}))
    await until(lambda: hanging.running)
    kit.store.open.clear()
    # In one fold with something that is committed: the stale report must not take the live token along.
    await kit.post(run_id, "pause")
    kit.engine.report(report(run_id, "a", 1, "not the token"))
    await kit.post(run_id, "resume")
    kit.store.open.set()
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "running")]
    hanging.go.set()
    run = await kit.ends(run_id)
    assert run.status == "completed"
    assert await kit.store.load_outputs(run_id) == {"a": "real"}


async def test_a_report_that_comes_twice_counts_once(kit: Kit) -> None:
    run_id = await kit.start(task("a", queue="elsewhere"), task("b", "a", queue="elsewhere"))
    ((token,),) = await kit.rows("select token from attempts where run_id = ?", run_id)
    for _ in range(3):
        kit.engine.report(report(run_id, "a", 1, token, "done"))
    await kit.settled()
    kit.engine.report(report(run_id, "a", 1, token, "done again"))
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "completed"), ("b", 1, "scheduled")]
    assert await kit.store.load_outputs(run_id) == {"a": "done"}
    assert (await kit.records(run_id)).count("task.completed a") == 1


async def test_two_engines_on_one_run_decide_one_after_the_other(kit: Kit) -> None:
    run_id = await kit.start(task("a", queue="elsewhere"), task("b", queue="elsewhere"), task("c", "a", "b"))
    tokens = dict(await kit.rows("select path, token from attempts where run_id = ?", run_id))
    other = await kit.process(attached=False)
    other.engine.report(report(run_id, "a", 1, tokens["a"]))
    kit.engine.report(report(run_id, "b", 1, tokens["b"]))
    await asyncio.gather(kit.settled(), other.engine.settle())
    await kit.here.timers.run_once()
    await until(lambda: _completed(kit, run_id))
    assert await kit.attempts(run_id) == [(path, 1, "completed") for path in "abc"]
    numbers = [seq for (seq,) in await kit.rows("select seq from records where run_id = ? order by seq", run_id)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_who_waits_for_a_run_that_does_not_exist_is_told_so(kit: Kit) -> None:
    with pytest.raises(LookupError, match="no run nowhere"):
        await kit.ends("nowhere")


async def test_who_waits_for_a_run_that_has_finished_is_told_at_once(kit: Kit) -> None:
    run_id = await kit.start(task("a"))
    await kit.ends(run_id)
    other = await kit.process(attached=False)
    assert (await kit.ends(run_id, other.engine)).status == "completed"
    assert (await kit.ends(run_id)).status == "completed"


async def test_settling_waits_for_everything_that_was_handed_in(kit: Kit) -> None:
    run_id = await kit.start(*chain(3, queue="elsewhere"))
    kit.store.open.clear()
    await kit.post(run_id, "cancel")
    settling = asyncio.create_task(kit.engine.settle())
    await until(lambda: kit.store.commits[-1] == (run_id,))
    assert not settling.done()
    kit.store.open.set()
    async with asyncio.timeout(PATIENCE):
        await settling
    assert await kit.status(run_id) == "cancelled"


async def test_settling_ends_although_the_last_news_was_for_a_run_that_is_not_there(kit: Kit) -> None:
    kit.engine.lost("nowhere", "a", 1)
    settling = asyncio.create_task(kit.engine.settle())

    async def settled() -> bool:
        await kit.here.timers.run_once()
        return settling.done()

    await until(settled)


async def test_a_run_that_the_database_refuses_does_not_hinder_the_others(kit: Kit) -> None:
    poisonous = await kit.start(task("a", queue="elsewhere"))
    kit.store.poisonous.add(poisonous)
    await kit.post(poisonous, "pause")
    ends = await asyncio.gather(*(kit.play(*chain(3)) for _ in range(20)))
    assert {run.status for run in ends} == {"completed"}
    assert await kit.status(poisonous) == "running"


async def test_a_run_with_nothing_to_do_completes(kit: Kit) -> None:
    new = await kit.new(plan_of())
    assert new is not None
    await kit.begin(new)
    run = await kit.ends(new.id)
    assert (run.status, run.phase) == ("completed", Phase.MAIN)


async def _completed(kit: Kit, run_id: str) -> bool:
    return await kit.status(run_id) == "completed"

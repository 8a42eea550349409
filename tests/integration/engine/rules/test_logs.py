"""Log lines: there together with the outcome, numbered by run, limited in rate, never mixed up or lost."""

import pytest

from millrace.ports.runner import Completed, Outcome, RunnerContext
from millrace.ports.store import StoreUnavailable
from millrace.worker.logs import BURST
from tests.integration.engine.rules.rules_kit import Kit, Work, task, until


def says(*lines: str) -> Work:
    async def work(value: object, context: RunnerContext) -> Outcome:
        for line in lines:
            context.log(line)
        return Completed()

    return work


async def test_whoever_sees_a_finished_task_sees_its_lines_numbered_through_the_run(kit: Kit) -> None:
    kit.runners.add("say", says("one", "two"))
    kit.runners.add("say more", says("three"), instant=True)
    run_id = await kit.start(task("a", type="say"), task("b", "a", type="say more"))
    await kit.ends(run_id)
    assert await kit.log(run_id) == [(1, "one"), (2, "two"), (3, "three")]


async def test_lines_of_a_running_attempt_are_shipped_and_not_stored_twice(kit: Kit) -> None:
    hanging = kit.hangs("hang")

    async def work(value: object, context: RunnerContext) -> Outcome:
        context.log("before")
        await hanging(value, context)
        context.log("after")
        return Completed()

    kit.runners.add("talk", work)
    run_id = await kit.start(task("a", type="talk"))
    await until(lambda: hanging.running)
    await kit.here.shipper.run_once()
    assert await kit.log(run_id) == [(1, "before")]
    hanging.go.set()
    await kit.ends(run_id)
    assert await kit.log(run_id) == [(1, "before"), (2, "after")]


async def test_lines_that_could_not_be_shipped_are_shipped_later(kit: Kit) -> None:
    hanging = kit.hangs("hang")

    async def work(value: object, context: RunnerContext) -> Outcome:
        context.log("before")
        return await hanging(value, context)

    kit.runners.add("talk", work)
    run_id = await kit.start(task("a", type="talk"))
    await until(lambda: hanging.running)
    kit.store.logs_away = 1
    with pytest.raises(StoreUnavailable):
        await kit.here.shipper.run_once()
    assert await kit.log(run_id) == []
    hanging.go.set()
    await kit.ends(run_id)
    assert await kit.log(run_id) == [(1, "before")]


async def test_beyond_the_rate_limit_lines_are_dropped_and_counted_in_a_line_of_their_own(kit: Kit) -> None:
    kit.runners.add("shout", says(*(f"line {number}" for number in range(BURST + 7))))
    run_id = await kit.start(task("a", type="shout"))
    await kit.ends(run_id)
    lines = await kit.log(run_id)
    assert [number for number, _ in lines] == list(range(1, BURST + 2))
    assert lines[-2][1] == f"line {BURST - 1}"
    assert lines[-1][1].startswith("7 lines were dropped")


async def test_a_line_with_a_null_character_or_without_end_is_stored(kit: Kit) -> None:
    kit.runners.add("odd", says("a\0b", "\ud800", "x" * 20_000))
    run_id = await kit.start(task("a", type="odd"))
    assert (await kit.ends(run_id)).status == "completed"
    first, second, third = (text for _, text in await kit.log(run_id))
    assert (first, second) == ("a\N{REPLACEMENT CHARACTER}b", "?")
    assert third.endswith("characters cut]")

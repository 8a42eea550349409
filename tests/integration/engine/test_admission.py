"""Runs of a workflow with a limit: never more at once than it says, by priority and age, and none forgotten."""

import asyncio

from millrace.core.plan import Plan
from millrace.core.states import RunStatus
from millrace.engine.admission import Admission
from millrace.engine.inbox import BATCH, InboxReader
from tests.support.engine_kit import Kit, chain, plan, task
from tests.support.scripted_work import fails, hangs, takes


def limited(limit: int = 1) -> Plan:
    return plan(task("work"), max_concurrent_runs=limit)


async def statuses(kit: Kit) -> dict[str, str]:
    return {row.id: row.status for row in await kit.rows("select id, status from runs")}


async def test_never_more_runs_than_the_limit_are_at_work(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(2))
    shared = limited(3)
    ended = asyncio.gather(*(machine.run(shared) for _ in range(20)))
    most = 0
    while not ended.done():
        most = max(most, len(kit.work.under_way))
        await asyncio.sleep(0.05)

    assert {run.status for run in await ended} == {RunStatus.COMPLETED}
    assert most == 3
    assert await kit.problems() == []


async def test_the_next_run_starts_as_soon_as_its_place_is_free(kit: Kit) -> None:
    machine = await kit.machine()
    shared = limited()
    await machine.run(shared)
    began = kit.clock.monotonic()
    await asyncio.gather(*(machine.run(shared) for _ in range(10)))

    assert kit.clock.monotonic() - began < 1.0, "a poll a run would take seconds"


async def test_waiting_runs_are_admitted_by_priority_and_then_by_age(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(5))
    shared = limited()
    first = await machine.begin(shared)
    await kit.until(lambda: kit.work.under_way)
    waiting = {name: await machine.begin(shared, priority=priority) for name, priority in
               [("low", -1), ("older", 0), ("urgent", 7), ("younger", 0)]}  # fmt: skip
    for run_id in (first, *waiting.values()):
        await machine.end(run_id)

    order = [ran.run_id for ran in kit.work.attempts_of("work")]
    assert order == [first, waiting["urgent"], waiting["older"], waiting["younger"], waiting["low"]]


async def test_a_waiting_run_has_not_started(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=hangs())
    shared = limited()
    first = await machine.begin(shared)
    await kit.until(lambda: kit.work.under_way)
    second = await machine.begin(shared)
    await asyncio.sleep(60)

    assert await statuses(kit) == {first: "running", second: "pending"}
    assert await kit.history(second) == ["run.created"]
    assert await kit.value("select started_at from runs where id = :run", run=second) is None


async def test_a_waiting_run_that_is_cancelled_never_starts_and_lets_the_next_pass(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(30))
    shared = limited()
    first, second, third = [await machine.begin(shared) for _ in range(3)]
    await kit.until(lambda: kit.work.under_way)
    await machine.tell(second, "cancel")

    assert (await machine.end(second)).status is RunStatus.CANCELLED
    assert (await machine.end(third)).status is RunStatus.COMPLETED
    assert [ran.run_id for ran in kit.work.journal] == [first, third]


async def test_a_waiting_run_that_is_paused_is_passed_by_and_starts_when_it_is_resumed(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(10))
    shared = limited()
    first, paused, third = [await machine.begin(shared) for _ in range(3)]
    await machine.tell(paused, "pause")
    await machine.end(third)
    assert (await statuses(kit))[paused] == "paused"
    await machine.tell(paused, "resume")

    assert (await machine.end(paused)).status is RunStatus.COMPLETED
    assert [ran.run_id for ran in kit.work.journal] == [first, third, paused]


async def test_a_failed_run_frees_its_place_too(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=fails())
    shared = limited()
    runs = await asyncio.gather(*(machine.run(shared) for _ in range(4)))
    assert {run.status for run in runs} == {RunStatus.FAILED}


async def test_a_place_survives_a_crash_and_is_never_given_twice(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(3))
    shared = limited(2)
    run_ids = [await machine.begin(shared) for _ in range(6)]
    await kit.until(lambda: len(kit.work.under_way) == 2)
    await machine.crash()

    second = await kit.machine()
    ended = asyncio.gather(*(second.end(run_id) for run_id in run_ids))
    while not ended.done():
        assert len(kit.work.under_way) <= 2
        assert await kit.problems() == []
        await asyncio.sleep(0.5)
    assert {run.status for run in await ended} == {RunStatus.COMPLETED}


async def test_workflows_with_a_limit_do_not_hold_up_each_other_or_those_without(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=hangs())
    await machine.begin(limited())
    await kit.until(lambda: kit.work.under_way)
    other = plan(task("other"), max_concurrent_runs=1)

    assert (await machine.run(other)).status is RunStatus.COMPLETED
    assert (await machine.run(chain(2))).status is RunStatus.COMPLETED


async def test_a_lost_wake_up_costs_a_second_at_most(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(1))
    shared = limited()
    machine.admission.wake = lambda: None  # type: ignore[method-assign]
    machine.inbox.wake = lambda: None  # type: ignore[method-assign]
    began = kit.clock.monotonic()
    await asyncio.gather(*(machine.run(shared) for _ in range(3)))

    assert Admission.interval == InboxReader.interval == 1.0
    assert kit.clock.monotonic() - began <= 3 * (1 + 2 * 1.0) + 0.5


async def test_a_delayed_run_under_a_limit_starts_at_its_time_and_not_at_the_next_poll(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=takes(0))
    shared = limited()
    later = [kit.clock.now() + milliseconds * 1_000 for milliseconds in (5_730, 2_310)]
    runs = [await machine.begin(shared, run_at=run_at) for run_at in later]
    soon = await machine.run(shared)

    assert soon.status is RunStatus.COMPLETED, "it does not wait for those that wait for their time"
    for run_id, run_at in zip(runs, later, strict=True):
        run = await machine.end(run_id)
        assert run.started_at is not None
        assert 0 <= run.started_at - run_at < 100_000, "microseconds; polling alone would take up to a second"


async def test_very_many_that_are_admitted_at_once_are_taken_up_without_a_rest_for_each_batch(kit: Kit) -> None:
    before = await kit.machine(without=(Admission,))
    many = 3 * BATCH + 1
    limit = {"admission_key": "k", "admission_limit": 2 * many}
    await asyncio.gather(*(before.begin(chain(1), **limit) for _ in range(many)))
    await before.crash()
    machine = await kit.machine(slots=50)
    machine.inbox.interval = 60.0
    none_left = "select count(*) = 0 from runs where finished_at is null"
    await kit.until(lambda: kit.value(none_left), limit=20.0)

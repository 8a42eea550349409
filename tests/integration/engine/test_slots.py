"""The slots of a worker: each is free again whatever becomes of its attempt, and whenever it is ended."""

import asyncio

import pytest

from millrace.core.failures import FailureKind
from millrace.core.states import RunStatus
from millrace.ports.incarnations import HeartbeatReply
from millrace.ports.store import ClaimedAttempt
from tests.support.engine_kit import Kit, Machine, chain, plan, task
from tests.support.scripted_work import fails, hangs, raises, slow_to_end, takes


def launched(machine: Machine, run_id: str, path: str) -> None:
    """What a commit does that claims an attempt, without the row: the worker alone is looked at."""
    assert machine.worker.reserve(1) == 1
    machine.worker.launch(ClaimedAttempt(run_id, path, 1, "token", None), machine.worker.incarnation_id)


def free(machine: Machine) -> int:
    granted = machine.worker.reserve(1_000)
    machine.worker.release(granted)
    return granted


async def test_slots_are_free_again_after_every_kind_of_end(kit: Kit) -> None:
    machine = await kit.machine(slots=3)
    kit.work.script(
        a=takes(1),
        b=fails(),
        c=raises(RuntimeError("no")),
        d=hangs(),
        e=slow_to_end(2),
        f=raises(asyncio.CancelledError()),
    )
    for name in "abcdef":
        await machine.run(plan(task(name, timeout=3_000_000), task("i", type_="instant")))

    assert free(machine) == 3


@pytest.mark.parametrize("how", ["stop", "end_all", "declared_dead"])
async def test_an_attempt_that_is_ended_before_its_first_turn_frees_its_slot(kit: Kit, how: str) -> None:
    machine = await kit.machine(slots=2, without=[])
    run_id = await machine.begin(chain(1))
    await machine.end(run_id)
    await asyncio.sleep(0.5)
    held = free(machine)

    launched(machine, run_id, "t0")
    getattr(machine.worker, how)(*((run_id, "t0", 1) if how == "stop" else ()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not machine.worker.held
    machine.worker.revive()
    assert free(machine) == held == 2
    assert len(kit.work.journal) == 1, "it was ended before it began"


async def test_a_drain_without_patience_ends_what_has_only_just_been_claimed(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(t0=hangs())
    starting = asyncio.create_task(machine.begin(chain(1)))
    await kit.until(lambda: machine.worker.held)
    run_id = await starting

    async with asyncio.timeout(30):
        await machine.stop(limit=0)

    assert await kit.value("select status from task_runs where run_id = :run", run=run_id) == "ready"
    assert (await kit.history(run_id))[-2:] == ["task.stopped t0", "task.scheduled t0"]


async def test_what_was_launched_after_a_heartbeat_was_asked_is_not_ended_by_its_answer(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(t0=takes(1))
    asked = machine.worker.held
    run_id = await machine.begin(chain(1))
    await kit.until(lambda: machine.worker.held)

    machine.worker.compare(HeartbeatReply(frozenset(), frozenset()), asked)
    run = await machine.end(run_id)

    assert run.status is RunStatus.COMPLETED
    assert run.tasks["t0"].attempt == 1


async def test_what_only_the_worker_believes_to_run_is_ended_and_its_report_changes_nothing(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(t0=[hangs(), takes(1)])
    run_id = await machine.begin(chain(1))
    await kit.until(lambda: kit.work.under_way)
    machine.engine.lost(run_id, "t0", 1)
    run = await machine.end(run_id)

    await kit.until(lambda: not kit.work.under_way, limit=10)
    await machine.engine.settle()
    assert run.status is RunStatus.COMPLETED
    assert (run.tasks["t0"].attempt, run.tasks["t0"].crashes) == (2, 1)
    assert [how for _, how in kit.work.ended] == ["returned", "cancelled"] or [how for _, how in kit.work.ended] == [
        "cancelled",
        "returned",
    ]
    assert await kit.problems() == []


async def test_of_what_only_the_worker_believes_to_run_no_end_is_reported(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(t0=[hangs(), takes(1)])
    run_id = await machine.begin(chain(1))
    await kit.until(lambda: kit.work.under_way)

    machine.worker.compare(HeartbeatReply(frozenset(), frozenset()), machine.worker.held)
    run = await machine.end(run_id)

    assert run.status is RunStatus.COMPLETED
    assert (run.tasks["t0"].failures, run.tasks["t0"].crashes) == (0, 1), "it was neither cancelled nor at fault"


async def test_an_attempt_that_is_slow_to_end_is_cancelled_only_when_it_has_ended(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=slow_to_end(7))
    run_id = await machine.begin(plan(task("a")))
    await kit.until(lambda: kit.work.under_way)
    began = kit.clock.monotonic()
    await machine.tell(run_id, "cancel")
    await kit.until(lambda: _status_is(kit, run_id, "cancelling"))

    run = await machine.end(run_id)

    assert 7 <= kit.clock.monotonic() - began < 8
    assert run.status is RunStatus.CANCELLED
    assert run.tasks["a"].failure is not None
    assert run.tasks["a"].failure.kind is FailureKind.CANCELLED


async def _status_is(kit: Kit, run_id: str, status: str) -> bool:
    return bool(await kit.value("select status from runs where id = :run", run=run_id) == status)


async def test_what_was_claimed_for_an_earlier_life_of_the_worker_is_left_to_others(kit: Kit) -> None:
    """The answer of a commit may come when the incarnation that it claimed for is dead, and the next one at work."""
    machine = await kit.machine(slots=2)
    run_id = await machine.begin(chain(1))
    await machine.end(run_id)
    await asyncio.sleep(0.5)
    before, held = machine.worker.incarnation_id, free(machine)
    machine.worker.declared_dead()
    machine.worker.reborn()
    machine.worker.revive()

    assert machine.worker.reserve(1) == 1
    machine.worker.launch(ClaimedAttempt(run_id, "t0", 1, "token", None), before)

    assert not machine.worker.held
    assert free(machine) == held == 2
    assert len(kit.work.journal) == 1

"""What is wrong with one run, one caller or the disk stays there: the engine and all other runs go on."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from millrace.core.states import RunStatus
from millrace.ports.store import ClaimRequest, CommitReply, RunChange, StoreUnavailable
from tests.support.engine_kit import Kit, chain, plan, task
from tests.support.scripted_work import hangs, held_by
from tests.support.stores import OverStore


class FullDisk(OverStore):
    """A store that can be read and, while told so, not written."""

    full = False
    refused = 0

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        if self.full:
            self.refused += 1
            raise StoreUnavailable("database or disk is full")
        return await self.real.commit(changes, claim)


async def test_a_full_disk_is_asked_twice_a_second_and_not_all_the_time(kit: Kit) -> None:
    store = FullDisk(kit.own_store())
    machine = await kit.machine(store=store)
    gate = asyncio.Event()
    kit.work.script(work=held_by(gate))
    run_id = await machine.begin(plan(task("work")))
    await kit.until(lambda: kit.work.under_way)

    store.full = True
    gate.set()
    began = kit.clock.monotonic()
    await kit.until(lambda: kit.clock.monotonic() - began > 10)
    assert 2 <= store.refused <= 30, f"{store.refused} tries in 10 seconds"
    store.full = False

    assert (await machine.end(run_id)).status is RunStatus.COMPLETED
    assert await kit.problems() == []


async def test_a_run_whose_rows_are_damaged_does_not_keep_others_from_running(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    kit.work.script(work=hangs())
    first = await kit.machine()
    damaged = await first.begin(plan(task("work"), task("after", "work")))
    await kit.until(lambda: kit.work.under_way)
    await first.crash()
    await kit.database.write(
        lambda connection: connection.execute(
            text("delete from task_runs where run_id = :run and path = 'after'"), {"run": damaged}
        )
    )

    second = await kit.machine()
    healthy = await second.begin(chain(3))
    assert (await second.end(healthy)).status is RunStatus.COMPLETED
    await kit.until(lambda: damaged in caplog.text)
    second.must_be_well()


async def test_a_run_that_cannot_be_folded_ends_nothing_but_its_own_way(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = await kit.machine()
    propose = machine.engine.propose
    poison = plan(task("poison"))

    def defective(cell):  # type: ignore[no-untyped-def]
        if cell.plan is poison:
            raise RuntimeError("a defect of the core")
        return propose(cell)

    monkeypatch.setattr(machine.engine, "propose", defective)
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="a defect of the core"):
        await machine.begin(poison)
    healthy = await machine.begin(chain(3))
    assert (await machine.end(healthy)).status is RunStatus.COMPLETED


async def test_those_who_give_up_waiting_leave_nothing_behind(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=hangs())
    run_id = await machine.begin(plan(task("work")))
    await kit.until(lambda: kit.work.under_way)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await machine.engine.wait(run_id)
    assert machine.engine.waiting == 0


async def test_no_work_is_claimed_once_the_worker_was_told_to_stop(kit: Kit) -> None:
    machine = await kit.machine()
    gate = asyncio.Event()
    kit.work.script(t0=held_by(gate))
    run_id = await machine.begin(chain(3))
    await kit.until(lambda: kit.work.under_way)
    machine.worker.stop_claiming()
    gate.set()
    await machine.engine.settle()
    await kit.until(lambda: not kit.work.under_way)
    await asyncio.sleep(5)
    assert kit.work.attempts_of("t1") == []
    assert "task.scheduled t1" in await kit.history(run_id)

"""Starting a run: once per start key, durable when the call returns, refused when the engine cannot keep up."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from millrace.core.errors import InvalidRequest, Unavailable
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from millrace.engine.committer import LARGEST_BATCH
from millrace.engine.engine import MAX_BACKLOG
from millrace.ports.store import ClaimRequest, CommitReply, RunChange, StartKey, StoreUnavailable
from tests.support.engine_kit import Kit, chain, plan, task
from tests.support.stores import OverStore


class BreakingStore(OverStore):
    """The real store behind a gate. Commits wait for it, or fail while `broken` says so: before or after the write."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit.own_store())
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: str | None = None

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        await self.gate.wait()
        if self.broken == "before":
            raise StoreUnavailable("the disk is full")
        reply = await self.real.commit(changes, claim)
        if self.broken == "after":
            raise StoreUnavailable("the answer was lost")
        return reply


def key(value: str, request: str = "request") -> StartKey:
    return StartKey("operation", "workflow", value, request, expires_at=4_000_000_000 * SECOND)


async def count_of_runs(kit: Kit) -> Any:
    return await kit.value("select count(*) from runs")


async def test_a_start_is_durable_when_it_returns(kit: Kit) -> None:
    machine = await kit.machine()
    run_id = await machine.begin(chain(3))
    await machine.crash()

    assert await kit.value("select count(*) from runs where id = :run", run=run_id) == 1
    run = await (await kit.machine()).end(run_id)
    assert run.status is RunStatus.COMPLETED


async def test_the_same_key_gives_the_same_run_also_after_a_restart(kit: Kit) -> None:
    machine = await kit.machine()
    first = await machine.start_run(chain(1), start_key=key("k"))
    again = await machine.start_run(chain(1), start_key=key("k"))
    await machine.crash()
    later = await (await kit.machine()).start_run(chain(1), start_key=key("k"))

    assert (first.existed, again.existed, later.existed) == (False, True, True)
    assert first.run_id == again.run_id == later.run_id
    assert await count_of_runs(kit) == 1


async def test_the_same_key_with_another_request_says_so(kit: Kit) -> None:
    machine = await kit.machine()
    await machine.start_run(chain(1), start_key=key("k"))
    other = await machine.start_run(chain(1), start_key=key("k", "another request"))

    assert (other.existed, other.same_request) == (True, False)


async def test_starts_with_one_key_at_the_same_moment_make_one_run(kit: Kit) -> None:
    machine = await kit.machine()
    starts = await asyncio.gather(*(machine.start_run(chain(2), start_key=key("k")) for _ in range(20)))

    assert len({start.run_id for start in starts}) == 1
    assert [start.existed for start in starts].count(False) == 1
    assert await count_of_runs(kit) == 1
    assert (await machine.end(starts[0].run_id)).status is RunStatus.COMPLETED


async def test_a_key_in_another_scope_is_another_key(kit: Kit) -> None:
    machine = await kit.machine()
    first = await machine.start_run(chain(1), start_key=key("k"))
    other = await machine.start_run(
        chain(1), start_key=StartKey("trigger", "workflow", "k", "request", expires_at=4_000_000_000 * SECOND)
    )
    assert first.run_id != other.run_id


async def test_a_start_whose_caller_has_gone_happens_all_the_same_and_harms_nobody(kit: Kit) -> None:
    store = BreakingStore(kit)
    machine = await kit.machine(store=store)
    store.gate.clear()
    caller = asyncio.create_task(machine.begin(chain(2)))
    other = asyncio.create_task(machine.begin(chain(2)))
    await asyncio.sleep(0.1)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    store.gate.set()

    assert (await machine.end(await other)).status is RunStatus.COMPLETED
    await kit.until(lambda: _all_finished(kit, 2))


@pytest.mark.parametrize("broken", ["before", "after"])
async def test_a_caller_that_has_gone_does_not_matter_when_the_store_fails_either(kit: Kit, broken: str) -> None:
    store = BreakingStore(kit)
    machine = await kit.machine(store=store)
    store.gate.clear()
    caller = asyncio.create_task(machine.begin(chain(1)))
    await asyncio.sleep(0.1)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    store.broken = broken
    store.gate.set()
    await asyncio.sleep(0.1)
    store.broken = None

    assert (await machine.run(chain(1))).status is RunStatus.COMPLETED


@pytest.mark.parametrize(("broken", "runs"), [("before", 0), ("after", 1)])
async def test_a_start_with_unknown_end_is_unavailable_and_its_key_tells_on_the_next_try(
    kit: Kit, broken: str, runs: int
) -> None:
    store = BreakingStore(kit)
    machine = await kit.machine(store=store)
    await machine.run(chain(1))
    store.broken = broken
    with pytest.raises(Unavailable) as refused:
        await machine.start_run(chain(2), start_key=key("k"))
    store.broken = None

    assert refused.value.code == "store_unavailable"
    assert await count_of_runs(kit) == 1 + runs
    again = await machine.start_run(chain(2), start_key=key("k"))
    assert again.existed is bool(runs)
    assert (await machine.end(again.run_id)).status is RunStatus.COMPLETED
    assert await kit.problems() == []


async def test_a_run_that_the_database_refuses_is_refused_to_its_caller_alone(kit: Kit) -> None:
    machine = await kit.machine()
    bad = asyncio.create_task(machine.begin(chain(1), input={"text": "\ud800"}))
    good = asyncio.create_task(machine.begin(chain(1)))

    with pytest.raises(InvalidRequest):
        await bad
    assert (await machine.end(await good)).status is RunStatus.COMPLETED


async def test_beyond_the_longest_backlog_starts_are_unavailable(kit: Kit) -> None:
    store = BreakingStore(kit)
    machine = await kit.machine(store=store, slots=0)
    small = plan(task("a"))
    await kit.version(small)
    store.gate.clear()
    first = asyncio.create_task(machine.begin(small))
    await asyncio.sleep(0.1)
    waiting = [asyncio.create_task(machine.begin(small)) for _ in range(MAX_BACKLOG)]
    await asyncio.sleep(0.1)
    # A store may have taken a second commit beside the one at the gate.
    waiting += [asyncio.create_task(machine.begin(small)) for _ in range(LARGEST_BATCH)]
    await asyncio.sleep(0.1)

    async with asyncio.timeout(60):
        with pytest.raises(Unavailable) as refused:
            await machine.begin(small)
    assert refused.value.code == "overloaded"

    for start in (first, *waiting):
        start.cancel()
    await asyncio.gather(first, *waiting, return_exceptions=True)


async def _all_finished(kit: Kit, count: int) -> bool:
    return bool(await kit.value("select count(*) from runs where finished_at is not null") == count)


@pytest.mark.parametrize("turns", range(3))
@pytest.mark.parametrize("start_first", [True, False])
async def test_a_process_that_is_stopped_while_it_folds_takes_that_for_no_defect(
    kit: Kit, caplog: pytest.LogCaptureFixture, start_first: bool, turns: int
) -> None:
    """What needs an expression begins a task of its own, and none begins any more once the loops are being ended.

    So many `turns` of the loop lie between the two.
    """
    asks = plan(task("a", condition="input.go"))
    machine = await kit.machine()
    await machine.run(chain(1))
    await asyncio.sleep(1)  # of virtual time: nothing is under way any more
    new = await kit.new_run(asks, input={"go": True})

    async def begin() -> object:
        return await machine.engine.start(new, asks, workflow_name="tested", version_number=1)

    works = [begin, machine.crash] if start_first else [machine.crash, begin]
    first = asyncio.ensure_future(works[0]())
    for _ in range(turns):
        await asyncio.sleep(0)
    second = asyncio.ensure_future(works[1]())
    starting, ending = (first, second) if start_first else (second, first)
    await ending

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    if starting.done():
        assert isinstance(starting.exception(), Unavailable)
    starting.cancel()

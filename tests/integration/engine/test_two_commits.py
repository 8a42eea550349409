"""Two commits of a process at a time, where the store says from how many changes on that is worth it."""

import asyncio
from collections.abc import Sequence

import pytest

from millrace.core.states import RunStatus
from millrace.ports.store import ClaimRequest, CommitReply, RunChange
from tests.support.engine_kit import Kit, Machine, chain
from tests.support.stores import OverStore

ENOUGH = 4
PLAN = chain(2)
QUIET = 0.01
"""Virtual seconds, which pass when there is nothing left to do."""


class SlowStore(OverStore):
    """Commits wait at the gate; how many changes each has that waits is told."""

    def __init__(self, kit: Kit, worth_another: int | None) -> None:
        super().__init__(kit.own_store())
        self.worth_another = worth_another
        self.gate = asyncio.Event()
        self.waiting: list[int] = []

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        if not self.gate.is_set():
            self.waiting.append(len(changes))
            await self.gate.wait()
        return await self.real.commit(changes, claim)


async def opened(kit: Kit, worth_another: int | None) -> tuple[Machine, SlowStore]:
    store = SlowStore(kit, worth_another)
    store.gate.set()
    machine = await kit.machine(store=store)
    # What a process does first is done.
    assert (await machine.run(PLAN)).status is RunStatus.COMPLETED
    await asyncio.sleep(QUIET)
    store.gate.clear()
    return machine, store


async def begin(machine: Machine, runs: int) -> list["asyncio.Task[str]"]:
    """Runs whose starts wait for a commit, or have one under way."""
    started = [asyncio.create_task(machine.begin(PLAN)) for _ in range(runs)]
    await asyncio.sleep(QUIET)
    return started


async def complete(machine: Machine, store: SlowStore, starts: list["asyncio.Task[str]"]) -> None:
    store.gate.set()
    for run_id in await asyncio.gather(*starts):
        assert (await machine.end(run_id)).status is RunStatus.COMPLETED
    assert await machine.kit.problems() == []


async def test_a_second_commit_begins_when_enough_waits_for_it(kit: Kit) -> None:
    machine, store = await opened(kit, ENOUGH)
    first = await begin(machine, 1)
    few = await begin(machine, ENOUGH - 1)
    assert store.waiting == [1]
    enough = await begin(machine, 1)
    assert store.waiting == [1, ENOUGH]
    more = await begin(machine, 2 * ENOUGH)
    assert store.waiting == [1, ENOUGH], "a third one would wait behind the two"
    await complete(machine, store, [*first, *few, *enough, *more])


async def test_of_much_that_waits_half_is_written_while_the_rest_is_folded(kit: Kit) -> None:
    machine, store = await opened(kit, ENOUGH)
    starts = await begin(machine, 2 * ENOUGH)
    assert store.waiting == [ENOUGH, ENOUGH]
    await complete(machine, store, starts)


@pytest.mark.parametrize("runs", [1, 5 * ENOUGH])
async def test_where_commits_would_wait_for_each_other_there_is_one_at_a_time(kit: Kit, runs: int) -> None:
    machine, store = await opened(kit, None)
    starts = [*await begin(machine, runs), *await begin(machine, 5 * ENOUGH)]
    assert store.waiting == [runs]
    await complete(machine, store, starts)

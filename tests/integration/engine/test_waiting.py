"""Waiting for the end of a run in an installation of several processes: what is at work here is not asked about."""

import asyncio
from collections.abc import Sequence, Set

from millrace.core.states import RunStatus
from millrace.ports.store import ClaimRequest, CommitReply, RunChange
from tests.support.engine_kit import Kit, chain
from tests.support.scripted_work import takes
from tests.support.stores import OverStore

RUNS = 20


class ThoughtfulStore(OverStore):
    """Each commit takes long enough for reports of other runs to come in meanwhile."""

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        await asyncio.sleep(0.05)
        return await self.real.commit(changes, claim)


class Asked:
    """Which runs go on, by the database; and what was asked."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.looks: list[frozenset[str]] = []

    async def __call__(self, run_ids: Set[str]) -> Set[str]:
        self.looks.append(frozenset(run_ids))
        return {row.id for row in await self._kit.rows("select id from runs where finished_at is null")} & run_ids


async def test_runs_at_work_here_are_not_asked_about(kit: Kit) -> None:
    asked = Asked(kit)
    machine = await kit.machine(slots=2 * RUNS, store=ThoughtfulStore(kit.own_store()), unfinished=asked)
    kit.work.script(**{f"t{number}": takes(0.013 * (number + 1)) for number in range(4)})

    async def run(number: int) -> RunStatus:
        await asyncio.sleep(0.007 * number)
        return (await machine.run(chain(4))).status

    ended = await asyncio.gather(*(run(number) for number in range(RUNS)))
    assert ended == [RunStatus.COMPLETED] * RUNS
    assert asked.looks == []


async def test_a_run_that_another_process_ends_is_asked_about(kit: Kit) -> None:
    asked = Asked(kit)
    idle = await kit.machine(slots=1, unfinished=asked)
    kit.work.script(t0=takes(3.0))
    busy = await kit.machine(sole=False)
    run_id = await busy.begin(chain(1))
    assert (await idle.end(run_id)).status is RunStatus.COMPLETED
    assert frozenset({run_id}) in asked.looks


async def test_all_who_wait_for_others_share_a_look(kit: Kit) -> None:
    asked = Asked(kit)
    idle = await kit.machine(slots=1, unfinished=asked)
    kit.work.script(t0=takes(3.0))
    busy = await kit.machine(slots=RUNS, sole=False)
    begun = [await busy.begin(chain(1)) for _ in range(RUNS)]
    ended = await asyncio.gather(*(idle.end(run_id) for run_id in begun))

    assert [run.status for run in ended] == [RunStatus.COMPLETED] * RUNS
    assert max(map(len, asked.looks)) > RUNS / 2
    assert len(asked.looks) < 3 * RUNS

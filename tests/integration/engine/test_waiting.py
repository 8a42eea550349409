"""Waiting for the end of a run in an installation of several processes: what is at work here is not asked about."""

import asyncio
from collections.abc import Sequence

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
    """Whether a run has ended, by the database; and for which ones that was asked."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.runs: list[str] = []

    async def __call__(self, run_id: str) -> bool:
        self.runs.append(run_id)
        return bool(await self._kit.rows("select 1 from runs where id = :run and finished_at is not null", run=run_id))


async def test_runs_at_work_here_are_not_asked_about(kit: Kit) -> None:
    asked = Asked(kit)
    machine = await kit.machine(slots=2 * RUNS, store=ThoughtfulStore(kit.own_store()), has_ended=asked)
    kit.work.script(**{f"t{number}": takes(0.013 * (number + 1)) for number in range(4)})

    async def run(number: int) -> RunStatus:
        await asyncio.sleep(0.007 * number)
        return (await machine.run(chain(4))).status

    ended = await asyncio.gather(*(run(number) for number in range(RUNS)))
    assert ended == [RunStatus.COMPLETED] * RUNS
    assert asked.runs == []


async def test_a_run_that_another_process_ends_is_asked_about(kit: Kit) -> None:
    asked = Asked(kit)
    idle = await kit.machine(slots=1, has_ended=asked)
    kit.work.script(t0=takes(3.0))
    busy = await kit.machine(sole=False)
    run_id = await busy.begin(chain(1))
    assert (await idle.end(run_id)).status is RunStatus.COMPLETED
    assert run_id in asked.runs

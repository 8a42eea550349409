"""One run, worked on by two processes at once: they get in each other's way, and that must stay cheap."""

import asyncio

from millrace.core.states import RunStatus
from millrace.ports.store import LoadedRun
from tests.support.engine_kit import Kit, plan, task
from tests.support.scripted_work import takes
from tests.support.stores import OverStore

WIDE = 400


class CountingStore(OverStore):
    """Counts the task runs that engines read of runs they know already."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit.own_store())
        self.again = 0
        self.read = 0

    async def load(self, run_id: str, *, newer_than: int = 0) -> LoadedRun | None:
        loaded = await self.real.load(run_id, newer_than=newer_than)
        if newer_than and loaded is not None:
            self.again += 1
            self.read += len(loaded.tasks)
        return loaded


async def test_two_engines_on_one_wide_run_read_what_the_other_changed_and_no_more(kit: Kit) -> None:
    stores = CountingStore(kit), CountingStore(kit)
    first = await kit.machine(store=stores[0], slots=16)
    await kit.machine(store=stores[1], slots=16, sole=False)
    names = [f"t{number}" for number in range(WIDE)]
    kit.work.script(**{name: takes(1 + number % 7 / 10) for number, name in enumerate(names)})

    run_id = await first.begin(plan(*(task(name) for name in names)))
    # Either may bring it to its end, and only what is in the database tells both.
    async with asyncio.timeout(3_600):
        while await kit.value("select finished_at from runs") is None:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1)

    assert await kit.value("select status from runs where id = :run", run=run_id) == RunStatus.COMPLETED
    workers = {row.worker for row in await kit.rows("select distinct worker from task_runs")}
    assert len(workers) == 2, "both had a part in it"
    assert sum(store.again for store in stores) > 10, "they got in each other's way"
    # A task run changes twice: it is begun, and it ends. Read whole, the run would be read `again` times.
    assert sum(store.read for store in stores) <= 2 * WIDE
    assert await kit.problems() == []

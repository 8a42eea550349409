"""S1, O2: any number of schedulers, crashes and lost answers, and still exactly one firing for each due time."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from millrace.ports.store import ClaimRequest, CommitReply, RunChange, StoreUnavailable
from tests.support.stores import GatedStore, OverStore
from tests.support.trigger_kit import Process, TriggerKit, at, cron, definition


class RestlessStore(OverStore):
    """The real store, slow by chance: so schedulers overtake each other between decision and commit."""

    def __init__(self, kit: TriggerKit, chance: random.Random) -> None:
        super().__init__(kit.store())
        self._chance = chance

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        await asyncio.sleep(self._chance.choice((0, 0, 0.01, 0.3, 1.5)))
        return await self.real.commit(changes, claim)


class FailingStore(OverStore):
    """The real store. While told to, a commit fails before or after it is written."""

    def __init__(self, kit: TriggerKit) -> None:
        super().__init__(kit.store())
        self.fails = ""
        self.starts = 0

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        self.starts += sum(change.new is not None and change.revision == 0 for change in changes)
        if self.fails == "before":
            raise StoreUnavailable("disk I/O error")
        reply = await self.real.commit(changes, claim)
        if self.fails == "after":
            raise StoreUnavailable("disk I/O error")
        return reply


@pytest.mark.parametrize("seed", range(4))
async def test_each_due_time_is_decided_once_however_many_schedulers_run(kit: TriggerKit, seed: int) -> None:
    chance = random.Random(seed)
    processes = [await kit.process(RestlessStore(kit, chance)) for _ in range(3)]
    triggers = [
        cron("* * * * * *") | {"id": "each", "if": "{{ trigger.due_time != '12:00:20' }}"},
        cron("*/2 * * * * *", catch_up="none") | {"id": "even", "input": {"second": "{{ trigger.due_time }}"}},
        cron("*/3 * * * * *") | {"id": "broken", "input": {"x": "{{ variables.days[3] }}"}},
    ]
    await processes[0].deploy(definition(*triggers, variables={"days": []}))
    for process in processes:
        process.scheduler.interval = 1.0
        process.schedule()
    await kit.sleep_until("2026-03-01T12:00:45.5Z")
    await kit.until(lambda: decided(kit, "2026-03-01T12:00:45Z"))
    await quiet(kit)
    counted = {
        name: Counter(firing["due_at"] for firing in await kit.firings((await kit.trigger(name))["id"]))
        for name in ("each", "even", "broken")
    }
    for name, every in (("each", 1), ("even", 2), ("broken", 3)):
        seconds = [f"2026-03-01T12:00:{second:02}.000000Z" for second in range(every, 46, every)]
        assert {due: counted[name][due] for due in seconds} == dict.fromkeys(seconds, 1), name
    runs = await kit.rows("select trigger_id, count(*) as n from runs group by trigger_id")
    by_trigger = {row.trigger_id: row.n for row in runs}
    for name in ("each", "even", "broken"):
        shown = await kit.trigger(name)
        assert by_trigger.get(shown["id"], 0) == shown["counts"]["started"]


async def decided(kit: TriggerKit, until: str) -> bool:
    """Whether every trigger has decided all its due times up to then."""
    behind = await kit.rows("select 1 from triggers where next_due_at <= :until", until=at(until))
    return not behind


async def quiet(kit: TriggerKit) -> None:
    """Let whoever is on the way with a start arrive, and nobody decide anything new."""
    await kit.execute("update triggers set active = false, next_due_at = null")
    await asyncio.sleep(30)


@pytest.mark.parametrize("seed", range(4))
async def test_after_a_downtime_only_one_of_many_schedulers_makes_up_for_it(kit: TriggerKit, seed: int) -> None:
    chance = random.Random(seed)
    first = await kit.process()
    await first.deploy(definition(cron("* * * * *"), cron("0 * * * *", catch_up="all") | {"id": "hourly"}))
    await first.crash()
    await kit.sleep_until("2026-03-01T14:30:30Z")
    processes = [await kit.process(RestlessStore(kit, chance)) for _ in range(3)]
    await asyncio.gather(*(process.fire() for process in processes))
    assert sorted(await kit.told()) == [
        ("missed", "2026-03-01T12:01:00 to 2026-03-01T14:29:00: 149"),
        ("started", "2026-03-01T13:00:00"),
        ("started", "2026-03-01T14:00:00"),
        ("started", "2026-03-01T14:30:00"),
    ]


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_an_answer_that_is_lost_repeats_no_start(kit: TriggerKit, fails: str) -> None:
    store = FailingStore(kit)
    process = await kit.process(store)
    await process.deploy(definition(cron("0 * * * *")))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    store.fails = fails
    assert await process.scheduler.run_once() is None, "the store is away: it is tried again after a while"
    assert store.starts == 1
    store.fails = ""
    await process.fire()
    assert await kit.told() == [("started", "2026-03-01T13:00:00")]
    assert len(await kit.started()) == 1


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_a_crash_between_decision_and_answer_neither_loses_nor_repeats_a_firing(
    kit: TriggerKit, fails: str
) -> None:
    store = FailingStore(kit)
    process = await kit.process(store)
    await process.deploy(definition(cron("0 * * * *")))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    store.fails = fails
    await process.fire()
    await process.crash()
    following = await kit.process()
    await following.fire()
    assert await kit.started() == ["2026-03-01T13:00:00+00:00"]
    assert (await kit.trigger())["counts"]["fired"] == 1


async def test_a_scheduler_that_slept_through_it_all_does_no_harm(kit: TriggerKit, process: Process) -> None:
    """Its start is an hour late: others have decided on all that was due since."""
    store = GatedStore(kit.store())
    slow = await kit.process(store)
    await process.deploy(definition(cron("*/10 * * * *")))
    await kit.sleep_until("2026-03-01T12:10:00Z")
    store.gate.clear()
    await slow.scheduler.run_once()
    process.schedule()
    await kit.sleep_until("2026-03-01T13:05:00Z")
    told, shown = await kit.told(), await kit.trigger()
    assert len(told) == 6
    store.gate.set()
    await slow.fire()
    assert await kit.told() == told
    assert await kit.trigger() == shown, "the cursor has not gone back"


async def test_a_start_that_took_so_long_that_it_counts_as_missed_is_refused(kit: TriggerKit) -> None:
    store = GatedStore(kit.store())
    slow, other = await kit.process(store), await kit.process()
    await slow.deploy(definition(cron("* * * * *")))
    await kit.sleep_until("2026-03-01T12:01:00Z")
    store.gate.clear()
    await slow.scheduler.run_once()
    await kit.sleep_until("2026-03-01T12:02:30Z")
    await other.fire()
    store.gate.set()
    await slow.fire()
    assert await kit.told() == [
        ("missed", "2026-03-01T12:01:00 to 2026-03-01T12:01:00: 1"),
        ("started", "2026-03-01T12:02:00"),
    ]
    assert await kit.started() == ["2026-03-01T12:02:00+00:00"]

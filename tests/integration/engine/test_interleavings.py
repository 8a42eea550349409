"""Everything at once, by seed: all services run, the store is slow, fails, repeats itself, and the process crashes.

Where `tests/simulation` goes round by round, here every call of the store takes its own time before and after it is
done, so that answers overtake each other. `MILLRACE_SIMULATION_SEED=7` plays one seed; `MILLRACE_SIMULATION_SEEDS` says
how many are played.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest

from millrace.core.errors import Unavailable
from millrace.core.plan import Plan
from millrace.core.states import FINISHED_RUN
from millrace.core.values import SECOND
from millrace.ports.store import StartKey, Store, StoreUnavailable
from tests.integration.engine.stories import Seen, check_stories
from tests.simulation.plans import random_plan
from tests.support.engine_kit import Kit, Machine
from tests.support.scripted_work import Behaviour, completes, fails, hangs, logs, slow_to_end, takes

SEEDS = max(1, int(os.environ.get("MILLRACE_SIMULATION_SEEDS", "60")) // 10)
ONE_SEED = os.environ.get("MILLRACE_SIMULATION_SEED")
DELAYS = [0.0, 0.0, 0.0, 0.001, 0.002, 0.01, 0.05, 0.3]
LONG_DELAYS = [2.0, 7.0]
TROUBLE = 90.0
"""Virtual seconds with faults; after them the world is left in peace."""

RUNS = 10
UNTOUCHED = {"register", "retire", "close", "worth_another"}


class RestlessStore:
    """Any store, but its calls begin late, are answered late, fail before or after their work, and say things twice."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store = store
        self._chance = chance
        self.quiet = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._store, name)
        return call if name in UNTOUCHED else self._restless(name, call)

    def _restless(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def perform(*args: Any, **named: Any) -> Any:
            await self._linger()
            self._may_fail(name)
            answer = await call(*args, **named)
            self._may_fail(name)
            await self._linger()
            if name in ("read_inbox", "due_timers", "lost_attempts") and not self.quiet:
                answer = self._chance.sample([*answer, *answer], k=2 * len(answer))
            return answer

        return perform

    async def _linger(self) -> None:
        if not self.quiet:
            await asyncio.sleep(self._chance.choice(LONG_DELAYS if self._chance.random() < 0.01 else DELAYS))

    def _may_fail(self, name: str) -> None:
        if not self.quiet and self._chance.random() < 0.02:
            raise StoreUnavailable(f"{name} failed by chance")


class World:
    def __init__(self, kit: Kit, chance: random.Random) -> None:
        self.kit = kit
        self.chance = chance
        self.accepted: dict[str, str] = {}
        self.cancels: Counter[str] = Counter()
        self.machine: Machine | None = None
        self.store: RestlessStore | None = None

    async def play(self) -> None:
        plans = [short(random_plan(self.chance), limited=number % 3 == 0) for number in range(RUNS)]
        self.kit.work.script(**{name: self._by_chance() for plan in plans for name in plan.tasks})
        async with asyncio.timeout(20_000), asyncio.TaskGroup() as tasks:
            fate = tasks.create_task(self._crash_and_return())
            for number, plan in enumerate(plans):
                tasks.create_task(self._start_until_accepted(f"key {number}", plan))
                if number % 4 == 0:
                    tasks.create_task(self._start_until_accepted(f"key {number}", plan))
            await asyncio.sleep(TROUBLE)
            fate.cancel()
            await self._peace()
        await self._all_finish()

    async def _peace(self) -> None:
        if self.machine is None or self.machine.loops is None:
            await self._new_machine()
        assert self.store is not None
        self.store.quiet = True

    async def _all_finish(self) -> None:
        machine = self.machine
        assert machine is not None
        for run_id in set(self.accepted.values()):
            await machine.tell(run_id, "resume")
            run = await machine.end(run_id)
            stored = await self.kit.value("select status from runs where id = :run", run=run_id)
            assert run.status in FINISHED_RUN
            assert stored == run.status.value, "whoever waited was told before it was durable"
        await self.kit.until(lambda: not self.kit.work.under_way, limit=60)

    async def _new_machine(self) -> None:
        self.store = RestlessStore(self.kit.store, self.chance)
        self.machine = await self.kit.machine(slots=self.chance.choice([1, 3, 8]), store=cast(Store, self.store))

    async def _crash_and_return(self) -> None:
        while True:
            await self._new_machine()
            await asyncio.sleep(self.chance.choice([0.02, 0.5, 3.0, 10.0, 30.0]))
            assert self.machine is not None
            self.machine.must_be_well()
            await self.machine.crash()

    async def _start_until_accepted(self, key: str, plan: Plan) -> None:
        """What a careful client does: ask with the same key until there is an answer."""
        await asyncio.sleep(self.chance.uniform(0, 40))
        start_key = StartKey("operation", "workflow", key, "request", expires_at=4_000_000_000 * SECOND)
        while key not in self.accepted:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self.chance.choice([0.1, 5.0])):
                    assert self.machine is not None
                    started = await self.machine.start_run(plan, start_key=start_key)
                    assert self.accepted.setdefault(key, started.run_id) == started.run_id
            await asyncio.sleep(self.chance.choice([0.0, 1.0]))
        await self._meddle(self.accepted[key])

    async def _meddle(self, run_id: str) -> None:
        for _ in range(self.chance.choice([0, 0, 1, 3])):
            await asyncio.sleep(self.chance.choice([0.0, 0.1, 5.0]))
            kind = self.chance.choice(["cancel", "pause", "resume", "resume"])
            self.cancels[run_id] += kind == "cancel"
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(10):
                    assert self.machine is not None
                    await self.machine.tell(run_id, kind)

    def _by_chance(self) -> Behaviour:
        async def behave(ran: Any) -> Any:
            chosen = self.chance.choice([
                completes(1), completes(), takes(0.5), takes(8), fails(), takes(3, fails()),
                logs("one", "two", then=takes(1, logs("three"))), hangs(), slow_to_end(4),
            ])  # fmt: skip
            return await chosen(ran)

        return behave


def short(plan: Plan, *, limited: bool) -> Plan:
    """The plan with limits of seconds, and delays that are worth waiting for; all its work is for this worker."""
    tasks = {
        task.id: replace(
            task,
            type="scripted",
            queue="default",
            timeout=12 * SECOND,
            retry=replace(task.retry, max_delay=10 * SECOND),
        )
        for task in plan.tasks.values()
    }
    return replace(
        plan,
        tasks=tasks,
        timeout=plan.timeout and 60 * SECOND,
        handler_timeout=30 * SECOND,
        max_concurrent_runs=2 if limited else None,
    )


@pytest.mark.parametrize("seed", [int(ONE_SEED)] if ONE_SEED else range(SEEDS))
async def test_whatever_overtakes_what_every_accepted_run_finishes_and_tells_a_true_story(kit: Kit, seed: int) -> None:
    world = World(kit, random.Random(seed))
    await world.play()

    assert len(world.accepted) == RUNS
    assert await kit.value("select count(*) from runs") == len(set(world.accepted.values())) == RUNS
    seen = Seen(
        plans=kit.plans.by_version,
        executed=Counter(ran.token for ran in kit.work.journal),
        attempts={(ran.run_id, ran.task, ran.attempt) for ran in kit.work.journal},
    )
    await kit.database.read(lambda connection: check_stories(connection, seen, world.accepted.values()))
    for run_id in world.accepted.values():
        recorded = (await kit.history(run_id)).count("run.cancel_requested")
        assert recorded <= world.cancels[run_id], "a cancel counted twice, and a second cancel skips `finally`"
    assert await kit.problems() == []

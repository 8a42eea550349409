"""The whole engine under faults, by seed: `MILLRACE_SIMULATION_SEEDS` many, or `MILLRACE_SIMULATION_SEED` alone.

A simulation starts runs of random plans, cancels, pauses and resumes them, loses commits and answers, and kills the
process. In the end every accepted run must have finished, and every history must be one that was promised.
"""

import asyncio
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from millrace.core.values import SECOND
from millrace.engine import committer
from millrace.engine.cell import Started
from millrace.ports.store import InboxItem, NewRun, StartKey
from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import Doctor
from tests.simulation.plans import random_plan
from tests.simulation.stories import check_stories
from tests.simulation.world import WORKFLOW, Crash, Faults, Generation, World
from tests.support.clock import FakeClock

SEEDS = int(os.environ.get("MILLRACE_SIMULATION_SEEDS", "60"))
ONE_SEED = os.environ.get("MILLRACE_SIMULATION_SEED")
ROUNDS = 600
"""Within which everything must have finished."""
TROUBLE = 60
"""Rounds with faults and control; after them the world is left in peace."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, migrated once."""
    place = tmp_path_factory.mktemp("simulation") / "template.db"

    async def make() -> None:
        await (await SqliteDatabase.open(place, clock=FakeClock())).close()

    asyncio.run(make())
    return place


@pytest.fixture(autouse=True)
def no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine asks a store that is away again at once: time is what the simulation says it is."""
    monkeypatch.setattr(committer, "ASK_AGAIN", 0.0)


class Simulation:
    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self.accepted: list[str] = []
        self.wanted: list[NewRun] = []
        self.starting: list[tuple[NewRun, asyncio.Task[Started]]] = []

    async def run(self, runs: int) -> None:
        for number in range(runs):
            version_id = await self.world.add_plan(random_plan(self.chance, limited=number % 3 == 0))
            self.wanted.append(self._new_run(version_id))
        generation = await self._next()
        for number in range(ROUNDS):
            self.world.faults.quiet = number > TROUBLE
            try:
                await self._round(generation, trouble=number <= TROUBLE)
            except Crash:
                await generation.drop()
                generation = await self._next()
            if number > TROUBLE and not self.wanted and not self.starting and not await self.world.unfinished():
                break
        await generation.drop()
        assert await self.world.unfinished() == [], f"not finished after {ROUNDS} rounds"

    async def _next(self) -> Generation:
        """A new process. What its callers never heard an answer to they ask again, with the same key."""
        self.wanted = [new for new, _ in self.starting] + self.wanted
        for _, task in self.starting:
            task.cancel()
        self.starting = []
        self.world.gate = asyncio.Event()
        generation = await self.world.alive()
        await generation.attach()
        return generation

    async def _round(self, generation: Generation, *, trouble: bool) -> None:
        await generation.rest()
        self._hear_answers()
        if self.wanted and self.chance.random() < 0.5:
            self._start(generation, self.wanted.pop(0))
        if trouble and self.accepted and self.chance.random() < 0.3:
            await self._control(generation, self.chance.choice(self.accepted))
        if not trouble and self.chance.random() < 0.2:
            await self._resume_all(generation)
        if self.chance.random() < 0.5:
            self.world.gate.set()
            await generation.rest()
            self.world.gate.clear()
        for service in self.chance.sample(generation.services, k=len(generation.services)):
            await service.run_once()
            await generation.rest()
        self.world.clock.advance(self.chance.choice([0, 1, 5, 40, 400]) * SECOND)
        await generation.heartbeat.run_once()
        await generation.rest()

    def _new_run(self, version_id: str) -> NewRun:
        plan = self.world.plans.plans[version_id]
        key = StartKey("caller", WORKFLOW, version_id, "request", self.world.clock.now() + 10**15)
        return NewRun(
            id=self.world.ids.new(),
            workflow_id=WORKFLOW,
            version_id=version_id,
            created_at=self.world.clock.now(),
            admission_key=None if plan.max_concurrent_runs is None else "limited",
            admission_limit=plan.max_concurrent_runs,
            start_key=key,
        )

    def _start(self, generation: Generation, new: NewRun) -> None:
        plan = self.world.plans.plans[new.version_id]
        call = generation.engine.start(new, plan, workflow_name="simulated", version_number=1)
        self.starting.append((new, asyncio.create_task(call)))

    def _hear_answers(self) -> None:
        """Accepted starts are to be kept; refused or unanswered ones are tried again under the same key, new id."""
        for new, task in list(self.starting):
            if not task.done():
                continue
            self.starting.remove((new, task))
            if task.exception() is None:
                self.accepted.append(task.result().run_id)
            else:
                self.wanted.append(self._new_run(new.version_id))

    async def _control(self, generation: Generation, run_id: str) -> None:
        kind = self.chance.choice(["cancel", "pause", "pause", "resume", "resume"])
        await self._post(generation, run_id, kind, deliver=self.chance.random() < 0.5)

    async def _resume_all(self, generation: Generation) -> None:
        for run_id in await self.world.unfinished():
            await self._post(generation, run_id, "resume", deliver=True)

    async def _post(self, generation: Generation, run_id: str, kind: str, *, deliver: bool) -> None:
        item = InboxItem(self.world.ids.new(), run_id, kind, {"by": "simulation"})
        accepted = await generation.store.post([item])
        if deliver and item.id in accepted:
            generation.engine.receive([item, item])


async def examine(simulation: Simulation) -> None:
    """What the database says in the end."""
    world = simulation.world
    await world.database.submit(lambda raw: check_stories(raw, world, simulation.accepted))
    world.clock.advance(120 * SECOND)
    report = await Doctor(world.database).examine()
    assert report["problems"] == []


@pytest.mark.parametrize("seed", [ONE_SEED] if ONE_SEED else [str(number) for number in range(SEEDS)])
async def test_whatever_fails_every_accepted_run_finishes_and_tells_a_true_story(
    seed: str, tmp_path: Path, template: Path
) -> None:
    faults = Faults(random.Random(f"faults {seed}"), share=0.08)
    world = await World.create(seed, tmp_path / "millrace.db", template, faults)
    try:
        simulation = Simulation(world)
        await simulation.run(runs=6)
        await examine(simulation)
    except AssertionError as error:
        raise AssertionError(f"MILLRACE_SIMULATION_SEED={seed}: {error}") from error
    finally:
        await world.database.close()


@pytest.mark.parametrize("kind", ["crash before", "crash after"])
async def test_a_crash_at_every_single_commit_is_survived(kind: str, tmp_path: Path, template: Path) -> None:
    boundary = 0
    while True:
        boundary += 1
        faults = Faults(random.Random(0), share=0.0, crash_at=boundary, crash_kind=kind)
        world = await World.create("boundaries", tmp_path / f"{boundary}.db", template, faults)
        try:
            simulation = Simulation(world)
            await simulation.run(runs=2)
            await examine(simulation)
        except AssertionError as error:
            raise AssertionError(f"{kind} commit {boundary}: {error}") from error
        finally:
            await world.database.close()
        if world.generations == 1:
            break
    assert boundary > 20, "the plan is too small for this to mean anything"


def test_the_stories_are_read_by_someone_who_notices(tmp_path: Path, template: Path) -> None:
    """A checker that finds nothing proves nothing: each of these changes must be found."""
    place = tmp_path / "millrace.db"

    async def simulate() -> tuple[World, list[str]]:
        world = await World.create("checker", place, template, Faults(random.Random(1), share=0.05))
        simulation = Simulation(world)
        await simulation.run(runs=4)
        await world.database.close()
        return world, simulation.accepted

    world, accepted = asyncio.run(simulate())
    changes = (
        "delete from records where seq = 2",
        "update records set type = 'run.forgotten' where type in ('run.completed', 'run.failed', 'run.cancelled')",
        "update records set type = 'task.started' where type in ('task.completed', 'task.skipped', 'task.failed')",
        "delete from runs where id = (select min(id) from runs)",
    )
    for number, change in enumerate(changes):
        changed = tmp_path / f"changed-{number}.db"
        shutil.copyfile(place, changed)
        with closing(sqlite3.connect(changed)) as raw:
            check_stories(raw, world, accepted)
            raw.execute(change)
            with pytest.raises(AssertionError):
                check_stories(raw, world, accepted)

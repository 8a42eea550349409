"""The whole engine in one thread, on a clock that is moved by hand, with faults by seed: the same seed, the same story.

The store is the real one on a real file, but its jobs run at once instead of in the writer's thread, so that nothing
depends on the machine. A *generation* is one life of the process: engine, worker and services. A crash drops it without
any clean-up, and the next one starts on what is in the database.
"""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection

from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.core.plan import Plan
from millrace.core.states import FINISHED_RUN
from millrace.core.values import SECOND, JsonValue
from millrace.dispatch.localbus import LocalBus
from millrace.engine.admission import Admission
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.reaper import Reaper
from millrace.engine.timers import Timers
from millrace.engine.wakeups import Wakeups
from millrace.ports.evaluator import ExpressionError, Scope
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext
from millrace.ports.store import ClaimRequest, CommitReply, RunChange, StoreUnavailable
from millrace.storage.database import SqliteDatabase, _translated
from millrace.storage.sqlite import SqliteStore
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker
from tests.support.clock import FakeClock

T = TypeVar("T")

LEASE = 15 * SECOND
SLOTS = 3
STEPS_WITHOUT_NEWS = 40
"""Turns of the event loop without a commit and without an execution, after which nothing is under way."""
VERSION = "version-{}"
WORKFLOW = "workflow"


class Crash(BaseException):
    """The process is gone."""


class InlineDatabase(SqliteDatabase):
    """The real file and statements, without threads."""

    async def submit(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return job(self._raw)
        except Exception as error:
            self._recover()
            raise _translated(error) from error

    async def _read(self, readers: ThreadPoolExecutor, work: Callable[[Connection], T]) -> T:
        with self._reader.connect() as connection:
            connection.exec_driver_sql("begin")
            return work(connection)

    def _lay_out_log(self) -> None:
        """Not worth its time for a test."""


class FaultyStore(SqliteStore):
    """Loses the answer of a commit, or the commit, or the whole process."""

    def __init__(self, database: SqliteDatabase, faults: "Faults") -> None:
        super().__init__(database)
        self._faults = faults

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        fault = self._faults.next()
        if fault == "crash before":
            await self._faults.crash()
        if fault == "away":
            raise StoreUnavailable("the disk is full, says the simulation")
        reply = await super().commit(changes, claim)
        if fault == "crash after":
            await self._faults.crash()
        if fault == "answer lost":
            raise StoreUnavailable("the answer was lost, says the simulation")
        return reply


@dataclass
class Faults:
    """Decides the fate of each commit: by chance, or a crash at one boundary."""

    chance: random.Random
    share: float
    crash_at: int | None = None
    crash_kind: str = "crash after"
    commits: int = 0
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    quiet: bool = False

    def next(self) -> str:
        self.commits += 1
        if self.crash_at is not None:
            return self.crash_kind if self.commits == self.crash_at else ""
        if self.quiet or self.chance.random() >= self.share:
            return ""
        return self.chance.choice(["crash before", "crash after", "away", "answer lost", "answer lost"])

    async def crash(self) -> None:
        self.crashed.set()
        await asyncio.Event().wait()


class AnyConfig(BaseModel):
    """Tasks of the simulation are told nothing."""


class ChanceRunner:
    """Completes, fails, raises, waits to be released, or hangs: by seed, task and attempt."""

    type: ClassVar[str] = "chance"
    summary: ClassVar[str] = "For the simulation."
    config_model: ClassVar[ConfigModel] = AnyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, world: "World") -> None:
        self._world = world

    async def close(self) -> None:
        return None

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        world = self._world
        world.executed[context.environment["MILLRACE_ATTEMPT"].rpartition(":")[2]] += 1
        world.attempts.add((context.run_id, context.task_id, context.attempt))
        fate = random.Random(f"{world.seed}/{context.run_id}/{context.task_id}/{context.attempt}").random()
        if fate < 0.50:
            return Completed({"by": context.task_id})
        if fate < 0.65:
            return Failed.because("it happens")
        if fate < 0.70:
            raise RuntimeError("a runner with a defect")
        if fate < 0.93:
            await world.gate.wait()
            return Completed()
        await asyncio.Event().wait()
        return Completed()


class Registry:
    def __init__(self, runner: ChanceRunner) -> None:
        self._runners = {runner.type: runner}

    def get(self, task_type: str) -> ChanceRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, ChanceRunner]:
        return self._runners


class Words:
    """An evaluator whose expressions say what comes of them."""

    async def evaluate(self, expression: str, scope: Scope, *, place: str) -> JsonValue:
        if expression == "error":
            raise ExpressionError(f"{place}: no value")
        return {"true": True, "false": False}.get(expression, expression)

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        return template


class Numbers:
    """Ids in order of creation."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"{self._last:036d}"


class WrittenPlans:
    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}

    async def plan(self, version_id: str) -> Plan:
        return self.plans[version_id]


class World:
    """Everything that outlives a crash, and the generation that lives now."""

    def __init__(self, seed: str, database: InlineDatabase, clock: FakeClock, faults: Faults) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.database = database
        self.clock = clock
        self.faults = faults
        self.ids = Numbers()
        self.plans = WrittenPlans()
        self.gate = asyncio.Event()
        self.executed: Counter[str] = Counter()
        self.attempts: set[tuple[str, str, int]] = set()
        self.generations = 0

    @classmethod
    async def create(cls, seed: str, place: Path, template: Path, faults: Faults) -> "World":
        shutil.copyfile(template, place)
        clock = FakeClock()
        return cls(seed, await InlineDatabase.open(place, clock=clock, synchronous="off"), clock, faults)

    async def add_plan(self, plan: Plan) -> str:
        """Make the plan known under a version id, with the rows that the store joins."""
        version_id = VERSION.format(len(self.plans.plans))
        self.plans.plans[version_id] = plan
        number = len(self.plans.plans)

        def insert(raw: sqlite3.Connection) -> None:
            raw.execute(
                "insert or ignore into workflows (id, name, slug, status, newest_version, created_at, updated_at) "
                "values (?, 'simulated', 'simulated', 'active', 1, 0, 0)",
                (WORKFLOW,),
            )
            raw.execute(
                "insert into workflow_versions (id, workflow_id, number, definition, content_hash, created_at) "
                "values (?, ?, ?, '{}', '', 0)",
                (version_id, WORKFLOW, number),
            )

        await self.database.submit(insert)
        return version_id

    async def unfinished(self) -> list[str]:
        finished = [status.value for status in FINISHED_RUN]
        return await self.database.submit(
            lambda raw: [
                row[0] for row in raw.execute("select id, status from runs").fetchall() if row[1] not in finished
            ]
        )

    async def alive(self) -> "Generation":
        """Start the next generation, as a process does that finds the lock free."""
        self.generations += 1
        self.faults.crashed = asyncio.Event()
        generation = Generation(self)
        await generation.heartbeat.register(sole=True)
        generation.begin()
        return generation


class Generation:
    def __init__(self, world: World) -> None:
        self.world = world
        clock, bus, wakeups, masker = world.clock, LocalBus(), Wakeups(), SecretMasker()
        self.store = FaultyStore(world.database, world.faults)
        self.engine = Engine(self.store, world.plans, Words(), clock, world.ids, bus, wakeups)
        around = Surroundings(
            self.engine,
            Registry(ChanceRunner(world)),
            Words(),
            SecretChain([], masker),
            masker,
            clock,
            LogShipper(self.store, bus),
        )
        self.worker = Worker(
            around, slots=SLOTS, queues=("default",), new_id=world.ids.new, installation_id="simulation"
        )
        self.heartbeat = Heartbeat(self.store, self.worker, LEASE)
        self.inbox = InboxReader(self.store, self.engine)
        self.services = [
            self.inbox,
            self.heartbeat,
            Timers(self.store, self.engine, clock),
            Admission(self.store, self.inbox, clock),
            Reaper(self.store, self.engine, clock, LEASE),
        ]
        self._loops: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self._loops = [asyncio.create_task(self.worker.run()), asyncio.create_task(self.engine.run())]

    async def attach(self) -> None:
        await asyncio.sleep(0)
        self.engine.attach(self.worker)

    async def drop(self) -> None:
        """The end of the process: nothing is reported, nothing is tidied."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def rest(self) -> None:
        """Let everything that is under way come to a stop. Raises `Crash` if the process died of it."""
        before = None
        while before != (before := (self.world.faults.commits, self.world.executed.total())):
            for _ in range(STEPS_WITHOUT_NEWS):
                await asyncio.sleep(0)
                if self.world.faults.crashed.is_set():
                    raise Crash

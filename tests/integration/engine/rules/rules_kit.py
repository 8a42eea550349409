"""The engine of one or more processes on a real database, with a clock, task types and troubles that tests control.

Engines and workers run by themselves; services (timers, inbox, reaper, admission, heartbeat, log shipper) do a round
when a test says so. Plans are built by hand. No workflow language, no HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import text

from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import EnvironmentSecrets, SecretChain
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import RunState
from millrace.core.values import SECOND
from millrace.definition import ControlMeanings
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.admission import Admission
from millrace.engine.cell import Started
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.reaper import Reaper
from millrace.engine.timers import Timers
from millrace.engine.wakeups import Wakeups
from millrace.ports.runner import AnyRunner, Completed, Failed, Outcome, RunnerContext
from millrace.ports.store import (
    ClaimRequest,
    CommitReply,
    InboxItem,
    LogLine,
    NewRun,
    Rejected,
    RunChange,
    Store,
    StoreUnavailable,
)
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.system import Uuid7Ids
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker
from tests.support.clock import FakeClock
from tests.support.engine_kit import write_version
from tests.support.postgres import DatabaseClock, fresh_database
from tests.support.stores import OverStore, store_on

LEASE = 15 * SECOND
PATIENCE = 60.0
"""Real seconds after which something that a test waits for is taken for stuck."""


# --- plans ------------------------------------------------------------------------------------------------------------


def task(path: str, *needs: str, type: str = "done", phase: Phase = Phase.MAIN, **fields: Any) -> TaskPlan:
    return TaskPlan(path, type, phase, needs=needs, **fields)


def handler(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `on_failure`."""
    return task(path, *needs, phase=Phase.ON_FAILURE, **fields)


def closing(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `finally`."""
    return task(path, *needs, phase=Phase.FINALLY, **fields)


def chain(length: int, **fields: Any) -> list[TaskPlan]:
    return [task(f"t{place}", *([f"t{place - 1}"] if place else []), **fields) for place in range(length)]


def plan_of(*listed: TaskPlan, **fields: Any) -> Plan:
    dependents = {one.id: tuple(other.id for other in listed if one.id in other.needs) for one in listed}
    tasks = {
        one.id: TaskPlan(**{name: getattr(one, name) for name in one.__slots__} | {"dependents": dependents[one.id]})
        for one in listed
    }
    return Plan(tasks, {phase: tuple(one.id for one in listed if one.phase is phase) for phase in Phase}, **fields)


# --- task types -------------------------------------------------------------------------------------------------------


class AnyConfig(BaseModel):
    value: Any = None


Work = Callable[[Any, RunnerContext], Awaitable[Outcome]]


class Scripted:
    """A task type that does what a test wrote down, and remembers what it was asked to do."""

    summary: ClassVar[str] = "For tests."
    config_model: ClassVar[type[BaseModel]] = AnyConfig
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, work: Work, *, instant: bool) -> None:
        self.type = name
        self.instant = instant
        self._work = work
        self.calls: list[RunnerContext] = []
        self.values: list[Any] = []

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        self.calls.append(context)
        self.values.append(config.value)
        return await self._work(config.value, context)

    async def close(self) -> None:
        return None


class Hanging:
    """Work that hangs until it is cancelled or let go; `stubborn` work ignores being cancelled."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.stubborn = stubborn
        self.running = 0
        self.ended = 0
        self.go = asyncio.Event()

    async def __call__(self, value: Any, context: RunnerContext) -> Outcome:
        self.running += 1
        try:
            while self.stubborn and not self.go.is_set():
                try:
                    await self.go.wait()
                except asyncio.CancelledError:
                    continue
            await self.go.wait()
            return Completed(value)
        finally:
            self.running -= 1
            self.ended += 1


async def done(value: Any, context: RunnerContext) -> Outcome:
    return Completed(value)


async def broken(value: Any, context: RunnerContext) -> Outcome:
    return Failed.because("it broke")


def fails(times: int) -> Work:
    """Work that fails so many times and then succeeds with the number of the attempt that did."""
    left = times

    async def work(value: Any, context: RunnerContext) -> Outcome:
        nonlocal left
        left -= 1
        return Completed(context.attempt) if left < 0 else Failed.because(f"failure of attempt {context.attempt}")

    return work


class Runners:
    """Meets `ports.runner.RunnerRegistry`."""

    def __init__(self) -> None:
        self._runners: dict[str, Scripted] = {}
        self.add("noop", done, instant=True)
        self.add("done", done)
        self.add("broken", broken)

    def add(self, name: str, work: Work, *, instant: bool = False) -> Scripted:
        runner = self._runners[name] = Scripted(name, work, instant=instant)
        return runner

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners


# --- the store and its troubles ---------------------------------------------------------------------------------------


class TroubledStore(OverStore):
    """The real store, which on request refuses one run, takes no logs, or makes commits or their answers wait."""

    def __init__(self, real: Store) -> None:
        super().__init__(real)
        self.logs_away = 0
        self.poisonous: set[str] = set()
        self.commits: list[tuple[str, ...]] = []
        """The runs of each commit that was asked for."""
        self.written = 0
        """Commits that were written."""
        self.open = asyncio.Event()
        self.open.set()
        self.answering = asyncio.Event()
        """While this is not set, commits are written but not answered."""
        self.answering.set()

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        self.commits.append(tuple(change.run.id for change in changes))
        await self.open.wait()
        good = [change for change in changes if change.run.id not in self.poisonous]
        reply = await self.real.commit(good, claim)
        self.written += 1
        await self.answering.wait()
        answers = iter(reply.changes)
        refused = "it does not like this run"
        return CommitReply(
            tuple(
                Rejected(change.run.id, refused) if change.run.id in self.poisonous else next(answers)
                for change in changes
            ),
            reply.claimed,
        )

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        if self.logs_away:
            self.logs_away -= 1
            raise StoreUnavailable("it is away")
        await self.real.append_logs(lines)


class DictPlans:
    """Meets `ports.plans.Plans`."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}

    async def plan(self, version_id: str) -> Plan:
        return self.plans[version_id]


# --- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """What one process holds. Two of them on one store are two engines that know nothing of each other."""

    engine: Engine
    worker: Worker
    heartbeat: Heartbeat
    inbox: InboxReader
    timers: Timers
    admission: Admission
    reaper: Reaper
    shipper: LogShipper
    loops: "list[asyncio.Task[None]]"


@dataclass
class Kit:
    database: SqliteDatabase | PostgresDatabase
    store: TroubledStore
    clock: FakeClock
    masker: SecretMasker
    environment: dict[str, str]
    stack: AsyncExitStack
    plans: DictPlans = field(default_factory=DictPlans)
    runners: Runners = field(default_factory=Runners)
    ids: Uuid7Ids = field(default_factory=Uuid7Ids)
    processes: list[Process] = field(default_factory=list)

    # --- the first process, which is the only one of most tests -------------------------------------------------------

    @property
    def engine(self) -> Engine:
        return self.processes[0].engine

    @property
    def worker(self) -> Worker:
        return self.processes[0].worker

    @property
    def here(self) -> Process:
        return self.processes[0]

    async def process(self, *, slots: int = 16, attached: bool = True) -> Process:
        """One more process. One that is not attached takes no work."""
        bus, wakeups = LocalBus(), Wakeups()
        engine = Engine(
            self.store, self.plans, CelEvaluator(), self.clock, self.ids, bus, wakeups, controls=ControlMeanings()
        )
        secrets = SecretChain([EnvironmentSecrets(self.environment)], self.masker)
        shipper = LogShipper(self.store, bus)
        around = Surroundings(engine, self.runners, CelEvaluator(), secrets, self.masker, self.clock, shipper)
        worker = Worker(around, slots=slots, queues=("default",), new_id=self.ids.new, installation_id="installation")
        inbox = InboxReader(self.store, engine)
        process = Process(
            engine,
            worker,
            Heartbeat(self.store, worker, LEASE),
            inbox,
            Timers(self.store, engine, self.clock),
            Admission(self.store, inbox, self.clock),
            Reaper(self.store, engine, self.clock, LEASE),
            shipper,
            [asyncio.create_task(engine.run()), asyncio.create_task(worker.run())],
        )
        self.processes.append(process)
        self.stack.push_async_callback(_stop, process)
        await process.heartbeat.register(sole=False)
        if attached:
            engine.attach(worker)
            # The commit with which a new worker looks for work.
            await until(lambda: engine.counts.commits)
        return process

    def hangs(self, name: str, *, stubborn: bool = False) -> Hanging:
        """A new task type that hangs; what still hangs when the test ends is let go then."""
        hanging = Hanging(stubborn=stubborn)
        self.runners.add(name, hanging)
        self.stack.callback(hanging.go.set)
        return hanging

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def version(self, plan: Plan) -> tuple[str, str]:
        """Store a workflow with this plan as its only version; their ids."""
        workflow, version = self.ids.new(), self.ids.new()
        self.plans.plans[version] = plan
        await self.database.write(lambda connection: write_version(connection, workflow, version))
        return workflow, version

    async def new(self, plan: Plan, **fields: Any) -> NewRun:
        workflow, version = await self.version(plan)
        return NewRun(self.ids.new(), workflow, version, self.clock.now(), **fields)

    async def begin(self, new: NewRun, engine: Engine | None = None) -> Started:
        plan = self.plans.plans[new.version_id]
        async with asyncio.timeout(PATIENCE):
            return await (engine or self.engine).start(new, plan, workflow_name="example", version_number=1)

    async def start(self, *tasks: TaskPlan, of_run: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Start a run of these tasks; `fields` are the plan's, `of_run` the run's."""
        started = await self.begin(await self.new(plan_of(*tasks, **fields), **(of_run or {})))
        return started.run_id

    async def ends(self, run_id: str, engine: Engine | None = None) -> RunState:
        async with asyncio.timeout(PATIENCE):
            return await (engine or self.engine).wait(run_id)

    async def play(self, *tasks: TaskPlan, **fields: Any) -> RunState:
        """Start a run and wait for its end."""
        return await self.ends(await self.start(*tasks, **fields))

    async def post(self, run_id: str, kind: str, **data: Any) -> None:
        """Leave a fact in the inbox and have the engine take it, as the API does."""
        item = InboxItem(self.ids.new(), run_id, kind, data)
        assert await self.store.post([item]), "the run is there and has not finished"
        self.engine.receive([item])

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.engine.settle()

    # --- what became of it --------------------------------------------------------------------------------------------

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The values stand where the query has question marks."""
        pieces = query.split("?")
        named = pieces[0] + "".join(f":v{place}{piece}" for place, piece in enumerate(pieces[1:]))
        given = {f"v{place}": value for place, value in enumerate(values)}
        found = await self.database.read(lambda connection: connection.execute(text(named), given).all())
        return [tuple(row) for row in found]

    async def status(self, run_id: str) -> str:
        return str((await self.rows("select status from runs where id = ?", run_id))[0][0])

    async def tasks(self, run_id: str) -> dict[str, str]:
        return dict(await self.rows("select path, status from task_runs where run_id = ?", run_id))

    async def attempts(self, run_id: str) -> list[tuple[str, int, str]]:
        return await self.rows(
            "select path, number, status from attempts where run_id = ? order by path, number", run_id
        )

    async def records(self, run_id: str) -> list[str]:
        found = await self.rows("select type, path from records where run_id = ? order by seq", run_id)
        return [kind if path is None else f"{kind} {path}" for kind, path in found]

    async def log(self, run_id: str) -> list[tuple[int, str]]:
        return await self.rows("select seq, text from logs where run_id = ? order by seq", run_id)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds; it may be a coroutine function."""
    async with asyncio.timeout(PATIENCE):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.001)


async def _stop(process: Process) -> None:
    for loop in process.loops:
        loop.cancel()
    await asyncio.gather(*process.loops, return_exceptions=True)


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[tuple[SqliteDatabase | PostgresDatabase, FakeClock]]:
    """An empty database of this kind, and the clock that tells its time."""
    async with AsyncExitStack() as stack:
        database: SqliteDatabase | PostgresDatabase
        if kind == "postgres":
            url = await stack.enter_async_context(fresh_database())
            clock: FakeClock = DatabaseClock(url)
            stack.callback(clock.close)
            database = await PostgresDatabase.open(url)
        else:
            clock = FakeClock()
            database = await SqliteDatabase.open(folder / "millrace.db", clock=clock, synchronous="off")
        stack.push_async_callback(database.close)
        yield database, clock


@asynccontextmanager
async def engine_kit(kind: str, folder: Path, *, slots: int = 16, **environment: str) -> AsyncIterator[Kit]:
    """A database and one process on it. `environment` holds secrets: `MILLRACE_SECRET_TOKEN="…"`."""
    async with opened(kind, folder) as (database, clock), AsyncExitStack() as stack:
        kit = Kit(database, TroubledStore(store_on(database)), clock, SecretMasker(), environment, stack)
        await kit.process(slots=slots)
        yield kit

"""A Millrace without definitions, API and settings: the real store, engine, worker and services, put together by hand.

Plans are written in tests, work is scripted (`scripted_work`), time is virtual (`virtual_time`). A `Kit` is what
outlives a process: the database, the plans, the clock. A `Machine` is one process: it can be stopped in good
order, or crash, and another one can follow on the same database.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

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
from millrace.engine.service import Service
from millrace.engine.timers import Timers
from millrace.engine.waiting import Unfinished
from millrace.engine.wakeups import Wakeups
from millrace.ports.evaluator import Evaluator
from millrace.ports.store import InboxItem, NewRun, Store
from millrace.storage import tables
from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import Doctor
from millrace.storage.postgres.database import PostgresDatabase
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker
from tests.support.scripted_work import Work
from tests.support.stores import store_on
from tests.support.virtual_databases import virtual_database
from tests.support.virtual_time import VirtualClock, virtual_loop

LEASE = 15 * SECOND
PATIENCE = 3_600.0
"""Virtual seconds a test waits for something before it gives up."""


def task(id_: str, *needs: str, phase: Phase = Phase.MAIN, type_: str = "scripted", **fields: Any) -> TaskPlan:
    return TaskPlan(id=id_, type=type_, phase=phase, needs=needs, **fields)


def plan(*tasks: TaskPlan, **fields: Any) -> Plan:
    """The tasks as the compiler would hand them over: with the other side of `needs`, and by phase."""
    complete = {
        one.id: replace(one, dependents=tuple(other.id for other in tasks if one.id in other.needs)) for one in tasks
    }
    phases = {phase: tuple(one.id for one in tasks if one.phase is phase) for phase in Phase}
    return Plan(tasks=complete, phases=phases, **fields)


def chain(length: int, **fields: Any) -> Plan:
    names = [f"t{number}" for number in range(length)]
    return plan(*(task(name, *names[max(0, place - 1) : place], **fields) for place, name in enumerate(names)))


class CountedIds:
    """Meets `ports.ids.Ids`, and gives the same ids in every play of the same story."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"{self._last:08x}-0000-7000-8000-000000000000"


class ListedPlans:
    """Meets `ports.plans.Plans`."""

    def __init__(self) -> None:
        self.by_version: dict[str, Plan] = {}

    async def plan(self, version_id: str) -> Plan:
        return self.by_version[version_id]


class Kit:
    def __init__(self, database: SqliteDatabase | PostgresDatabase, clock: VirtualClock) -> None:
        self.database = database
        self.clock = clock
        self.store = store_on(database)
        self.plans = ListedPlans()
        self.evaluator: Evaluator = CelEvaluator()
        self.work = Work()
        self.ids = CountedIds()
        self.masker = SecretMasker()
        self.environment: dict[str, str] = {}
        """Where the secrets of machines to come are."""
        self.machines: list[Machine] = []
        self._versions: dict[Plan, str] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path, kind: str = "sqlite") -> AsyncIterator["Kit"]:
        async with virtual_database(kind, folder) as database:
            kit = cls(database, virtual_loop().clock)
            try:
                yield kit
                for machine in kit.machines:
                    machine.must_be_well()
            finally:
                for machine in kit.machines:
                    await machine.crash()

    def own_store(self) -> Store:
        """A store for one more process, to be got in the way of."""
        return store_on(self.database)

    async def machine(
        self,
        *,
        slots: int = 8,
        store: Store | None = None,
        sole: bool = True,
        without: Collection[type[Service]] = (),
        unfinished: Unfinished | None = None,
    ) -> "Machine":
        """Start a process: everything runs when this returns. `without` leaves services out, to see what they do."""
        machine = Machine(self, store or self.store, slots=slots, unfinished=unfinished)
        self.machines.append(machine)
        await machine.start(sole=sole, without=without)
        return machine

    async def version(self, plan: Plan) -> str:
        """The id of the version with this plan; its rows are written when it is first asked for."""
        if plan not in self._versions:
            version_id = self._versions[plan] = self.ids.new()
            self.plans.by_version[version_id] = plan
            await self.database.write(lambda connection: write_version(connection, version_id, version_id))
        return self._versions[plan]

    async def new_run(self, plan: Plan, **fields: Any) -> NewRun:
        version_id = await self.version(plan)
        if plan.max_concurrent_runs is not None:
            fields = {"admission_key": version_id, "admission_limit": plan.max_concurrent_runs, **fields}
        return NewRun(
            id=self.ids.new(), workflow_id=version_id, version_id=version_id, created_at=self.clock.now(), **fields
        )

    # --- what is in the database ----------------------------------------------------------------------------------

    async def rows(self, query: str, **values: Any) -> Sequence[Any]:
        return await self.database.read(lambda connection: connection.execute(text(query), values).all())

    async def value(self, query: str, **values: Any) -> Any:
        return (await self.rows(query, **values))[0][0]

    async def history(self, run_id: str) -> list[str]:
        """The run's records as `type` or `type path`, in order; that their numbers have no gap is checked."""
        found = await self.rows("select seq, type, path from records where run_id = :run order by seq", run=run_id)
        assert [row.seq for row in found] == list(range(1, len(found) + 1))
        return [row.type if row.path is None else f"{row.type} {row.path}" for row in found]

    async def problems(self) -> object:
        return (await Doctor(self.database).examine())["problems"]

    async def until(self, condition: Callable[[], Any], limit: float = PATIENCE) -> None:
        """Let virtual time pass until the condition holds; it is looked at every few virtual milliseconds."""
        end = self.clock.monotonic() + limit
        while True:
            holds = condition()
            if isinstance(holds, Awaitable):
                holds = await holds
            if holds:
                return
            for machine in self.machines:
                machine.must_be_well()
            assert self.clock.monotonic() < end, f"after {limit:g} virtual seconds it still does not hold"
            await asyncio.sleep(0.005)


class Machine:
    """One process, as `bootstrap` puts it together."""

    def __init__(self, kit: Kit, store: Store, *, slots: int, unfinished: Unfinished | None = None) -> None:
        bus, wakeups = LocalBus(), Wakeups()
        self.kit = kit
        self.store = store
        self.bus = bus
        self.engine = Engine(
            store,
            kit.plans,
            kit.evaluator,
            kit.clock,
            kit.ids,
            bus,
            wakeups,
            controls=ControlMeanings(),
            unfinished=unfinished,
        )
        self.shipper = LogShipper(store, bus)
        secrets = SecretChain([EnvironmentSecrets(kit.environment)], kit.masker)
        self.worker = Worker(
            Surroundings(self.engine, kit.work, kit.evaluator, secrets, kit.masker, kit.clock, self.shipper),
            slots=slots,
            queues=("default",),
            new_id=kit.ids.new,
            installation_id="installation",
        )
        self.inbox, self.heartbeat = InboxReader(store, self.engine), Heartbeat(store, self.worker, LEASE)
        self.timers = wakeups.alarm = Timers(store, self.engine, kit.clock)
        self.admission = wakeups.admission = Admission(store, self.inbox, kit.clock)
        self.reaper = Reaper(store, self.engine, kit.clock, LEASE)
        self.loops: asyncio.Task[None] | None = None

    async def start(self, *, sole: bool = True, without: Collection[type[Service]] = ()) -> None:
        services = (self.inbox, self.heartbeat, self.timers, self.admission, self.shipper, self.reaper)
        await self.heartbeat.register(sole=sole)
        self.loops = asyncio.create_task(self._run([one for one in services if type(one) not in without]))
        await asyncio.sleep(0)

    async def _run(self, services: Sequence[Service]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.worker.run())
            tasks.create_task(self.engine.run())
            for service in services:
                tasks.create_task(service.run())
            await asyncio.sleep(0)
            self.engine.attach(self.worker)

    def must_be_well(self) -> None:
        """Raise what ended the loops, which nothing may end but `crash` and `stop`."""
        if self.loops is not None and self.loops.done():
            self.loops.result()
            raise AssertionError("the loops ended by themselves")

    async def crash(self) -> None:
        """End it with no word to anybody; what its store was not told is lost."""
        loops, self.loops = self.loops, None
        if loops is not None and not loops.done():
            loops.cancel()
            await asyncio.gather(loops, return_exceptions=True)

    async def stop(self, limit: float = 10.0) -> None:
        """End it in good order."""
        await self.worker.drain(limit)
        await self.engine.settle()
        await self.crash()
        await self.store.retire(self.worker.incarnation_id)

    # --- runs -----------------------------------------------------------------------------------------------------

    async def start_run(self, plan: Plan, **fields: Any) -> Started:
        new = await self.kit.new_run(plan, **fields)
        return await self.engine.start(new, plan, workflow_name="tested", version_number=1)

    async def begin(self, plan: Plan, **fields: Any) -> str:
        return (await self.start_run(plan, **fields)).run_id

    async def end(self, run_id: str) -> RunState:
        """The run when it has finished; whatever ends the machine before that is raised."""
        waiting = asyncio.ensure_future(self.engine.wait(run_id))
        try:
            async with asyncio.timeout(PATIENCE):
                assert self.loops is not None
                await asyncio.wait({waiting, self.loops}, return_when=asyncio.FIRST_COMPLETED)
            self.must_be_well()
            return await waiting
        finally:
            waiting.cancel()

    async def run(self, plan: Plan, **fields: Any) -> RunState:
        return await self.end(await self.begin(plan, **fields))

    async def tell(self, run_id: str, kind: str, **data: Any) -> bool:
        """What `app.runs.control` does: leave a fact in the inbox, and hand it over at once."""
        item = InboxItem(self.kit.ids.new(), run_id, kind, data)
        accepted = await self.store.post([item])
        if accepted and self.loops is not None:
            self.engine.receive([item])
        return bool(accepted)


def write_version(connection: Connection, workflow_id: str, version_id: str) -> None:
    """The rows of a workflow and its only version."""
    connection.execute(
        tables.workflows.insert().values(
            id=workflow_id, name=workflow_id, slug=workflow_id, status="active", newest_version=1, created_at=0,
            updated_at=0,
        )
    )  # fmt: skip
    connection.execute(
        tables.workflow_versions.insert().values(
            id=version_id, workflow_id=workflow_id, number=1, definition="{}", content_hash=version_id, created_at=0
        )
    )

"""Triggers without an API: the real database, engine, use cases and scheduler, put together by hand, on virtual time.

A `TriggerKit` is what outlives a process: the database file and the clock. A `Process` is one engine with one
scheduler; several may work on the same database at once, and any may crash. Runs are started but not worked on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, text

from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.backfills.commands import BackfillCommands
from millrace.app.backfills.filling import BackfillFiller
from millrace.app.firing.awaiting import AwaitedRuns
from millrace.app.firing.occasions import Firer
from millrace.app.firing.scheduler import Scheduler
from millrace.app.plans import StoredPlans
from millrace.app.runs.keys import CallerKeys
from millrace.app.runs.making import RunMaker
from millrace.app.runs.starting import RunStarter
from millrace.app.test_mode.commands import TestModeCommands
from millrace.app.test_mode.instructions import Instance
from millrace.app.test_mode.mode import TestMode
from millrace.app.triggers.commands import TriggerCommands
from millrace.app.triggers.manual import ManualTriggers
from millrace.app.triggers.queries import TriggerQueries
from millrace.app.triggers.registrar import Registrar
from millrace.app.triggers.repository import FiringFilter, TriggerFilter
from millrace.app.triggers.schedules import Schedules
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.commands import WorkflowCommands
from millrace.app.workflows.drafts import Drafts
from millrace.app.workflows.shell_tasks import ShellGate
from millrace.app.workflows.surroundings import Surroundings
from millrace.app.workflows.writing import WorkflowWriter
from millrace.artifacts.local import LocalObjects
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.auth.shell_right import ShellRight
from millrace.core.values import EPOCH, SECOND, Instant, JsonObject
from millrace.definition import ControlMeanings
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.engine import Engine
from millrace.engine.wakeups import Wakeups
from millrace.ports.evaluator import Evaluator
from millrace.ports.payloads import Payloads
from millrace.ports.store import Store
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.triggers.registry import TRIGGER_TYPES
from tests.support.engine_kit import CountedIds
from tests.support.scripted_work import Work
from tests.support.stores import store_on
from tests.support.virtual_databases import virtual_database
from tests.support.virtual_time import VirtualClock, virtual_loop

USER = "tester"


def at(iso: str) -> Instant:
    """The instant of `2026-03-29T01:00:00Z`."""
    return (datetime.fromisoformat(iso) - EPOCH) // timedelta(microseconds=1)


def cron(expression: str, **config: Any) -> dict[str, Any]:
    return {"id": "clock", "type": "cron", "config": {"expression": expression, **config}}


def definition(*triggers: dict[str, Any], **fields: Any) -> JsonObject:
    return {
        "name": "scheduled",
        "triggers": list(triggers),
        "tasks": [{"id": "a", "type": "scripted"}],
        **fields,
    }


class Process:
    """One process: its own engine, caches and scheduler."""

    def __init__(self, kit: "TriggerKit", store: Store, evaluator: Evaluator) -> None:
        self._kit = kit
        plans, catalog = StoredPlans(kit.database), Catalog(kit.database)
        self.engine = Engine(
            store, plans, evaluator, kit.clock, kit.ids, LocalBus(), Wakeups(), controls=ControlMeanings()
        )
        maker = RunMaker(evaluator, kit.clock, kit.ids)
        keys = CallerKeys(kit.database, kit.clock)
        starter = RunStarter(
            self.engine, plans, catalog, kit.clock, maker, kit.payloads, keys, ManualTriggers(kit.database, evaluator)
        )
        writer = WorkflowWriter(
            kit.database, kit.clock, kit.ids, catalog, Registrar(kit.schedules, kit.ids), ShellGate(ShellRight(()))
        )
        masker = SecretMasker()
        around = Surroundings(kit.database, SecretChain([], masker), masker, kit.schedules, kit.clock, Work())
        drafts = Drafts(Work(), TRIGGER_TYPES, around)
        self.workflows = WorkflowCommands(kit.database, kit.clock, kit.ids, drafts, writer)
        self.triggers = TriggerCommands(kit.database, kit.schedules)
        test_mode = kit.test_mode(starter)
        self.scheduler = Scheduler(
            kit.database, plans, kit.schedules, evaluator, starter, kit.clock, kit.ids, test_mode
        )
        self.firer = Firer(kit.database, plans, evaluator, starter, kit.ids, test_mode)
        self.test_modes = TestModeCommands(kit.database, kit.clock, catalog, kit.instance)
        self.awaited = AwaitedRuns(kit.database, kit.schedules)
        self.awaited.after_change = self.scheduler.wake
        self.backfills = BackfillCommands(kit.database, kit.schedules, kit.ids)
        self.filler = BackfillFiller(kit.database, kit.schedules, self.firer)
        self.triggers.after_change = writer.after_change = self.wake
        # Hours pass here: what is due is known beforehand, and a change made by this process wakes it.
        self.scheduler.interval = 600.0
        self._loops: list[asyncio.Task[None]] = [asyncio.create_task(self.engine.run())]

    def schedule(self) -> None:
        """Let the scheduler work by itself from now on."""
        self._loops += [asyncio.create_task(service.run()) for service in (self.scheduler, self.awaited)]

    def wake(self) -> None:
        self.scheduler.wake()
        self.awaited.wake()

    async def fire(self) -> None:
        """Let the scheduler do all there is to do now, however long that takes."""
        await self.scheduler.run_once()
        while self.scheduler.busy:
            await asyncio.sleep(0.01)
            await self.scheduler.run_once()

    async def crash(self) -> None:
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def deploy(self, body: JsonObject) -> str:
        """Create the workflow, or change it; answers its id."""
        known = await self._kit.rows("select id from workflows where name = :name", name=body["name"])
        if known:
            shown, _ = await self.workflows.update(known[0].id, body, by=USER)
        else:
            shown, _ = await self.workflows.create(body, by=USER)
        return str(shown["id"])


class TriggerKit:
    def __init__(self, database: SqliteDatabase | PostgresDatabase, payloads: Payloads, clock: VirtualClock) -> None:
        self.database = database
        self.payloads = payloads
        self.clock = clock
        self.ids = CountedIds()
        self.schedules = Schedules("UTC")
        self.queries = TriggerQueries(database, self.schedules)
        self.instance = Instance(on=False, recipient=None, skip_execution=True, can_send=True)
        """What the settings say about test mode, for processes that are made from now on."""
        self.masker = SecretMasker()
        self.processes: list[Process] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path, now: str, kind: str = "sqlite") -> AsyncIterator["TriggerKit"]:
        clock = virtual_loop().clock
        clock.jump(at(now) - clock.now())
        async with virtual_database(kind, folder) as database:
            kit = cls(database, StoredPayloads(LocalObjects(folder / "objects"), 65_536), clock)
            try:
                yield kit
            finally:
                for process in kit.processes:
                    await process.crash()

    def test_mode(self, starter: RunStarter) -> TestMode:
        return TestMode(self.database, self.instance, self.masker, self.ids, starter.refusal)

    def store(self) -> Store:
        """The store of another process."""
        return store_on(self.database)

    async def process(self, store: Store | None = None, evaluator: Evaluator | None = None) -> Process:
        process = Process(self, store or self.store(), evaluator or CelEvaluator())
        self.processes.append(process)
        await asyncio.sleep(0)
        return process

    # --- time -----------------------------------------------------------------------------------------------------

    async def sleep_until(self, iso: str) -> None:
        await asyncio.sleep(max(0.0, (at(iso) - self.clock.now()) / SECOND))

    async def until(self, condition: Callable[[], Awaitable[Any]], limit: float = 3_600.0) -> None:
        end = self.clock.monotonic() + limit
        while not await condition():
            assert self.clock.monotonic() < end, f"after {limit:g} virtual seconds it still does not hold"
            await asyncio.sleep(0.005)

    # --- what is in the database ----------------------------------------------------------------------------------

    async def rows(self, query: str, **values: Any) -> Sequence[Any]:
        return await self.database.read(lambda connection: connection.execute(text(query), values).all())

    async def execute(self, statement: str, **values: Any) -> None:
        def work(connection: Connection) -> None:
            connection.execute(text(statement), values)

        await self.database.write(work)

    async def trigger(self, name: str = "clock") -> dict[str, Any]:
        """The trigger as it is shown."""
        page = await self.queries.list(TriggerFilter(), cursor=None, limit=200)
        (found,) = (shown for shown in map(plain, page.items) if shown["name"] == name)
        return found

    async def firings(self, trigger_id: str | None = None) -> list[dict[str, Any]]:
        """All firings as they are shown, the oldest first."""
        page = await self.queries.firings(FiringFilter(trigger_id=trigger_id), cursor=None, limit=10_000)
        return [plain(shown) for shown in reversed(page.items)]

    async def told(self, trigger_id: str | None = None) -> list[tuple[str, str]]:
        """Decision and due time of each firing, the oldest first; of many missed ones the first and the last."""
        return [(firing["decision"], _due(firing)) for firing in await self.firings(trigger_id)]

    async def started(self) -> list[str]:
        """The due times for which there are runs, in order of their start; one each, or this fails the test."""
        # One statement, since a run and its firing may be committed between two.
        rows = await self.rows(
            "select runs.id, runs.trigger_data, fired.run_id from runs"
            " full join (select run_id from firings where decision = 'started') as fired on fired.run_id = runs.id"
            " order by runs.created_at, runs.id"
        )
        assert all(row.id == row.run_id for row in rows), "each run has its firing, and each start its run"
        due = [orjson.loads(row.trigger_data)["due_at"] for row in rows]
        assert len(set(due)) == len(due), f"two runs for one due time: {due}"
        return due


def plain(view: Mapping[str, object]) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(orjson.dumps(view))
    return shown


def _due(firing: dict[str, Any]) -> str:
    def short(iso: str) -> str:
        return iso[:19]

    if firing["decision"] == "missed":
        return f"{short(firing['due_at'])} to {short(firing['due_until'])}: {firing['count']}"
    return short(firing["due_at"])

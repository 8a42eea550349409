"""A whole Millrace in this process: SQLite file, engine, worker and API, with task types of its own, and no socket.

`hold` runs until it is cancelled, `echo` answers and logs what it is given, `fail` fails.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx2
from fastapi import FastAPI
from pydantic import BaseModel

from millrace.api.create import create_app
from millrace.app.container import Container, build_container
from millrace.app.plans import StoredPlans
from millrace.auth.first_admin import ensure_first_admin
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import EnvironmentSecrets
from millrace.config import Settings
from millrace.core.values import SECOND, JsonObject
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.engine import Engine
from millrace.engine.wakeups import Wakeups
from millrace.ports.runner import AnyRunner, Completed, Failed, Outcome, RunnerContext
from millrace.ports.store import Incarnation
from millrace.storage.database import SqliteDatabase
from millrace.storage.sqlite import SqliteStore
from millrace.system import SystemClock, Uuid7Ids
from millrace.worker.attempt import Surroundings
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker


class AnyConfig(BaseModel):
    value: Any = None


class TestRunner:
    __test__ = False
    summary: ClassVar[str] = "For tests."
    config_model: ClassVar[type[BaseModel]] = AnyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    async def close(self) -> None:
        return None


class Echo(TestRunner):
    type: ClassVar[str] = "echo"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        context.log(f"echo of {config.value}")
        return Completed(config.value)


class Hold(TestRunner):
    type: ClassVar[str] = "hold"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        await asyncio.Event().wait()
        return Completed()


class Fail(TestRunner):
    type: ClassVar[str] = "fail"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        return Failed.because("it was asked to fail")


class Runners:
    """Meets `ports.runner.RunnerRegistry`."""

    def __init__(self) -> None:
        self._runners: dict[str, AnyRunner] = {runner.type: runner for runner in (Echo(), Hold(), Fail())}

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners


class CountingDatabase(SqliteDatabase):
    """Counts reads, so that a test can tell what is answered from memory."""

    reads = 0

    async def read(self, work: Any) -> Any:
        self.reads += 1
        return await super().read(work)


@dataclass
class Installation:
    app: FastAPI
    container: Container
    database: CountingDatabase
    key: str

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """A client with the given key; `""` sends none, and by default it is the administrator's."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        headers = {} if key == "" else {"X-API-Key": key or self.key}
        return httpx2.AsyncClient(transport=transport, base_url="http://millrace.test", headers=headers)


async def no_problems() -> JsonObject:
    return {"checks": 1, "problems": []}


@asynccontextmanager
async def installation(home: Path) -> AsyncIterator[Installation]:
    settings = Settings(home=home)
    clock, ids, bus, runners = SystemClock(), Uuid7Ids(), LocalBus(), Runners()
    database = await CountingDatabase.open(settings.database_path, clock=clock)
    store = SqliteStore(database)
    plans = StoredPlans(database)
    engine = Engine(store, plans, CelEvaluator(), clock, ids, bus, Wakeups())
    masker = SecretMasker()
    around = Surroundings(
        engine,
        runners,
        CelEvaluator(),
        EnvironmentSecrets({}, None, masker),
        masker,
        clock,
        LogShipper(store, bus),
    )
    worker = Worker(
        around, slots=16, queues=("default",), new_id=ids.new, installation_id=await store.installation_id()
    )
    await store.register(Incarnation(worker.incarnation_id, "test", 1, ("default",), 16), 60 * SECOND, sole=True)
    container = build_container(
        settings=settings,
        database=database,
        store=store,
        engine=engine,
        plans=plans,
        runners=runners,
        bus=bus,
        clock=clock,
        ids=ids,
        doctor=no_problems,
    )
    key = await ensure_first_admin(database, clock, ids, home)
    assert key is not None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        loops = [asyncio.create_task(engine.run()), asyncio.create_task(worker.run())]
        engine.attach(worker)
        try:
            yield Installation(create_app(container), container, database, key)
        finally:
            await worker.drain(0)
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

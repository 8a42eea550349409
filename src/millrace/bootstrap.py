"""The composition root: the only module that knows every adapter. It builds a runtime, and takes it down in good order.

Order matters twice. On the way up: the database's lock, then this incarnation (which declares all earlier ones lost),
then the end of their orphans, and only then work. On the way down: no new work, running attempts finish or are ended,
their reports are committed, the incarnation retires, the database closes.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from millrace.app.container import Container, build_container
from millrace.app.housekeeping import ExpiredKeys, KeyUseWriter
from millrace.app.plans import StoredPlans
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import EnvironmentSecrets
from millrace.config import Settings
from millrace.core.values import SECOND
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.admission import Admission
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.reaper import Reaper
from millrace.engine.service import Service
from millrace.engine.timers import Timers
from millrace.engine.wakeups import Wakeups
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import RunnerServices
from millrace.runners.registry import EntryPointRegistry
from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import Doctor
from millrace.storage.sqlite import SqliteStore
from millrace.system import SystemClock, Uuid7Ids
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.orphans import end_orphans
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)

LEASE = 15 * SECOND
QUEUES = ("default",)
SETTLE_SECONDS = 5.0
"""How long a stop waits for the last reports to be committed. Beyond that the next start finds those attempts lost."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running Millrace: what the API, the benchmark and tests hold in their hands."""

    settings: Settings
    database: SqliteDatabase
    store: SqliteStore
    engine: Engine
    worker: Worker
    container: Container
    loops: "asyncio.Task[None]"
    """Everything that runs in the background. It ends by itself only through a defect; then so should the process."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Runtime]:
    """Millrace with everything but the HTTP server, until the block ends.

    Raises `DatabaseInUse`, `DatabaseUnusable` and `UnknownSchema` (of `storage`) before anything is touched.
    """
    clock = SystemClock()
    database = await SqliteDatabase.open(settings.database_path, clock=clock, synchronous=settings.sqlite_synchronous)
    try:
        async with _assembled(settings, clock, database) as runtime:
            yield runtime
    finally:
        await database.close()


@asynccontextmanager
async def _assembled(settings: Settings, clock: SystemClock, database: SqliteDatabase) -> AsyncIterator[Runtime]:
    ids, bus, wakeups, masker = Uuid7Ids(), LocalBus(), Wakeups(), SecretMasker()
    store, plans, evaluator = SqliteStore(database), StoredPlans(database), CelEvaluator()
    addresses = AddressPolicy(settings.http_allowed_targets)
    http = GuardedHttpClient(addresses)
    runners = EntryPointRegistry(
        RunnerServices(
            http=http,
            addresses=addresses,
            sqlite_allowed_dirs=settings.sqlite_allowed_dirs,
            own_database=settings.database_path,
            shell_enabled=settings.shell_enabled,
            shell_allowed_dirs=settings.shell_allowed_dirs,
        )
    )
    engine = Engine(store, plans, evaluator, clock, ids, bus, wakeups)
    secrets = EnvironmentSecrets(os.environ, settings.secrets_dir, masker)
    shipper = LogShipper(store, bus)
    worker = Worker(
        Surroundings(engine, runners, evaluator, secrets, masker, clock, shipper),
        slots=settings.worker_slots,
        queues=QUEUES,
        new_id=ids.new,
        installation_id=await store.installation_id(),
    )
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
        doctor=Doctor(database).examine,
    )
    inbox, heartbeat = InboxReader(store, engine), Heartbeat(store, worker, LEASE)
    timers, admission = Timers(store, engine, clock), Admission(store, inbox)
    wakeups.alarm, wakeups.admission = timers, admission
    services = (
        inbox, heartbeat, timers, admission, shipper, Reaper(store, engine, clock, LEASE),
        KeyUseWriter(container.authenticator), ExpiredKeys(database, clock),
    )  # fmt: skip

    await heartbeat.register(sole=True)
    await asyncio.to_thread(end_orphans, await store.installation_id(), await store.live_incarnations())
    loops = asyncio.create_task(_run(engine, worker, services), name="millrace")
    try:
        yield Runtime(settings, database, store, engine, worker, container, loops)
        await worker.drain(settings.stop_seconds)
        await _settle(engine)
    finally:
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)
        await store.retire(worker.incarnation_id)
        await runners.close()
        await http.close()


async def _run(engine: Engine, worker: Worker, services: tuple[Service, ...]) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        tasks.create_task(engine.run())
        for service in services:
            tasks.create_task(service.run(), name=type(service).__name__)
        await asyncio.sleep(0)
        engine.attach(worker)


async def _settle(engine: Engine) -> None:
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await engine.settle()
    except TimeoutError:
        logger.warning("some outcomes could not be committed; the next start takes those attempts for lost")

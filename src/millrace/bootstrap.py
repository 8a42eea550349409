"""The composition root: the only module that knows every adapter. It builds a runtime, and takes it down in good order.

Order matters twice. On the way up: the database's lock, then this incarnation (which declares all earlier ones lost),
then the end of their orphans, and only then work. On the way down: no new work, running attempts finish or are ended,
their reports are committed, the incarnation retires, the database closes.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.artifacts.attempts import ArtifactFiles
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.artifacts.sweeping import ExpiredArtifacts, OrphanedObjects
from millrace.app.container import Container, build_container
from millrace.app.events.publishing import EventPublisher
from millrace.app.firing.scheduler import Scheduler
from millrace.app.housekeeping import ExpiredKeys, KeyUseWriter, OldChanges
from millrace.app.plans import StoredPlans
from millrace.artifacts.local import LocalObjects
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import EnvironmentSecrets, FolderSecrets, SecretChain, SecretSource
from millrace.auth.vault.connections import StoredConnections
from millrace.auth.vault.secrets import StoredSecrets
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import Settings
from millrace.core.durations import parse_period
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
from millrace.net.smtp import SmtpMailer, server_of
from millrace.ports.connections import Connections
from millrace.ports.runner import RunnerServices
from millrace.ports.store import Store
from millrace.runners.own_folders import place_of_folders, remove_left_folders
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
SETTLE_SECONDS = 5.0
"""How long a stop waits for the last reports to be committed. Beyond that the next start finds those attempts lost."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running Millrace: what the API, the benchmark and tests hold in their hands."""

    settings: Settings
    database: SqliteDatabase
    store: Store
    engine: Engine
    worker: Worker
    container: Container
    loops: "asyncio.Task[None]"
    """Everything that runs in the background. It ends by itself only through a defect; then so should the process."""


@asynccontextmanager
async def running(settings: Settings, masker: SecretMasker | None = None) -> AsyncIterator[Runtime]:
    """Millrace with everything but the HTTP server, until the block ends.

    `masker` is one that others use, too. Raises `DatabaseInUse`, `DatabaseUnusable` and `UnknownSchema` (of `storage`)
    before anything is touched, and `EncryptionKeyUnusable` (of `auth`) before any work is done.
    """
    clock = SystemClock()
    database = await SqliteDatabase.open(settings.database_path, clock=clock, synchronous=settings.sqlite_synchronous)
    try:
        async with _assembled(settings, clock, database, masker or SecretMasker()) as runtime:
            yield runtime
    finally:
        await database.close()


@asynccontextmanager
async def _assembled(
    settings: Settings, clock: SystemClock, database: SqliteDatabase, masker: SecretMasker
) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as closing:
        wakeups = Wakeups()
        made = await _adapters(settings, clock, database, masker, wakeups, closing)
        shipper, installation_id = LogShipper(made.store, made.bus), await made.store.installation_id()
        worker = _worker(made, shipper, installation_id)
        heartbeat = Heartbeat(made.store, worker, LEASE)
        container = build_container(made)
        services = (heartbeat, shipper, *_engine_services(made, wakeups), *_app_services(made, container))
        await heartbeat.register(sole=True)
        await asyncio.to_thread(_clear_up, settings, installation_id, await made.store.live_incarnations())
        loops = asyncio.create_task(_run(made.engine, worker, services), name="millrace")
        try:
            yield Runtime(settings, database, made.store, made.engine, worker, container, loops)
            await worker.drain(settings.stop_seconds)
            await _settle(made.engine)
        finally:
            loops.cancel()
            await asyncio.gather(loops, return_exceptions=True)
            await made.store.retire(worker.incarnation_id)


def _clear_up(settings: Settings, installation_id: str, alive: frozenset[str]) -> None:
    """End and remove what workers left behind that were killed."""
    end_orphans(installation_id, alive)
    remove_left_folders(place_of_folders(settings.shell_allowed_dirs), installation_id, alive)


async def _adapters(
    settings: Settings,
    clock: SystemClock,
    database: SqliteDatabase,
    masker: SecretMasker,
    wakeups: Wakeups,
    closing: AsyncExitStack,
) -> Adapters:
    """Everything that use cases, engine and worker stand on; what has to be closed is handed to `closing`."""
    ids, bus, evaluator, plans = Uuid7Ids(), LocalBus(), CelEvaluator(), StoredPlans(database)
    vault = await open_vault(settings, database, clock)
    secrets = SecretChain(_secret_sources(settings, database, vault), masker)
    connections = StoredConnections(database, vault, masker)
    await secrets.learn_all()
    await connections.learn_all()
    objects = LocalObjects(settings.artifacts_dir)
    closing.callback(objects.close)
    payloads = StoredPayloads(objects, settings.max_row_bytes)
    store = SqliteStore(database, payloads)
    services = _runner_services(settings, connections, EventPublisher(database, clock, ids, masker), masker, closing)
    runners = EntryPointRegistry(services)
    closing.push_async_callback(runners.close)
    return Adapters(
        settings=settings,
        clock=clock,
        ids=ids,
        bus=bus,
        database=database,
        file=database,
        objects=objects,
        payloads=payloads,
        store=store,
        plans=plans,
        evaluator=evaluator,
        engine=Engine(
            store, plans, evaluator, clock, ids, bus, wakeups, type_limits=settings.task_limits, payloads=payloads
        ),
        runners=runners,
        vault=vault,
        masker=masker,
        secrets=secrets,
        connections=connections,
        mailer=services.mailer,
        check_database=Doctor(database).examine,
    )


def _runner_services(
    settings: Settings,
    connections: Connections,
    events: EventPublisher,
    masker: SecretMasker,
    closing: AsyncExitStack,
) -> RunnerServices:
    addresses = AddressPolicy(settings.http_allowed_targets)
    http = GuardedHttpClient(addresses)
    closing.push_async_callback(http.close)
    mail_server = server_of(settings)
    if mail_server is not None and mail_server.password is not None:
        masker.learn([mail_server.password])
    return RunnerServices(
        http=http,
        addresses=addresses,
        sqlite_allowed_dirs=settings.sqlite_allowed_dirs,
        own_database=settings.database_path,
        shell_enabled=settings.shell_enabled,
        shell_allowed_dirs=settings.shell_allowed_dirs,
        script_interpreters=_interpreters(settings),
        mailer=SmtpMailer(addresses),
        mail_server=mail_server,
        events=events,
        connections=connections,
    )


def _worker(made: Adapters, shipper: LogShipper, installation_id: str) -> Worker:
    settings = made.settings
    files = ArtifactFiles(
        made.database,
        made.objects,
        made.masker,
        made.clock,
        made.ids,
        largest=settings.max_artifact_bytes,
        lifetime=parse_period(settings.retention_artifacts),
    )
    around = Surroundings(
        made.engine,
        made.runners,
        made.evaluator,
        made.secrets,
        made.masker,
        made.clock,
        shipper,
        artifacts=files,
        payloads=made.payloads,
        largest_output=settings.max_output_bytes,
    )
    return Worker(
        around,
        slots=settings.worker_slots,
        queues=settings.worker_queues,
        new_id=made.ids.new,
        installation_id=installation_id,
    )


def _engine_services(made: Adapters, wakeups: Wakeups) -> tuple[Service, ...]:
    inbox = InboxReader(made.store, made.engine)
    timers, admission = Timers(made.store, made.engine, made.clock), Admission(made.store, inbox, made.clock)
    wakeups.alarm, wakeups.admission = timers, admission
    return inbox, timers, admission, Reaper(made.store, made.engine, made.clock, LEASE)


def _app_services(made: Adapters, container: Container) -> tuple[Service, ...]:
    database, clock = made.database, made.clock
    scheduler = Scheduler(
        database, made.plans, container.schedules, made.evaluator, container.run_starter, clock, made.ids
    )
    container.trigger_commands.after_change = container.workflow_writer.after_change = scheduler.wake
    return (
        scheduler,
        container.operations,
        container.retention,
        KeyUseWriter(container.authenticator),
        ExpiredKeys(database, clock),
        OldChanges(database),
        ExpiredArtifacts(database, made.objects, clock),
        OrphanedObjects(database, made.objects, clock),
    )


def _interpreters(settings: Settings) -> dict[str, str]:
    named = {"python": settings.script_python, "node": settings.script_node, "bash": settings.script_bash}
    return {language: program for language, program in named.items() if program is not None}


def _secret_sources(settings: Settings, database: SqliteDatabase, vault: Vault) -> tuple[SecretSource, ...]:
    """In the order in which they win."""
    folder = () if settings.secrets_dir is None else (FolderSecrets(settings.secrets_dir),)
    return (EnvironmentSecrets(os.environ), *folder, StoredSecrets(database, vault))


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

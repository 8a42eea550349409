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
from millrace.core.values import SECOND
from millrace.definition.durations import parse_period
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
    ids, bus, wakeups = Uuid7Ids(), LocalBus(), Wakeups()
    vault = await open_vault(settings, database, clock)
    connections = StoredConnections(database, vault, masker)
    objects = LocalObjects(settings.artifacts_dir)
    payloads = StoredPayloads(objects, settings.max_row_bytes)
    store, plans, evaluator = SqliteStore(database, payloads), StoredPlans(database), CelEvaluator()
    addresses = AddressPolicy(settings.http_allowed_targets)
    http = GuardedHttpClient(addresses)
    mail_server = server_of(settings)
    if mail_server is not None and mail_server.password is not None:
        masker.learn([mail_server.password])
    mailer = SmtpMailer(addresses)
    runners = EntryPointRegistry(
        RunnerServices(
            http=http,
            addresses=addresses,
            sqlite_allowed_dirs=settings.sqlite_allowed_dirs,
            own_database=settings.database_path,
            shell_enabled=settings.shell_enabled,
            shell_allowed_dirs=settings.shell_allowed_dirs,
            script_interpreters=_interpreters(settings),
            mailer=mailer,
            mail_server=mail_server,
            events=EventPublisher(database, clock, ids, masker),
            connections=connections,
        )
    )
    engine = Engine(
        store, plans, evaluator, clock, ids, bus, wakeups, type_limits=settings.task_limits, payloads=payloads
    )
    secrets = SecretChain(_secret_sources(settings, database, vault), masker)
    await secrets.learn_all()
    await connections.learn_all()
    shipper = LogShipper(store, bus)
    worker = Worker(
        Surroundings(
            engine,
            runners,
            evaluator,
            secrets,
            masker,
            clock,
            shipper,
            artifacts=_artifact_files(settings, database, objects, masker, clock, ids),
            payloads=payloads,
            largest_output=settings.max_output_bytes,
        ),
        slots=settings.worker_slots,
        queues=settings.worker_queues,
        new_id=ids.new,
        installation_id=await store.installation_id(),
    )
    container = build_container(
        settings=settings,
        database=database,
        file=database,
        objects=objects,
        store=store,
        engine=engine,
        plans=plans,
        evaluator=evaluator,
        runners=runners,
        bus=bus,
        clock=clock,
        ids=ids,
        vault=vault,
        masker=masker,
        secrets=secrets,
        connections=connections,
        mailer=mailer,
        doctor=Doctor(database).examine,
    )
    inbox, heartbeat = InboxReader(store, engine), Heartbeat(store, worker, LEASE)
    timers, admission = Timers(store, engine, clock), Admission(store, inbox)
    wakeups.alarm, wakeups.admission = timers, admission
    scheduler = Scheduler(database, plans, container.schedules, evaluator, container.run_starter, clock, ids)
    container.trigger_commands.after_change = scheduler.wake
    services = (
        inbox, heartbeat, timers, admission, shipper, Reaper(store, engine, clock, LEASE), scheduler,
        KeyUseWriter(container.authenticator), ExpiredKeys(database, clock), container.retention, container.operations,
        OldChanges(database),
        ExpiredArtifacts(database, objects, clock), OrphanedObjects(database, objects, clock),
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
        objects.close()


def _interpreters(settings: Settings) -> dict[str, str]:
    named = {"python": settings.script_python, "node": settings.script_node, "bash": settings.script_bash}
    return {language: program for language, program in named.items() if program is not None}


def _secret_sources(settings: Settings, database: SqliteDatabase, vault: Vault) -> tuple[SecretSource, ...]:
    """In the order in which they win."""
    folder = () if settings.secrets_dir is None else (FolderSecrets(settings.secrets_dir),)
    return (EnvironmentSecrets(os.environ), *folder, StoredSecrets(database, vault))


def _artifact_files(
    settings: Settings,
    database: SqliteDatabase,
    objects: LocalObjects,
    masker: SecretMasker,
    clock: SystemClock,
    ids: Uuid7Ids,
) -> ArtifactFiles:
    lifetime = parse_period(settings.retention_artifacts)
    return ArtifactFiles(database, objects, masker, clock, ids, largest=settings.max_artifact_bytes, lifetime=lifetime)


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

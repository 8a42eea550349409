"""The composition root: the only module that knows every adapter. It builds a runtime, and takes it down in good order.

Order matters twice. On the way up: the database's lock, then this incarnation (which declares all earlier ones lost),
then the end of their orphans, and only then work. On the way down: no new work, running attempts finish or are ended,
their reports are committed, the incarnation retires, the database closes.

On PostgreSQL a process may have a part of the whole as its role, and any number of processes each role
(docs/decisions/0016). None leads: whatever one of them does another may do at the same time.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from millrace.app.adapters import Adapters
from millrace.app.artifacts.attempts import ArtifactFiles
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.artifacts.sweeping import ExpiredArtifacts, OrphanedObjects
from millrace.app.container import Container, build_container
from millrace.app.endings.following import Endings
from millrace.app.endings.telling import RunEvents
from millrace.app.events.publishing import EventPublisher
from millrace.app.firing.scheduler import Scheduler
from millrace.app.histories.queries import unfinished
from millrace.app.housekeeping import ClockKeeper, ExpiredKeys, KeyUseWriter, OldBackfills, OldChanges, Partitions
from millrace.app.mails.sending import Mails, OldMails
from millrace.app.plans import StoredPlans
from millrace.app.routing.routing import EventRouting
from millrace.artifacts.opening import open_objects
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SHORTEST, EnvironmentSecrets, FolderSecrets, SecretChain, SecretSource
from millrace.auth.vault.connections import StoredConnections
from millrace.auth.vault.secrets import StoredSecrets
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import Settings
from millrace.core.durations import parse_period
from millrace.core.values import SECOND, Duration
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.processes import Processes, alone, on_postgres
from millrace.engine.admission import Admission
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.reaper import Reaper
from millrace.engine.service import Service
from millrace.engine.timers import Lookout, Timers
from millrace.engine.wakeups import AdmissionElsewhere, Wakeups
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.net.smtp import SmtpMailer, server_of
from millrace.ports.connections import Connections
from millrace.ports.database import Database
from millrace.ports.dispatch import Hint, Turns
from millrace.ports.objects import ObjectStore
from millrace.ports.runner import RunnerServices
from millrace.ports.store import Store, StoreUnavailable
from millrace.runners.own_folders import AttemptFolders, place_of_folders
from millrace.runners.registry import EntryPointRegistry
from millrace.storage.opening import Storage, open_postgres, open_sqlite
from millrace.system import SystemClock, Uuid7Ids
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.orphans import Orphans
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)

ALONE_INTERVAL = 5.0
"""Seconds between two looks for what only other processes leave undone; an idle one does nothing but look."""
SETTLE_SECONDS = 5.0
"""How long a stop waits for the last reports to be committed. Beyond that the next start finds those attempts lost."""


class Role(StrEnum):
    """What a process does. On SQLite one does everything."""

    UP = "up"
    API = "api"
    SCHEDULER = "scheduler"
    WORKER = "worker"

    @property
    def serves_http(self) -> bool:
        return self in (Role.UP, Role.API)

    @property
    def schedules(self) -> bool:
        return self in (Role.UP, Role.SCHEDULER)

    @property
    def works(self) -> bool:
        return self in (Role.UP, Role.WORKER)


class RoleRefused(Exception):
    """The database does not allow for separate roles; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running Millrace: what the API, the benchmark and tests hold in their hands."""

    settings: Settings
    database: Database
    store: Store
    engine: Engine
    worker: Worker | None
    """`None` in a role that runs no tasks."""
    container: Container
    turns: Turns
    loops: "asyncio.Task[None]"
    """Everything that runs in the background. It ends by itself only through a defect; then so should the process."""


@asynccontextmanager
async def running(
    settings: Settings, masker: SecretMasker | None = None, role: Role = Role.UP
) -> AsyncIterator[Runtime]:
    """Millrace in this role, with everything but the HTTP server, until the block ends.

    `masker` is one that others use, too. Raises `RoleRefused`, `DatabaseInUse`, `DatabaseUnusable` and `UnknownSchema`
    (of `storage`) before anything is touched, and `EncryptionKeyUnusable` (of `auth`) before any work is done.
    """
    path = settings.database_path
    if path is not None and role is not Role.UP:
        raise RoleRefused(
            f"`millrace {role}` needs PostgreSQL: the SQLite database {path} belongs to one process, which is "
            "`millrace up`. Set MILLRACE_DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE for several"
        )
    if path is None:
        storage = await open_postgres(settings.database_url, SystemClock())
    else:
        storage = await open_sqlite(path, SystemClock(), settings.sqlite_synchronous)
    processes = on_postgres(settings.database_url) if storage.shared else alone()
    try:
        async with _assembled(settings, storage, masker or SecretMasker(), processes, role) as runtime:
            yield runtime
    finally:
        await processes.close()
        await storage.close()


@asynccontextmanager
async def _assembled(
    settings: Settings,
    storage: Storage,
    masker: SecretMasker,
    processes: Processes,
    role: Role,
) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as closing:
        wakeups = Wakeups()
        # What the first start of an installation settles is settled once.
        async with processes.turns.waited_turn("start"):
            made = await _adapters(settings, storage, masker, wakeups, processes, closing)
            installation_id = await made.store.installation_id()
            await processes.turns.join()
        container = build_container(made)
        await container.object_store_watch.run_once()
        services = _engine_services(made, wakeups, processes, role)
        services += _app_services(made, container, wakeups, processes, role)
        if storage.keep_clock is not None:
            services.append(ClockKeeper(storage.keep_clock))
        worker = None
        if role.works:
            worker, of_worker = await _worker_services(made, installation_id, wakeups, processes, shared=storage.shared)
            services += of_worker
        loops = asyncio.create_task(_run(made.engine, worker, services, processes), name="millrace")
        try:
            yield Runtime(
                settings, storage.database, made.store, made.engine, worker, container, processes.turns, loops
            )
            if worker is not None:
                await worker.drain(settings.stop_seconds)
            await _settle(made.engine)
        finally:
            loops.cancel()
            await asyncio.gather(loops, return_exceptions=True)
            if worker is not None:
                await _retire(made.store, worker.incarnation_id)


async def _adapters(
    settings: Settings,
    storage: Storage,
    masker: SecretMasker,
    wakeups: Wakeups,
    processes: Processes,
    closing: AsyncExitStack,
) -> Adapters:
    """Everything that use cases, engine and worker stand on; what has to be closed is handed to `closing`."""
    database, clock = storage.database, storage.clock
    ids, bus, evaluator, plans = Uuid7Ids(), processes.bus, CelEvaluator(), StoredPlans(database)
    vault = await open_vault(settings, database, processes.turns.others if processes.several else None)
    secrets = SecretChain(_secret_sources(settings, database, vault), masker)
    connections = StoredConnections(database, vault, masker)
    await secrets.learn_all()
    await connections.learn_all()
    objects = _objects(settings, masker, closing)
    payloads = StoredPayloads(objects, settings.max_row_bytes)
    store = storage.store(payloads)
    events = EventPublisher(database, clock, ids, masker)
    services = _runner_services(settings, connections, events, masker, closing)
    runners = EntryPointRegistry(services)
    closing.push_async_callback(runners.close)
    return Adapters(
        settings=settings,
        clock=clock,
        ids=ids,
        bus=bus,
        database=database,
        file=storage.file,
        copies=storage.copies(settings.home),
        objects=objects,
        payloads=payloads,
        store=store,
        plans=plans,
        evaluator=evaluator,
        engine=Engine(
            store,
            plans,
            evaluator,
            clock,
            ids,
            bus,
            wakeups,
            type_limits=settings.task_limits,
            payloads=payloads,
            unfinished=unfinished(database) if storage.shared else None,
        ),
        runners=runners,
        vault=vault,
        masker=masker,
        secrets=secrets,
        connections=connections,
        mailer=services.mailer,
        events=events,
        check_database=storage.check,
        keep_partitions=storage.keep_partitions,
    )


def _objects(settings: Settings, masker: SecretMasker, closing: AsyncExitStack) -> ObjectStore:
    secrets = (settings.s3_secret_access_key, settings.s3_session_token)
    values = (secret.get_secret_value() for secret in secrets if secret is not None)
    # Settings see to this where there is a bucket; names of Amazon may be set without one, to anything.
    masker.learn(value for value in values if len(value) >= SHORTEST)
    objects = open_objects(settings)
    closing.callback(objects.close)
    return objects


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


async def _worker_services(
    made: Adapters, installation_id: str, wakeups: Wakeups, processes: Processes, *, shared: bool
) -> tuple[Worker, list[Service]]:
    """A worker that is registered, on a host that is rid of what dead ones left behind."""
    shipper = LogShipper(made.store, made.bus)
    worker = _worker(made, shipper, installation_id)
    folders = AttemptFolders(place_of_folders(made.settings.shell_allowed_dirs))
    orphans = Orphans(made.store, folders, installation_id)
    watched_by = made.clock if shared else None
    heartbeat = Heartbeat(made.store, worker, _lease(made), watched_by=watched_by, end_by_force=orphans.end_now)
    await heartbeat.register(sole=not shared)
    await orphans.run_once()
    processes.hints.on(Hint.WORK, lambda _: made.engine.look_for_work())
    processes.hints.on(Hint.STOP, heartbeat.stop_wanted)
    processes.hints.on(Hint.LOST, lambda _: orphans.wake())
    wakeups.orphans = orphans.wake
    return worker, [heartbeat, shipper, *([orphans] if shared else [])]


def _engine_services(made: Adapters, wakeups: Wakeups, processes: Processes, role: Role) -> list[Service]:
    hints = processes.hints
    wakeups.others = hints if processes.several else None
    if not role.schedules:
        lookout = Lookout(made.store, made.engine, made.clock)
        wakeups.alarm = lookout if role.works else None
        wakeups.admission, wakeups.inbox = AdmissionElsewhere(hints), lambda: hints.tell(Hint.INBOX)
        return [lookout] if role.works else []
    inbox = InboxReader(made.store, made.engine)
    timers, admission = Timers(made.store, made.engine, made.clock), Admission(made.store, inbox, made.clock)
    wakeups.alarm, wakeups.admission, wakeups.inbox = timers, admission, inbox.wake
    hints.on(Hint.INBOX, lambda _: inbox.wake())
    hints.on(Hint.ADMISSION, lambda _: admission.wake())
    reaper = Reaper(
        made.store,
        made.engine,
        made.clock,
        _lease(made),
        beside_others=processes.several,
        after_loss=wakeups.worker_lost,
    )
    reaper.interval = reaper.interval if processes.several else ALONE_INTERVAL
    return [inbox, timers, admission, reaper]


def _app_services(
    made: Adapters, container: Container, wakeups: Wakeups, processes: Processes, role: Role
) -> list[Service]:
    services: list[Service] = [container.object_store_watch]
    if role.serves_http or role.schedules:
        services.append(container.triggers.overdue_watch)
    if role.serves_http:
        services.append(KeyUseWriter(container.authenticator))
    if role.schedules:
        services += _scheduling(made, container, processes)
        services += _event_services(made, container, wakeups, processes)
        return services
    made.events.after_publish = container.triggers.event_intake.after_publish = lambda: processes.hints.tell(
        Hint.EVENTS
    )
    if role.serves_http:
        container.triggers.commands.after_change = lambda: processes.hints.tell(Hint.TRIGGERS)
        container.workflow_writer.after_change = lambda: processes.hints.tell(Hint.TRIGGERS)
        container.triggers.backfills.after_change = lambda: processes.hints.tell(Hint.TRIGGERS)
        container.operations.after_begin = lambda: processes.hints.tell(Hint.OPERATIONS)
        container.retention.after_ask = lambda: processes.hints.tell(Hint.RETENTION)
    return services


def _scheduling(made: Adapters, container: Container, processes: Processes) -> list[Service]:
    database, clock, hints = made.database, made.clock, processes.hints
    scheduler = Scheduler(
        database,
        made.plans,
        container.triggers.schedules,
        made.evaluator,
        container.run_starter,
        clock,
        made.ids,
        container.triggers.test_mode,
    )
    mails = Mails(database, made.mailer, server_of(made.settings))
    container.triggers.test_mode.after_mail = mails.wake
    of_schedules = (scheduler, container.triggers.awaited_runs, container.triggers.backfill_filler)

    def look() -> None:
        for service in of_schedules:
            service.wake()

    container.triggers.commands.after_change = container.workflow_writer.after_change = look
    container.triggers.backfills.after_change = container.triggers.backfill_filler.wake
    container.triggers.awaited_runs.after_change = scheduler.wake
    hints.on(Hint.TRIGGERS, lambda _: look())
    hints.on(Hint.OPERATIONS, lambda _: container.operations.wake())
    hints.on(Hint.RETENTION, lambda _: container.retention.wake())
    return [
        *of_schedules,
        mails,
        *_in_turn(
            processes,
            container.operations,
            container.retention,
            ExpiredKeys(database, clock),
            OldChanges(database),
            OldMails(database),
            OldBackfills(database),
            *(() if made.keep_partitions is None else (Partitions(made.keep_partitions),)),
            ExpiredArtifacts(database, made.objects, clock),
            OrphanedObjects(database, made.objects, clock),
        ),
    ]


def _event_services(
    made: Adapters, container: Container, wakeups: Wakeups, processes: Processes
) -> tuple[Service, ...]:
    database, clock, hints = made.database, made.clock, processes.hints
    routing = EventRouting(database, container.triggers.router, container.triggers.firer, clock, made.ids)
    run_events = RunEvents(database, clock, made.ids)
    endings = Endings(database, [run_events, container.triggers.awaited_runs, container.triggers.backfill_filler])
    wakeups.run_ended = endings.run_ended

    def look() -> None:
        # Another process may have the turn, and hear of it only by this.
        routing.wake()
        hints.tell(Hint.EVENTS)

    made.events.after_publish = container.triggers.event_intake.after_publish = run_events.after_publish = look
    hints.on(Hint.EVENTS, lambda _: routing.wake())
    return _in_turn(processes, routing, endings)


def _in_turn(processes: Processes, *services: Service) -> tuple[Service, ...]:
    """Services that would do the same work twice if two processes did a round at a time."""
    if processes.several:
        for service in services:
            service.turn = partial(processes.turns.turn, type(service).__name__)
    return services


def _lease(made: Adapters) -> Duration:
    return made.settings.worker_lease_seconds * SECOND


def _interpreters(settings: Settings) -> dict[str, str]:
    named = {"python": settings.script_python, "node": settings.script_node, "bash": settings.script_bash}
    return {language: program for language, program in named.items() if program is not None}


def _secret_sources(settings: Settings, database: Database, vault: Vault) -> tuple[SecretSource, ...]:
    """In the order in which they win."""
    folder = () if settings.secrets_dir is None else (FolderSecrets(settings.secrets_dir),)
    return (EnvironmentSecrets(os.environ), *folder, StoredSecrets(database, vault))


async def _run(engine: Engine, worker: Worker | None, services: Sequence[Service], processes: Processes) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(processes.run(), name="hints")
        tasks.create_task(engine.run())
        for service in services:
            tasks.create_task(service.run(), name=type(service).__name__)
        if worker is not None:
            tasks.create_task(worker.run())
            await asyncio.sleep(0)
            engine.attach(worker)


async def _retire(store: Store, incarnation_id: str) -> None:
    try:
        await store.retire(incarnation_id)
    except StoreUnavailable as error:
        logger.warning(
            "the database cannot be told that this worker stopped, and waits for the end of its lease: %s", error
        )


async def _settle(engine: Engine) -> None:
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await engine.settle()
    except TimeoutError:
        logger.warning("some outcomes could not be committed; the next start takes those attempts for lost")

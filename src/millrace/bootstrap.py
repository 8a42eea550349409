"""The composition root: the only module that knows every adapter. It builds a runtime, and takes it down in good order.

Order matters twice. On the way up: the database's lock, then this incarnation (which declares all earlier ones lost),
then the end of their orphans, and only then work. On the way down: no new work, running attempts finish or are ended,
their reports are committed, the incarnation retires, the database closes.

On PostgreSQL a process may have a part of the whole as its role, and any number of processes each role
(docs/decisions/0016). None leads: whatever one of them does another may do at the same time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from millrace.app.adapters import Adapters
from millrace.app.artifacts.attempts import ArtifactFiles
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.containers.agents import open_agents
from millrace.app.containers.container import Container, build_container
from millrace.app.events.publishing import EventPublisher
from millrace.app.histories.queries import unfinished
from millrace.app.housekeeping import ClockKeeper
from millrace.app.plans import StoredPlans
from millrace.app.readable_by_tasks import readable_places
from millrace.app_services import app_services
from millrace.artifacts.opening import open_objects
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SHORTEST, SecretChain, outside_of
from millrace.auth.vault.connections import StoredConnections
from millrace.auth.vault.secrets import StoredSecrets
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import Settings
from millrace.core.durations import parse_period
from millrace.core.values import SECOND, Duration
from millrace.definition import ControlMeanings
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
from millrace.ports.agents import Agents
from millrace.ports.connections import Connections
from millrace.ports.database import Database
from millrace.ports.dispatch import Hint, Turns
from millrace.ports.http import HttpClient
from millrace.ports.objects import ObjectStore
from millrace.ports.runner import RunnerServices
from millrace.ports.store import Store, StoreUnavailable
from millrace.roles import Role
from millrace.runners.own_folders import AttemptFolders, place_of_folders
from millrace.runners.registry import EntryPointRegistry
from millrace.runners.rules import rules_of
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
        services += app_services(made, container, wakeups, processes, role)
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
    database, clock, ids, bus = storage.database, storage.clock, Uuid7Ids(), processes.bus
    evaluator, plans = CelEvaluator(), StoredPlans(database)
    vault = await open_vault(settings, database, processes.turns.others if processes.several else None)
    secrets, connections = await _learned(settings, database, vault, masker)
    agents = await open_agents(settings, database, vault, masker, clock)
    payloads = StoredPayloads(objects := _objects(settings, masker, closing), settings.max_row_bytes)
    events = EventPublisher(database, clock, ids, masker)
    services = _runner_services(settings, connections, agents, events, masker, closing)
    store, runners = storage.store(payloads), EntryPointRegistry(services)
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
            controls=ControlMeanings(),
            type_limits=agents.limits.all,
            payloads=payloads,
            unfinished=unfinished(database) if storage.shared else None,
        ),
        runners=runners,
        task_types=runners,
        vault=vault,
        masker=masker,
        secrets=secrets,
        connections=connections,
        agents=agents,
        outside=services,
        events=events,
        check_database=storage.check,
        provider_http=_provider_http(settings, masker, closing),
        keep_partitions=storage.keep_partitions,
    )


async def _learned(
    settings: Settings, database: Database, vault: Vault, masker: SecretMasker
) -> tuple[SecretChain, StoredConnections]:
    """Secrets and connections, after all that is secret of them is masked."""
    secrets = SecretChain([StoredSecrets(database, vault)], masker, outside=outside_of(settings))
    connections = StoredConnections(database, vault, masker)
    await secrets.learn_all()
    await connections.learn_all()
    return secrets, connections


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
    agents: Agents,
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
        shell=rules_of(settings),
        script_interpreters=settings.script_interpreters,
        mailer=SmtpMailer(addresses),
        mail_server=mail_server,
        events=events,
        connections=connections,
        agents=agents,
    )


def _provider_http(settings: Settings, masker: SecretMasker, closing: AsyncExitStack) -> HttpClient | None:
    """Reaches what tasks may reach, and the host of the issuer, wherever it is: the operator has named it."""
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_secret is not None:
        masker.learn([settings.oidc_client_secret.get_secret_value()])
    issuer = urlsplit(settings.oidc_issuer).hostname or ""
    http = GuardedHttpClient(AddressPolicy((*settings.http_allowed_targets, issuer)))
    closing.push_async_callback(http.close)
    return http


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
    for message in readable_places(made.outside.shell):
        logger.warning("%s", message)
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


def _lease(made: Adapters) -> Duration:
    return made.settings.worker_lease_seconds * SECOND


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

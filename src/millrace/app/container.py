"""What the API works with, in one frozen object: `bootstrap` makes the adapters, `build_container` the use cases."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from millrace.app.artifacts.commands import ArtifactCommands
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.backups import Backups
from millrace.app.connections.commands import ConnectionCommands
from millrace.app.connections.queries import ConnectionQueries
from millrace.app.connections.testing import ConnectionTester
from millrace.app.deployments.queries import DeploymentQueries
from millrace.app.events.queries import EventQueries
from millrace.app.histories.following import Followers
from millrace.app.histories.queries import HistoryQueries
from millrace.app.operations.operations import Operations
from millrace.app.plans import StoredPlans
from millrace.app.retention.cleaning import Retention
from millrace.app.retention.policy import policy_of
from millrace.app.retention.queries import RetentionQueries
from millrace.app.runs.control import RunControl
from millrace.app.runs.making import RunMaker
from millrace.app.runs.queries import RunQueries
from millrace.app.runs.repeating import RunRepeater
from millrace.app.runs.starting import RunStarter
from millrace.app.secrets.commands import SecretCommands
from millrace.app.secrets.queries import SecretQueries
from millrace.app.triggers.commands import TriggerCommands
from millrace.app.triggers.preview import Previews
from millrace.app.triggers.queries import TriggerQueries
from millrace.app.triggers.registrar import Registrar
from millrace.app.triggers.schedules import Schedules
from millrace.app.workers.queries import WorkerQueries
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.commands import WorkflowCommands
from millrace.app.workflows.drafts import Drafts
from millrace.app.workflows.lifecycle import WorkflowLifecycle
from millrace.app.workflows.queries import WorkflowQueries
from millrace.app.workflows.tasks import WorkflowTasks
from millrace.app.workflows.writing import WorkflowWriter
from millrace.auth.authentication import Authenticator
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.auth.vault.vault import Vault
from millrace.config import Settings
from millrace.core.values import JsonObject
from millrace.engine.engine import Engine
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.connections import Connections
from millrace.ports.database import Database, DatabaseFile
from millrace.ports.evaluator import Evaluator
from millrace.ports.ids import Ids
from millrace.ports.mail import Mailer
from millrace.ports.objects import ObjectStore
from millrace.ports.runner import RunnerRegistry
from millrace.ports.store import Store
from millrace.ports.trigger import TriggerTypes
from millrace.triggers.registry import TRIGGER_TYPES

Doctor = Callable[[], Awaitable[JsonObject]]
"""Checks the database: `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}]}`."""


@dataclass(frozen=True, slots=True)
class Container:
    settings: Settings
    database: Database
    file: DatabaseFile
    runners: RunnerRegistry
    authenticator: Authenticator
    workflow_commands: WorkflowCommands
    workflow_lifecycle: WorkflowLifecycle
    workflow_tasks: WorkflowTasks
    workflow_queries: WorkflowQueries
    deployment_queries: DeploymentQueries
    run_starter: RunStarter
    run_repeater: RunRepeater
    run_control: RunControl
    operations: Operations
    run_queries: RunQueries
    histories: HistoryQueries
    followers: Followers
    schedules: Schedules
    trigger_commands: TriggerCommands
    trigger_queries: TriggerQueries
    trigger_types: TriggerTypes
    trigger_previews: Previews
    event_queries: EventQueries
    worker_queries: WorkerQueries
    artifacts: ArtifactCommands
    backups: Backups
    retention: Retention
    retention_queries: RetentionQueries
    secret_commands: SecretCommands
    secret_queries: SecretQueries
    connection_commands: ConnectionCommands
    connection_queries: ConnectionQueries
    connection_tester: ConnectionTester
    doctor: Doctor


def build_container(
    *,
    settings: Settings,
    database: Database,
    file: DatabaseFile,
    objects: ObjectStore,
    store: Store,
    engine: Engine,
    plans: StoredPlans,
    evaluator: Evaluator,
    runners: RunnerRegistry,
    bus: Bus,
    clock: Clock,
    ids: Ids,
    vault: Vault,
    masker: SecretMasker,
    secrets: SecretChain,
    connections: Connections,
    doctor: Doctor,
    mailer: Mailer | None = None,
) -> Container:
    """Make the use cases over adapters that exist. `plans` is the object that the engine was given, too."""
    catalog = Catalog(database)
    payloads = StoredPayloads(objects, settings.max_row_bytes)
    maker = RunMaker(evaluator, clock, ids)
    run_starter = RunStarter(database, engine, plans, catalog, clock, maker, payloads)
    run_queries = RunQueries(database, plans, clock, settings.task_limits, payloads)
    run_repeater = RunRepeater(database, plans, catalog, maker, run_starter, payloads)
    run_control = RunControl(database, store, engine, ids, catalog, run_queries)
    schedules = Schedules(settings.scheduler_timezone)
    connection_queries = ConnectionQueries(database)
    drafts = Drafts(runners, TRIGGER_TYPES)
    writer = WorkflowWriter(database, clock, ids, catalog, Registrar(schedules, ids))
    workflow_commands = WorkflowCommands(database, clock, ids, drafts, writer)
    policy = policy_of(settings)
    retention = Retention(database, file, clock, ids, policy)
    return Container(
        settings=settings,
        database=database,
        file=file,
        runners=runners,
        authenticator=Authenticator(database, clock, ids),
        workflow_commands=workflow_commands,
        workflow_lifecycle=WorkflowLifecycle(database, drafts, writer, workflow_commands),
        workflow_tasks=WorkflowTasks(drafts, writer, workflow_commands),
        workflow_queries=WorkflowQueries(database, catalog),
        deployment_queries=DeploymentQueries(database),
        run_starter=run_starter,
        run_repeater=run_repeater,
        run_control=run_control,
        operations=Operations(database, run_control, run_repeater, clock, ids),
        run_queries=run_queries,
        histories=HistoryQueries(database, bus, clock),
        followers=Followers(database, bus),
        schedules=schedules,
        trigger_commands=TriggerCommands(database, schedules),
        trigger_queries=TriggerQueries(database, schedules),
        trigger_types=TRIGGER_TYPES,
        trigger_previews=Previews(database, clock, settings.scheduler_timezone),
        event_queries=EventQueries(database),
        worker_queries=WorkerQueries(database),
        artifacts=ArtifactCommands(database, objects, clock, ids, largest=settings.max_artifact_bytes),
        backups=Backups(file, clock),
        retention=retention,
        retention_queries=RetentionQueries(database, clock, policy, retention),
        secret_commands=SecretCommands(database, clock, vault, masker, secrets),
        secret_queries=SecretQueries(database, secrets),
        connection_commands=ConnectionCommands(database, clock, vault, masker),
        connection_queries=connection_queries,
        connection_tester=ConnectionTester(connection_queries, connections, runners, mailer, masker),
        doctor=doctor,
    )

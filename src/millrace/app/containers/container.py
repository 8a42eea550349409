"""What the API works with, in one frozen object: `bootstrap` makes the adapters, `build_container` the use cases."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.archive.archiver import Archiver
from millrace.app.archive.checking import ArchiveChecks
from millrace.app.archive.lines import FamilyLines
from millrace.app.archive.queries import ArchiveQueries
from millrace.app.artifacts.checking import ArtifactChecks
from millrace.app.artifacts.commands import ArtifactCommands
from millrace.app.artifacts.watching import ObjectStoreWatch
from millrace.app.backups import Backups
from millrace.app.canary.commands import CanaryCommands
from millrace.app.canary.queries import CanaryQueries
from millrace.app.connections.commands import ConnectionCommands
from millrace.app.connections.queries import ConnectionQueries
from millrace.app.connections.testing import ConnectionTester
from millrace.app.containers.agents import AgentUseCases, build_agent_use_cases
from millrace.app.containers.audit import AuditUseCases, build_audit_use_cases, old_audit_rows
from millrace.app.containers.identity import IdentityUseCases, build_identity_use_cases
from millrace.app.containers.privacy import PrivacyUseCases, build_privacy_use_cases
from millrace.app.containers.test_runs import TestUseCases, build_test_use_cases
from millrace.app.containers.triggers import TriggerUseCases, build_trigger_use_cases
from millrace.app.decisions.deciding import Decisions
from millrace.app.decisions.links import ApprovalLinks
from millrace.app.decisions.queries import ApprovalQueries
from millrace.app.deployments.queries import DeploymentQueries
from millrace.app.doctor import Doctor
from millrace.app.events.queries import EventQueries
from millrace.app.grants.granting import Grants
from millrace.app.grants.rights import Rights
from millrace.app.histories.following import Followers
from millrace.app.histories.queries import HistoryQueries
from millrace.app.operations.operations import Operations
from millrace.app.retention.cleaning import Retention
from millrace.app.retention.policy import Policy, policy_of
from millrace.app.retention.queries import RetentionQueries
from millrace.app.runs.control import RunControl
from millrace.app.runs.keys import CallerKeys
from millrace.app.runs.making import RunMaker
from millrace.app.runs.queries import RunQueries
from millrace.app.runs.repeating import RunRepeater
from millrace.app.runs.starting import RunStarter
from millrace.app.runs.takeover import Takeover
from millrace.app.secrets.commands import SecretCommands
from millrace.app.secrets.queries import SecretQueries
from millrace.app.task_types import TaskTypes
from millrace.app.triggers.manual import ManualTriggers
from millrace.app.triggers.registrar import Registrar
from millrace.app.triggers.schedules import Schedules
from millrace.app.workers.queries import WorkerQueries
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.commands import WorkflowCommands
from millrace.app.workflows.drafts import Drafts
from millrace.app.workflows.lifecycle import WorkflowLifecycle
from millrace.app.workflows.queries import WorkflowQueries
from millrace.app.workflows.shell_tasks import ShellGate
from millrace.app.workflows.surroundings import Surroundings
from millrace.app.workflows.tasks import WorkflowTasks
from millrace.app.workflows.writing import WorkflowWriter
from millrace.auth.names import UserNames
from millrace.auth.shell_right import ShellRight
from millrace.config import Settings
from millrace.definition import ControlTypes
from millrace.ports.database import Database
from millrace.ports.runner import RunnerRegistry
from millrace.ports.secrets import Masker
from millrace.triggers.registry import TRIGGER_TYPES


@dataclass(frozen=True, slots=True)
class Container:
    settings: Settings
    database: Database
    masker: Masker
    runners: RunnerRegistry
    task_types: TaskTypes
    identity: IdentityUseCases
    user_names: UserNames
    workflow_writer: WorkflowWriter
    workflow_commands: WorkflowCommands
    workflow_lifecycle: WorkflowLifecycle
    workflow_tasks: WorkflowTasks
    workflow_queries: WorkflowQueries
    deployment_queries: DeploymentQueries
    canary_commands: CanaryCommands
    canary_queries: CanaryQueries
    run_starter: RunStarter
    tests: TestUseCases
    run_repeater: RunRepeater
    run_control: RunControl
    decisions: Decisions
    approval_queries: ApprovalQueries
    approval_links: ApprovalLinks
    operations: Operations
    run_queries: RunQueries
    histories: HistoryQueries
    followers: Followers
    triggers: TriggerUseCases
    event_queries: EventQueries
    worker_queries: WorkerQueries
    artifacts: ArtifactCommands
    object_store_watch: ObjectStoreWatch
    backups: Backups
    audit: AuditUseCases
    privacy: PrivacyUseCases
    retention: Retention
    retention_queries: RetentionQueries
    archive_queries: ArchiveQueries
    secret_commands: SecretCommands
    secret_queries: SecretQueries
    connection_commands: ConnectionCommands
    connection_queries: ConnectionQueries
    connection_tester: ConnectionTester
    agents: AgentUseCases
    rights: Rights
    grants: Grants
    doctor: Doctor


def build_container(a: Adapters) -> Container:
    """Make the use cases over adapters that exist."""
    settings, database, clock, ids = a.settings, a.database, a.clock, a.ids
    catalog, schedules = Catalog(database), Schedules(settings.scheduler_timezone)
    maker, keys = RunMaker(a.evaluator, clock, ids), CallerKeys(database, clock)
    run_starter = _run_starter(a, catalog, maker, keys)
    run_queries = RunQueries(database, a.plans, clock, a.agents.limits.all, a.payloads)
    run_repeater = RunRepeater(a.plans, catalog, maker, run_starter, Takeover(database, a.plans, a.payloads), keys)
    run_control = RunControl(database, a.store, a.engine, ids, catalog, run_queries, keys, clock)
    approvals, drafts = ApprovalQueries(database, run_queries), _drafts(a, schedules)
    writer, retention = _workflow_writer(a, catalog, schedules), _retention(a, policy := policy_of(settings))
    workflow_commands = WorkflowCommands(database, clock, ids, drafts, writer)
    return Container(
        settings=settings,
        database=database,
        masker=a.masker,
        runners=a.runners,
        task_types=TaskTypes(a.task_types, ControlTypes()),
        identity=(identity := build_identity_use_cases(a)),
        user_names=(user_names := UserNames(database, clock)),
        workflow_writer=writer,
        workflow_commands=workflow_commands,
        workflow_lifecycle=(lifecycle := WorkflowLifecycle(database, drafts, writer, workflow_commands)),
        workflow_tasks=WorkflowTasks(drafts, writer, workflow_commands),
        workflow_queries=WorkflowQueries(database, catalog),
        deployment_queries=DeploymentQueries(database),
        canary_commands=CanaryCommands(ids, writer, lifecycle),
        canary_queries=CanaryQueries(database, catalog),
        run_starter=run_starter,
        tests=build_test_use_cases(a, catalog, maker, run_starter),
        run_repeater=run_repeater,
        run_control=run_control,
        decisions=(decisions := Decisions(database, approvals, keys, clock, run_control.posted)),
        approval_queries=approvals,
        approval_links=ApprovalLinks(database, approvals, decisions, a.vault, clock),
        operations=Operations(database, run_control, run_repeater, clock, ids, catalog, keys),
        run_queries=run_queries,
        histories=HistoryQueries(database, a.bus, clock, user_names, run_queries.missing),
        followers=Followers(database, a.bus, user_names),
        triggers=build_trigger_use_cases(a, run_starter, catalog, schedules, identity.rate_limits.senders),
        event_queries=EventQueries(database),
        worker_queries=WorkerQueries(database),
        artifacts=ArtifactCommands(database, a.objects, clock, ids, largest=settings.max_artifact_bytes),
        object_store_watch=ObjectStoreWatch(a.objects),
        backups=Backups(database, a.copies, clock),
        audit=build_audit_use_cases(a),
        privacy=build_privacy_use_cases(a, user_names),
        retention=retention,
        retention_queries=RetentionQueries(database, clock, policy, retention),
        archive_queries=(archive := _archive_queries(a, user_names, run_queries)),
        secret_commands=SecretCommands(database, clock, a.vault, a.masker, a.secrets),
        secret_queries=SecretQueries(database, a.secrets),
        connection_commands=ConnectionCommands(database, clock, a.vault, a.masker),
        connection_queries=(connection_queries := ConnectionQueries(database)),
        connection_tester=ConnectionTester(connection_queries, a.connections, a.runners, a.outside.mailer, a.masker),
        agents=build_agent_use_cases(a),
        doctor=_doctor(a),
        rights=Rights(database, catalog, archive),
        grants=Grants(database, catalog, clock),
    )


def _run_starter(a: Adapters, catalog: Catalog, maker: RunMaker, keys: CallerKeys) -> RunStarter:
    manual = ManualTriggers(a.database, a.evaluator)
    return RunStarter(a.engine, a.plans, catalog, a.clock, maker, a.payloads, keys, manual)


def _workflow_writer(a: Adapters, catalog: Catalog, schedules: Schedules) -> WorkflowWriter:
    gate = ShellGate(ShellRight(a.settings.shell_roles))
    writer = WorkflowWriter(a.database, a.clock, a.ids, catalog, Registrar(schedules, a.ids), gate)
    writer.hand_over = a.engine.receive
    return writer


def _drafts(a: Adapters, schedules: Schedules) -> Drafts:
    return Drafts(
        a.runners, TRIGGER_TYPES, Surroundings(a.database, a.secrets, a.masker, schedules, a.clock, a.runners)
    )


def _archive_queries(a: Adapters, user_names: UserNames, run_queries: RunQueries) -> ArchiveQueries:
    queries = ArchiveQueries(a.database, a.objects, user_names)
    run_queries.is_archived = queries.holds
    return queries


def _retention(a: Adapters, policy: Policy) -> Retention:
    return Retention(a.database, a.file, a.clock, a.ids, policy, _archiver(a), old_audit_rows(a))


def _archiver(a: Adapters) -> Archiver:
    lines = FamilyLines(a.database, a.payloads, a.masker, a.plans)
    return Archiver(a.database, a.objects, lines, a.clock, a.ids)


def _doctor(a: Adapters) -> Doctor:
    of_artifacts = ArtifactChecks(a.database, a.objects, a.clock)
    return Doctor(a.check_database, of_artifacts, ArchiveChecks(a.database, a.objects), a.outside.shell)

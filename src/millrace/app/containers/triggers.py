"""What the API does with triggers, and what comes in for them: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.backfills.commands import BackfillCommands
from millrace.app.backfills.filling import BackfillFiller
from millrace.app.events.receiving import EventIntake
from millrace.app.firing.awaiting import AwaitedRuns
from millrace.app.firing.occasions import Firer
from millrace.app.firing.watching import OverdueWatch
from millrace.app.routing.router import Router
from millrace.app.routing.waits import EventWaits
from millrace.app.runs.starting import RunStarter
from millrace.app.secrets.uses import NamedSecrets
from millrace.app.test_mode.commands import TestModeCommands
from millrace.app.test_mode.instructions import instance_of
from millrace.app.test_mode.mode import TestMode
from millrace.app.triggers.commands import TriggerCommands
from millrace.app.triggers.preview import Previews
from millrace.app.triggers.queries import TriggerQueries
from millrace.app.triggers.schedules import Schedules
from millrace.app.triggers.simulating import Simulation
from millrace.app.triggers.simulating_schedules import ScheduleSimulation
from millrace.app.webhooks.commands import WebhookCommands
from millrace.app.webhooks.files import WebhookFiles
from millrace.app.webhooks.queries import WebhookQueries
from millrace.app.webhooks.receiving import WebhookReceiver
from millrace.app.workflows.catalog import Catalog
from millrace.auth.limits.senders import Senders
from millrace.core.durations import parse_period
from millrace.ports.trigger import TriggerTypes
from millrace.triggers.registry import TRIGGER_TYPES


@dataclass(frozen=True, slots=True)
class TriggerUseCases:
    schedules: Schedules
    types: TriggerTypes
    commands: TriggerCommands
    queries: TriggerQueries
    previews: Previews
    firer: Firer
    awaited_runs: AwaitedRuns
    backfills: BackfillCommands
    backfill_filler: BackfillFiller
    overdue_watch: OverdueWatch
    test_mode: TestMode
    test_mode_commands: TestModeCommands
    webhook_receiver: WebhookReceiver
    webhook_commands: WebhookCommands
    webhook_queries: WebhookQueries
    event_intake: EventIntake
    router: Router
    waits: EventWaits
    simulation: Simulation
    schedule_simulation: ScheduleSimulation


def build_trigger_use_cases(
    a: Adapters, run_starter: RunStarter, catalog: Catalog, schedules: Schedules, senders: Senders
) -> TriggerUseCases:
    settings, database, clock, ids = a.settings, a.database, a.clock, a.ids
    instance = instance_of(settings)
    test_mode = TestMode(database, instance, a.masker, ids, run_starter.refusal)
    firer = Firer(database, a.plans, a.evaluator, run_starter, ids, test_mode)
    router = Router(database, a.plans, a.evaluator, clock)
    return TriggerUseCases(
        schedules=schedules,
        types=TRIGGER_TYPES,
        commands=TriggerCommands(database, schedules),
        queries=TriggerQueries(database, schedules),
        previews=Previews(database, clock, settings.scheduler_timezone),
        firer=firer,
        awaited_runs=AwaitedRuns(database, schedules),
        backfills=BackfillCommands(database, schedules, ids),
        backfill_filler=BackfillFiller(database, schedules, firer),
        overdue_watch=OverdueWatch(database),
        test_mode=test_mode,
        test_mode_commands=TestModeCommands(database, clock, catalog, instance),
        webhook_receiver=WebhookReceiver(database, a.secrets, firer, _webhook_files(a), clock, senders),
        webhook_commands=WebhookCommands(database, schedules, ids, NamedSecrets(database, a.secrets)),
        webhook_queries=WebhookQueries(database, schedules, a.secrets),
        event_intake=EventIntake(database, clock, ids),
        router=router,
        waits=EventWaits(database, a.store, a.engine, ids),
        simulation=Simulation(database, router, catalog, clock),
        schedule_simulation=ScheduleSimulation(database, schedules, catalog),
    )


def _webhook_files(a: Adapters) -> WebhookFiles:
    settings = a.settings
    lifetime = parse_period(settings.retention_artifacts)
    return WebhookFiles(a.database, a.objects, a.clock, a.ids, largest=settings.max_artifact_bytes, lifetime=lifetime)

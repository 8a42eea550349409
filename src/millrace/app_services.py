"""The services beside the engine's own: which of them a process runs by its role, and what wakes them.

A part of the composition root, put together by itself.
"""

from collections.abc import Callable
from functools import partial

from millrace.app.adapters import Adapters
from millrace.app.artifacts.sweeping import ExpiredArtifacts, OrphanedObjects
from millrace.app.containers.container import Container
from millrace.app.endings.following import Endings
from millrace.app.endings.telling import RunEvents
from millrace.app.events.storing import Stored
from millrace.app.firing.scheduler import Scheduler
from millrace.app.housekeeping import (
    EndedLogins,
    ExpiredKeys,
    KeyUseWriter,
    OldBackfills,
    OldChanges,
    OrphanedTests,
    Partitions,
)
from millrace.app.limits.sharing import EmptyBuckets, RateSharing
from millrace.app.mails.sending import Mails, OldMails
from millrace.app.routing.routing import EventRouting
from millrace.app.runs.children.starting import ChildStarts
from millrace.app.runs.takeover import Takeover
from millrace.dispatch.processes import Processes
from millrace.engine.service import Service
from millrace.engine.wakeups import Wakeups
from millrace.net.smtp import server_of
from millrace.ports.dispatch import Hint
from millrace.roles import Role


def app_services(
    made: Adapters, container: Container, wakeups: Wakeups, processes: Processes, role: Role
) -> list[Service]:
    services = container.agents.services(processes.hints, schedules=role.schedules)
    services.append(container.object_store_watch)
    if role.serves_http or role.schedules:
        services.append(container.triggers.overdue_watch)
    if role.serves_http:
        services.append(KeyUseWriter(container.identity.authenticator))
        if made.database.is_shared:
            services.append(RateSharing(container.identity.rate_limits, made.database))
    if role.schedules:
        services.append(container.audit.seals)
        services += _scheduling(made, container, processes)
        services += _event_services(made, container, wakeups, processes)
        return services
    made.events.after_publish = container.triggers.event_intake.after_publish = partial(
        _stored, made, lambda: processes.hints.tell(Hint.EVENTS)
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
    mails = Mails(database, made.outside.mailer, server_of(made.settings))
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
            EndedLogins(database, clock),
            EmptyBuckets(database, clock),
            OldChanges(database),
            OldMails(database),
            OldBackfills(database),
            OrphanedTests(database, clock),
            *(() if made.keep_partitions is None else (Partitions(made.keep_partitions),)),
            ExpiredArtifacts(database, made.objects, clock),
            OrphanedObjects(database, made.objects, clock),
        ),
    ]


def _event_services(
    made: Adapters, container: Container, wakeups: Wakeups, processes: Processes
) -> tuple[Service, ...]:
    database, clock, hints = made.database, made.clock, processes.hints
    of = container.triggers
    routing = EventRouting(database, of.router, of.firer, of.waits, clock, made.ids)
    run_events = RunEvents(database, clock, made.ids)
    endings = Endings(database, [run_events, container.triggers.awaited_runs, container.triggers.backfill_filler])
    wakeups.run_ended = endings.run_ended
    takeover = Takeover(database, made.plans, made.payloads)
    children = ChildStarts(database, container.run_starter, takeover, made.engine, clock, made.ids)
    wakeups.child_wanted = children.wake

    def look() -> None:
        # Another process may have the turn, and hear of it only by this.
        routing.wake()
        hints.tell(Hint.EVENTS)

    after_publish = partial(_stored, made, look)
    made.events.after_publish = container.triggers.event_intake.after_publish = run_events.after_publish = after_publish
    hints.on(Hint.EVENTS, lambda _: routing.wake())
    return _in_turn(processes, routing, endings, children)


def _stored(made: Adapters, look: Callable[[], None], stored: Stored) -> None:
    """Events have been stored: have the tasks go on that waited for them, and the rest routed."""
    made.engine.receive(stored.facts)
    if stored.unrouted:
        look()


def _in_turn(processes: Processes, *services: Service) -> tuple[Service, ...]:
    """Services that would do the same work twice if two processes did a round at a time."""
    if processes.several:
        for service in services:
            service.turn = partial(processes.turns.turn, type(service).__name__)
    return services

"""What the API works with, in one frozen object: `bootstrap` makes the adapters, `build_container` the use cases."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from millrace.app.plans import StoredPlans
from millrace.app.runs.control import RunControl
from millrace.app.runs.queries import RunQueries
from millrace.app.runs.starting import RunStarter
from millrace.app.workers.queries import WorkerQueries
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.commands import WorkflowCommands
from millrace.app.workflows.drafts import Drafts
from millrace.app.workflows.queries import WorkflowQueries
from millrace.auth.authentication import Authenticator
from millrace.config import Settings
from millrace.core.values import JsonObject
from millrace.engine.engine import Engine
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.runner import RunnerRegistry
from millrace.ports.store import Store

Doctor = Callable[[], Awaitable[JsonObject]]
"""Checks the database: `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}]}`."""


@dataclass(frozen=True, slots=True)
class Container:
    settings: Settings
    database: Database
    runners: RunnerRegistry
    authenticator: Authenticator
    workflow_commands: WorkflowCommands
    workflow_queries: WorkflowQueries
    run_starter: RunStarter
    run_control: RunControl
    run_queries: RunQueries
    worker_queries: WorkerQueries
    doctor: Doctor


def build_container(
    *,
    settings: Settings,
    database: Database,
    store: Store,
    engine: Engine,
    plans: StoredPlans,
    runners: RunnerRegistry,
    bus: Bus,
    clock: Clock,
    ids: Ids,
    doctor: Doctor,
) -> Container:
    """Make the use cases over adapters that exist. `plans` is the object that the engine was given, too."""
    catalog = Catalog(database)
    run_queries = RunQueries(database, plans, bus, clock)
    return Container(
        settings=settings,
        database=database,
        runners=runners,
        authenticator=Authenticator(database, clock, ids),
        workflow_commands=WorkflowCommands(database, clock, ids, catalog, Drafts(runners)),
        workflow_queries=WorkflowQueries(database, catalog),
        run_starter=RunStarter(database, engine, plans, catalog, clock, ids),
        run_control=RunControl(database, store, engine, ids, catalog, run_queries),
        run_queries=run_queries,
        worker_queries=WorkerQueries(database),
        doctor=doctor,
    )

"""What the use cases stand on, in one frozen object: made by the composition root, and by tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from millrace.app.agents.calling import StoredAgents
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.doctor import CheckDatabase
from millrace.app.events.publishing import EventPublisher
from millrace.app.plans import StoredPlans
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.auth.vault.vault import Vault
from millrace.config import Settings
from millrace.engine.engine import Engine
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.connections import Connections
from millrace.ports.database import Database, DatabaseCopies, DatabaseFile
from millrace.ports.evaluator import Evaluator
from millrace.ports.http import HttpClient
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStore
from millrace.ports.runner import RunnerRegistry, RunnerServices, TypeSource
from millrace.ports.store import Store


@dataclass(frozen=True, slots=True)
class Adapters:
    settings: Settings
    clock: Clock
    ids: Ids
    bus: Bus
    database: Database
    file: DatabaseFile | None
    """`None` where the database is a server's."""
    copies: DatabaseCopies
    objects: ObjectStore
    payloads: StoredPayloads
    store: Store
    plans: StoredPlans
    """The object that the engine was given, too."""
    evaluator: Evaluator
    engine: Engine
    runners: RunnerRegistry
    task_types: TypeSource
    vault: Vault
    masker: SecretMasker
    secrets: SecretChain
    connections: Connections
    agents: StoredAgents
    """Its limits are those that the engine was given."""
    outside: RunnerServices
    """What runners are lent: the guarded ways out."""
    events: EventPublisher
    """What tasks publish events through."""
    check_database: CheckDatabase
    provider_http: HttpClient | None = None
    """The way to the login provider, which may be in a private network; `None` where there is none."""
    keep_partitions: Callable[[], Awaitable[bool]] | None = None
    """`None` where the database has none."""

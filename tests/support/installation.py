"""A whole Millrace in this process: database, engine, worker and API, with task types of its own, and no socket.

`hold` runs until it is cancelled, `echo` answers and logs what it is given, `fail` fails, `write` writes files and
`read` answers what is in one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from pydantic import BaseModel

from millrace.api.create import create_app
from millrace.app.adapters import Adapters
from millrace.app.agents.calling import StoredAgents
from millrace.app.archive.archiver import Archiver
from millrace.app.archive.lines import FamilyLines
from millrace.app.artifacts.attempts import ArtifactFiles
from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.containers.agents import open_agents
from millrace.app.containers.container import Container, build_container
from millrace.app.containers.identity import build_identity_use_cases
from millrace.app.events.publishing import EventPublisher
from millrace.app.plans import StoredPlans
from millrace.artifacts.local import LocalObjects
from millrace.artifacts.s3 import S3Objects
from millrace.auth.first_admin import KEY_FILE, ensure_first_admin
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.auth.vault.connections import StoredConnections
from millrace.auth.vault.secrets import StoredSecrets
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import PREFIX, Settings
from millrace.core.values import SECOND
from millrace.definition import ControlMeanings
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.engine import Engine
from millrace.engine.wakeups import Wakeups
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.clock import Clock
from millrace.ports.database import Database, DatabaseCopies, DatabaseFile
from millrace.ports.incarnations import Incarnation
from millrace.ports.runner import (
    BUILT_IN,
    AnyRunner,
    Completed,
    Failed,
    ListedType,
    Outcome,
    RunnerContext,
    RunnerServices,
)
from millrace.runners.agent import AgentRunner
from millrace.runners.publish_event import PublishEventRunner
from millrace.storage.backup import FileCopies
from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import Doctor
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.dump import PostgresCopies
from millrace.storage.postgres.store import PostgresStore
from millrace.storage.sqlite import SqliteStore
from millrace.system import SystemClock, Uuid7Ids
from millrace.worker.attempt import Surroundings
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker


class AnyConfig(BaseModel):
    value: Any = None


class TestRunner:
    __test__ = False
    summary: ClassVar[str] = "For tests."
    config_model: ClassVar[type[BaseModel]] = AnyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    async def close(self) -> None:
        return None


class Echo(TestRunner):
    type: ClassVar[str] = "echo"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        context.log(f"echo of {config.value}")
        return Completed(config.value)


class Hold(TestRunner):
    type: ClassVar[str] = "hold"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        await asyncio.Event().wait()
        return Completed()


class Fail(TestRunner):
    """`value`, a mapping, becomes the details of the failure."""

    type: ClassVar[str] = "fail"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        details = config.value if isinstance(config.value, dict) else None
        return Failed.because("it was asked to fail", details=details)


class Write(TestRunner):
    """`value`: the text of each file by its name; one called `fail` fails the task, one called `hold` holds it."""

    type: ClassVar[str] = "write"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        written = {
            name: await context.artifacts.write(_parts(text.encode()), name=name, media_type="text/plain")
            for name, text in config.value.items()
        }
        if "hold" in written:
            await asyncio.Event().wait()
        return Failed.because("it was asked to fail") if "fail" in written else Completed(dict(written))


class Read(TestRunner):
    type: ClassVar[str] = "read"

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        async with context.artifacts.open(config.value) as file:
            return Completed(b"".join([part async for part in file.parts]).decode())


async def _parts(content: bytes) -> AsyncIterator[bytes]:
    yield content


class Runners:
    """Meets `ports.runner.RunnerRegistry` and `TypeSource`."""

    def __init__(self, *others: AnyRunner) -> None:
        self._runners: dict[str, AnyRunner] = {
            runner.type: runner for runner in (Echo(), Hold(), Fail(), Write(), Read(), *others)
        }

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners

    def listed(self) -> Iterable[ListedType]:
        return [ListedType(one.type, one.summary, BUILT_IN, one.config_model) for one in self._runners.values()]


class CountingDatabase(SqliteDatabase):
    """Counts reads, so that a test can tell what is answered from memory, and look-ups, by which callers are found."""

    reads = 0
    asked = 0
    looked_up = 0

    async def ask(self, question: Any, values: Any) -> Any:
        self.asked += 1
        return await super().ask(question, values)

    async def look_up(self, question: Any, values: Any) -> Any:
        self.looked_up += 1
        return await super().look_up(question, values)

    async def read(self, work: Any) -> Any:
        self.reads += 1
        return await super().read(work)


class CountingPostgres(PostgresDatabase):
    """The same on a server."""

    reads = 0
    asked = 0
    looked_up = 0

    async def ask(self, question: Any, values: Any) -> Any:
        self.asked += 1
        return await super().ask(question, values)

    async def look_up(self, question: Any, values: Any) -> Any:
        self.looked_up += 1
        return await super().look_up(question, values)

    async def read(self, work: Any) -> Any:
        self.reads += 1
        return await super().read(work)


@dataclass
class Installation:
    app: FastAPI
    container: Container
    database: CountingDatabase | CountingPostgres
    store: SqliteStore | PostgresStore
    key: str
    objects: Any
    """A `LocalObjects`, unless the test brought another."""
    vault: Vault
    masker: SecretMasker
    secrets: SecretChain
    connections: StoredConnections
    agents: StoredAgents
    engine: Engine

    @property
    def file(self) -> DatabaseFile | None:
        return _file(self.database)

    def client(self, key: str | None = None, *, address: str = "127.0.0.1", scheme: str = "http") -> httpx2.AsyncClient:
        """A client with the given key; `""` sends none, and by default it is the administrator's."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False, client=(address, 40_000))
        headers = {} if key == "" else {"X-API-Key": key or self.key}
        return httpx2.AsyncClient(transport=transport, base_url=f"{scheme}://millrace.test", headers=headers)


def archiver_of(millrace: Installation, database: Database | None = None) -> Archiver:
    """For a service that a test makes itself; `database`: what it uses instead of that of the installation."""
    database, payloads = database or millrace.database, StoredPayloads(millrace.objects, 65_536)
    lines = FamilyLines(database, payloads, millrace.masker, StoredPlans(database))
    return Archiver(database, millrace.objects, lines, SystemClock(), Uuid7Ids())


@asynccontextmanager
async def installation(
    home: Path,
    url: str | None = None,
    objects: S3Objects | None = None,
    *,
    allowed: tuple[str, ...] = (),
    agent_clock: Clock | None = None,
    login_clock: Clock | None = None,
    login_settings: Mapping[str, str] | None = None,
    **changed: Any,
) -> AsyncIterator[Installation]:
    """`url`: the address of a PostgreSQL database, where there may be several; otherwise `home` has a SQLite file.

    `objects`: where artifacts are, if not in the home; it is closed in the end. `allowed`: private targets that agents
    may have. `agent_clock`: the time by which the circuits of agents open and close; `login_clock`: that of logins;
    `login_settings`: variables of the environment about logins; `changed`: settings that are not as they are by
    default."""
    settings = _settings(home, allowed, login_settings or {}, changed)
    issuer = urlsplit(settings.oidc_issuer or "").hostname or "127.0.0.1"
    provider_http = GuardedHttpClient(AddressPolicy((*allowed, issuer)))
    clock = SystemClock()
    database = await _opened(home, url, clock)
    objects = objects or LocalObjects(settings.artifacts_dir)
    masker = SecretMasker()
    vault = await open_vault(settings, database)
    agents = await open_agents(settings, database, vault, masker, agent_clock or clock)
    stored = _Stored(settings, database, objects, masker, vault, agents, AddressPolicy(allowed))
    engine = stored.engine()
    worker = await stored.worker(engine, sole=url is None)
    adapters = stored.adapters(engine, provider_http, _copies(database, url, home))
    container = build_container(adapters)
    if login_clock is not None:
        container = replace(container, identity=build_identity_use_cases(adapters, login_clock))
    key = await ensure_first_admin(database, clock, stored.ids, home) or (home / KEY_FILE).read_text()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        stack.callback(objects.close)
        stack.push_async_callback(stored.http.close)
        stack.push_async_callback(provider_http.close)
        await stack.enter_async_context(_at_work(engine, worker))
        yield Installation(
            app=create_app(container),
            container=container,
            database=database,
            store=stored.store,
            key=key,
            objects=objects,
            vault=vault,
            masker=masker,
            secrets=stored.secrets,
            connections=stored.connections,
            agents=agents,
            engine=engine,
        )


def _settings(
    home: Path, allowed: tuple[str, ...], about_logins: Mapping[str, str], changed: Mapping[str, Any]
) -> Settings:
    named = {name.removeprefix(PREFIX).lower(): value for name, value in about_logins.items()}
    usual = {"http_allowed_targets": allowed, "allowed_hosts": ("millrace.test",)}
    return Settings(home=home, **{**usual, **changed, **named})  # type: ignore[arg-type]


class _Stored:
    """What is made of a database and of a place for files, as `bootstrap` does for a process."""

    def __init__(
        self,
        settings: Settings,
        database: CountingDatabase | CountingPostgres,
        objects: LocalObjects | S3Objects,
        masker: SecretMasker,
        vault: Vault,
        agents: StoredAgents,
        addresses: AddressPolicy,
    ) -> None:
        self.settings, self.database, self.objects = settings, database, objects
        self.masker, self.vault, self.agents = masker, vault, agents
        self.clock, self.ids, self.bus = SystemClock(), Uuid7Ids(), LocalBus()
        self.http = GuardedHttpClient(addresses)
        self.payloads = StoredPayloads(objects, settings.max_row_bytes)
        self.store = _store(database, self.payloads)
        self.plans = StoredPlans(database)
        self.outside = RunnerServices(self.http, addresses, (), None, agents=agents)
        self.runners = Runners(AgentRunner(self.outside), PublishEventRunner(self.outside))
        self.secrets = SecretChain([StoredSecrets(database, vault)], masker)
        self.connections = StoredConnections(database, vault, masker)

    def engine(self) -> Engine:
        return Engine(
            self.store,
            self.plans,
            CelEvaluator(),
            self.clock,
            self.ids,
            self.bus,
            Wakeups(),
            controls=ControlMeanings(),
            payloads=self.payloads,
            type_limits=self.agents.limits.all,
        )

    async def worker(self, engine: Engine, *, sole: bool) -> Worker:
        """`sole`: no other process may be at work on the database."""
        largest = self.settings.max_artifact_bytes
        around = Surroundings(
            engine,
            self.runners,
            CelEvaluator(),
            self.secrets,
            self.masker,
            self.clock,
            LogShipper(self.store, self.bus),
            artifacts=ArtifactFiles(
                self.database, self.objects, self.masker, self.clock, self.ids, largest=largest, lifetime=None
            ),
            payloads=self.payloads,
            largest_output=self.settings.max_output_bytes,
        )
        installation_id = await self.store.installation_id()
        worker = Worker(around, slots=16, queues=("default",), new_id=self.ids.new, installation_id=installation_id)
        incarnation = Incarnation(worker.incarnation_id, "test", 1, ("default",), 16)
        await self.store.register(incarnation, 60 * SECOND, sole=sole)
        return worker

    def adapters(self, engine: Engine, provider_http: GuardedHttpClient, copies: DatabaseCopies) -> Adapters:
        return Adapters(
            settings=self.settings,
            clock=self.clock,
            ids=self.ids,
            bus=self.bus,
            database=self.database,
            file=_file(self.database),
            copies=copies,
            objects=self.objects,
            payloads=self.payloads,
            store=self.store,
            plans=self.plans,
            evaluator=CelEvaluator(),
            engine=engine,
            runners=self.runners,
            task_types=self.runners,
            vault=self.vault,
            masker=self.masker,
            secrets=self.secrets,
            connections=self.connections,
            agents=self.agents,
            outside=self.outside,
            events=EventPublisher(self.database, self.clock, self.ids, self.masker),
            check_database=Doctor(self.database).examine,
            provider_http=provider_http,
        )


@asynccontextmanager
async def _at_work(engine: Engine, worker: Worker) -> AsyncIterator[None]:
    loops = [asyncio.create_task(engine.run()), asyncio.create_task(worker.run())]
    engine.attach(worker)
    try:
        yield
    finally:
        await worker.drain(0)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def _opened(home: Path, url: str | None, clock: SystemClock) -> CountingDatabase | CountingPostgres:
    if url is None:
        return await CountingDatabase.open(home / "millrace.db", clock=clock, synchronous="off")
    return await CountingPostgres.open(url)


def _store(database: CountingDatabase | CountingPostgres, payloads: StoredPayloads) -> SqliteStore | PostgresStore:
    if isinstance(database, CountingPostgres):
        return PostgresStore(database, payloads)
    return SqliteStore(database, payloads)


def _copies(database: CountingDatabase | CountingPostgres, url: str | None, home: Path) -> DatabaseCopies:
    return FileCopies(database) if isinstance(database, CountingDatabase) else PostgresCopies(str(url), home)


def _file(database: CountingDatabase | CountingPostgres) -> DatabaseFile | None:
    return database if isinstance(database, CountingDatabase) else None

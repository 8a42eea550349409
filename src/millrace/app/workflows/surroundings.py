"""What a definition needs and this installation has not got (yet): secrets, connections, workers for its queues,
workflows that it starts; and schedules whose time is over.

Such a definition is saved all the same, since these things may come after it; whoever saves it is told. Only agents
have to be there before: a definition that names one which is missing or inactive is refused. So is one that names a
secret or a connection which is there, and not for this workflow.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import orjson
from sqlalchemy import Connection

from millrace.app.agents import repository as agents
from millrace.app.connections import repository as connections
from millrace.app.runs.waiting.reasons import EVERY_QUEUE
from millrace.app.runs.waiting.repository import served_queues
from millrace.app.secrets.uses import NamedSecrets, require_all
from millrace.app.triggers.schedules import Schedules
from millrace.app.usage.naming import named_agents
from millrace.app.workflows import repository
from millrace.auth.permissions import Permission
from millrace.auth.secrets import SecretChain
from millrace.auth.sight import Sight
from millrace.core.controls import CONTROL_TYPES, SUB_WORKFLOW
from millrace.core.errors import Fault
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.compiling import DEFAULT_QUEUE, secrets_in, templates_of
from millrace.definition.expressions.templates import has_expressions
from millrace.definition.faults import at
from millrace.definition.outline import placed_tasks
from millrace.definition.rough import items, mapping
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.runner import KnowsRules, RunnerRegistry, keeps_to_hosts
from millrace.ports.secrets import Masker, SecretUse

ACTIVE = "active"
LOST = 9
"""Characters that masking takes from what holds a secret of at least twelve; shorter ones are often words."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What tasks and triggers name, and where."""

    secrets: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    connections: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    computed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Connections whose names are expressions."""
    queues: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    workflows: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    types: dict[str, str] = field(default_factory=dict)
    """The type of the task at each place of a secret."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What of that there is."""

    connections: frozenset[str]
    queues: frozenset[str]
    workflows: frozenset[str]


class Surroundings:
    def __init__(
        self,
        database: Database,
        secrets: SecretChain,
        masker: Masker,
        schedules: Schedules,
        clock: Clock,
        runners: RunnerRegistry,
    ) -> None:
        self._runners = runners
        self._schedules = schedules
        self._clock = clock
        self._database = database
        self._secrets = secrets
        self._masker = masker
        self._named = NamedSecrets(database, secrets)

    async def warnings(self, canonical: JsonObject, sight: Sight | None = None) -> list[str]:
        """What a valid definition will miss here, each with its places. One read, however many tasks there are.

        A workflow beyond the sight is missing, too.
        """
        needs, told = await asyncio.to_thread(self._read_through, canonical)
        found = await self._database.read(partial(_read, needs, sight))
        told += await self._unusable_secrets(needs, str(canonical["name"]))
        for name, places in needs.connections.items():
            if name not in found.connections:
                remedy = f"run `millrace connections set {name}`"
                told.append(f"{_places(places)}: there is no connection {name!r}; {remedy}")
        for queue, places in needs.queues.items():
            if queue not in found.queues and EVERY_QUEUE not in found.queues:
                remedy = "name the queue in MILLRACE_WORKER_QUEUES of a worker"
                told.append(f"{_places(places)}: no live worker serves the queue {queue!r}; {remedy}")
        for workflow, places in needs.workflows.items():
            if workflow not in found.workflows:
                remedy = "save it before this task runs, or name another"
                told.append(f"{_places(places)}: there is no workflow {workflow[:100]!r} yet; {remedy}")
        return told

    async def faults(self, definition: JsonObject, place: Callable[[str], str]) -> list[Fault]:
        """Agents that it names, perhaps malformed, and that cannot be called; `place` says where in the user's text."""
        named = {path: name for path, name in named_agents(definition) if not has_expressions(name)}
        if not named:
            return []
        statuses = await self._database.read(lambda connection: agents.statuses(connection, frozenset(named.values())))
        return [
            _no_agent(place(path), name, statuses.get(name))
            for path, name in named.items()
            if statuses.get(name) != ACTIVE
        ]

    async def misuses(self, canonical: JsonObject, place: Callable[[str], str], *, saving: bool) -> list[Fault]:
        """Secrets and connections that a valid definition names and that are not for it; `place` as in `faults`.

        `saving`: raise `Forbidden` if its author may not use those that it names.
        """
        needs = await asyncio.to_thread(needs_of, canonical)
        if saving:
            # Which they are is not known before they run, and is judged again then.
            require_all(Permission.CONNECTION_USE, needs.computed, {}, str(canonical["name"]))
        found = await self._named.faults(str(canonical["name"]), needs.secrets, needs.connections, saving=saving)
        return [replace(fault, path=place(fault.path)) for fault in found]

    async def _unusable_secrets(self, needs: Needs, workflow: str) -> list[str]:
        """Secrets that a task would be refused: everywhere, or where it could send them to any host."""
        use = SecretUse(workflow, "a definition", keeps_to_hosts=True)
        everywhere = await self._secrets.unusable(frozenset(needs.secrets), use)
        loose = {
            name: [place for place in places if place in needs.types and not self._keeps_to_hosts(needs.types[place])]
            for name, places in needs.secrets.items()
            if name not in everywhere
        }
        named_loosely = frozenset(name for name, places in loose.items() if places)
        use = SecretUse(workflow, "a task of this type")
        bound = await self._secrets.unusable(named_loosely, use) if named_loosely else {}
        told = [
            f"{_places(places)}: {everywhere[name]}" for name, places in needs.secrets.items() if name in everywhere
        ]
        return told + [f"{_places(loose[name])}: {reason}" for name, reason in bound.items()]

    def _keeps_to_hosts(self, task_type: str) -> bool:
        """Whether tasks of this type send secrets nowhere but where they may go."""
        return keeps_to_hosts(self._runners.get(task_type))

    def _read_through(self, canonical: JsonObject) -> tuple[Needs, list[str]]:
        told = [*self._known_values(canonical), *self._silent_schedules(canonical), *self._objections(canonical)]
        return needs_of(canonical), told

    def _objections(self, canonical: JsonObject) -> Iterator[str]:
        """What the rules of this installation would refuse. A worker may have other settings, so it is no fault."""
        for placed in placed_tasks(canonical):
            runner = self._runners.get(str(placed.task["type"]))
            if isinstance(runner, KnowsRules):
                for fault in runner.objections(mapping(placed.task.get("config"))):
                    yield f"{at(at(placed.path, 'config'), fault.field)}: {fault.message}; {fault.remedy}"

    def _silent_schedules(self, canonical: JsonObject) -> Iterator[str]:
        for position, trigger in enumerate(map(mapping, items(canonical.get("triggers")))):
            config = orjson.dumps(mapping(trigger.get("config"))).decode()
            schedule = self._schedules.of(str(trigger.get("type")), config)
            if schedule is not None and schedule.first_after(self._clock.now()) is None:
                yield f"{at('triggers', position)} has no firing to come: no time that its schedule names lies ahead"

    def _known_values(self, canonical: JsonObject) -> Iterator[str]:
        """Definitions are shown as they were saved, so the value of a secret in one is seen by every reader."""
        for placed in placed_tasks(canonical):
            for key, value in mapping(placed.task.get("config")).items():
                if _length(value) - _length(self._masker.value(value)) >= LOST:
                    place = at(at(placed.path, "config"), key)
                    yield f"{place} holds the value of a secret, which every reader sees; name the secret instead"


def needs_of(canonical: JsonObject) -> Needs:
    needs = Needs()
    usual = mapping(canonical.get("defaults")).get("queue") or canonical.get("queue") or DEFAULT_QUEUE
    for placed in placed_tasks(canonical):
        if placed.task["type"] not in CONTROL_TYPES:
            _add(needs, placed.task, placed.path, usual)
        elif placed.task["type"] == SUB_WORKFLOW:
            _add_workflow(needs, placed.task, placed.path, canonical)
    for position, trigger in enumerate(map(mapping, items(canonical.get("triggers")))):
        for secret in sorted(secrets_in(mapping(trigger.get("config")))):
            needs.secrets[secret].append(at(at("triggers", position), "config"))
    return needs


def _add(needs: Needs, task: JsonObject, place: str, usual: JsonValue) -> None:
    config = mapping(task.get("config"))
    for secret in sorted(secrets_in(templates_of(str(task.get("type")), config))):
        needs.secrets[secret].append(at(place, "config"))
        needs.types[at(place, "config")] = str(task.get("type"))
    connection = config.get("connection")
    if isinstance(connection, str):
        named = needs.computed if has_expressions(connection) else needs.connections
        named[connection].append(at(at(place, "config"), "connection"))
    own = task.get("queue")
    needs.queues[str(own or usual)].append(at(place, "queue") if own else place)


def _add_workflow(needs: Needs, task: JsonObject, place: str, canonical: JsonObject) -> None:
    """The workflow that a task starts; a workflow may start itself, also when it is saved for the first time."""
    named = mapping(task.get("config")).get("workflow")
    if isinstance(named, str) and not has_expressions(named) and named != canonical.get("name"):
        needs.workflows[named].append(at(at(place, "config"), "workflow"))


def _read(needs: Needs, sight: Sight | None, connection: Connection) -> _Found:
    return _Found(
        frozenset(connections.scopes_of(connection, frozenset(needs.connections))),
        served_queues(connection),
        repository.known(connection, frozenset(needs.workflows), sight),
    )


def _places(places: list[str]) -> str:
    more = len(places) - 1
    return places[0] if not more else f"{places[0]} (and {more} more)"


def _length(value: JsonValue) -> int:
    return len(orjson.dumps(value))


def _no_agent(path: str, name: str, status: str | None) -> Fault:
    shown = name[:100]
    if status is None:
        remedy = f"register it with `millrace agents create {shown}`, or name another"
        return Fault(path, "unknown_agent", f"there is no agent {shown!r}", remedy)
    remedy = f"make it active with `millrace agents update {shown} --status active`, or name another"
    return Fault(path, "inactive_agent", f"the agent {shown!r} is {status}", remedy)

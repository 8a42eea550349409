"""What a definition needs and this installation has not got (yet): secrets, connections, workers for its queues,
workflows that it starts; and schedules whose time is over.

Such a definition is saved all the same, since these things may come after it; whoever saves it is told. Only agents
have to be there before: a definition that names one which is missing or inactive is refused.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import orjson
from sqlalchemy import Connection

from millrace.app.agents import repository as agents
from millrace.app.connections import repository as connections
from millrace.app.runs.waiting.reasons import EVERY_QUEUE
from millrace.app.runs.waiting.repository import served_queues
from millrace.app.triggers.schedules import Schedules
from millrace.app.usage.naming import named_agents
from millrace.app.workflows import repository
from millrace.auth.secrets import SecretChain
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
from millrace.ports.secrets import Masker

ACTIVE = "active"
LOST = 9
"""Characters that masking takes from what holds a secret of at least twelve; shorter ones are often words."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What tasks and triggers name, and where."""

    secrets: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    connections: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    queues: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    workflows: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class _Found:
    """What of that there is."""

    connections: frozenset[str]
    queues: frozenset[str]
    workflows: frozenset[str]


class Surroundings:
    def __init__(
        self, database: Database, secrets: SecretChain, masker: Masker, schedules: Schedules, clock: Clock
    ) -> None:
        self._schedules = schedules
        self._clock = clock
        self._database = database
        self._secrets = secrets
        self._masker = masker

    async def warnings(self, canonical: JsonObject) -> list[str]:
        """What a valid definition will miss here, each with its places. One read, however many tasks there are."""
        needs, told = await asyncio.to_thread(self._read_through, canonical)
        found = await self._database.read(partial(_read, needs))
        unusable = await self._secrets.unusable(frozenset(needs.secrets))
        told += [f"{_places(places)}: {unusable[name]}" for name, places in needs.secrets.items() if name in unusable]
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

    def _read_through(self, canonical: JsonObject) -> tuple[Needs, list[str]]:
        return needs_of(canonical), [*self._known_values(canonical), *self._silent_schedules(canonical)]

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
    connection = config.get("connection")
    if isinstance(connection, str) and not has_expressions(connection):
        needs.connections[connection].append(at(at(place, "config"), "connection"))
    own = task.get("queue")
    needs.queues[str(own or usual)].append(at(place, "queue") if own else place)


def _add_workflow(needs: Needs, task: JsonObject, place: str, canonical: JsonObject) -> None:
    """The workflow that a task starts; a workflow may start itself, also when it is saved for the first time."""
    named = mapping(task.get("config")).get("workflow")
    if isinstance(named, str) and not has_expressions(named) and named != canonical.get("name"):
        needs.workflows[named].append(at(at(place, "config"), "workflow"))


def _read(needs: Needs, connection: Connection) -> _Found:
    return _Found(
        connections.known(connection, frozenset(needs.connections)),
        served_queues(connection),
        repository.known(connection, frozenset(needs.workflows)),
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

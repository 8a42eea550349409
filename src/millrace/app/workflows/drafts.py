"""A definition on its way into a version: read, merged with what is there, checked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import orjson

from millrace.app.workflows.surroundings import Surroundings
from millrace.auth.sight import Sight
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.definition import InvalidDefinition, Validated, content_hash, validate
from millrace.definition.faults import MOST_FAULTS, in_order
from millrace.ports.runner import RunnerRegistry
from millrace.ports.trigger import TriggerTypes


class Described(TypedDict):
    """The columns of a workflow that its definition describes."""

    name: str
    description: str | None
    category: str | None
    labels: str
    metadata: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A valid definition that is not saved yet."""

    canonical: JsonObject
    content_hash: str
    warnings: list[str]

    @property
    def tag(self) -> str | None:
        return _text(self.canonical, "version_tag")

    @property
    def stored(self) -> str:
        return orjson.dumps(self.canonical).decode()

    def described(self) -> Described:
        return Described(
            name=str(self.canonical["name"]),
            description=_text(self.canonical, "description"),
            category=_text(self.canonical, "category"),
            labels=orjson.dumps(self.canonical.get("labels") or {}).decode(),
            metadata=orjson.dumps(self.canonical.get("metadata") or {}).decode(),
            owner=_text(self.canonical, "owner"),
        )


class Drafts:
    """Checks definitions against the task types and trigger types of this installation."""

    def __init__(self, runners: RunnerRegistry, trigger_types: TriggerTypes, surroundings: Surroundings) -> None:
        self._runners = runners
        self._trigger_types = trigger_types
        self._surroundings = surroundings

    async def judged(self, raw: JsonObject, sight: Sight | None = None, *, saving: bool = True) -> Draft:
        """As `runnable`, and warned also of what it needs and this installation lacks."""
        draft = await self.runnable(raw, saving=saving)
        lacking = await self._surroundings.warnings(draft.canonical, sight)
        return replace(draft, warnings=[*draft.warnings, *lacking])

    async def runnable(self, raw: JsonObject, *, saving: bool = True) -> Draft:
        """Validate a definition of any accepted shape, without holding up others.

        Raises `InvalidRequest` with every fault at once, agents that it could not call among them, and secrets and
        connections that are not for it; `saving`: raises `Forbidden` if its author may not use those.
        """
        found = await asyncio.to_thread(self._checked, raw)
        told = found.faults if isinstance(found, InvalidDefinition) else ()
        uncallable = await self._surroundings.faults(found.canonical, found.place)
        if uncallable:
            places = {fault.path for fault in told}
            further = [fault for fault in uncallable if fault.path not in places]
            # Where they are too many, agents give way to what no registration mends.
            told = tuple(in_order([*told, *further][:MOST_FAULTS], raw))
        if told or isinstance(found, InvalidDefinition):
            raise _invalid(told)
        misused = await self._surroundings.misuses(found.canonical, found.place, saving=saving)
        if misused:
            raise _invalid(misused[:MOST_FAULTS])
        return Draft(found.canonical, content_hash(found.canonical), list(found.warnings))

    def _checked(self, raw: JsonObject) -> Validated | InvalidDefinition:
        try:
            return validate(raw, task_types=self._runners.types(), trigger_types=self._trigger_types)
        except InvalidDefinition as error:
            return error


def _invalid(faults: Sequence[Fault]) -> InvalidRequest:
    message = f"the definition has {len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return InvalidRequest("invalid_definition", message, faults=faults)


def _text(definition: JsonObject, key: str) -> str | None:
    value = definition.get(key)
    return value if isinstance(value, str) else None

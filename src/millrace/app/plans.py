"""Versions ready for use: definition and plan, compiled once from what is stored. Meets `ports.plans.Plans`.

A version never changes, so what is cached here is never stale; the cache only bounds memory.
"""

from collections import OrderedDict
from dataclasses import dataclass

import orjson

from millrace.app.workflows import repository
from millrace.core.plan import Plan
from millrace.definition import Definition, compile_plan, stored_definition
from millrace.ports.database import Database

MAX_TASKS = 30_000
"""Of all versions that are remembered; each takes up to 2 KB."""
OF_A_VERSION = 10
"""What a version takes beside its tasks, in tasks."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledVersion:
    id: str
    workflow_id: str
    number: int
    definition: Definition
    plan: Plan


class StoredPlans:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: OrderedDict[str, CompiledVersion] = OrderedDict()
        self._size = 0

    async def plan(self, version_id: str) -> Plan:
        return (await self.version(version_id)).plan

    async def version(self, version_id: str) -> CompiledVersion:
        """The version with this id. Raises `LookupError` if there is none."""
        known = self._cache.get(version_id)
        if known is not None:
            self._cache.move_to_end(version_id)
            return known
        row = await self._database.read(lambda connection: repository.version_by_id(connection, version_id))
        if row is None:
            raise LookupError(f"there is no version {version_id}")
        definition = stored_definition(orjson.loads(row.definition))
        compiled = CompiledVersion(row.id, row.workflow_id, row.number, definition, compile_plan(definition))
        self._remember(compiled)
        return compiled

    def _remember(self, compiled: CompiledVersion) -> None:
        if compiled.id in self._cache:
            return  # read by another at the same time
        self._cache[compiled.id] = compiled
        self._size += _size(compiled)
        while self._size > MAX_TASKS:
            _, oldest = self._cache.popitem(last=False)
            self._size -= _size(oldest)


def _size(compiled: CompiledVersion) -> int:
    return OF_A_VERSION + len(compiled.plan.tasks)

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

MAX_REMEMBERED = 50_000_000
"""Bytes that all versions take that are remembered, roughly."""
OF_A_VERSION, OF_A_TASK, OF_A_BYTE = 2_000, 1_500, 1
"""What of a version takes how many: itself, each task, each byte of its text."""


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
        self._sizes: dict[str, int] = {}
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
        self._remember(compiled, len(row.definition))
        return compiled

    def _remember(self, compiled: CompiledVersion, length: int) -> None:
        if compiled.id in self._cache:
            return  # read by another at the same time
        self._cache[compiled.id] = compiled
        self._sizes[compiled.id] = OF_A_VERSION + OF_A_TASK * len(compiled.plan.tasks) + OF_A_BYTE * length
        self._size += self._sizes[compiled.id]
        while self._size > MAX_REMEMBERED:
            oldest, _ = self._cache.popitem(last=False)
            self._size -= self._sizes.pop(oldest)

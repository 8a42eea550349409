"""Versions ready for use: definition and plan, compiled once from what is stored. Meets `ports.plans.Plans`.

So are the plans of test runs, which are known by the ids of their runs. Neither ever changes, so what is cached here is
never stale; the cache only bounds memory.
"""

from collections import OrderedDict
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection

from millrace.app.test_runs.repository import KeptTest, find_test_run
from millrace.app.workflows import repository
from millrace.app.workflows.repository import VersionRow
from millrace.core.plan import Plan
from millrace.definition import Definition, compile_plan, stored_definition
from millrace.definition.mocks import Terms
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
        self._cache: OrderedDict[str, CompiledVersion | Plan] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._size = 0

    async def plan(self, plan_id: str) -> Plan:
        """The plan of a version, or of the test run with this id. Raises `LookupError` if there is neither."""
        found = await self._found(plan_id)
        return found if isinstance(found, Plan) else found.plan

    async def version(self, version_id: str) -> CompiledVersion:
        """The version with this id. Raises `LookupError` if there is none."""
        found = await self._found(version_id)
        if isinstance(found, Plan):
            raise LookupError(f"{version_id} is a test run, and no version")
        return found

    async def _found(self, plan_id: str) -> CompiledVersion | Plan:
        known = self._cache.get(plan_id)
        if known is not None:
            self._cache.move_to_end(plan_id)
            return known
        row = await self._database.read(lambda connection: _read(connection, plan_id))
        if row is None:
            raise LookupError(f"there is no version {plan_id}")
        definition = stored_definition(orjson.loads(row.definition))
        compiled: CompiledVersion | Plan
        if isinstance(row, KeptTest):
            compiled = compile_plan(definition, Terms.from_json(orjson.loads(row.terms)))
            self._remember(plan_id, compiled, len(compiled.tasks), len(row.definition) + len(row.terms))
        else:
            plan = compile_plan(definition)
            compiled = CompiledVersion(row.id, row.workflow_id, row.number, definition, plan)
            self._remember(plan_id, compiled, len(plan.tasks), len(row.definition))
        return compiled

    def _remember(self, plan_id: str, compiled: CompiledVersion | Plan, tasks: int, length: int) -> None:
        if plan_id in self._cache:
            return  # read by another at the same time
        self._cache[plan_id] = compiled
        self._sizes[plan_id] = OF_A_VERSION + OF_A_TASK * tasks + OF_A_BYTE * length
        self._size += self._sizes[plan_id]
        while self._size > MAX_REMEMBERED:
            oldest, _ = self._cache.popitem(last=False)
            self._size -= self._sizes.pop(oldest)


def _read(connection: Connection, plan_id: str) -> VersionRow | KeptTest | None:
    return repository.version_by_id(connection, plan_id) or find_test_run(connection, plan_id)

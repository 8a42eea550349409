"""The port by which the engine gets the plan of a version. `app.plans` meets it: loads, compiles, caches."""

from typing import Protocol

from millrace.core.plan import Plan


class Plans(Protocol):
    async def plan(self, version_id: str) -> Plan:
        """The plan of a version that exists."""
        ...

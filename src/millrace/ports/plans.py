"""The port by which the engine gets the plan of a run. `app.plans` meets it: loads, compiles, caches.

The plan of a run is that of its version, except for test runs: each has a plan of its own.
"""

from typing import Final, Protocol

from millrace.core.plan import Plan

TEST: Final = "test"
"""What started a test run, as `trigger_type` of runs."""


def plan_id(trigger_type: str, run_id: str, version_id: str) -> str:
    """Under which id the plan of a run is known."""
    return run_id if trigger_type == TEST else version_id


class Plans(Protocol):
    async def plan(self, plan_id: str) -> Plan:
        """The plan of a version that exists, or of a test run (`plan_id`)."""
        ...

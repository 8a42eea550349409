"""Sub-workflows of the simulation: what they start, and who hands their runs to the engine.

The service that starts them is the real one (`app.runs.children`). What it asks for the run itself, `RunStarter`, reads
workflows of users; here it is whoever knows the plans of the seed.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.app.runs.making import Origin
from millrace.app.runs.starting import StartRequest
from millrace.core.errors import Conflict, NotFound
from millrace.core.plan import Plan
from millrace.engine.cell import Started
from millrace.ports.store import NewRun
from tests.simulation.plans import random_plan

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

WORKFLOW = "workflow"
NESTED = (0.0, 0.3, 0.6)


@dataclass(frozen=True, slots=True)
class Definition:
    name: str


@dataclass(frozen=True, slots=True)
class Version:
    """As much of a compiled version as its start looks at, or who repeats a run of it."""

    id: str
    plan: Plan
    definition: Definition = Definition("simulated")


class Workflows:
    """What sub-workflows may name: each may name those before it, so that no line of runs is endless; one names itself,
    and its line ends where the rules end it."""

    def __init__(self, world: "World") -> None:
        chance = random.Random(f"workflows {world.seed}")
        self.names: list[str] = []
        self.versions: dict[str, str] = {}
        for name in ("child 0", "child 1"):
            self.versions[name] = world.add_plan(random_plan(chance, tuple(self.names), nested=NESTED))
            self.names.append(name)
        self.limited = chance.choice([*self.names, None, None])
        """One at a time has a run."""


class Starter:
    """Stands where `ChildStarts` expects the starter of runs."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    async def start_child(
        self,
        reference: str,
        request: StartRequest,
        origin: Origin,
        *,
        run_id: str,
        complete: Callable[[NewRun, Any], Awaitable[NewRun]],
    ) -> Started:
        world = self._process.world
        version_id = world.workflows.versions.get(reference)
        if version_id is None:
            raise NotFound("workflow_not_found", f"there is no workflow {reference!r}")
        limited = reference == world.workflows.limited
        new = NewRun(
            run_id,
            WORKFLOW,
            version_id,
            world.clock.now(),
            trigger_type=origin.trigger_type,
            trigger=origin.trigger,
            input=request.input,
            admission_key=reference if limited else None,
            admission_limit=1 if limited else None,
            root_run_id=origin.root_run_id,
            parent_run_id=origin.parent_run_id,
            parent_path=origin.parent_path,
            causation_depth=origin.causation_depth,
        )
        plan = world.plans.plans[version_id]
        new = await complete(new, Version(version_id, plan, Definition(reference)))
        world.told(self._process.name, "starts", run_id, "for", origin.parent_run_id, origin.parent_path, new.retry_of)
        number = int(version_id.removeprefix("version-"))
        started = await self._process.engine.start(new, plan, workflow_name="simulated", version_number=number)
        if started.refused is not None:
            raise Conflict(started.refused.value, "the rules of the moment forbid it")
        return started

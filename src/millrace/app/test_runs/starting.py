"""Starting a test run: an ordinary run with a plan of its own, derived from a version of the workflow for this test.

    what was asked → checked and derived → kept for the run → the run is started

What was derived is there before the run is: whoever goes on with the run, after a crash or elsewhere, compiles it anew.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import orjson

from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs.making import Origin, RunMaker, Wanted, check_values
from millrace.app.runs.starting import RunStarter
from millrace.app.test_runs.repository import KeptTest, delete_test_run, insert_test_run
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.repository import WorkflowRow
from millrace.core.errors import Conflict, InvalidRequest, MillraceError, Unavailable
from millrace.core.values import JsonObject, to_iso
from millrace.definition import check_overrides, compile_plan
from millrace.definition.alone import alone, check_names_of_none
from millrace.definition.faults import FaultList
from millrace.definition.mocking import Asked, Derived, all_tasks, check_mocks, derived
from millrace.definition.stored import Definition
from millrace.engine.cell import Started
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.plans import TEST

ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class TestRequest:
    """What a caller wants to test."""

    asked: Asked
    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    version: str | None = None
    """A number or a tag; `None` takes the deployed version, else the newest."""


class TestVersions:
    """Finds the version that is to be tested, and derives what the test does."""

    def __init__(self, catalog: Catalog, plans: StoredPlans) -> None:
        self._catalog = catalog
        self._plans = plans

    async def find(self, reference: str, request: TestRequest) -> tuple[WorkflowRow, CompiledVersion]:
        """Also of a workflow that takes no starts: that is when one tests. Raises `NotFound`, `InvalidRequest` for
        values that cannot be taken, and `Conflict` for an archived workflow.
        """
        check_values(
            input=request.input,
            variables=request.variables,
            mocks=dict(request.asked.mocks),
            **(request.asked.names or {}),
        )
        entry = await self._catalog.resolve(reference)
        if entry.workflow.status == ARCHIVED:
            message = f"the workflow {entry.workflow.name!r} is archived; set its status to draft to test it"
            raise Conflict("workflow_inactive", message)
        version_id = entry.version_id
        if request.version is not None:
            version_id = (await self._catalog.version(entry.workflow, request.version)).id
        version = await self._plans.version(version_id)
        check_overrides(version.definition, request.variables)
        return entry.workflow, version


def derive(definition: Definition, asked: Asked) -> Derived:
    """The definition and the terms of a test. Raises `InvalidRequest` `invalid_test` with all that is wrong."""
    faults = FaultList()
    tasks = all_tasks(definition.canonical)
    check_mocks(tasks, asked.mocks, faults)
    made: Derived | None = None
    if asked.only is not None:
        made = alone(definition, asked, tasks, faults)
    else:
        check_names_of_none(asked, faults)
        made = None if faults else derived(definition, asked, tasks)
    if made is None:
        raise InvalidRequest("invalid_test", "the test is not one of this workflow", faults=faults.found)
    return made


class TestRuns:
    def __init__(
        self,
        database: Database,
        versions: TestVersions,
        maker: RunMaker,
        starter: RunStarter,
        clock: Clock,
    ) -> None:
        self._database = database
        self._versions = versions
        self._maker = maker
        self._starter = starter
        self._clock = clock

    async def start(self, reference: str, request: TestRequest, *, by: str) -> Started:
        """Start a test run. A confirmation is not asked for; the limits of the workflow hold.

        Raises `NotFound`; `InvalidRequest` for mocks and input that do not fit; `Conflict` for an archived workflow and
        when its limit is full.
        """
        workflow, version = await self._versions.find(reference, request)
        test = derive(version.definition, request.asked)
        tested = replace(version, definition=test.definition, plan=compile_plan(test.definition, test.terms))
        now = self._clock.now()
        trigger: JsonObject = {"id": None, "type": TEST, "time": to_iso(now), "user_id": by}
        if "item" in (request.asked.names or {}):
            trigger["item"] = (request.asked.names or {})["item"]
        origin = Origin(TEST, trigger, triggered_by=by)
        new = await self._maker.make(workflow, tested, Wanted(request.input, request.variables), origin)
        row = KeptTest(new.id, _json(test.definition.canonical), _json(test.terms.to_json()), now)
        await self._database.write(partial(insert_test_run, row=row))
        try:
            return await self._starter.submit(workflow, tested, new)
        except Unavailable:
            # It may have been started; what is kept for a run that was not is deleted a day later.
            raise
        except MillraceError:
            await self._database.write(partial(delete_test_run, run_id=new.id))
            raise


def _json(value: JsonObject) -> str:
    return orjson.dumps(value).decode()

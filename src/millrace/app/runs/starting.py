"""Start a run: the one way in for every caller.

    resolve the workflow → choose the version → check input and variables → hand over to the engine

All of it is answered from memory once a workflow was started before, so that a start costs one commit and no read.
"""

import asyncio
import hashlib
from dataclasses import dataclass, field

import orjson

from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs import repository
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.repository import WorkflowRow
from millrace.core.errors import Conflict, Fault, InvalidRequest, MillraceError
from millrace.core.values import SECOND, InvalidValue, JsonObject, check_value, to_iso
from millrace.definition import validate_input
from millrace.engine.cell import Started
from millrace.engine.engine import Engine
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import NewRun, StartKey

CALLER_KEYS = "caller"
KEY_LIFETIME = 7 * 86_400 * SECOND
NO_START = frozenset({"inactive", "archived"})


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a caller asks for. Two requests with the same fields are the same request for an idempotency key."""

    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    version: int | None = None
    correlation_id: str | None = None
    priority: int = 0

    def fingerprint(self) -> str:
        fields = (self.input, self.variables, self.version, self.correlation_id, self.priority)
        return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()


class RunStarter:
    def __init__(
        self, database: Database, engine: Engine, plans: StoredPlans, catalog: Catalog, clock: Clock, ids: Ids
    ) -> None:
        self._database = database
        self._engine = engine
        self._plans = plans
        self._catalog = catalog
        self._clock = clock
        self._ids = ids

    async def start(self, reference: str, request: StartRequest, *, by: str, key: str | None = None) -> Started:
        """Start a run, or find the one that an earlier request with the same key started. Durable when it returns.

        Raises `NotFound`, `InvalidRequest`, and `Conflict`: the workflow takes no starts, or the key was used for
        another request.
        """
        _check_values(request)
        workflow = (await self._catalog.resolve(reference)).workflow
        try:
            version = await self._version(reference, request.version)
            _refuse_inactive(workflow)
            new = self._new_run(workflow, version, request, by, key)
        except MillraceError:
            # What a key has started stays started, also when the workflow would not take the request any more.
            started = None if key is None else await self._started_before(workflow, request, key)
            if started is None:
                raise
        else:
            started = await self._engine.start(
                new, version.plan, workflow_name=workflow.name, version_number=version.number
            )
        if not started.same_request:
            raise Conflict(
                "idempotency_conflict",
                f"the idempotency key was used before for a different request, which started run {started.run_id}; "
                "use a new key for a new request",
            )
        return started

    async def wait(self, run_id: str, seconds: float) -> bool:
        """Wait until the run has finished, `seconds` at most; whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self._engine.wait(run_id)
        except TimeoutError:
            return False
        return True

    async def _version(self, reference: str, number: int | None) -> CompiledVersion:
        entry = await self._catalog.resolve(reference)
        version_id = entry.version_id
        if number is not None:
            version_id = (await self._catalog.version(entry.workflow, number)).id
        return await self._plans.version(version_id)

    def _new_run(
        self, workflow: WorkflowRow, version: CompiledVersion, request: StartRequest, by: str, key: str | None
    ) -> NewRun:
        now = self._clock.now()
        limit = version.plan.max_concurrent_runs
        trigger: JsonObject = {"id": None, "type": "manual", "time": to_iso(now), "user_id": by}
        return NewRun(
            id=self._ids.new(),
            workflow_id=workflow.id,
            version_id=version.id,
            created_at=now,
            trigger_type="manual",
            triggered_by=by,
            trigger=trigger,
            input=validate_input(version.definition, request.input),
            variables={**version.definition.variables, **request.variables},
            correlation_id=request.correlation_id,
            priority=request.priority,
            admission_key=None if limit is None else f"workflow:{workflow.id}",
            admission_limit=limit,
            start_key=None
            if key is None
            else StartKey(CALLER_KEYS, workflow.id, key, request.fingerprint(), now + KEY_LIFETIME),
        )

    async def _started_before(self, workflow: WorkflowRow, request: StartRequest, key: str) -> Started | None:
        found = await self._database.read(
            lambda connection: repository.started_with(connection, CALLER_KEYS, workflow.id, key)
        )
        if found is None:
            return None
        request_hash, run_id = found
        return Started(run_id, existed=True, same_request=request_hash == request.fingerprint())


def _refuse_inactive(workflow: WorkflowRow) -> None:
    if workflow.status in NO_START:
        raise Conflict(
            "workflow_inactive",
            f"the workflow {workflow.name!r} is {workflow.status} and takes no starts; set its status to active first",
        )


def _check_values(request: StartRequest) -> None:
    for name, value in (("input", request.input), ("variables", request.variables)):
        try:
            check_value(value, path=name)
        except InvalidValue as error:
            fault = Fault(error.path, "value", error.reason)
            raise InvalidRequest("invalid_input", f"the run's {name} cannot be stored", faults=[fault]) from None

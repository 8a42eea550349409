"""Starting runs: one use case for the API, the command line and triggers. The same key gives the same run."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from millrace.app.mails.repository import Mail
from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs.keys import CallerKeys, KeySpace, fingerprint, same_request
from millrace.app.runs.making import Origin, RunMaker, Wanted, check_values, refuse_inactive, require_confirmation
from millrace.app.runs.payloads import put_away
from millrace.app.triggers.manual import ManualTriggers
from millrace.app.workflows.catalog import Catalog, CatalogEntry
from millrace.app.workflows.repository import WorkflowRow
from millrace.core.errors import Conflict, Forbidden, InvalidRequest, MillraceError, NotFound, Unavailable
from millrace.core.values import Instant, JsonObject, to_iso
from millrace.definition import check_overrides
from millrace.engine.cell import Started
from millrace.engine.engine import Engine
from millrace.ports.clock import Clock
from millrace.ports.payloads import Payloads
from millrace.ports.store import NewFiring, NewRun, Refusal, StartKey

T = TypeVar("T")

REFUSED = (InvalidRequest, Conflict, Forbidden, NotFound)
"""What a workflow has against a start. No run was started then."""

MAX_TRIES = 8
"""Starts anew when others change the same workflow at the same time."""

__all__ = ["Fired", "FiringOutcome", "RunStarter", "StartRequest", "Started", "TriggeredStart"]


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a caller asks for. Two requests with the same fields are the same request for an idempotency key."""

    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    version: str | None = None
    """A number or a tag; `None` takes the deployed version, else the newest."""
    correlation_id: str | None = None
    priority: int | None = None
    run_at: Instant | None = None
    confirmation: bool = False

    def fingerprint(self) -> str:
        # A number as one, as it was when a version had no other name: keys outlive an upgrade.
        version = int(self.version) if self.version and self.version.isdecimal() else self.version
        return fingerprint((self.input, self.variables, version, self.correlation_id, self.priority, self.run_at))


@dataclass(frozen=True, slots=True)
class TriggeredStart:
    """What a trigger that fired asks for. `input` is evaluated already; the version is the one it was deployed with,
    and a canary may take its place."""

    workflow_id: str
    version_id: str
    trigger_type: str
    trigger_id: str
    trigger: JsonObject
    input: JsonObject
    start_key: StartKey | None
    firing: NewFiring
    causation_depth: int = 0

    @property
    def occasion(self) -> str:
        """What a repeated firing has in common with the first."""
        return self.firing.start_key if self.start_key is None else self.start_key.key


class FiringOutcome(StrEnum):
    STARTED = "started"
    EXISTED = "existed"
    """An earlier or another scheduler has started this very firing."""
    CHANGED = "changed"
    """The trigger was changed or disabled meanwhile: decide anew."""
    SKIPPED = "skipped"
    """The workflow's limit has no room, and says `when_full: skip`."""
    REFUSED = "refused"
    """The workflow does not take this start; `reason` says why."""
    UNWANTED = "unwanted"
    """The `if` of the trigger is false."""
    FAILED = "failed"
    """The trigger has an expression without a value; `reason` says which."""


@dataclass(frozen=True, slots=True)
class Fired:
    outcome: FiringOutcome
    run_id: str | None = None
    reason: str | None = None
    mail: Mail | None = None
    """To be written with the firing that says why there is no run."""


class RunStarter:
    def __init__(
        self,
        engine: Engine,
        plans: StoredPlans,
        catalog: Catalog,
        clock: Clock,
        maker: RunMaker,
        payloads: Payloads,
        keys: CallerKeys,
        manual: ManualTriggers,
    ) -> None:
        self._manual = manual
        self._engine = engine
        self._plans = plans
        self._catalog = catalog
        self._clock = clock
        self._maker = maker
        self._payloads = payloads
        self._keys = keys

    async def start(self, reference: str, request: StartRequest, *, by: str, key: str | None = None) -> Started:
        """Start a run, or find the one that an earlier request with the same key started. Durable when it returns.

        Raises `NotFound`, `InvalidRequest`, `Forbidden` (`confirmation_required`), and `Conflict`: the workflow or its
        manual trigger takes no starts, its limit is full, or the key was used for another request.
        """
        check_values(input=request.input, variables=request.variables)
        try:
            return await self._as_it_is(reference, lambda entry: self._start(reference, entry, request, by, key))
        except _OutOfDate:
            raise Unavailable("busy", f"{reference!r} is being changed by many at once; try again") from None

    async def _start(
        self, reference: str, entry: CatalogEntry, request: StartRequest, by: str, key: str | None
    ) -> Started:
        started = await self._start_or_find(entry, request, by, key)
        # A key belongs to a workflow, and the one that was meant may be another by now.
        if started.existed and (await self._catalog.resolve(reference)).workflow.id != entry.workflow.id:
            raise _OutOfDate
        return started

    async def _start_or_find(self, entry: CatalogEntry, request: StartRequest, by: str, key: str | None) -> Started:
        workflow = entry.workflow
        start_key = self._keys.key(KeySpace.START, workflow.id, key, request.fingerprint)
        try:
            version = await self._version(entry, request.version)
            refuse_inactive(workflow)
            require_confirmation(version, request.confirmation)
            check_overrides(version.definition, request.variables)
            trigger: JsonObject = {"id": None, "type": "manual", "time": to_iso(self._clock.now()), "user_id": by}
            manual = await self._manual.of_start(workflow.id, version, request.variables, trigger)
            given = {**manual.input, **request.input}
            wanted = Wanted(given, request.variables, request.correlation_id, request.priority, request.run_at)
            origin = Origin("manual", manual.trigger, trigger_id=manual.trigger_id, triggered_by=by)
            new = await self._maker.make(workflow, version, wanted, origin, start_key=start_key, may_be_old=True)
        except MillraceError:
            # What a key has started stays started, also when the workflow would not take the request any more.
            started = await self._keys.holder(start_key)
            if started is None:
                raise
            return started
        return await self._submit(workflow, version, new)

    async def start_child(
        self,
        reference: str,
        request: StartRequest,
        origin: Origin,
        *,
        run_id: str,
        complete: Callable[[NewRun, CompiledVersion], Awaitable[NewRun]],
    ) -> Started:
        """Start the run of a sub-workflow, or find that it was started: it has its id before. `complete` may refuse it,
        or let it take over what another has done.

        Raises as `start` does.
        """
        check_values(input=request.input, variables=request.variables)

        async def begin(entry: CatalogEntry) -> Started:
            refuse_inactive(entry.workflow)
            version = await self._version(entry, request.version)
            check_overrides(version.definition, request.variables)
            wanted = Wanted(request.input, request.variables, request.correlation_id, request.priority)
            new = await self._maker.make(entry.workflow, version, wanted, origin, may_be_old=True, run_id=run_id)
            return await self._submit(entry.workflow, version, await complete(new, version))

        try:
            return await self._as_it_is(reference, begin)
        except _OutOfDate:
            raise Unavailable("busy", f"{reference!r} is being changed by many at once; try again") from None

    async def submit(self, workflow: WorkflowRow, version: CompiledVersion, new: NewRun) -> Started:
        """Hand a run to the engine that was made of what its workflow is.

        Raises `Conflict` when its limit is full or its key means another request.
        """
        return await self._submit(workflow, version, new)

    async def _submit(self, workflow: WorkflowRow, version: CompiledVersion, new: NewRun) -> Started:
        started = await self._submitted(workflow, version, new)
        if started.refused is Refusal.WORKFLOW_CHANGED:
            raise _OutOfDate
        if started.refused is Refusal.LIMIT_FULL:
            raise Conflict(
                "limit_full",
                f"{new.admission_limit} runs of {workflow.name!r} are under way, and its `when_full` is skip; "
                "start it again when one has finished",
            )
        if started.refused is Refusal.ORIGIN_DELETED:
            raise NotFound("run_not_found", f"run {started.origin} was deleted meanwhile (retention)")
        if started.refused is Refusal.PAYLOADS_DELETED:
            raise payloads_deleted(str(started.origin))
        return same_request(started)

    async def fire(self, start: TriggeredStart) -> Fired:
        """Start the run of a firing. Firing, key, run and cursor of the trigger are committed together, or nothing is.

        Never raises for what the workflow or the trigger says; raises `Unavailable` when it is not known what happened.
        """
        try:
            return await self._as_it_is(start.workflow_id, lambda entry: self._fire(entry, start))
        except REFUSED as error:
            return _refused(error)
        except _OutOfDate:
            return Fired(FiringOutcome.CHANGED, reason="the workflow is being changed by many at once")

    async def refusal(self, start: TriggeredStart) -> Fired | None:
        """Why the run would be refused; `None` if it would be started, as far as can be told without doing so."""
        try:
            entry = await self._catalog.resolve(start.workflow_id)
            await self._of_trigger(entry, start)
        except REFUSED as error:
            return _refused(error)
        return None

    async def _fire(self, entry: CatalogEntry, start: TriggeredStart) -> Fired:
        version, new = await self._of_trigger(entry, start)
        return _fired(await self._submitted(entry.workflow, version, new))

    async def _of_trigger(self, entry: CatalogEntry, start: TriggeredStart) -> tuple[CompiledVersion, NewRun]:
        workflow, canary = entry.workflow, entry.canary
        check_values(input=start.input, trigger=start.trigger)
        refuse_inactive(workflow)
        if canary is None or not canary.takes(start.trigger_id, start.occasion):
            return await self._made_of(start.version_id, workflow, start)
        try:
            return await self._made_of(canary.version_id, workflow, start)
        except InvalidRequest as error:
            message = f"the canary, version {canary.version}, does not take it: {error.message}"
            raise InvalidRequest(error.code, message, faults=error.faults) from None

    async def _made_of(
        self, version_id: str, workflow: WorkflowRow, start: TriggeredStart
    ) -> tuple[CompiledVersion, NewRun]:
        version = await self._plans.version(version_id)
        origin = Origin(
            start.trigger_type,
            start.trigger,
            trigger_id=start.trigger_id,
            causation_depth=start.causation_depth,
            firing=start.firing,
        )
        wanted = Wanted(start.input, {})
        key = start.start_key
        return version, await self._maker.make(workflow, version, wanted, origin, start_key=key, may_be_old=True)

    async def _as_it_is(self, reference: str, start: Callable[[CatalogEntry], Awaitable[T]]) -> T:
        """Start a run of the workflow as it is remembered; once more if that proves to be out of date.

        Raises `NotFound`, what `start` raises for the workflow as it is, and `_OutOfDate` if it never stands still.
        """
        entry = await self._catalog.expected(reference)
        for _ in range(MAX_TRIES):
            try:
                return await start(entry)
            except _OutOfDate:
                entry = await self._catalog.read(reference)
            except REFUSED:
                current = await self._catalog.resolve(reference)
                if current == entry:
                    raise
                entry = current
        raise _OutOfDate

    async def wait(self, run_id: str, seconds: float) -> bool:
        """Wait until the run has finished, `seconds` at most; whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self._engine.wait(run_id)
        except TimeoutError:
            return False
        return True

    async def _submitted(self, workflow: WorkflowRow, version: CompiledVersion, new: NewRun) -> Started:
        new = await put_away(new, self._payloads)
        return await self._engine.start(new, version.plan, workflow_name=workflow.name, version_number=version.number)

    async def _version(self, entry: CatalogEntry, wanted: str | None) -> CompiledVersion:
        version_id = entry.version_id
        if wanted is not None:
            version_id = (await self._catalog.version(entry.workflow, wanted)).id
        return await self._plans.version(version_id)


def payloads_deleted(run_id: str) -> Conflict:
    """What the tasks of a run answered is not kept any more, so nothing of it can be taken over."""
    return Conflict(
        "payloads_deleted",
        f"what the tasks of run {run_id} answered was deleted (retention); rerun the whole run instead",
    )


class _OutOfDate(Exception):
    """The workflow was changed since it was read."""


def _refused(error: MillraceError) -> Fired:
    faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
    return Fired(FiringOutcome.REFUSED, reason=f"{error.message}: {faults}" if faults else error.message)


def _fired(started: Started) -> Fired:
    match started.refused:
        case Refusal.WORKFLOW_CHANGED:
            raise _OutOfDate
        case Refusal.TRIGGER_CHANGED:
            return Fired(FiringOutcome.CHANGED, reason="the trigger was changed or disabled meanwhile")
        case Refusal.LIMIT_FULL:
            return Fired(FiringOutcome.SKIPPED, reason="the limit of the workflow has no room (when_full: skip)")
        case Refusal.ORIGIN_DELETED | Refusal.PAYLOADS_DELETED:
            return Fired(FiringOutcome.REFUSED, reason="the run that it repeats was deleted meanwhile")
        case None:
            outcome = FiringOutcome.EXISTED if started.existed else FiringOutcome.STARTED
            return Fired(outcome, started.run_id)

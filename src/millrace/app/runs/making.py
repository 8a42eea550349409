"""From what is asked for to a `NewRun`: input checked, limits and their keys known. Every start ends here.

It decides nothing about idempotency or about whether the workflow takes starts: `starting` and `repeating` do.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from millrace.app.plans import CompiledVersion
from millrace.app.workflows.repository import WorkflowRow
from millrace.app.workflows.writing import NO_START
from millrace.auth.audit.acting import acting
from millrace.core.errors import Conflict, Fault, Forbidden, InvalidRequest
from millrace.core.redaction import Steps, redacted
from millrace.core.values import PLAIN_VALUES, Instant, InvalidValue, JsonObject, JsonValue, check_value
from millrace.definition import parse_duration, validate_input
from millrace.ports.clock import Clock
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope
from millrace.ports.ids import Ids
from millrace.ports.store import NO_LIMIT, NewFiring, NewRun, RateLimit, StartKey, WhenFull

LONGEST_KEY = 150


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a start comes from, and where it belongs."""

    trigger_type: str
    trigger: JsonObject
    trigger_id: str | None = None
    triggered_by: str | None = None
    retry_of: str | None = None
    root_run_id: str | None = None
    causation_depth: int = 0
    firing: NewFiring | None = None
    parent_run_id: str | None = None
    parent_path: str | None = None
    """The task of that run that waits for the end of this one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the run is to be given."""

    input: JsonObject
    variables: JsonObject
    correlation_id: str | None = None
    priority: int | None = None
    """`None` takes the definition's."""
    run_at: Instant | None = None
    kept: bool = False
    """The input is that of an earlier run of the same version: what it was checked for may have been redacted since."""


class RunMaker:
    def __init__(self, evaluator: Evaluator, clock: Clock, ids: Ids) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._ids = ids

    async def make(
        self,
        workflow: WorkflowRow,
        version: CompiledVersion,
        wanted: Wanted,
        origin: Origin,
        *,
        start_key: StartKey | None = None,
        may_be_old: bool = False,
        run_id: str | None = None,
    ) -> NewRun:
        """`run_id`: its id, where others know it already. `may_be_old`: the workflow is as it is remembered; the commit
        is to see whether it still is.

        Raises `InvalidRequest` for input that the schema refuses and for limits whose key has no value.
        """
        definition = version.definition
        redact = version.plan.redact
        checked = wanted.input if wanted.kept else _checked(version, wanted.input)
        given = without_redacted(checked, redact.input)
        variables = without_redacted({**definition.variables, **wanted.variables}, redact.variables)
        trigger = without_redacted(origin.trigger, redact.trigger)
        scope = Scope(input=given, variables=variables, trigger=trigger)
        rate = await self._rate_limit(workflow, definition.rate_limit, scope)
        key, limit, when_full = await self._admission(workflow, definition.concurrency, scope, rated=rate is not None)
        asking = acting()
        return NewRun(
            id=run_id or self._ids.new(),
            workflow_id=workflow.id,
            version_id=version.id,
            created_at=self._clock.now(),
            trigger_type=origin.trigger_type,
            trigger_id=origin.trigger_id,
            triggered_by=origin.triggered_by,
            address=asking.address,
            request_id=asking.request_id,
            trigger=trigger,
            input=given,
            variables=variables,
            correlation_id=wanted.correlation_id,
            priority=definition.priority if wanted.priority is None else wanted.priority,
            admission_key=key,
            admission_limit=limit,
            when_full=when_full,
            rate_limit=rate,
            run_at=wanted.run_at,
            root_run_id=origin.root_run_id,
            parent_run_id=origin.parent_run_id,
            parent_path=origin.parent_path,
            retry_of=origin.retry_of,
            causation_depth=origin.causation_depth,
            start_key=start_key,
            firing=origin.firing,
            workflow_updated_at=workflow.updated_at if may_be_old else None,
        )

    async def _admission(
        self, workflow: WorkflowRow, concurrency: JsonObject | None, scope: Scope, *, rated: bool
    ) -> tuple[str | None, int | None, WhenFull]:
        if concurrency is None:
            return (f"workflow:{workflow.id}", NO_LIMIT, WhenFull.QUEUE) if rated else (None, None, WhenFull.QUEUE)
        key = f"workflow:{workflow.id}{await self._key(concurrency, scope, 'concurrency.key')}"
        limit = concurrency["limit"]
        assert isinstance(limit, int), "checked when it was saved"  # noqa: S101
        return key, limit, WhenFull(str(concurrency.get("when_full", WhenFull.QUEUE)))

    async def _rate_limit(self, workflow: WorkflowRow, given: JsonObject | None, scope: Scope) -> RateLimit | None:
        if given is None:
            return None
        limit = given["limit"]
        assert isinstance(limit, int), "checked when it was saved"  # noqa: S101
        key = f"rate:{workflow.id}{await self._key(given, scope, 'rate_limit.key')}"
        return RateLimit(key, limit, parse_duration(str(given["per"])))

    async def _key(self, given: JsonObject, scope: Scope, place: str) -> str:
        """What tells runs under one limit apart; nothing for a limit without a key."""
        if given.get("key") is None:
            return ""
        try:
            value = await self._evaluator.render(given["key"], scope, place=place)
        except ExpressionError as error:
            fault = Fault(place, "expression", str(error), "give the run what the key is made of")
            raise InvalidRequest("invalid_key", "the key of a limit has no value", faults=[fault]) from None
        return f":{_short(value)}"


def _checked(version: CompiledVersion, given: JsonObject) -> JsonObject:
    """The input with defaults. Raises `InvalidRequest`, which may be kept with a firing: so it does not quote what the
    workflow redacts."""
    try:
        return validate_input(version.definition, given)
    except InvalidRequest as error:
        hidden = set(_texts(given)) - set(_texts(without_redacted(given, version.plan.redact.input)))
        told = [_unquoted(fault) if any(text in fault.message for text in hidden) else fault for fault in error.faults]
        raise InvalidRequest(error.code, error.message, faults=told) from None


def _texts(value: JsonValue) -> Iterator[str]:
    """What messages may quote of a value."""
    match value:
        case dict():
            for part in value.values():
                yield from _texts(part)
        case list():
            for part in value:
                yield from _texts(part)
        case str() if value:
            yield value
        case int() | float():
            yield str(value)


def _unquoted(fault: Fault) -> Fault:
    return Fault(fault.path, fault.code, "the value, which the workflow redacts, does not fit", fault.remedy)


def without_redacted(value: JsonObject, places: tuple[Steps, ...]) -> JsonObject:
    """Before anything is made of it: neither a limit's key nor a task has what is not kept."""
    without = redacted(value, places)
    assert isinstance(without, dict), "no path is all of it"  # noqa: S101
    return without


def refuse_inactive(workflow: WorkflowRow) -> None:
    """Raise `Conflict` if the workflow takes no starts."""
    if workflow.status in NO_START:
        raise Conflict(
            "workflow_inactive",
            f"the workflow {workflow.name!r} is {workflow.status} and takes no starts; set its status to active first",
        )


def require_confirmation(version: CompiledVersion, confirmation: bool) -> None:
    """Raise `Forbidden` if an explicit start must be confirmed and is not."""
    if version.definition.requires_confirmation and not confirmation:
        raise Forbidden(
            "confirmation_required",
            "a manual trigger of this workflow has require_confirmation; send `confirmation: true` if you are sure",
        )


def check_values(**given: JsonValue) -> None:
    """Raise `InvalidRequest` for what cannot be stored: by name, so that the fault says where."""
    for name, value in given.items():
        try:
            check_value(value, path=name)
        except InvalidValue as error:
            fault = Fault(error.path, "value", error.reason, PLAIN_VALUES)
            raise InvalidRequest("invalid_input", f"the run's {name} cannot be stored", faults=[fault]) from None


def _short(value: JsonValue) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if len(text) <= LONGEST_KEY:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

"""One attempt, from its claim to its report. Whatever happens on the way becomes an outcome, never an exception.

find the runner → render the config → check it → run within the time limit → check the output → mask → report
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Mock, TaskPlan
from millrace.core.redaction import Steps, redacted
from millrace.core.values import SECOND, InvalidValue, JsonValue
from millrace.engine.loading import patiently
from millrace.ports.artifacts import NO_ARTIFACTS, ArtifactDesk, ArtifactFault, Artifacts, AttemptArtifacts
from millrace.ports.clock import Clock
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope
from millrace.ports.hosts import ANY_HOST, HostLimit
from millrace.ports.payloads import Payloads
from millrace.ports.runner import AnyRunner, Completed, Failed, Outcome, RunnerContext, RunnerRegistry, keeps_to_hosts
from millrace.ports.secrets import Masker, Secrets, SecretUnavailable, SecretUse
from millrace.ports.store import ClaimedAttempt, TaskPayload
from millrace.ports.worker import AttemptDesk, Report
from millrace.worker.handed_in import encoded, readable
from millrace.worker.logs import AttemptLog, LogShipper
from millrace.worker.payloads import lightened

logger = logging.getLogger(__name__)

LARGEST_OUTPUT = 4 * 1024 * 1024
"""Bytes of JSON, unless the installation says otherwise; what is larger belongs into a file or a database."""

MASK = "***"
"""What a mocked task shows in place of a secret."""

LARGEST_DETAILS = 65_536
"""Bytes of JSON beside a failure's message; larger details are replaced by a word about their size."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all attempts of a worker share."""

    desk: AttemptDesk
    runners: RunnerRegistry
    evaluator: Evaluator
    secrets: Secrets
    masker: Masker
    clock: Clock
    shipper: LogShipper
    artifacts: ArtifactDesk = NO_ARTIFACTS
    payloads: Payloads | None = None
    largest_output: int = LARGEST_OUTPUT


class Refusal(Exception):
    """The attempt ends before its runner starts; carries the outcome."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class AttemptRunner:
    """Runs one claimed attempt."""

    def __init__(self, attempt: ClaimedAttempt, around: Surroundings, environment: Mapping[str, str]) -> None:
        self.attempt = attempt
        self._around = around
        self._environment = environment
        self._config: JsonValue = None
        self._hosts: HostLimit = ANY_HOST
        self._output_size = 0
        self._redact: tuple[Steps, ...] = ()
        self._log = AttemptLog(attempt.run_id, attempt.path, attempt.number, masker=around.masker, clock=around.clock)

    def run_at_once(self) -> Report | None:
        """Run an attempt that cannot suspend, without an asyncio task; `None` when it needs one."""
        plan = self._around.desk.plan_of(self.attempt.run_id)
        task = plan.task_at(self.attempt.path) if plan is not None else None
        self._redact = () if task is None else task.redact
        if task is not None and task.mock is not None:
            return self._mocked_at_once(task, task.mock)
        runner = self._around.runners.get(task.type) if task is not None else None
        if task is None or runner is None or not runner.instant or task.templated:
            return None
        self._config = task.config
        try:
            outcome = _drive(runner.run(_checked(runner, task.config), self._context(task, runner)))
        except Refusal as refusal:
            outcome = Failed(refusal.failure)
        except Exception as error:
            outcome = self._unexpected(error)
        return self._report(outcome)

    async def run(self) -> Report:
        """Run the attempt. Cancelling this call ends the work; the caller knows why and reports it."""
        self._around.shipper.open(self._log)
        artifacts = self._around.artifacts.of_attempt(self.attempt)
        try:
            outcome = await self._within_limit(artifacts)
            if isinstance(outcome, Completed):
                await patiently(artifacts.publish)
        except Refusal as refusal:
            outcome = Failed(refusal.failure)
        except ArtifactFault as fault:
            outcome = Failed.because(str(fault), kind=fault.kind)
        except asyncio.CancelledError:
            if _asked_to_end():
                raise
            outcome = Failed.because("the runner was cancelled by something of its own")
        except Exception as error:
            outcome = self._unexpected(error)
        report = self._report(outcome)
        if self._around.payloads is None:
            return report
        return await lightened(report, self._around.payloads, output_size=self._output_size)

    def ended(self, kind: FailureKind, message: str) -> Report:
        """The report of an attempt that was ended from outside."""
        return self._report(Failed.because(message, kind=kind))

    async def _within_limit(self, artifacts: AttemptArtifacts) -> Outcome:
        left = self.attempt.time_left
        limit = None if left is None else max(0.0, left / SECOND)
        try:
            async with asyncio.timeout(limit) as scope:
                return await self._perform(artifacts)
        except TimeoutError:
            if not scope.expired():
                raise
            return Failed.because("the attempt took longer than its time limit", kind=FailureKind.TIMEOUT)

    async def _perform(self, artifacts: AttemptArtifacts) -> Outcome:
        plan = await self._around.desk.load_plan(self.attempt.run_id)
        task = plan.task_at(self.attempt.path)
        self._redact = task.redact
        if task.mock is not None:
            self._config = await self._rendered_for_show(task)
            return self._mocked(task.mock)
        runner = self._around.runners.get(task.type)
        if runner is None:
            raise Refusal(Failure(FailureKind.REFUSED, f"this worker has no task type {task.type!r}"))
        self._config = await self._rendered(task, runner)
        return await runner.run(_checked(runner, self._config), self._context(task, runner, artifacts))

    def _mocked_at_once(self, task: TaskPlan, mock: Mock) -> Report | None:
        payloads = self._around.payloads
        is_large = payloads is not None and len(orjson.dumps(mock.output)) > payloads.largest_in_row
        if task.templated or is_large:
            return None
        self._config = task.config
        return self._report(self._mocked(mock))

    def _mocked(self, mock: Mock) -> Outcome:
        """What a task of a test run answers that is not done, whether or not this worker knows its type."""
        failure = mock.failure_of(self.attempt.number)
        return Completed(mock.output) if failure is None else Failed(failure)

    async def _rendered_for_show(self, task: TaskPlan) -> JsonValue:
        """The config of a task that is not done: no secret is read, and what has no value leaves the input empty."""
        try:
            return await self._filled_in(task, dict.fromkeys(task.secrets, MASK))
        except ExpressionError as error:
            self._log(f"the task is mocked, and its input is not shown: {error}", level="warning")
            return None

    async def _rendered(self, task: TaskPlan, runner: AnyRunner) -> JsonValue:
        if not task.templated:
            return task.config
        try:
            found = await self._around.secrets.resolve(task.secrets, self._use(runner))
            self._hosts = found.hosts
            return await self._filled_in(task, found.values)
        except ExpressionError as error:
            raise Refusal(Failure(FailureKind.EXPRESSION, str(error))) from error
        except SecretUnavailable as error:
            raise Refusal(Failure(FailureKind.REFUSED, str(error))) from error

    async def _filled_in(self, task: TaskPlan, secrets: Mapping[str, str]) -> JsonValue:
        scope = await self._around.desk.scope(self.attempt.run_id, self.attempt.path)
        literal = self._literal_fields(task)
        rendered = await self._around.evaluator.render(
            {key: value for key, value in _fields(task.config).items() if key not in literal},
            _with_secrets(scope, secrets),
            place=f"{task.id}.config",
        )
        return {**_fields(rendered), **literal}

    def _literal_fields(self, task: TaskPlan) -> dict[str, JsonValue]:
        """Fields whose text is no template (`sql`, a string `command`): they reach their interpreter as written."""
        runner = self._around.runners.get(task.type)
        names = runner.literal_fields if runner is not None else frozenset()
        return {key: value for key, value in _fields(task.config).items() if key in names and isinstance(value, str)}

    def _use(self, runner: AnyRunner) -> SecretUse:
        """What this attempt wants secrets and connections for."""
        return SecretUse(
            self._around.desk.workflow_of(self.attempt.run_id),
            f"a task of the type {runner.type}",
            keeps_to_hosts=keeps_to_hosts(runner),
        )

    def _context(self, task: TaskPlan, runner: AnyRunner, artifacts: Artifacts = NO_ARTIFACTS) -> RunnerContext:
        attempt = self.attempt
        return RunnerContext(
            attempt.run_id,
            attempt.path,
            attempt.number,
            self._log,
            self._environment,
            artifacts=artifacts,
            secrets=self._around.masker,
            has_retry=task.retry.given,
            time_limit=None if task.timeout is None or attempt.time_left is None else attempt.time_left / SECOND,
            use=self._use(runner),
            hosts=self._hosts,
        )

    def _report(self, outcome: Outcome) -> Report:
        lines = self._around.shipper.close(self._log)
        shown = self._around.masker.shown(self._config) if self._config else None
        outcome = self._acceptable(outcome)
        output = outcome.output if isinstance(outcome, Completed) else None
        return Report(self.attempt, outcome, TaskPayload(input=shown, output=output), lines)

    def _acceptable(self, outcome: object) -> Outcome:
        """The outcome as it may be stored and shown. A plug-in may have returned anything."""
        try:
            if isinstance(outcome, Completed):
                outcome = self._storable(outcome)
            if isinstance(outcome, Failed):
                return Failed(self._shown_failure(outcome.failure))
        except Exception as error:
            return Failed(self._shown_failure(self._unexpected(error).failure))
        if isinstance(outcome, Completed):
            return outcome
        return Failed.because(f"the runner returned {type(outcome).__name__}, which is neither Completed nor Failed")

    def _unexpected(self, error: Exception) -> Failed:
        """What a runner raised, told in full in the log of the process, where secrets have no place either."""
        told = "".join(traceback.format_exception(error))
        logger.error("task %s raised:\n%s", self.attempt.path, self._around.masker.text(told))
        said = _faults(error) if isinstance(error, ValidationError) else str(error)
        return Failed.because(f"{type(error).__name__}: {said}")

    def _storable(self, outcome: Completed) -> Outcome:
        if outcome.output is None:
            return outcome
        try:
            limit = self._around.largest_output
            output = encoded(outcome.output, path="output", limit=limit, setting="MILLRACE_MAX_OUTPUT_BYTES")
        except InvalidValue as error:
            return Failed.because(str(error), kind=FailureKind.INVALID_OUTPUT)
        self._output_size = len(output)
        return Completed(redacted(self._around.masker.value(orjson.loads(output)), self._redact))

    def _shown_failure(self, failure: Failure) -> Failure:
        """Masked, and without what must not be kept: details may be what the task would have answered."""
        masker = self._around.masker
        message = readable(masker.text(str(failure.message)))
        try:
            details = masker.shown(orjson.loads(encoded(failure.details, path="details", limit=LARGEST_DETAILS)))
        except InvalidValue as error:
            details = {"invalid": masker.text(str(error))}
        details = redacted(details, self._redact)
        return Failure(FailureKind(failure.kind), message, details if isinstance(details, dict) else None)


def _checked(runner: AnyRunner, config: JsonValue) -> BaseModel:
    """The config as the runner's model, or a refusal that names each field. Values stay out: they may be secret."""
    try:
        model = runner.config_model.model_validate({} if config is None else config)
    except ValidationError as error:
        faults = _faults(error, "config")
        raise Refusal(Failure(FailureKind.INVALID_INPUT, f"the rendered config is not valid: {faults}")) from None
    assert isinstance(model, BaseModel), "config_model is a pydantic model"  # noqa: S101
    return model


def _faults(error: ValidationError, whole: str = "value") -> str:
    """What is wrong at which place, without the values; `whole` is what stands for no place at all."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}{_remedy(fault)}"
        for fault in error.errors(include_input=False, include_url=False)
    )


def _remedy(fault: ErrorDetails) -> str:
    """What would be right, where the model itself says so. Nothing else of the context is shown."""
    remedy = fault.get("ctx", {}).get("remedy")
    return f"; {remedy}" if remedy else ""


def _drive(work: Coroutine[object, object, Outcome]) -> Outcome:
    """Run a coroutine that promised never to suspend."""
    try:
        work.send(None)
    except StopIteration as finished:
        outcome: Outcome = finished.value
        return outcome
    work.close()
    raise RuntimeError("a runner that is `instant` suspended")


def _asked_to_end() -> bool:
    """Whether a cancellation came from outside, and not out of the runner's own work."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fields(config: JsonValue) -> dict[str, JsonValue]:
    return config if isinstance(config, dict) else {}


def _with_secrets(scope: Scope, secrets: Mapping[str, str]) -> Scope:
    return Scope(scope.input, scope.variables, scope.tasks, scope.run, scope.trigger, secrets, scope.locals)

"""`agent`: a call of a registered agent, which says where, signed in how, for how long at most, and tried how often.

Each try is taken and told by itself (`ports.agents`), so all processes leave an agent in peace that fails again and
again. What goes over the wire is the task type `http`: the same limits, the same output, the same words.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject
from millrace.ports.agents import Agents, AgentUnavailable, CircuitOpen, TakenAgent
from millrace.ports.runner import (
    Completed,
    ConfigFault,
    ConfigModel,
    Failed,
    Outcome,
    RunnerContext,
    RunnerServices,
)
from millrace.runners.http import Body, HttpConfig, HttpRunner
from millrace.runners.http_fields import HeaderName, HeaderValue, checked_path
from millrace.runners.task_config import TaskConfig

SILENCE = 3_600.0
"""Seconds without a byte from the agent: it may think for long, and the limit of the call is another one."""
BEFORE_THE_END = 0.5
"""Seconds before the end of the attempt at which a call is given up, so that the agent's circuit is told of it."""
BUSY = frozenset({408, 425, 429})
"""Statuses that say to come again, and nothing about the agent being broken."""
WITHOUT_BODY = frozenset({"GET", "DELETE"})


class AgentConfig(TaskConfig):
    agent: str = Field(min_length=1, max_length=100, description="Name of the agent; plain text.", examples=["auditor"])
    input: Any = Field(default=None, description="Any value, sent as the JSON body.")
    path: str = Field(default="", description="What comes behind the agent's url, such as /reviews.")
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"] = Field(
        default="POST", description="GET and DELETE send no body, and have no input."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Further headers; the agent's credentials cannot be replaced by one."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _behind_the_url(cls, path: str) -> str:
        if "://" in path.partition("?")[0] or path.startswith("//"):
            remedy = "write what comes behind the agent's url, such as /reviews"
            raise PydanticCustomError("value", "path names a server", {"remedy": remedy})
        return checked_path(path)

    @model_validator(mode="after")
    def _nothing_to_send(self) -> "AgentConfig":
        if self.method in WITHOUT_BODY and self.input is not None:
            remedy = "write method: POST, or put what it needs to know into path"
            raise PydanticCustomError("value", "{method} sends no input", {"method": self.method, "remedy": remedy})
        return self

    @classmethod
    def certain_faults(cls, config: JsonObject) -> Iterable[ConfigFault]:
        """Which agent is called is known before a run: a workflow that names one that is not there is refused."""
        name = config.get("agent")
        if isinstance(name, str) and "{{" in name:
            remedy = "write its name; to choose among agents, use one task for each and `if`"
            yield ConfigFault("agent", "the name of an agent is plain text, and no expression", remedy)


class AgentRunner:
    type: ClassVar[str] = "agent"
    summary: ClassVar[str] = "Calls a registered agent."
    config_model: ClassVar[ConfigModel] = AgentConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    keeps_to_hosts: ClassVar[Literal[True]] = True

    def __init__(self, services: RunnerServices) -> None:
        self._agents = services.agents
        self._http = HttpRunner(services, silence=SILENCE)

    async def close(self) -> None:
        """The client belongs to the installation."""

    async def run(self, config: AgentConfig, context: RunnerContext) -> Outcome:
        if self._agents is None:
            return Failed.because("this worker has no agents", kind=FailureKind.REFUSED)
        deadline = _deadline(context)
        number = 1
        while True:
            try:
                taken = await self._agents.take(config.agent)
            except CircuitOpen as error:
                return Failed.because(str(error))
            except AgentUnavailable as error:
                return Failed.because(str(error), kind=FailureKind.REFUSED)
            outcome = await self._called(self._agents, taken, _request(taken, config, context), context, deadline)
            delay = None if context.has_retry else _delay(taken, number, outcome)
            if delay is None:
                return outcome
            _log_retry(context, number, outcome, delay)
            await asyncio.sleep(delay)
            number += 1

    async def _called(
        self, agents: Agents, taken: TakenAgent, request: HttpConfig, context: RunnerContext, deadline: float | None
    ) -> Outcome:
        """One call, of which the agent's circuit is told. One that is ended from outside says nothing about it."""
        now = asyncio.get_running_loop().time()
        limit = taken.timeout if deadline is None else max(0.0, deadline - now)
        try:
            async with asyncio.timeout(limit) as scope:
                outcome = await self._http.run(request, context)
        except TimeoutError:
            if not scope.expired():
                raise
            message = f"the agent {taken.name!r} did not answer within {limit:.3g} s"
            outcome = Failed.because(message, kind=FailureKind.TIMEOUT)
        except asyncio.CancelledError:
            if scope.expired():  # both limits were over at once
                await agents.failed(taken)
            raise
        if _is_broken(outcome):
            await agents.failed(taken)
        elif _status(outcome) is not None:
            await agents.worked(taken)
        return outcome


def _deadline(context: RunnerContext) -> float | None:
    """By the clock of the loop; `None` where each call has the agent's own limit."""
    if context.time_limit is None:
        return None
    margin = min(BEFORE_THE_END, context.time_limit / 10)
    return asyncio.get_running_loop().time() + context.time_limit - margin


def _request(taken: TakenAgent, config: AgentConfig, context: RunnerContext) -> HttpConfig:
    """Headers of the task win over ours, but not over credentials."""
    headers = {
        "accept": "application/json, */*;q=0.5",
        "x-millrace-run": context.run_id,
        "x-millrace-task": context.task_id,
        "idempotency-key": f"{context.run_id}/{context.task_id}",
        **{name.lower(): value for name, value in config.headers.items()},
        **taken.credentials,
    }
    return HttpConfig(
        url=_address(taken.url, config.path),
        method=config.method,
        headers=headers,
        body=None if config.method in WITHOUT_BODY else Body(json=config.input),
        follow_redirects=False,
    )


def _address(url: str, path: str) -> str:
    if not path:
        return url
    return url.rstrip("/") + (path if path.startswith("?") else f"/{path.lstrip('/')}")


def _status(outcome: Outcome) -> int | None:
    """The status that the agent answered with; `None` if there was no answer."""
    said = outcome.output if isinstance(outcome, Completed) else outcome.failure.details
    status = said.get("status") if isinstance(said, dict) else None
    return status if isinstance(status, int) else None


def _is_broken(outcome: Outcome) -> bool:
    """Whether something is wrong with the agent: no answer, or one that says so itself."""
    status = _status(outcome)
    if status is not None:
        return status >= 500
    return isinstance(outcome, Failed) and outcome.failure.kind in (FailureKind.ERROR, FailureKind.TIMEOUT)


def _delay(taken: TakenAgent, number: int, outcome: Outcome) -> float | None:
    """Seconds before try `number` is followed by another; `None` if it is not."""
    if number > taken.retry.max_retries or not (_is_broken(outcome) or _status(outcome) in BUSY):
        return None
    return min(taken.retry.delay * taken.retry.multiplier ** (number - 1), taken.retry.max_delay)


def _log_retry(context: RunnerContext, number: int, outcome: Outcome, delay: float) -> None:
    said = outcome.failure.message if isinstance(outcome, Failed) else ""
    context.log(f"try {number} failed ({said}); the next follows in {delay:g} s", level="warning")

"""The port for agents: HTTP services that were registered under a name, for tasks to call.

Whoever is about to call one takes it, and tells afterwards how that went, so that an agent which fails again and again
is left in peace for a while by everybody (its circuit is open). Each try is taken and told by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from millrace.core.plan import TaskPlan

AGENT = "agent"
"""The task type that calls agents; in its config the field of the same name holds the agent's."""

LIMIT_KEY = "agent:"
"""Attempts that call an agent have this with its name behind it as a key, where the agent has a limit."""


class AgentUnavailable(Exception):
    """There is no such agent, or it must not be called; the message names it and what to do, never a value."""


class CircuitOpen(AgentUnavailable):
    """The agent failed again and again, and is not called for a while; the message says until when."""


@dataclass(frozen=True, slots=True)
class AgentRetry:
    """How a call is tried again where the task does not say it. Delays are in seconds."""

    max_retries: int
    delay: float
    max_delay: float
    multiplier: float


@dataclass(frozen=True, slots=True)
class TakenAgent:
    """An agent that may be called once, now."""

    id: str
    name: str
    url: str
    credentials: Mapping[str, str] = field(repr=False)
    """Headers that prove who calls: not to be shown, and known to the masker."""
    timeout: float
    """Seconds that a call may take where the task has no limit of its own."""
    retry: AgentRetry
    failures: int = 0
    """How often in a row it had failed when it was taken."""
    trial: bool = False
    """Whether this call decides if the circuit is closed again."""


class Agents(Protocol):
    async def take(self, name: str) -> TakenAgent:
        """The agent with this name. Raises `AgentUnavailable`, and `CircuitOpen` while it is left in peace."""
        ...

    async def worked(self, taken: TakenAgent) -> None:
        """It answered, and not that something is wrong with itself. Costs nothing where nothing had failed before."""
        ...

    async def failed(self, taken: TakenAgent) -> None:
        """It did not answer, or answered that something is wrong with itself (5xx)."""
        ...


def limit_key_of(task: TaskPlan) -> str | None:
    """The key of the limit that the task's agent may have; `None` for a task that calls none."""
    if task.type != AGENT or not isinstance(task.config, dict):
        return None
    return f"{LIMIT_KEY}{task.config.get(AGENT)}"

"""The port for the configs of control tasks that have expressions in them: what they say once these have values.

The engine renders them when a task begins (there are no `secrets` in them) and asks here what they mean;
`definition.controls` meets the port, with the same models that definitions are checked by when they are saved.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from millrace.core.values import Duration, Instant, JsonObject, JsonValue


class InvalidControl(ValueError):
    """The rendered config is not what the task type takes; the message names each field, and holds no value of it."""


@dataclass(frozen=True, slots=True)
class SleepFor:
    duration: Duration


@dataclass(frozen=True, slots=True)
class SleepUntil:
    at: Instant
    """A time that has passed already ends the wait at once."""


@dataclass(frozen=True, slots=True)
class AwaitEvent:
    """An event of one of `types` (as triggers name them: `orders.*`), and with `key`, if there is one."""

    types: tuple[str, ...]
    key: str | None = None
    """What the event's own must be: its extension `correlationkey`, or else its subject."""
    source: tuple[str, ...] = ()
    """Patterns; none takes every source."""
    subject: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    name: str


@dataclass(frozen=True, slots=True)
class AskApproval:
    message: str
    form: JsonObject | None = None
    """JSON Schema of what whoever decides may fill in."""
    default: bool | None = None
    """What is decided when the time is over: approved, rejected, or, with `None`, nothing: then the task times out."""


@dataclass(frozen=True, slots=True)
class StartChild:
    workflow: str
    """Id, name or slug."""
    version: int | str | None = None
    """Number or tag; `None` is the one that an explicit start takes."""
    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    wait: bool = True
    """False: the task completes as soon as the run is started."""
    correlation_id: str | None = None
    priority: int | None = None
    retry_of: str | None = None
    """The run that an earlier run waited for with this task: the new one takes over what is done there."""


@dataclass(frozen=True, slots=True)
class SendSignal:
    run_id: str
    name: str
    data: JsonValue = None


Meaning: TypeAlias = SleepFor | SleepUntil | AwaitEvent | AwaitSignal | AskApproval | StartChild | SendSignal


LONGEST_CORRELATION = 512


def correlation_text(key: str | None) -> str:
    """What a correlation key is found by: itself, or, of a longer one, its hash; nothing for none."""
    if key is None:
        return ""
    return key if len(key) <= LONGEST_CORRELATION else hashlib.sha256(key.encode()).hexdigest()


class ControlConfigs(Protocol):
    def meaning(self, task_type: str, config: JsonObject) -> Meaning:
        """What a rendered config asks for. Raises `InvalidControl`."""
        ...

"""The port for task types: what a plug-in implements, and what it is given.

A runner knows one task type. It is found by entry point (group `millrace.runners`), is made once per worker,
and its `run` is called once per attempt with a checked config. Built-in runners use exactly this interface.
A failure of the user's work is a returned `Failed`, never an exception; an exception that escapes is recorded
as kind `error` with its type and message.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel

from millrace.core.failures import Failure, FailureKind
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.agents import Agents
from millrace.ports.artifacts import NO_ARTIFACTS, Artifacts
from millrace.ports.confinement import NO_RULES, ShellRules
from millrace.ports.connections import Connections
from millrace.ports.events import Events
from millrace.ports.hosts import ANY_HOST, HostLimit
from millrace.ports.http import HttpClient
from millrace.ports.mail import Mailer, MailServer
from millrace.ports.network import Addresses
from millrace.ports.secrets import OF_NOBODY, NoSecrets, SecretSpans, SecretUse

ConfigModel: TypeAlias = type[BaseModel]
"""The model of a runner's config. (Inside a runner's class, `type` is the name of its task type.)"""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """What is wrong with a field of a config, and what would be right."""

    field: str
    message: str
    remedy: str


@runtime_checkable
class JudgesConfig(Protocol):
    """A config model that can tell more than pydantic: what several fields make together, before a task is run."""

    def certain_faults(self, config: JsonObject) -> Iterable[ConfigFault]:
        """A class method. `config` is as the author wrote it, perhaps malformed, with `{{ … }}` in its texts.

        Only faults are told that no value of an expression could mend; at run time `run` finds them itself.
        """
        ...


@runtime_checkable
class KnowsRules(Protocol):
    """A runner that knows rules of the installation which may forbid a task, whatever its config comes to."""

    def objections(self, config: JsonObject) -> Iterable[ConfigFault]:
        """What this process would refuse. `config` is as saved, with `{{ … }}` in its texts."""
        ...


class KeepsToHosts(Protocol):
    """A runner that connects to nothing that `RunnerContext.hosts` does not allow, and hands its config on to nobody.

    Others are refused secrets that are bound to hosts: nobody could see to it that they stay there.
    """

    keeps_to_hosts: ClassVar[Literal[True]]


def keeps_to_hosts(runner: object) -> bool:
    """Whether it says so. Asked for each attempt, of which a check of protocols at run time would be a good part."""
    return getattr(runner, "keeps_to_hosts", False) is True


LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Completed:
    """The work ended well. `output` is JSON; the worker checks it and turns anything else into `invalid_output`."""

    output: JsonValue = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The work ended badly. Whether it is tried again is the retry policy's decision, not the runner's."""

    failure: Failure

    @classmethod
    def because(
        cls, message: str, *, kind: FailureKind = FailureKind.ERROR, details: JsonObject | None = None
    ) -> "Failed":
        return cls(Failure(kind, message, details))


Outcome: TypeAlias = Completed | Failed


class LogSink(Protocol):
    """Where a runner's log lines go. Lines are masked, numbered and stored behind it; order is kept."""

    def __call__(self, text: str, *, level: LogLevel = "info", metadata: JsonObject | None = None) -> None:
        """Take one line. Never blocks; beyond the rate limit lines are dropped and counted in a line of their own."""
        ...


NO_SECRETS = NoSecrets()


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What an attempt may use besides its config.

    Cancellation and the attempt's time limit arrive as `asyncio.CancelledError` inside `run`: a runner cleans up
    (ends its process group, closes its connection) and lets it pass. `environment` must be handed to every child
    process: it carries `MILLRACE_ATTEMPT`, by which a later worker finds and ends orphans.
    """

    run_id: str
    task_id: str
    attempt: int
    log: LogSink
    environment: Mapping[str, str] = field(default_factory=dict)
    stopping: asyncio.Event | None = None
    artifacts: Artifacts = NO_ARTIFACTS
    """Files: those that this attempt writes, and those that others handed on to it."""
    secrets: SecretSpans = NO_SECRETS
    """For a runner that cuts text: what it hands on is masked, but half a secret would not be."""
    has_retry: bool = False
    """Whether the definition says how the task is tried again, so that nobody else need think of it."""
    time_limit: float | None = None
    """Seconds after which the attempt is ended from outside, where the definition has a limit of one attempt."""
    use: SecretUse = OF_NOBODY
    """What the attempt is at work for: to be handed to `Connections.resolve`."""
    hosts: HostLimit = ANY_HOST
    """Where the secrets in the config may be sent to; only a runner that `KeepsToHosts` is given a limit."""


@dataclass(frozen=True, slots=True)
class RunnerServices:
    """What an installation lends to its runners: the guarded ways out of it, and its rules.

    A runner class that needs them takes them as the only argument of its constructor; one that needs nothing has
    a constructor without arguments.
    """

    http: HttpClient
    addresses: Addresses
    sqlite_allowed_dirs: tuple[Path, ...]
    """Folders under which tasks may open SQLite files."""
    own_database: Path | None
    """Millrace's own database file, which no task may open, however it is named."""
    shell: ShellRules = NO_RULES
    """Which commands tasks may run, where and as whom."""
    script_interpreters: Mapping[str, str] = field(default_factory=dict)
    """Programs that run the languages of script tasks, by language; one that is not named is looked for."""
    connections: Connections | None = None
    mailer: Mailer | None = None
    mail_server: MailServer | None = None
    """The one of the settings, for mail that names no connection."""
    events: Events | None = None
    agents: Agents | None = None


ConfigT = TypeVar("ConfigT", bound=BaseModel, contravariant=True)


class Runner(Protocol[ConfigT]):
    """One task type. Class attributes describe it; the API and UI show `summary` and the schema of `config_model`."""

    type: ClassVar[str]
    summary: ClassVar[str]
    config_model: ClassVar[ConfigModel]
    instant: ClassVar[bool]
    """True promises that `run` never suspends: the worker then needs no asyncio task for an attempt."""
    literal_fields: ClassVar[frozenset[str]]
    """Config fields whose text is never a template (`sql`, `command`, `source`): see SPEC, definition language."""

    async def run(self, config: ConfigT, context: RunnerContext) -> Outcome:
        """Do the work once. Must be cancellable at every await."""
        ...

    async def close(self) -> None:
        """Release pooled connections; called once when the worker stops."""
        ...


AnyRunner: TypeAlias = Runner[Any]


BUILT_IN = "built-in"
"""The origin of task types that come with Millrace."""


@dataclass(frozen=True, slots=True)
class ListedType:
    """A task type as users see it in the list of them: one that tasks may have, or one that cannot be used, and why."""

    type: str
    summary: str
    origin: str
    """`BUILT_IN`, or the package that brings it, with its version."""
    config_model: ConfigModel | None
    """`None` if the type cannot be used."""
    problem: str | None = None


class TypeSource(Protocol):
    """Somewhere task types come from, for the list of all of them."""

    def listed(self) -> Iterable[ListedType]:
        """Also those that cannot be used."""
        ...


class RunnerRegistry(Protocol):
    """The task types of this installation, by name."""

    def get(self, task_type: str) -> AnyRunner | None: ...

    def types(self) -> Mapping[str, AnyRunner]: ...


__all__ = [
    "BUILT_IN",
    "AnyRunner",
    "Completed",
    "ConfigFault",
    "ConfigModel",
    "ConfigT",
    "Failed",
    "Generic",
    "JudgesConfig",
    "KeepsToHosts",
    "KnowsRules",
    "ListedType",
    "LogLevel",
    "LogSink",
    "Outcome",
    "Runner",
    "RunnerContext",
    "RunnerRegistry",
    "RunnerServices",
    "TypeSource",
    "keeps_to_hosts",
]

"""What tests of the task type `shell` share: a runner with its log, and what is known of other processes."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from millrace.config import Settings
from millrace.core.values import JsonObject, check_value
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.confinement import ShellRules
from millrace.ports.runner import Completed, Failed, LogLevel, RunnerContext, RunnerServices
from millrace.runners.rules import rules_of
from millrace.runners.shell import ShellConfig, ShellRunner


@dataclass
class Log:
    """A `LogSink` that keeps its lines and says when one has come."""

    lines: list[tuple[LogLevel, str]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, text: str, *, level: LogLevel = "info", metadata: JsonObject | None = None) -> None:
        self.lines.append((level, text))
        self.came.set()

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]

    async def until(self, enough: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(60):
            while not enough(self.texts):
                await self.came.wait()
                self.came.clear()


@dataclass
class Shell:
    """A runner, and how to run one command with it."""

    runner: ShellRunner
    log: Log
    environment: Mapping[str, str]

    async def outcome(self, command: str | list[str], **config: Any) -> Completed | Failed:
        context = RunnerContext("run", "task", 1, self.log, self.environment)
        return await self.runner.run(ShellConfig(command=command, **config), context)

    async def output(self, command: str | list[str], **config: Any) -> dict[str, Any]:
        outcome = await self.outcome(command, **config)
        assert isinstance(outcome, Completed), outcome
        check_value(outcome.output)
        assert isinstance(outcome.output, dict)
        return outcome.output

    async def failure(self, command: str | list[str], **config: Any) -> Failed:
        outcome = await self.outcome(command, **config)
        assert isinstance(outcome, Failed), outcome
        check_value(outcome.failure.to_json())
        return outcome

    async def cancelled(self, task: "asyncio.Task[Any]") -> float:
        """Cancel and wait; answers the seconds it took."""
        began = monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return monotonic() - began


def rules(**settings: Any) -> ShellRules:
    """Those of an installation with these settings, whose commands run as whoever runs the tests."""
    return rules_of(Settings(shell_user=getuser(), **settings))


def runner(**settings: Any) -> ShellRunner:
    addresses = AddressPolicy()
    return ShellRunner(
        RunnerServices(
            http=GuardedHttpClient(addresses),
            addresses=addresses,
            sqlite_allowed_dirs=(),
            own_database=None,
            shell=rules(**settings),
        )
    )


def zombies() -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append(str(stat))
    return found


def is_gone(pid: int) -> bool:
    """Whether a process is no more; one that init has not yet buried is none either."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  nothing tells of what happens in a process that is not our child
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    await until(lambda: is_gone(pid))


async def runs(pid: int, program: str) -> None:
    """Wait until a shell has become the program it was to start; before that it may miss a signal."""
    await until(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == program)


def marked(mark: str) -> list[str]:
    """The processes that have this in their environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in environ.read_bytes():
                found.append(str(environ))
    return found

"""`shell`: a command in a process group of its own, its output as log lines while it runs.

The command sees a small environment, its own variables, and nothing of the server's settings or secrets. When the
attempt is ended, the whole process group is: first asked (SIGTERM), then killed.
"""

import asyncio
import errno
import json
import os
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue, check_value
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.processes import Output, run_command
from millrace.runners.streams import Stream

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
"""Variables of the server that a command sees, with all `LC_*`; everything else it is given by `env`."""

JSON_STARTS = frozenset('{["-0123456789tfn')

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ShellConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    command: str | list[str] = Field(
        description="Text for /bin/sh, taken literally: hand values over in `env`. "
        "Or a list of a program and its arguments, which no shell reads; an argument that is not text becomes JSON."
    )
    working_dir: str | None = Field(
        default=None,
        description="Folder to run in; a relative one starts where commands run without it.",
    )
    env: dict[str, Any] = Field(
        default_factory=dict, description="Environment variables; a value that is not text becomes JSON."
    )
    stdin: Any = Field(default=None, description="What the command reads; a value that is not text becomes JSON.")
    expected_exit_codes: list[int] = Field(default_factory=lambda: [0], description="Exit codes that are no failure.")
    max_output: int = Field(
        default=64 * 1024,
        ge=0,
        le=256 * 1024,
        description="Characters of `stdout` and of `stderr` that the output keeps, from the end.",
    )

    @field_validator("command", mode="before")
    @classmethod
    def _arguments(cls, command: object) -> object:
        """An argument that an expression made may be a number or anything else."""
        return [_text(argument) for argument in command] if isinstance(command, list) else command

    @field_validator("command")
    @classmethod
    def _not_empty(cls, command: str | list[str]) -> str | list[str]:
        if not command or (isinstance(command, str) and not command.strip()) or (command[0] == ""):
            raise ValueError("there is no command")
        if "\0" in "".join(command):
            raise ValueError("a command cannot hold the NUL character")
        return command

    @field_validator("env")
    @classmethod
    def _names(cls, env: dict[str, Any]) -> dict[str, Any]:
        for name in env:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"{name!r} cannot be the name of an environment variable")
        return env


class Refused(Exception):
    """A rule of this installation forbids the command; the message names the setting."""


class ShellRunner:
    type: ClassVar[str] = "shell"
    summary: ClassVar[str] = "Runs a command."
    config_model: ClassVar[ConfigModel] = ShellConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset({"command"})

    def __init__(self, services: RunnerServices) -> None:
        self._enabled = services.shell_enabled
        self._allowed = tuple(folder.resolve() for folder in services.shell_allowed_dirs)

    async def close(self) -> None:
        """Every command ends with its attempt."""

    async def run(self, config: ShellConfig, context: RunnerContext) -> Outcome:
        try:
            folder = await asyncio.to_thread(self._folder, config.working_dir)
        except Refused as refused:
            return Failed.because(str(refused), kind=FailureKind.REFUSED)
        except OSError as error:
            return Failed.because(f"the working directory {error.filename} cannot be used: {error.strerror}")
        except ValueError as error:
            return Failed.because(f"the working directory {config.working_dir!r} cannot be used: {error}")
        command = ["/bin/sh", "-c", config.command] if isinstance(config.command, str) else config.command
        output = Output(
            Stream(context.log, "info", config.max_output), Stream(context.log, "warning", config.max_output)
        )
        try:
            code = await run_command(
                command,
                folder=folder,
                environment=environment_of(config.env, context.environment),
                stdin=_text(config.stdin).encode(errors="replace"),
                output=output,
            )
        except OSError as error:
            return Failed.because(f"{command[0][:100]} cannot be started: {error.strerror}")
        except ValueError as error:  # of text that the system cannot be given, such as half of a surrogate pair
            return Failed.because(f"{command[0][:100]} cannot be started: {error}")
        return _outcome(config, code, output)

    def _folder(self, wanted: str | None) -> Path:
        """Where to run, with symbolic links followed. Raises `Refused`, and `OSError` if there is no such folder."""
        if not self._enabled:
            raise Refused("shell tasks are switched off here; MILLRACE_SHELL_ENABLED=true switches them on")
        usual = self._allowed[0] if self._allowed else Path.cwd()
        folder = Path(os.path.realpath(usual / os.path.expanduser(wanted or ".")))
        if self._allowed and not any(folder.is_relative_to(allowed) for allowed in self._allowed):
            raise Refused(f"shell tasks may not run in {folder}; to allow it, add it to MILLRACE_SHELL_ALLOWED_DIRS")
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        return folder


def environment_of(own: Mapping[str, Any], attempt: Mapping[str, str]) -> dict[str, str]:
    """What a command sees. The attempt's own variables win: by them orphans are found."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    given = {name: _text(value).replace("\0", "") for name, value in own.items() if value is not None}
    return {"PATH": DEFAULT_PATH, **kept, **given, **attempt}


def _outcome(config: ShellConfig, code: int, output: Output) -> Outcome:
    stdout, stderr = output.stdout, output.stderr
    shown: JsonObject = {
        "exit_code": code,
        "stdout": stdout.text,
        "stderr": stderr.text,
        "truncated": stdout.truncated or stderr.truncated,
    }
    if code in config.expected_exit_codes:
        return Completed({**shown, "result": _last_json(stdout)})
    last = stderr.last_line or stdout.last_line
    ending = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    return Failed.because(f"the command {ending}" + (f": {last[:300]}" if last else ""), details=shown)


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _last_json(stdout: Stream) -> JsonValue:
    """The value of the last line that is JSON and can be stored."""
    for line in stdout.last_lines():
        if line.lstrip()[:1] not in JSON_STARTS:
            continue
        try:
            value: JsonValue = json.loads(line)
            check_value(value)
        except (ValueError, RecursionError):
            continue
        return value
    return None


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

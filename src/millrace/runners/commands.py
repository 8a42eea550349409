"""What `shell` and `script` share: where a command may run, what it sees, and what its end means.

The command sees a small environment, its own variables, and nothing of the server's settings or secrets. When the
attempt is ended, the whole process group is: first asked (SIGTERM), then killed (`processes`).
"""

import asyncio
import errno
import json
import os
import re
import secrets
import signal
import stat
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue, check_value
from millrace.ports.artifacts import ArtifactFault
from millrace.ports.runner import Failed, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretSpans, beginning
from millrace.runners.input_files import INPUTS, put_files
from millrace.runners.own_folders import make_folder, place_of_folders, remove_folder
from millrace.runners.processes import Output, run_command
from millrace.runners.streams import Stream

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
"""Variables of the server that a command sees, with all `LC_*`; everything else it is given by `env`."""

EXCERPT = 300
"""Characters of what a command said last that stand in the message of its failure."""

STACK = re.compile(r"\s+at |Node\.js v\d")

JSON_STARTS = frozenset('{["-0123456789tfn')

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _names(env: dict[str, Any]) -> dict[str, Any]:
    for name in env:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    return env


WorkingDir: TypeAlias = Annotated[
    str | None,
    Field(
        description="Folder to run in; a relative one starts in the first of MILLRACE_SHELL_ALLOWED_DIRS, else where "
        "the server was started, and there a command runs that says none. One that declares `inputs` or `outputs` "
        "then runs in a folder of its own, empty but for `inputs` and removed at the end of the attempt."
    ),
]
Env: TypeAlias = Annotated[
    dict[str, Any],
    AfterValidator(_names),
    Field(description="Environment variables; a value that is not text becomes JSON."),
]
ExpectedExitCodes: TypeAlias = Annotated[list[int], Field(description="Exit codes that are no failure.")]
MaxOutput: TypeAlias = Annotated[
    int,
    Field(
        ge=0,
        le=256 * 1024,
        description="Characters of `stdout` and of `stderr` that the output keeps, from the end.",
    ),
]
USUAL_OUTPUT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One command, ready to be started."""

    command: Sequence[str]
    working_dir: str | None
    env: Mapping[str, Any]
    stdin: bytes = b""
    max_output: int = USUAL_OUTPUT
    name: str = ""
    """What failures call the program; its path by default."""
    handed_over: Collection[int] = ()
    """File descriptors that the command gets under their own numbers."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ran to its end, whatever that was."""

    exit_code: int
    output: Output
    folder: Path
    """Where it ran, with links followed."""
    secrets: SecretSpans

    @property
    def shown(self) -> JsonObject:
        stdout, stderr = self.output.stdout, self.output.stderr
        return {
            "exit_code": self.exit_code,
            "stdout": stdout.text,
            "stderr": stderr.text,
            "truncated": stdout.truncated or stderr.truncated,
        }

    @property
    def last_json(self) -> JsonValue:
        """The value of the last line that is JSON and can be stored."""
        for line in self.output.stdout.last_lines():
            if line.lstrip()[:1] not in JSON_STARTS:
                continue
            try:
                value: JsonValue = json.loads(line)
                check_value(value)
            except (ValueError, RecursionError):
                continue
            return value
        return None

    def failure(self, what: str) -> Failed:
        """Of an exit code that was not expected; `what` is what ran, with its article."""
        last = _last_words(self.output.stderr) or _last_words(self.output.stdout)
        code = self.exit_code
        ending = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return Failed.because(
            f"{what} {ending}" + (f": {beginning(last, EXCERPT, self.secrets)}" if last else ""), details=self.shown
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is to run, and the variables by which it finds its files."""

    working_dir: str | None
    env: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A rule of this installation forbids the command; the message names the setting."""


class Commands:
    """Runs the commands of one task type, by the rules of the installation."""

    def __init__(self, task_type: str, services: RunnerServices) -> None:
        self._task_type = task_type
        self._enabled = services.shell_enabled
        self._allowed = tuple(folder.resolve() for folder in services.shell_allowed_dirs)

    @asynccontextmanager
    async def place_for(
        self,
        working_dir: str | None,
        inputs: Mapping[str, JsonValue],
        outputs: Mapping[str, str],
        context: RunnerContext,
    ) -> AsyncIterator[Place]:
        """Where to run: two attempts at once must not take each other's files for their own.

        The files of `inputs` are there. Raises `ArtifactFault`.
        """
        usual = Place(working_dir)
        if not (inputs or (outputs and working_dir is None)) or not await asyncio.to_thread(self._may_run, working_dir):
            yield usual
            return
        try:
            attempt = context.environment.get("MILLRACE_ATTEMPT", secrets.token_hex(16))
            made = make_folder(place_of_folders(self._allowed), attempt)
        except OSError as error:
            raise ArtifactFault(f"no folder can be made for the files of the command: {error}") from None
        try:
            env = {INPUTS: str(await put_files(inputs, made, context))} if inputs else {}
            yield Place(working_dir or str(made), env)
        finally:
            await asyncio.shield(asyncio.to_thread(remove_folder, made))

    def _may_run(self, working_dir: str | None) -> bool:
        """Whether it is worth to make a folder and copy files; if not, `run` says why."""
        try:
            self._folder(working_dir)
        except (Refused, OSError, ValueError):
            return False
        return True

    async def run(self, job: Job, context: RunnerContext) -> Ended | Failed:
        """Run a command to its end. `Failed` when it was not started."""
        try:
            folder = await asyncio.to_thread(self._folder, job.working_dir)
        except Refused as refused:
            return Failed.because(str(refused), kind=FailureKind.REFUSED)
        except OSError as error:
            return Failed.because(f"the working directory {error.filename} cannot be used: {error.strerror}")
        except ValueError as error:
            return Failed.because(f"the working directory {job.working_dir!r} cannot be used: {error}")
        name = (job.name or job.command[0])[:100]
        log, kept, hidden = context.log, job.max_output, context.secrets
        output = Output(Stream(log, "info", kept, hidden), Stream(log, "warning", kept, hidden))
        try:
            code = await run_command(
                job.command,
                folder=folder,
                environment=environment_of(job.env, context.environment),
                stdin=job.stdin,
                output=output,
                handed_over=job.handed_over,
            )
        except OSError as error:
            return Failed.because(f"{name} cannot be started: {error.strerror}")
        except ValueError as error:  # of text that the system cannot be given, such as half of a surrogate pair
            return Failed.because(f"{name} cannot be started: {error}")
        return Ended(code, output, folder, context.secrets)

    def _folder(self, wanted: str | None) -> Path:
        """Where to run, with symbolic links followed. Raises `Refused`, and `OSError` if there is no such folder."""
        if not self._enabled:
            raise Refused(
                f"{self._task_type} tasks are switched off here; MILLRACE_SHELL_ENABLED=true switches them on"
            )
        usual = self._allowed[0] if self._allowed else Path.cwd()
        folder = Path(os.path.realpath(usual / os.path.expanduser(wanted or ".")))
        if self._allowed and not any(folder.is_relative_to(allowed) for allowed in self._allowed):
            raise Refused(
                f"{self._task_type} tasks may not run in {folder}; to allow it, add it to MILLRACE_SHELL_ALLOWED_DIRS"
            )
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        return folder


def _last_words(stream: Stream) -> str:
    """The last line that says something: what Node writes behind an error are the places that it came through."""
    said = (line for line in stream.last_lines() if line.strip() and not STACK.match(line))
    return next(said, stream.last_line)


def environment_of(own: Mapping[str, Any], attempt: Mapping[str, str]) -> dict[str, str]:
    """What a command sees. The attempt's own variables win: by them orphans are found."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    given = {name: as_text(value).replace("\0", "") for name, value in own.items() if value is not None}
    return {"PATH": DEFAULT_PATH, **kept, **given, **attempt}


def as_text(value: object) -> str:
    """Text as it is, nothing as nothing, any other value as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"

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
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue, check_value
from millrace.ports.artifacts import ArtifactFault
from millrace.ports.confinement import ShellRules
from millrace.ports.runner import Failed, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretSpans, beginning
from millrace.runners.input_files import INPUTS, put_files
from millrace.runners.judging import Judge, Refused
from millrace.runners.launching import STEERING, found_program, launched
from millrace.runners.limits import TaskLimits, reached
from millrace.runners.output_files import keep_files
from millrace.runners.own_folders import OwnFolders, entered, place_of_folders, reaches
from millrace.runners.processes import Exit, Output, Started, run_command
from millrace.runners.streams import Stream

KEPT = ("LANG", "LANGUAGE", "TZ")
"""Variables of the server that a command sees, with all `LC_*`; everything else it is given by us or by `env`."""

EXCERPT = 300
"""Characters of what a command said last that stand in the message of its failure."""

STACK = re.compile(r"\s+at |Node\.js v\d")

JSON_STARTS = frozenset('{["-0123456789tfn')


def _names(env: dict[str, Any]) -> dict[str, Any]:
    for name in env:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    return env


WorkingDir: TypeAlias = Annotated[
    str | None,
    Field(
        description="Folder to run in, below one of MILLRACE_SHELL_ALLOWED_DIRS where that is set; a relative one "
        "starts in the first of them, else where the server was started. Without it a command runs in an empty folder "
        "of its own, which is removed at the end of the attempt, and is its HOME and TMPDIR in any case."
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
    env: Mapping[str, Any]
    stdin: bytes = b""
    max_output: int = USUAL_OUTPUT
    name: str = ""
    """What failures call the program; its path by default."""
    handed_over: Collection[int] = ()
    """File descriptors that the command gets under their own numbers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a task wants to run, with which files and limits."""

    program: str
    working_dir: str | None
    inputs: Mapping[str, JsonValue]
    limits: TaskLimits
    env: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs, and what it may use at most."""

    folder: Path
    """With links followed."""
    own: Path
    """The folder of the attempt."""
    program: str
    limits: Mapping[str, int]
    env: Mapping[str, str]
    """The variables by which it finds its files."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ran to its end, whatever that was."""

    exit: Exit
    output: Output
    place: Place
    secrets: SecretSpans

    @property
    def exit_code(self) -> int:
        return self.exit.code

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
        reason = reached(self.exit, self.place.limits, last)
        if reason is None:
            ending = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        else:
            ending = reason
        return Failed.because(
            f"{what} {ending}" + (f": {beginning(last, EXCERPT, self.secrets)}" if last else ""), details=self.shown
        )


class Commands:
    """Runs the commands of one task type, by the rules of the installation."""

    def __init__(self, task_type: str, services: RunnerServices) -> None:
        self._rules = services.shell
        self._judge = Judge(task_type, services.shell)
        self._folders = OwnFolders(place_of_folders(services.shell.folders), services.shell.user)

    @property
    def judge(self) -> Judge:
        return self._judge

    def close(self) -> None:
        """Nothing of it stays on the disk."""
        self._folders.close()

    @asynccontextmanager
    async def place_for(self, wanted: Wanted, context: RunnerContext) -> AsyncIterator[Place | Failed]:
        """A folder of the attempt's own, with the files of `inputs`, for as long as the block takes.

        `Failed` when a rule forbids the command, or there is no such folder. Raises `ArtifactFault`.
        """
        try:
            program = self._judge.program(wanted.program, wanted.env)
            limits = self._judge.limits(wanted.limits)
            folder = None if wanted.working_dir is None else await asyncio.to_thread(self._folder, wanted.working_dir)
        except Refused as refused:
            yield Failed.because(str(refused), kind=FailureKind.REFUSED)
            return
        except OSError as error:
            yield Failed.because(f"the working directory {error.filename} cannot be used: {error.strerror}")
            return
        except ValueError as error:
            yield Failed.because(f"the working directory {wanted.working_dir!r} cannot be used: {error}")
            return
        attempt = context.environment.get("MILLRACE_ATTEMPT", secrets.token_hex(16))
        try:
            own = self._folders.take(attempt)
        except OSError as error:
            raise ArtifactFault(f"no folder can be made for the command: {error}") from None
        try:
            env = {}
            if wanted.inputs:
                env[INPUTS] = str(await put_files(wanted.inputs, own, context, self._rules.user))
            yield Place(folder or own, own, program, limits, env)
        finally:
            await self._folders.give_back(own, attempt)

    async def run(self, job: Job, place: Place, context: RunnerContext) -> Ended | Failed:
        """Run a command to its end. `Failed` when it was not started."""
        name = (job.name or job.command[0])[:100]
        log, kept, hidden = context.log, job.max_output, context.secrets
        output = Output(Stream(log, "info", kept, hidden), Stream(log, "warning", kept, hidden))
        try:
            with entered(place.folder, self._rules.user) as folder:
                exit_ = await run_command(self._started(job, place, context, folder), output)
        except OSError as error:
            return Failed.because(f"{name} cannot be started: {error.strerror}")
        except ValueError as error:  # of text that the system cannot be given, such as half of a surrogate pair
            return Failed.because(f"{name} cannot be started: {error}")
        return Ended(exit_, output, place, context.secrets)

    async def keep(self, outputs: Mapping[str, str], place: Place, context: RunnerContext) -> JsonObject:
        """Store the files that a command has left, and answer their references by name. Raises `ArtifactFault`."""
        return await keep_files(outputs, place.folder, context, self._rules.user)

    def _started(self, job: Job, place: Place, context: RunnerContext, folder: Path) -> Started:
        rules, user = self._rules, self._rules.user
        environment = environment_of({**job.env, **place.env}, context.environment, rules, place.own)
        program = found_program(place.program, environment["PATH"], place.folder)
        steering = {name: environment.pop(name) for name in job.env if _steers(name, environment)}
        return Started(
            launched([program, *job.command[1:]], rules, place.limits, steering),
            folder,
            environment,
            job.stdin,
            job.handed_over,
            user=user if rules.setpriv is None else None,
            uid=None if user is None else user.uid,
        )

    def _folder(self, wanted: str) -> Path:
        """Where to run, with symbolic links followed. Raises `Refused`, and `OSError` if there is no such folder."""
        allowed = self._rules.folders
        usual = allowed[0] if allowed else Path.cwd()
        folder = Path(os.path.realpath(usual / os.path.expanduser(wanted)))
        if allowed and not any(folder.is_relative_to(one) for one in allowed):
            raise Refused(
                f"{self._judge.task_type} tasks may not run in {folder}; to allow it, add it to "
                "MILLRACE_SHELL_ALLOWED_DIRS"
            )
        found = folder.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if self._rules.user is None and not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        if self._rules.user is not None and not reaches(self._rules.user, folder):
            raise PermissionError(
                errno.EACCES, f"the user {self._rules.user.name}, whom commands run as, may not enter it", str(folder)
            )
        return folder


def _last_words(stream: Stream) -> str:
    """The last line that says something: what Node writes behind an error are the places that it came through."""
    said = (line for line in stream.last_lines() if line.strip() and not STACK.match(line))
    return next(said, stream.last_line)


def environment_of(
    own: Mapping[str, Any], attempt: Mapping[str, str], rules: ShellRules, folder: Path
) -> dict[str, str]:
    """What a command sees. The attempt's own variables win: by them orphans are found."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    given = {name: as_text(value).replace("\0", "") for name, value in own.items() if value is not None}
    name = os.environ.get("USER", "") if rules.user is None else rules.user.name
    ours = {"PATH": rules.path, "HOME": str(folder), "TMPDIR": str(folder), "USER": name, "LOGNAME": name}
    return {**kept, **ours, **given, **attempt}


def _steers(name: str, environment: Mapping[str, str]) -> bool:
    return name in environment and STEERING.fullmatch(name) is not None


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

"""`script`: a program that stands in the definition, JSON in and JSON out, run as `shell` runs a command.

The source is handed over as it is; data reaches it as `input` and `env` only, so that no value becomes code. Source,
input and result go through files in memory: nothing of them is ever on a disk, and nothing is left behind. Only the
artifacts that it asks for (`inputs`) are copied into a folder, which goes with the attempt.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, cast

from pydantic import Field, field_validator

from millrace.core.failures import FailureKind
from millrace.core.values import InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.confinement import SystemUser
from millrace.ports.runner import Completed, ConfigFault, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.commands import (
    USUAL_OUTPUT,
    Commands,
    Ended,
    Env,
    ExpectedExitCodes,
    Job,
    MaxOutput,
    Place,
    Wanted,
    WorkingDir,
)
from millrace.runners.input_files import InputFiles, new_file
from millrace.runners.limits import Limits, TaskLimits
from millrace.runners.output_files import OutputFiles
from millrace.runners.own_folders import hand_over, may_read, opened, reaches, uid_of
from millrace.runners.task_config import TaskConfig

Language: TypeAlias = Literal["python", "node", "bash"]

NAMES = {"python": "python3", "node": "node", "bash": "bash"}
"""What interpreters are called."""

HOSTS = Path(__file__).with_name("script_hosts")
LONGEST_SOURCE = 100_000
LARGEST_RESULT = 4 * 1024 * 1024
INPUT_FILE = "MILLRACE_INPUT_FILE"


class ScriptConfig(TaskConfig):
    language: Language = Field(description="What the source is written in.")
    source: str = Field(
        min_length=1,
        max_length=LONGEST_SOURCE,
        description="The program, taken literally. Python leaves its result in the variable `result`, Node returns it; "
        "bash, and the others if they do not, print it as the last line of JSON.",
    )
    input: Any = Field(
        default=None,
        description="Any value. Python and Node find it in the variable `input`; all three as JSON on stdin, and in "
        f"the file that the variable {INPUT_FILE} names.",
    )
    env: Env = Field(default_factory=dict)
    working_dir: WorkingDir = None
    limits: Limits = Field(default_factory=TaskLimits)
    expected_exit_codes: ExpectedExitCodes = Field(default_factory=lambda: [0])
    max_output: MaxOutput = USUAL_OUTPUT
    inputs: InputFiles = Field(default_factory=dict)
    outputs: OutputFiles = Field(default_factory=dict)

    @field_validator("source")
    @classmethod
    def _a_program(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("there is no program")
        if "\0" in source:
            raise ValueError("a program cannot hold the NUL character")
        return source


class NoInterpreter(Exception):
    """The program that runs a language is not here; the message names the setting."""


class InvalidResult(Exception):
    """The script left something that is not JSON, or cannot be stored."""


@dataclass(frozen=True, slots=True)
class Files:
    """Files in memory that a script gets."""

    input: int
    source: int
    result: int

    @property
    def all(self) -> tuple[int, ...]:
        return (self.input, self.source, self.result)


class ScriptRunner:
    type: ClassVar[str] = "script"
    summary: ClassVar[str] = "Runs a program in Python, JavaScript or bash that stands in the definition."
    config_model: ClassVar[ConfigModel] = ScriptConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset({"source"})

    def __init__(self, services: RunnerServices) -> None:
        self._commands = Commands(self.type, services)
        self._interpreters = services.script_interpreters
        self._path, self._user = services.shell.path, services.shell.user
        self._hosts_are_seen = services.shell.user is None or sees(services.shell.user, HOSTS / "run_python.py")

    async def close(self) -> None:
        """Every script ends with its attempt; empty folders may be left."""
        self._commands.close()

    def objections(self, config: JsonObject) -> Iterable[ConfigFault]:
        return self._commands.judge.objections("language", self._interpreter_here(config.get("language")), config)

    async def run(self, config: ScriptConfig, context: RunnerContext) -> Outcome:
        try:
            interpreter = await asyncio.to_thread(self._interpreter, config.language)
        except NoInterpreter as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        wanted = Wanted(interpreter, config.working_dir, config.inputs, config.limits, config.env)
        async with self._commands.place_for(wanted, context) as place:
            return place if isinstance(place, Failed) else await self._run(config, interpreter, place, context)

    def _interpreter(self, language: Language) -> str:
        return found_interpreter(language, self._interpreters, self._path)

    def _interpreter_here(self, language: object) -> str | None:
        """That of the process that a workflow is saved in; the worker may have another."""
        try:
            return self._interpreter(cast(Language, language)) if language in NAMES else None
        except NoInterpreter:
            return None

    async def _run(self, config: ScriptConfig, interpreter: str, place: Place, context: RunnerContext) -> Outcome:
        given = json.dumps(config.input, ensure_ascii=False).encode()
        with _files(given, config.source.encode(errors="replace")) as files:
            input_file = f"/dev/fd/{files.input}"
            job = Job(
                command=[interpreter, *self._arguments(config, input_file, files, place)],
                env={**config.env, INPUT_FILE: input_file},
                stdin=given,
                max_output=config.max_output,
                name=interpreter,
                handed_over=files.all,
            )
            ended = await self._commands.run(job, place, context)
            if isinstance(ended, Failed):
                return ended
            if ended.exit_code not in config.expected_exit_codes:
                return ended.failure("the script")
            try:
                output = await asyncio.to_thread(_output, ended, files.result)
            except InvalidResult as error:
                return Failed.because(str(error), kind=FailureKind.INVALID_OUTPUT, details=ended.shown)
        if config.outputs:
            output["files"] = await self._commands.keep(config.outputs, place, context)
        return Completed(output)

    def _arguments(self, config: ScriptConfig, input_file: str, files: Files, place: Place) -> list[str]:
        handed = [input_file, str(files.source), str(files.result)]
        match config.language:
            case "python":
                return ["-X", "utf8", str(self._host("run_python.py", place)), *handed]
            case "node":
                return [str(self._host("run_node.cjs", place)), *handed]
            case "bash":
                return ["-c", config.source, "script"]

    def _host(self, name: str, place: Place) -> Path:
        """The program that runs the script: ours, or a copy where the user that scripts run as cannot read ours."""
        if self._hosts_are_seen:
            return HOSTS / name
        with opened(place.own, uid_of(self._user)) as own, new_file(name, own) as copy:
            copy.write((HOSTS / name).read_bytes())
            hand_over(copy.fileno(), self._user)
        return place.own / name


def sees(user: SystemUser, file: Path) -> bool:
    """Whether the user may read a file by its path."""
    return may_read(file.stat(), user) and reaches(user, file.parent)


def found_interpreter(language: Language, settings: Mapping[str, str], path: str) -> str:
    """The program that runs a language: what the setting names, or the first on `path`. Raises `NoInterpreter`.

    The virtual environment that Millrace itself runs in is passed over: its packages are none of a script's business,
    and may change with any release.
    """
    setting = f"MILLRACE_SCRIPT_{language.upper()}"
    wanted = settings.get(language)
    name = wanted or NAMES[language]
    found = shutil.which(os.path.expanduser(name), path=_without_own(path))
    if found is None and wanted:
        raise NoInterpreter(f"{setting} names {wanted}, which is no program that can be run here")
    if found is None:
        raise NoInterpreter(
            f"there is no {name} on MILLRACE_SHELL_PATH for {language} scripts; install it, or name one in {setting}"
        )
    return found


def _without_own(path: str) -> str:
    own = Path(sys.prefix, "bin") if sys.prefix != sys.base_prefix else None
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if own is None or Path(folder) != own)


@contextmanager
def _files(given: bytes, source: bytes) -> Iterator[Files]:
    opened: list[int] = []
    try:
        for name, content in (("input", given), ("source", source), ("result", b"")):
            opened.append(os.memfd_create(name))
            with open(opened[-1], "wb", closefd=False) as file:
                file.write(content)
            os.lseek(opened[-1], 0, os.SEEK_SET)
        yield Files(*opened)
    finally:
        for number in opened:
            os.close(number)


def _output(ended: Ended, result_file: int) -> JsonObject:
    """Raises `InvalidResult`."""
    handed_over = _handed_over(result_file)
    return {**ended.shown, "result": ended.last_json if handed_over is None else handed_over[0]}


def _handed_over(result_file: int) -> tuple[JsonValue] | None:
    """The value that the script handed over, if it did. Raises `InvalidResult`."""
    size = os.fstat(result_file).st_size
    if size == 0:
        return None
    if size > LARGEST_RESULT:
        raise InvalidResult(f"the result is longer than {LARGEST_RESULT} bytes of JSON")
    try:
        told = json.loads(os.pread(result_file, size, 0))
        if "fault" in told:
            raise InvalidResult(f"the result is not JSON: {told['fault']}")
        check_value(told["result"], path="result")
    except InvalidValue as error:
        raise InvalidResult(f"the result cannot be stored: {error}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidResult(f"the result is not JSON: {error}") from None
    return (told["result"],)

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from millrace.core.failures import FailureKind
from millrace.core.values import InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.commands import (
    DEFAULT_PATH,
    USUAL_OUTPUT,
    Commands,
    Ended,
    Env,
    ExpectedExitCodes,
    Job,
    MaxOutput,
    Place,
    WorkingDir,
)
from millrace.runners.input_files import InputFiles
from millrace.runners.output_files import OutputFiles, keep_files
from millrace.runners.task_config import TaskConfig

Language: TypeAlias = Literal["python", "node", "bash"]

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

    async def close(self) -> None:
        """Every script ends with its attempt."""

    async def run(self, config: ScriptConfig, context: RunnerContext) -> Outcome:
        try:
            interpreter = await asyncio.to_thread(found_interpreter, config.language, self._interpreters)
        except NoInterpreter as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        async with self._commands.place_for(config.working_dir, config.inputs, config.outputs, context) as place:
            return await self._run(config, interpreter, place, context)

    async def _run(self, config: ScriptConfig, interpreter: str, place: Place, context: RunnerContext) -> Outcome:
        given = json.dumps(config.input, ensure_ascii=False).encode()
        with _files(given, config.source.encode(errors="replace")) as files:
            input_file = f"/dev/fd/{files.input}"
            job = Job(
                command=_command(config, interpreter, input_file, files),
                working_dir=place.working_dir,
                env={**config.env, **place.env, INPUT_FILE: input_file},
                stdin=given,
                max_output=config.max_output,
                name=interpreter,
                handed_over=files.all,
            )
            ended = await self._commands.run(job, context)
            if isinstance(ended, Failed):
                return ended
            if ended.exit_code not in config.expected_exit_codes:
                return ended.failure("the script")
            try:
                output = await asyncio.to_thread(_output, ended, files.result)
            except InvalidResult as error:
                return Failed.because(str(error), kind=FailureKind.INVALID_OUTPUT, details=ended.shown)
        if config.outputs:
            output["files"] = await keep_files(config.outputs, ended.folder, context)
        return Completed(output)


def found_interpreter(language: Language, settings: Mapping[str, str]) -> str:
    """The program that runs a language: what the setting names, or the first on the PATH. Raises `NoInterpreter`.

    The virtual environment that Millrace itself runs in is passed over: its packages are none of a script's business,
    and may change with any release.
    """
    setting = f"MILLRACE_SCRIPT_{language.upper()}"
    wanted = settings.get(language)
    name = wanted or {"python": "python3", "node": "node", "bash": "bash"}[language]
    found = shutil.which(os.path.expanduser(name), path=_path_of_scripts())
    if found is None and wanted:
        raise NoInterpreter(f"{setting} names {wanted}, which is no program that can be run here")
    if found is None:
        raise NoInterpreter(
            f"there is no {name} on the PATH for {language} scripts; install it, or name one in {setting}"
        )
    return found


def _path_of_scripts() -> str:
    folders = os.environ.get("PATH", DEFAULT_PATH).split(os.pathsep)
    own = Path(sys.prefix, "bin") if sys.prefix != sys.base_prefix else None
    return os.pathsep.join(folder for folder in folders if own is None or Path(folder) != own)


def _command(config: ScriptConfig, interpreter: str, input_file: str, files: Files) -> list[str]:
    handed = [input_file, str(files.source), str(files.result)]
    match config.language:
        case "python":
            return [interpreter, "-X", "utf8", str(HOSTS / "run_python.py"), *handed]
        case "node":
            return [interpreter, str(HOSTS / "run_node.cjs"), *handed]
        case "bash":
            return [interpreter, "-c", config.source, "script"]


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

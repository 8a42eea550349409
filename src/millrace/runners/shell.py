"""`shell`: a command in a process group of its own, its output as log lines while it runs."""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field, field_validator

from millrace.core.values import JsonObject
from millrace.ports.runner import Completed, ConfigFault, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.commands import (
    USUAL_OUTPUT,
    Commands,
    Env,
    ExpectedExitCodes,
    Job,
    MaxOutput,
    Place,
    Wanted,
    WorkingDir,
    as_text,
)
from millrace.runners.input_files import InputFiles
from millrace.runners.launching import SHELL
from millrace.runners.limits import Limits, TaskLimits
from millrace.runners.output_files import OutputFiles
from millrace.runners.task_config import TaskConfig


class ShellConfig(TaskConfig):
    command: str | list[str] = Field(
        description="Text for /bin/sh, taken literally: hand values over in `env`. "
        "Or a list of a program and its arguments, which no shell reads; an argument that is not text becomes JSON."
    )
    working_dir: WorkingDir = None
    env: Env = Field(default_factory=dict)
    stdin: Any = Field(default=None, description="What the command reads; a value that is not text becomes JSON.")
    limits: Limits = Field(default_factory=TaskLimits)
    expected_exit_codes: ExpectedExitCodes = Field(default_factory=lambda: [0])
    max_output: MaxOutput = USUAL_OUTPUT
    inputs: InputFiles = Field(default_factory=dict)
    outputs: OutputFiles = Field(default_factory=dict)

    @field_validator("command", mode="before")
    @classmethod
    def _arguments(cls, command: object) -> object:
        """An argument that an expression made may be a number or anything else."""
        return [as_text(argument) for argument in command] if isinstance(command, list) else command

    @field_validator("command")
    @classmethod
    def _not_empty(cls, command: str | list[str]) -> str | list[str]:
        if not command or (isinstance(command, str) and not command.strip()) or (command[0] == ""):
            raise ValueError("there is no command")
        if "\0" in "".join(command):
            raise ValueError("a command cannot hold the NUL character")
        return command


class ShellRunner:
    type: ClassVar[str] = "shell"
    summary: ClassVar[str] = "Runs a command."
    config_model: ClassVar[ConfigModel] = ShellConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset({"command"})

    def __init__(self, services: RunnerServices) -> None:
        self._commands = Commands(self.type, services)

    async def close(self) -> None:
        """Every command ends with its attempt; empty folders may be left."""
        self._commands.close()

    def objections(self, config: JsonObject) -> Iterable[ConfigFault]:
        command = config.get("command")
        program = SHELL if isinstance(command, str) else command[0] if isinstance(command, list) and command else None
        return self._commands.judge.objections("command", program, config)

    async def run(self, config: ShellConfig, context: RunnerContext) -> Outcome:
        command = [SHELL, "-c", config.command] if isinstance(config.command, str) else config.command
        wanted = Wanted(command[0], config.working_dir, config.inputs, config.limits, config.env)
        async with self._commands.place_for(wanted, context) as place:
            return place if isinstance(place, Failed) else await self._run(config, command, place, context)

    async def _run(self, config: ShellConfig, command: list[str], place: Place, context: RunnerContext) -> Outcome:
        job = Job(
            command=command,
            env=config.env,
            stdin=as_text(config.stdin).encode(errors="replace"),
            max_output=config.max_output,
        )
        ended = await self._commands.run(job, place, context)
        if isinstance(ended, Failed):
            return ended
        if ended.exit_code not in config.expected_exit_codes:
            return ended.failure("the command")
        output: JsonObject = {**ended.shown, "result": ended.last_json}
        if config.outputs:
            output["files"] = await self._commands.keep(config.outputs, place, context)
        return Completed(output)

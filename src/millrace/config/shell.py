"""The settings of shell and script tasks: a group of `Settings`, which says where settings come from.

What they come to on this machine (the user, the programs) is settled by `runners.rules`, where tasks run.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import AliasChoices, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from millrace.config.types import Folders, Listed, split
from millrace.core.command_limits import limit_of

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

USUAL = {"processes": 1024, "open_files": 1024}

OLDER_POLICIES = {"true": "on", "1": "on", "yes": "on", "false": "off", "0": "off", "no": "off"}
"""What MILLRACE_SHELL_ENABLED took."""

Roles: TypeAlias = Annotated[
    tuple[Literal["admin", "developer", "operator", "viewer"], ...], NoDecode, BeforeValidator(split)
]
Amounts: TypeAlias = Annotated[dict[str, int], NoDecode]


class ShellSettings(BaseSettings):
    shell_policy: Literal["off", "allow-listed", "on"] = Field(
        default="on",
        validation_alias=AliasChoices("MILLRACE_SHELL_POLICY", "MILLRACE_SHELL_ENABLED"),
        description="Which shell and script tasks this process runs: none (off), only the programs and interpreters "
        "of MILLRACE_SHELL_ALLOWED, without a shell (allow-listed), or all (on). The older name takes true and false.",
    )
    shell_allowed: Listed = Field(
        default=(),
        description="Programs that tasks may run under allow-listed, comma-separated: absolute paths, or names, which "
        "are looked for on MILLRACE_SHELL_PATH when the worker starts. A command written as text needs /bin/sh.",
    )
    shell_roles: Roles = Field(
        default=("admin", "developer"),
        description="Roles that may bring shell and script tasks into a workflow, comma-separated. Others may change "
        "such a workflow as long as these tasks stay as they are.",
    )
    shell_allowed_dirs: Folders = Field(
        default=(),
        description="Folders that shell and script tasks may work in, comma-separated; empty allows any folder. "
        "A task that names none works in an empty folder of its own.",
    )
    shell_user: str | None = Field(
        default=None,
        description="User that shell and script tasks run as where the worker runs as root. The default is nobody; "
        "root has to be named. A worker that is not root runs them as itself.",
    )
    shell_path: str = Field(
        default=DEFAULT_PATH,
        description="PATH of shell and script tasks, on which interpreters are found, too.",
    )
    shell_limits: Amounts = Field(
        default=USUAL,
        description="What a command may use at most, for example "
        "`cpu=1h,memory=4Gi,processes=1024,file_size=10Gi,open_files=256`; those that are not named are as by default. "
        "A task may only ask for less. `processes` counts all processes of the user that tasks run as, and holds only "
        "where the worker runs as root.",
    )
    script_python: str | None = Field(
        default=None,
        description="Program that runs Python scripts. The default is the first python3 on MILLRACE_SHELL_PATH that is "
        "not in Millrace's own virtual environment.",
    )
    script_node: str | None = Field(
        default=None, description="Program that runs JavaScript; the default is the first node on MILLRACE_SHELL_PATH."
    )
    script_bash: str | None = Field(
        default=None,
        description="Program that runs bash scripts; the default is the first bash on MILLRACE_SHELL_PATH.",
    )

    @field_validator("shell_policy", mode="before")
    @classmethod
    def _policy(cls, value: object) -> object:
        word = str(value).lower() if isinstance(value, str | bool) else value
        return OLDER_POLICIES.get(word, word) if isinstance(word, str) else word

    @field_validator("shell_allowed")
    @classmethod
    def _programs(cls, programs: tuple[str, ...]) -> tuple[str, ...]:
        if any("/" in program and not program.startswith("/") for program in programs):
            raise ValueError("write absolute paths such as /usr/bin/rsync, or names without a slash")
        return programs

    @field_validator("shell_path")
    @classmethod
    def _absolute_path(cls, path: str) -> str:
        """An empty or relative part would be looked for in the folder of the task, which it writes itself."""
        if not all(part.startswith("/") for part in path.split(":")):
            raise ValueError("write absolute folders with colons between them, such as /usr/local/bin:/usr/bin:/bin")
        return path

    @field_validator("shell_limits", mode="before")
    @classmethod
    def _limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(name.strip() and sign for name, sign, _ in pairs):
            raise ValueError("write NAME=AMOUNT, with commas between several, for example cpu=1h,memory=4Gi")
        return USUAL | {name.strip(): limit_of(name.strip(), amount.strip()) for name, _, amount in pairs}

    @property
    def script_interpreters(self) -> dict[str, str]:
        """The programs that are named, by language."""
        named = {"python": self.script_python, "node": self.script_node, "bash": self.script_bash}
        return {language: program for language, program in named.items() if program is not None}

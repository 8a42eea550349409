"""The rules by which a worker runs commands: which, where, as whom, and what they may use at most.

`runners.rules` makes them of the settings and of what is there on the machine; nothing else decides any of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

CODE_TYPES = frozenset({"shell", "script"})
"""The task types whose config is code that runs on the worker's machine."""


class ShellPolicy(StrEnum):
    OFF = "off"
    ALLOW_LISTED = "allow-listed"
    ON = "on"


@dataclass(frozen=True, slots=True)
class SystemUser:
    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ShellRules:
    policy: ShellPolicy = ShellPolicy.ON
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    """The PATH of commands."""
    programs: frozenset[Path] = frozenset()
    """Those that may be run under `allow-listed`."""
    folders: tuple[Path, ...] = ()
    """Folders that commands may work in, with links followed; empty allows any."""
    user: SystemUser | None = None
    """Whom a worker that is root becomes for a command; `None`: nobody else."""
    user_fault: str | None = None
    """Why there is nobody to run commands as, and what would mend it; then none is run."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """By name: seconds of `cpu`, bytes of `memory` and `file_size`, `processes`, `open_files`."""
    prlimit: str | None = None
    """The program that sets limits; without it a shell does, which takes odd names of variables away."""
    setpriv: str | None = None
    """The program that becomes another user, and gives up to gain privileges; without it that is done more slowly."""
    exposed: tuple[Path, ...] = ()
    """What is Millrace's own and yet can be read by whom commands run as."""


NO_RULES = ShellRules()

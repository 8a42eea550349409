"""What a command may use at most, as its task asks for it, and what a command says that has used all of it.

The system counts `cpu`, `memory`, `file_size` and `open_files` for each process by itself, `processes` for the user.
"""

import re
import signal
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, field_validator

from millrace.core.command_limits import EXAMPLES, limit_of
from millrace.core.sizes import size_text
from millrace.runners.processes import Exit
from millrace.runners.task_config import TaskConfig

OUT_OF_MEMORY = re.compile(
    r"MemoryError|[Cc]annot allocate memory|[Oo]ut of memory|bad_alloc|memory exhausted", re.ASCII
)
TOO_LARGE = re.compile(r"File too large|File size limit exceeded|EFBIG", re.ASCII)
NO_PROCESS = re.compile(r"Resource temporarily unavailable|[Cc]annot fork|can't start new thread|EAGAIN", re.ASCII)
NO_FILE = re.compile(r"Too many open files|EMFILE", re.ASCII)


class TaskLimits(TaskConfig):
    cpu: Any = Field(default=None, description="CPU time, such as 60s: rounded up to seconds.")
    memory: Any = Field(default=None, description="Memory, such as 512Mi.")
    processes: Any = Field(default=None, description="Processes and threads of the user that tasks run as.")
    file_size: Any = Field(default=None, description="Size of a file that is written, such as 1Gi.")
    open_files: Any = Field(default=None, description="Files that are open at the same time.")

    @field_validator(*EXAMPLES)
    @classmethod
    def _amount(cls, value: object, info: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"write an amount such as {EXAMPLES[info.field_name]}")
        text = str(value)
        return limit_of(info.field_name, f"{text}s" if info.field_name == "cpu" and text.isdigit() else text)

    @property
    def asked(self) -> dict[str, int]:
        return {name: amount for name in EXAMPLES if (amount := getattr(self, name)) is not None}


Limits: TypeAlias = Annotated[
    TaskLimits,
    Field(
        description="What each process of the command may use at most, where that is less than MILLRACE_SHELL_LIMITS "
        "allows: {cpu: 60s, memory: 512Mi, file_size: 1Gi, open_files: 256, processes: 64}."
    ),
]


def amount_text(name: str, amount: int) -> str:
    """As it may be written."""
    match name:
        case "cpu":
            return f"{amount}s"
        case "memory" | "file_size":
            return size_text(amount)
        case _:
            return str(amount)


def reached(exit_: Exit, limits: Mapping[str, int], said: str) -> str | None:
    """In words, that a command ended because it had reached a limit; `None` if nothing speaks for that.

    `said` is the last it wrote: of most limits a process hears by a call that fails, and tells in its own words.
    """
    if "cpu" in limits and _ended_by(exit_, signal.SIGXCPU):
        return f"used more than its {limits['cpu']} s of CPU time (limits.cpu)"
    if "cpu" in limits and _ended_by(exit_, signal.SIGKILL) and exit_.cpu >= limits["cpu"]:
        return f"used more than its {limits['cpu']} s of CPU time (limits.cpu), and would not end"
    if "file_size" in limits and (_ended_by(exit_, signal.SIGXFSZ) or TOO_LARGE.search(said)):
        return f"wanted to write a file larger than {size_text(limits['file_size'])} (limits.file_size)"
    if "memory" in limits and OUT_OF_MEMORY.search(said):
        most, peak = size_text(limits["memory"]), exit_.peak_memory >> 20
        return f"ran out of its {most} of memory (limits.memory), of which it had used {peak}Mi at once"
    if "processes" in limits and NO_PROCESS.search(said):
        return f"wanted to start more processes than the {limits['processes']} of its user (limits.processes)"
    if "open_files" in limits and NO_FILE.search(said):
        return f"wanted to open more than {limits['open_files']} files (limits.open_files)"
    return None


def _ended_by(exit_: Exit, number: signal.Signals) -> bool:
    """Also as a shell tells it of a process that it had started."""
    return exit_.code in (-number, 128 + number)

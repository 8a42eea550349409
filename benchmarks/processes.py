"""Child processes and scratch folders of the benchmarks. Standard library only; everything here cleans up after itself.

Scratch folders lie in `.cache/bench-data` of the repository, never in the system's temporary folder, which may be in
memory: an fsync that costs nothing would make every figure meaningless.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
GRACE = 10.0
"""Seconds that a child has to end before it is killed."""


@contextmanager
def scratch() -> Iterator[Path]:
    parent = ROOT / ".cache" / "bench-data"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def own_environment() -> dict[str, str]:
    """Ours, but Python may store bytecode: a user's second start compiles nothing, so ours must not either."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def child(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, own_group: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended, with its whole group if it has one of its own. `log` takes what it prints.

    A script that is itself such a child starts its own children without a group, so that whoever ends the script
    ends them too, whatever state it is in.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands are written in these files, none comes from outside
            command, cwd=ROOT, env={**own_environment(), **environment}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=own_group,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)
        if own_group:
            end_group(process.pid)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the process to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_group(group: int) -> None:
    """End what a process has left behind in its group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_in_order_when_told() -> None:
    """Let SIGTERM unwind the stack, so that every `finally` ends its processes and removes its folders."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)


def wait_until(ready: Callable[[], bool], *, within: float, what: str, every: float = 0.05) -> None:
    """Poll until `ready`. Raises `TimeoutError` that says what did not happen."""
    end = time.monotonic() + within
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} took more than {within:g} s")
        time.sleep(every)

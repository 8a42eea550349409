"""Child processes: started in a session of their own, heard while they run, and ended as a whole group.

A command may leave processes behind that hold its pipes. The attempt is over when the command is: what it left behind
gets a moment to finish its sentence and is then killed with the rest of the group, or wherever it went (`stragglers`).
The pipes are our own: with those of asyncio the end of a command waits for everyone who holds them.
"""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from millrace.ports.confinement import SystemUser
from millrace.runners.launching import UMASK
from millrace.runners.stragglers import Trail, stragglers_here
from millrace.runners.streams import Stream

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds between asking a group to end and killing it."""

LAST_WORDS = 0.5
"""Seconds that output is still read for after the command itself has ended."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at a group whose leader has ended."""

LOOKS = 400
"""Looks for what one command left behind: who is killed may leave others, who were his children."""

BETWEEN_LOOKS = 0.005
"""Seconds between two of them."""

READ_AT_ONCE = 16 * 1024
"""Bytes that are looked at before others have their turn: a command that only writes must not hold up the server."""


@dataclass(frozen=True, slots=True)
class Output:
    stdout: Stream
    stderr: Stream


@dataclass(frozen=True, slots=True)
class Started:
    """How a command is started."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    stdin: bytes = b""
    handed_over: Collection[int] = ()
    """File descriptors that it inherits besides the usual three."""
    user: SystemUser | None = None
    """Whom the new process becomes before it is the command; `None` where the command sees to that itself."""
    uid: int | None = None
    """The user that the command runs as in the end, where that is not our own."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended, and what it had used: with the processes that it had waited for."""

    code: int
    """Negative: the number of the signal that ended it."""
    cpu: float
    """Seconds."""
    peak_memory: int
    """Bytes, of the largest process."""


class Ear:
    """A pipe that a command writes (`end`) and we hear, one part at each turn of the event loop."""

    def __init__(self, stream: Stream) -> None:
        self.over = asyncio.Event()
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._read_end, write_end = os.pipe()
        self.end = os.fdopen(write_end, "wb", buffering=0)
        os.set_blocking(self._read_end, False)

    def __enter__(self) -> "Ear":
        self._loop.add_reader(self._read_end, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        """Others may still hold the writing end; nobody hears them any more."""
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        self.end.close()
        self._stream.feed(b"", final=True)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            raw = os.read(self._read_end, READ_AT_ONCE)
            if raw:
                self._stream.feed(raw)
            else:
                self._loop.remove_reader(self._read_end)
                self.over.set()


class Child:
    """A command that was started. Until it is buried its number, which is that of its group, is nobody else's."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.pidfd_open(process.pid)
        self._loop.add_reader(self._descriptor, self._end)

    async def wait(self) -> None:
        await self._ended.wait()

    def signal(self, number: int) -> None:
        # What runs as another user is not ours to signal; then its end is waited for.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def bury(self) -> Exit:
        """What it came to. It has ended."""
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Exit(self._process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def _end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._ended.set()


async def run_command(started: Started, output: Output) -> Exit:
    """Run a command to its end. Raises `OSError` when it cannot be started.

    Cancelling this ends its whole group first, and still hears it. What it has left behind has ended, too.
    """
    mark = started.environment.get("MILLRACE_ATTEMPT", "")
    with (
        Ear(output.stdout) as stdout,
        Ear(output.stderr) as stderr,
        stragglers_here().of_a_command(mark, started.uid) as trail,
    ):
        child = _start(started, stdout, stderr)
        trail.leader = child.pid
        try:
            await child.wait()
            await _last_words(stdout, stderr)
        except asyncio.CancelledError:
            await _end(child)
            raise
        finally:
            child.signal(signal.SIGKILL)
            # Whoever is killed takes a moment to end, and nothing may be left open meanwhile.
            exit_ = await asyncio.shield(_buried(child, trail))
            await _last_words(stdout, stderr)
        return exit_


async def _buried(child: Child, trail: Trail) -> Exit:
    await child.wait()
    exit_ = child.bury()
    for _ in range(LOOKS):
        if stragglers_here().end(trail):
            return exit_
        await asyncio.sleep(BETWEEN_LOOKS)
    logger.warning("what the attempt %s has left behind cannot be ended", trail.mark)
    return exit_


async def _last_words(*ears: Ear) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS):
            for ear in ears:
                await ear.over.wait()


def _start(started: Started, stdout: Ear, stderr: Ear) -> Child:
    with _readable(started.stdin) as source, stdout.end, stderr.end:
        user = started.user
        process = subprocess.Popen(  # noqa: S603
            started.command,
            cwd=started.folder,
            env=started.environment,
            stdin=source,
            stdout=stdout.end.fileno(),
            stderr=stderr.end.fileno(),
            start_new_session=True,
            umask=UMASK,
            pass_fds=tuple(started.handed_over),
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else (),
        )
    try:
        return Child(process)
    except OSError:
        # Too many open files: nobody would hear of its end.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


async def _end(child: Child) -> None:
    """Ask the group to end, and kill what has not ended in time."""
    child.signal(signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await child.wait()
                while await asyncio.to_thread(_has_members, child.pid):  # noqa: ASYNC110  nothing tells of their end
                    await asyncio.sleep(LOOK_AGAIN)
    finally:
        child.signal(signal.SIGKILL)


def _has_members(group: int) -> bool:
    """Whether anyone of a process group still runs. Who has ended, but was not buried yet, does not."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        # A process that ends while it is looked at is none any more.
        with suppress(OSError):
            state, _, its_group = status.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


@contextmanager
def _readable(content: bytes) -> Iterator[int]:
    """A file in memory: the command reads as much of it as it likes, and nobody has to feed it."""
    source = os.memfd_create("stdin")
    with open(source, "wb") as file:
        file.write(content)
        file.flush()
        os.lseek(source, 0, os.SEEK_SET)
        yield source

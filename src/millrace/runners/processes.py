"""Child processes: started in a session of their own, heard while they run, and ended as a whole group.

A command may leave processes behind that hold its pipes. The attempt is over when the command is: what it left behind
gets a moment to finish its sentence and is then killed with the rest of the group. The pipes are our own: with those of
asyncio the end of a command waits for everyone who holds them.
"""

import asyncio
import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from millrace.runners.streams import Stream

GRACE = 5.0
"""Seconds between asking a group to end and killing it."""

LAST_WORDS = 0.5
"""Seconds that output is still read for after the command itself has ended."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at a group whose leader has ended."""

READ_AT_ONCE = 16 * 1024
"""Bytes that are looked at before others have their turn: a command that only writes must not hold up the server."""


@dataclass(frozen=True, slots=True)
class Output:
    stdout: Stream
    stderr: Stream


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


async def run_command(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes,
    output: Output,
    handed_over: Collection[int] = (),
) -> int:
    """Run a command to its end and answer its exit code; negative: the number of the signal that ended it.

    It inherits the file descriptors in `handed_over`, and no others but the usual three. Raises `OSError` when it
    cannot be started. Cancelling this ends its whole group first, and still hears it.
    """
    with Ear(output.stdout) as stdout, Ear(output.stderr) as stderr:
        process = await _started(command, folder, environment, stdin, stdout, stderr, handed_over)
        try:
            await process.wait()
            await _last_words(stdout, stderr)
            _signal(process, signal.SIGKILL)
        except asyncio.CancelledError:
            await _end(process)
            raise
        finally:
            await _last_words(stdout, stderr)
        return await process.wait()


async def _last_words(*ears: Ear) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS):
            for ear in ears:
                await ear.over.wait()


async def _started(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes,
    stdout: Ear,
    stderr: Ear,
    handed_over: Collection[int],
) -> asyncio.subprocess.Process:
    with _readable(stdin) as source, stdout.end, stderr.end:
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=dict(environment),
                stdin=source,
                stdout=stdout.end.fileno(),
                stderr=stderr.end.fileno(),
                start_new_session=True,
                pass_fds=tuple(handed_over),
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # It may run already: half started it would be killed without its group, and without having been asked.
            with suppress(OSError):
                await _end(await starting)
            raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the group to end, and kill what has not ended in time."""
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
                while await asyncio.to_thread(_has_members, process.pid):  # noqa: ASYNC110  nothing tells of their end
                    await asyncio.sleep(LOOK_AGAIN)
    finally:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _has_members(group: int) -> bool:
    """Whether anyone of a process group still runs. Who has ended, but was not buried yet, does not."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        # A process that ends while it is looked at is none any more.
        with suppress(OSError):
            state, _, its_group = status.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    # The group outlives its leader as long as any member lives, and keeps its number so long. What runs as another
    # user is not ours to signal; then its end is waited for.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def _readable(content: bytes) -> Iterator[int]:
    """A file in memory: the command reads as much of it as it likes, and nobody has to feed it."""
    source = os.memfd_create("stdin")
    with open(source, "wb") as file:
        file.write(content)
        file.flush()
        os.lseek(source, 0, os.SEEK_SET)
        yield source

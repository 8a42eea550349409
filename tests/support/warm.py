"""Millrace for tests, forked from a process that has imported all of it and done nothing yet.

To import it takes a server a second and a half of a processor and a command a third of one, and the tests start
hundreds. From its first line on a forked one is what the command `millrace` is: with its own environment, folder,
input, output and end. What is tested of the start itself begins with a new interpreter; see `MillraceProcess.spawn`.
"""

import atexit
import contextlib
import gc
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

LOADED = (
    "millrace.bootstrap",
    "millrace.serve",
    "millrace.cli.app",
    "millrace.dispatch.postgres",
    "millrace.storage.postgres.store",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvloop",
)
SERVERS = {"up", "api", "scheduler", "worker"}
EXIT_STATUSES = (None, 0, 1, 2, 3, 4)
LARGEST = 1 << 20
"""Bytes of a message."""

COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
PASSED_ON = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as nursery:
    nursery.connect({address!r})
    asked = {{"command": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}
    socket.send_fds(nursery, [json.dumps(asked).encode()], [0, 1, 2])
    pid = json.loads(nursery.recv(100))["pid"]
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    status = json.loads(nursery.recv(100))["status"]
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
"""What a shell finds as `millrace`."""


class Forked:
    """A forked process; the part of `subprocess.Popen` that the tests use."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid: int = json.loads(connection.recv(LARGEST))["pid"]
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for the signal that ended it; `None` while it is at work."""
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"the forked process {self.pid}", timeout)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, within: float) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], within)[0]:
            self.returncode = int(json.loads(self._connection.recv(LARGEST))["status"])
            self._connection.close()
        return self.returncode


class Nursery:
    """The process that others are forked from. They end with whoever has asked for them."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="millrace-nursery-"))
        self._address = str(folder / "socket")
        self.bin = folder / "bin"
        """A folder for the `PATH` of a shell: its `millrace` is forked, too."""
        self.bin.mkdir()
        command = self.bin / "millrace"
        command.write_text(COMMAND.format(python=sys.executable, address=self._address))
        command.chmod(0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._address)
            listener.listen(100)
            program = [sys.executable, "-m", "tests.support.warm", str(listener.fileno())]
            # It ends when its input does: with this process, however that ends.
            self._process = subprocess.Popen(
                program, pass_fds=[listener.fileno()], stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]
            )
        atexit.register(self._end, folder)

    def fork(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        files: tuple[int, int, int],
        folder: Path | None = None,
    ) -> Forked:
        """Start `millrace COMMAND`; `files`: the descriptors of its input, output and errors."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self._address)
        asked = {"command": [*command], "environment": dict(environment), "folder": str(folder or Path.cwd())}
        socket.send_fds(connection, [json.dumps(asked).encode()], files)
        return Forked(connection)

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout: float,
        input: str = "",
        cwd: Path | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `millrace COMMAND` to its end."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            given.write(input.encode())
            given.seek(0)
            forked = self.fork(command, environment, (given.fileno(), output.fileno(), errors.fileno()), cwd)
            try:
                status = forked.wait(timeout)
            finally:
                forked.kill()
            said = []
            for file in (output, errors):
                file.seek(0)
                said.append(file.read().decode())
        return subprocess.CompletedProcess([*command], status, *said)

    def _end(self, folder: Path) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def nursery() -> Nursery:
    """One for each process that runs tests, made when it is first used."""
    return Nursery()


# --- the other side ---------------------------------------------------------------------------------------------------


class _Mother:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._children: dict[int, tuple[int, socket.socket | None]] = {}
        """The pid of each, and who has asked for it and is still there, by a descriptor that tells of its end."""

    def serve(self) -> None:
        """Fork what is asked for, and tell of its end, until nobody is there to ask; a forked one returns, too."""
        lifeline = sys.stdin.fileno()
        while True:
            asking = [connection for _, connection in self._children.values() if connection is not None]
            for ready in select.select([self._listener, lifeline, *self._children, *asking], [], [])[0]:
                if ready is self._listener:
                    if self._fork():
                        return
                elif ready == lifeline:
                    for pid, _ in self._children.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                elif ready in self._children:
                    self._tell_end(ready)
                else:
                    self._end_of(ready)

    def _fork(self) -> bool:
        """Whether this is the forked process, which has been and done all."""
        connection, _ = self._listener.accept()
        asked, files, _, _ = socket.recv_fds(connection, LARGEST, 3)
        pid = os.fork()
        if pid == 0:
            for descriptor in (connection.detach(), self._listener.detach(), *self._children):
                os.close(descriptor)
            for _, other in self._children.values():
                if other is not None:
                    other.close()
            _become(json.loads(asked), files)
            return True
        for file in files:
            os.close(file)
        self._children[os.pidfd_open(pid)] = pid, connection
        connection.send(json.dumps({"pid": pid}).encode())
        return False

    def _tell_end(self, watch: int) -> None:
        pid, connection = self._children.pop(watch)
        os.close(watch)
        _, status = os.waitpid(pid, 0)
        if connection is None:
            return
        with contextlib.suppress(OSError), connection:
            connection.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())

    def _end_of(self, forsaken: socket.socket) -> None:
        """Nobody waits for it any more."""
        for watch, (pid, connection) in self._children.items():
            if connection is forsaken:
                os.kill(pid, signal.SIGKILL)
                self._children[watch] = pid, None
                forsaken.close()
                return


def _become(asked: dict[str, object], files: Sequence[int]) -> None:
    """In the forked process: be the command; what it raises ends the interpreter as it would any other."""
    from millrace.cli.main import main as millrace

    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    environment, command = asked["environment"], asked["command"]
    assert isinstance(environment, dict)
    assert isinstance(command, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(asked["folder"]))
    time.tzset()
    random.seed()
    # So that it calls itself by its name where it says how it is used.
    sys.modules["__main__"].__package__ = None
    sys.argv = ["millrace", *command]
    try:
        millrace()
    except SystemExit as ended:
        if {*command} & SERVERS or ended.code not in EXIT_STATUSES:
            raise
        # To tidy up an interpreter with so much in it takes longer than a command.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


def main(listening: int) -> None:
    for module in LOADED:
        import_module(module)
    gc.collect()
    gc.freeze()
    _Mother(socket.socket(fileno=listening)).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))

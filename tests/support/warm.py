"""Servers for tests, forked from a process that has imported all of Millrace and done nothing yet.

To import it takes a server a second and a half of a processor, and the tests start hundreds. From its first line on a
forked one is what `python -m millrace.cli.main` is: with its own environment, folder, output and end. What is tested of
the start itself begins with a new interpreter; see `MillraceProcess.spawn`.
"""

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock

LOADED = (
    "millrace.bootstrap",
    "millrace.serve",
    "millrace.cli.app",
    "millrace.dispatch.postgres",
    "millrace.storage.postgres.store",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvloop",
)
LARGEST = 1 << 20
"""Bytes of a message."""


class Forked:
    """A forked server; the part of `subprocess.Popen` that the tests use."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for the signal that ended it; `None` while it is at work."""
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid, within=0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid, within=timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"the forked server {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that servers are forked from, as this process sees it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
            )
        self._ended: dict[int, int] = {}
        self._forked: list[int] = []
        self._one_at_a_time = Lock()

    def fork(self, command: Sequence[str], environment: Mapping[str, str], output: int) -> Forked:
        """Start `millrace COMMAND`, whose output goes to that file descriptor."""
        asked = json.dumps({"command": [*command], "environment": dict(environment), "folder": os.getcwd()})
        with self._one_at_a_time:
            socket.send_fds(self._control, [asked.encode()], [output])
            while not self._forked:
                self._listen(None)
            return Forked(self, self._forked.pop())

    def ended(self, pid: int, within: float) -> int | None:
        until = time.monotonic() + within
        while pid not in self._ended and self._listen(max(0.0, until - time.monotonic())):
            pass
        return self._ended.get(pid)

    def _listen(self, within: float | None) -> bool:
        """Take one message, if one comes in time; `False` if none does."""
        if not select.select([self._control], [], [], within)[0]:
            return False
        try:
            message = self._control.recv(LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:  # another thread has taken it
            return True
        if not message:
            raise RuntimeError("the process that servers are forked from has ended")
        told = json.loads(message)
        if "forked" in told:
            self._forked.append(told["forked"])
        else:
            self._ended[told["pid"]] = told["status"]
        return True


@cache
def nursery() -> Nursery:
    """One for each process that runs tests, made when it is first used."""
    return Nursery()


# --- the other side ---------------------------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """Fork what is asked for, and tell what ended, until nobody asks any more."""
    for module in LOADED:
        import_module(module)

    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    children: dict[int, int] = {}
    while True:
        for ready in select.select([control, *children], [], [])[0]:
            if ready is not control:
                _tell_end(control, children.pop(ready), ready)
                continue
            asked, outputs, _, _ = socket.recv_fds(control, LARGEST, 1)
            if not asked:
                return
            pid = os.fork()
            if pid == 0:
                _become(json.loads(asked), outputs[0], [control.detach(), *children])
                return
            os.close(outputs[0])
            children[os.pidfd_open(pid)] = pid
            control.send(json.dumps({"forked": pid}).encode())


def _tell_end(control: socket.socket, pid: int, watch: int) -> None:
    os.close(watch)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        control.send(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(status)}).encode())


def _become(asked: dict[str, object], output: int, not_its: Sequence[int]) -> None:
    """In the forked process: be the server; what it raises ends the interpreter as it would any other."""
    from millrace.cli import main as program

    for descriptor in not_its:
        os.close(descriptor)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    environment, command = asked["environment"], asked["command"]
    assert isinstance(environment, dict)
    assert isinstance(command, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(asked["folder"]))
    time.tzset()
    random.seed()
    sys.argv = [str(program.__file__), *command]
    program.main()


if __name__ == "__main__":
    main(int(sys.argv[1]))

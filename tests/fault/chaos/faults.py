"""The faults: each process has a lane of its own, in which it is killed, stopped and held up; so has the database.

A process that was ended is started again at once, as a service manager does, and as often as it takes. What happens is
decided by the seed; when exactly it falls is up to the machine.
"""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.own_server import OwnServer
from tests.support.server import MillraceProcess

READY = "Millrace is ready"
STARTS_WITHIN = 120.0
STOPS_WITHIN = 60.0
SLOW, FAST = 5.0, 1.0
"""Seconds at most between two faults of a process; at least."""


@dataclass(frozen=True)
class Fault:
    """What befell a process between two moments, in nanoseconds of the wall clock."""

    kind: str
    where: str
    pid: int
    began: int
    ended: int


class Lane(threading.Thread):
    """What befalls one process."""

    def __init__(self, process: MillraceProcess, seed: str, *, until: float, hold: float) -> None:
        """`until`: when the last fault is over, by the steady clock. `hold`: seconds that it is made to stand still."""
        super().__init__(name=process.log.stem, daemon=True)
        self.faults: list[Fault] = []
        self.failed_starts = 0
        self.strange: list[str] = []
        self._process = process
        self._random = random.Random(f"{seed}-{self.name}")
        self._until = until
        self._hold = hold

    def run(self) -> None:
        try:
            while (rest := self._random.uniform(FAST, SLOW)) < self._left():
                time.sleep(rest)
                self._strike()
        except Exception as error:
            self.strange.append(f"{self.name}: {error!r}")

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _strike(self) -> None:
        kind = self._random.choices(["SIGKILL", "SIGTERM", "SIGSTOP"], [4, 3, 3])[0]
        if kind == "SIGSTOP" and self._left() < self._hold:
            kind = "SIGKILL"
        pid, began = self._process.pid, time.time_ns()
        if kind == "SIGSTOP":
            self._process.signal(signal.SIGSTOP)
            time.sleep(self._hold)
            self._process.signal(signal.SIGCONT)
        elif kind == "SIGKILL":
            self._process.kill()
        else:
            self._ask_to_stop()
        self.faults.append(Fault(kind, self.name, pid, began, time.time_ns()))
        if kind != "SIGSTOP":
            self._start_again()

    def _ask_to_stop(self) -> None:
        self._process.signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.strange.append(f"{self.name} did not end in {STOPS_WITHIN:g} s when it was asked to stop")
            self._process.kill()
            return
        if status != 0:
            self.strange.append(f"{self.name} ended with {status} when it was asked to stop")

    def _start_again(self) -> None:
        """It ends at once if it is started while the database is away; then it is started again."""
        while not self._comes_up():
            self.failed_starts += 1
            time.sleep(0.2)

    def _comes_up(self) -> bool:
        """Whether it is ready: by its own word, for to ask it all the time would slow it down where all is slow."""
        said = self._process.log.read_text().count(READY)
        process, until = self._process.spawn(), time.monotonic() + STARTS_WITHIN
        while self._process.log.read_text().count(READY) == said:
            if process.poll() is not None:
                return False
            if time.monotonic() > until:
                raise AssertionError(f"it was not ready in {STARTS_WITHIN:g} s")
            time.sleep(0.05)
        return True


class DatabaseLane(threading.Thread):
    """The database server is ended twice: once as a crash would, once as an administrator does, and then it may be away
    for longer than a lease."""

    def __init__(self, server: OwnServer, seed: str, *, seconds: float, lease: float) -> None:
        super().__init__(name="postgres", daemon=True)
        self.faults: list[Fault] = []
        self.failed_starts = 0
        self.strange: list[str] = []
        self._server = server
        self._random = random.Random(f"{seed}-postgres")
        self._seconds = seconds
        self._lease = lease

    def run(self) -> None:
        began = time.monotonic()
        try:
            for mode, part, longest in (("immediate", 0.3, 2.0), ("fast", 0.6, 1.5 * self._lease)):
                at = began + self._seconds * (part + self._random.uniform(-0.1, 0.1))
                time.sleep(max(0.0, at - time.monotonic()))
                self._restart(mode, longest)
        except Exception as error:
            self.strange.append(f"{self.name}: {error!r}")

    def _restart(self, mode: str, longest: float) -> None:
        ended = time.time_ns()
        self._server.stop(mode)
        time.sleep(self._random.uniform(0.0, longest))
        self._server.start()
        self.faults.append(Fault(f"{mode} restart", self.name, 0, ended, time.time_ns()))


def befall(lanes: Sequence[Lane | DatabaseLane]) -> list[Fault]:
    """Let it all happen at once; answers what happened, in order, when it is over."""
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return sorted((fault for lane in lanes for fault in lane.faults), key=lambda fault: fault.began)

"""Stragglers: processes that a command left behind outside of its process group, in a session of their own.

The worker adopts them: it is their reaper of last resort (PR_SET_CHILD_SUBREAPER), so whoever has lost his parent is
its child. Whose he is tells his session, else `MILLRACE_ATTEMPT` in his environment, which he may have changed. Whom
neither shows to belong to a command that runs is told by the user that commands run as, where that is another one: with
a mark of nobody he ends at once, with none when no other command runs.

To look costs next to nothing: who comes from a command has a higher number than it (until numbers begin anew, which a
command can bring about), and that there is no child at all is told by one system call.
"""

import ctypes
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
MARK = b"MILLRACE_ATTEMPT="


@dataclass(frozen=True, slots=True)
class Straggler:
    """A child of this process in another session, which is no command that runs."""

    pid: int
    group: int
    session: int
    uid: int
    mark: str
    has_ended: bool


@dataclass(slots=True)
class Trail:
    """By what the processes of one command are known."""

    mark: str
    uid: int | None
    """The user that commands run as, where that is not the worker's own."""
    leader: int = 0


class Stragglers:
    """One for the process: it knows all commands that run here."""

    def __init__(self) -> None:
        self._running: list[Trail] = []
        _adopt_orphans()

    @contextmanager
    def of_a_command(self, mark: str, uid: int | None) -> Iterator[Trail]:
        """Around the life of a command, from before it is started until all that it left behind has ended."""
        trail = Trail(mark, uid)
        self._running.append(trail)
        try:
            yield trail
        finally:
            self._running.remove(trail)

    def end(self, trail: Trail) -> bool:
        """Kill what a command has left behind, which has ended itself; false: there may be more, who have just come."""
        if not trail.leader or not _has_children():
            return True
        others = [other for other in self._running if other is not trail]
        leaders = {other.leader for other in others}
        # Where nobody else runs there should be no child, so it is worth a look at all that there are.
        since = trail.leader if others else 0
        seen = [one for one in _children_elsewhere(since) if one.pid not in leaders]
        theirs = [one for one in seen if _is_of(one, trail, others)]
        for one in theirs:
            _kill(one)
        # Of others no more than that they have ended: they are zombies until somebody asks.
        for one in seen:
            if one.has_ended or one in theirs:
                _bury(one)
        return not theirs


@cache
def stragglers_here() -> Stragglers:
    return Stragglers()


def _is_of(one: Straggler, trail: Trail, others: Sequence[Trail]) -> bool:
    if one.session == trail.leader or (one.mark and one.mark == trail.mark):
        return True
    if one.uid != trail.uid or any(one.session == other.leader for other in others):
        return False
    return one.mark not in {other.mark for other in others} if one.mark else not others


def _kill(one: Straggler) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if one.group != os.getpgrp():
            os.killpg(one.group, signal.SIGKILL)
        os.kill(one.pid, signal.SIGKILL)


def _bury(one: Straggler) -> None:
    """If it has ended; else the next look does. What this process has started otherwise has somebody who waits."""
    with suppress(ChildProcessError):
        os.waitpid(one.pid, os.WNOHANG)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children_elsewhere(since: int) -> Iterator[Straggler]:
    """Those children in other sessions that may come from the command with this number, or with a higher one."""
    own, own_session = os.getpid(), os.getsid(0)
    has_wrapped = int((PROC / "loadavg").read_text().split()[-1]) < since
    for name in os.listdir(PROC):
        if not name.isdigit() or not (has_wrapped or int(name) > since):
            continue
        with suppress(OSError):
            place = PROC / name
            state, parent, group, session = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(parent) == own and int(session) != own_session:
                yield Straggler(
                    int(name), int(group), int(session), place.stat().st_uid, _mark_of(place), state in "ZX"
                )


def _mark_of(place: Path) -> str:
    try:
        environment = (place / "environ").read_bytes()
    except OSError:
        return ""
    found = (entry for entry in environment.split(b"\0") if entry.startswith(MARK))
    return next(found, b"")[len(MARK) :].decode(errors="replace")


def _adopt_orphans() -> None:
    """Processes whose parent has ended become children of this process, and not of the first one of the system."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        logger.warning("what commands leave behind cannot be followed: %s", os.strerror(ctypes.get_errno()))

"""The open connections: how many there may be, and how slow who is at the other end may be.

Nothing is timed by request. Once a second all connections are looked at, and each says how long it has been waiting for
the same; so a client that sends a head byte by byte, lets a body stall or does not read its answer costs no more than
one that does not. Time is counted in looks: a process that was held up has not kept anybody waiting for it.
"""

import logging
import resource
from collections import Counter
from dataclasses import dataclass
from typing import Final, Protocol

from millrace.api.forwarding import Proxies
from millrace.auth.logins.throttling import network_of
from millrace.config import Settings

logger = logging.getLogger(__name__)

PROGRESS: Final = 1_024
"""Bytes in the time of a stall that are enough to go on."""
FILES_OF_OTHERS: Final = 256
"""Open files of this process that are no connections: databases, artifacts, pipes of tasks."""
SHARE: Final = 2
"""One address may have one in so many of all connections."""


@dataclass(slots=True)
class Waiting:
    """What a connection has been seen to wait for."""

    subject: object = None
    looks: int = 0
    mark: int = 0
    """Bytes that had gone through when the count began."""

    def look(self, subject: object, gone: int | None) -> int:
        """Another look: how many there have been for this subject since enough bytes went through.

        `gone`: bytes that have gone through in all; `None` where none would do.
        """
        if subject != self.subject or (gone is not None and gone - self.mark >= PROGRESS):
            self.subject, self.looks, self.mark = subject, 0, gone or 0
        else:
            self.looks += 1
        return self.looks


class Watched(Protocol):
    def look(self) -> None:
        """End it if its client keeps it waiting for too long."""
        ...


class OpenSockets:
    def __init__(self, settings: Settings) -> None:
        self.head_looks = settings.head_timeout
        self.stall_looks = settings.stall_timeout
        self._most = most_connections(settings.max_connections)
        self._most_of_one = self._most // SHARE
        self._proxies = Proxies(settings.trusted_proxies)
        self._open: set[Watched] = set()
        self._of_address: Counter[str] = Counter()
        self._refused = 0

    def admit(self, connection: Watched, host: str) -> bool:
        """Whether there is room for it; if so, it counts until `leave`."""
        place = network_of(host)
        full = len(self._open) >= self._most
        if full or (self._of_address[place] >= self._most_of_one and not self._proxies.trusts(host)):
            self._refused += 1
            return False
        self._open.add(connection)
        self._of_address[place] += 1
        return True

    def leave(self, connection: Watched, host: str) -> None:
        if connection in self._open:
            self._open.discard(connection)
            place = network_of(host)
            self._of_address[place] -= 1
            if not self._of_address[place]:
                del self._of_address[place]

    def look(self) -> None:
        """Look at each connection; to be called once a second."""
        for connection in tuple(self._open):
            connection.look()
        if self._refused:
            logger.warning(
                "%d connections were refused: MILLRACE_MAX_CONNECTIONS allows %d, and %d from one address",
                self._refused,
                self._most,
                self._most_of_one,
            )
            self._refused = 0


def most_connections(wanted: int) -> int:
    """As many as are wanted, if the process may have so many files open; it is allowed more if that can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_OF_OTHERS
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return max(allowed - FILES_OF_OTHERS, 2)
    return wanted

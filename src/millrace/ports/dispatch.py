"""The ports between processes that share a database: hints to the others, and turns at what one alone should do.

Nothing depends on either being fast or certain. A hint that is lost costs the time until the other process looks by
itself; a turn that is not to be had is had later, or by somebody else.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol


class Hint(StrEnum):
    WORK = "work"
    """Attempts wait that the process which scheduled them does not claim."""
    STOP = "stop"
    """Attempts of the run that is the subject are to be ended, wherever they run."""
    INBOX = "inbox"
    """Facts wait in the inbox that the process which knows of them could not fold."""
    ADMISSION = "admission"
    """A run may have room under its limit now, or has come to wait for it."""
    TRIGGERS = "triggers"
    """Triggers were changed, so the next one may be due sooner."""
    EVENTS = "events"
    """Events were stored that are to be routed."""
    OPERATIONS = "operations"
    """An operation on many runs was asked for."""
    RETENTION = "retention"
    """A round of retention was asked for."""
    AGENTS = "agents"
    """An agent was changed, so another number of attempts may call it."""
    LOST = "lost"
    """A worker was declared lost: what it left behind on its host is to be ended before it meets who comes after it."""


class Hints(Protocol):
    def tell(self, hint: Hint, subject: str = "") -> None:
        """Tell all other processes. Never blocks, never raises; the same hint twice in a moment is told once."""
        ...

    def on(self, hint: Hint, act: Callable[[str], None]) -> None:
        """Call `act` with the subject when another process tells. The subject is `*` when any may be meant."""
        ...


class Turns(Protocol):
    def turn(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Whether this process has the turn called `name` while the block lasts; without waiting for it.

        Two have it only while one of them has lost the database without knowing, so it saves work and hurry, but what
        is written must be right all the same.
        """
        ...

    async def join(self) -> None:
        """Be one of those that run on this database from now on. Raises `StoreUnavailable`."""
        ...

    async def others(self) -> bool:
        """Whether other processes have joined. Raises `StoreUnavailable`."""
        ...

    def waited_turn(self, name: str) -> AbstractAsyncContextManager[None]:
        """The turn called `name`, however long others have it. Raises `StoreUnavailable`."""
        ...

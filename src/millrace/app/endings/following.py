"""Follows the line of changes for the ends of runs, and tells those who act on them. Missing none, whoever dies.

    how far has it come? → does anybody listen? → the ends in the next stretch → each listener → move on

The position is kept in the database and moves only after the listeners are done, by compare-and-set; so a crash, or a
second process that follows at the same time, can repeat an end, but not skip one. Where nobody listens the position
moves all the same, and the rows of runs are not read.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from millrace.app.endings import repository
from millrace.app.endings.listeners import EndingListener
from millrace.app.endings.repository import Stretch
from millrace.app.histories.repository import ends_of_changes
from millrace.engine.service import Service
from millrace.ports.database import Database

logger = logging.getLogger(__name__)

NAME: Final = "endings"
LINES = 2_000
"""Changes in one stretch."""

BREATH_SECONDS = 0.05
"""Between two stretches: what a busy installation commits meanwhile comes in one."""

SETTLING_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    before: int | None
    """How far it has come; `None` for one that has not begun."""
    stretch: Stretch | None
    """What is to be done next."""
    unsettled: bool
    """Whether there is more, which waits for what others are just committing."""


class Endings(Service):
    interval = 1.0

    def __init__(self, database: Database, listeners: Sequence[EndingListener]) -> None:
        super().__init__()
        self._database = database
        self._listeners = listeners
        self._heard = False
        """Whether anybody listened in the last round."""
        self._settling = SETTLING_SECONDS
        self._done_at: int | None = None
        """How much had been written when there was nothing more to tell."""

    def run_ended(self) -> None:
        """A run of this process ended. Costs nothing where nobody listens; who begins to is found by the next round."""
        if self._heard:
            self.wake()

    async def run_once(self) -> float | None:
        while True:
            written = self._database.written
            if written is not None and written == self._done_at:
                return None
            look = await self._database.read_for_engine(self._look)
            stretch = look.stretch
            if stretch is None:
                self._done_at = written
                return self._pause(unsettled=look.unsettled)
            if stretch.ended:
                for listener in self._listeners:
                    await listener.runs_ended(stretch.ended)
            move = partial(repository.move, name=NAME, before=look.before, after=stretch.until)
            if not await self._database.write(move):
                # Another process has come as far, or farther.
                return None
            if not self._heard:
                return None
            self._settling = SETTLING_SECONDS
            if stretch.ended and stretch.complete:
                await asyncio.sleep(BREATH_SECONDS)

    def _pause(self, *, unsettled: bool) -> float | None:
        """Each time twice as long: what others are committing may be of another database, and take hours."""
        if not unsettled or not self._heard:
            return None
        self._settling = 2 * self._settling
        return self._settling

    def _look(self, connection: Connection) -> Look:
        ends, before = ends_of_changes(connection), repository.position_of(connection, NAME)
        if before == ends.newest:
            return Look(before, None, ends.unsettled)
        self._heard = any(listener.listens(connection) for listener in self._listeners)
        if before is None or before > ends.newest or not self._heard:
            # What ended before anybody followed is the past. So it is where the line began anew, on another server.
            return Look(before, Stretch(ends.newest, (), complete=True), ends.unsettled)
        if before < ends.oldest - 1:
            logger.error("the ends of runs in the changes %d to %d were missed", before + 1, ends.oldest - 1)
        return Look(before, repository.read_stretch(connection, max(before, ends.oldest - 1), LINES), ends.unsettled)

"""Whether a PostgreSQL database can be written: noted when a write fails, and tried until one succeeds.

A process whose writes fail is told so by its health, and then perhaps nobody writes by it any more: so it finds out by
itself when all is well again. What is tried needs room as real work does, and leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from millrace.ports.database import Trouble
from millrace.ports.store import StoreUnavailable
from millrace.storage.postgres.connecting import TRANSIENT, UNAVAILABLE, state_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds between two tries."""
BY_STATE = {
    "53100": Trouble("disk_full", "the disk of the database is full; make room, and work goes on by itself"),
    "25006": Trouble("database_read_only", "the database is read-only; let it be written, and work goes on by itself"),
    "53300": Trouble(
        "database_unusable",
        "the database takes no more connections; raise its max_connections, or stop what holds them",
    ),
}
TRY = (
    "set local temp_tablespaces = ''",
    "set local work_mem = '64kB'",
    # Refused when nothing may be written, though it concerns no row.
    "update alembic_version set version_num = version_num where false",
    # More than the memory it is allowed: some megabytes beside the tables, for a moment.
    "select count(*) from generate_series(1, 150000)",
)


class Writability:
    def __init__(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """`attempt` does `try_to_write` on a connection for writes."""
        self.trouble: Trouble | None = None
        self._attempt = attempt
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Within it somebody writes; what keeps the database from being written is remembered."""
        try:
            yield
        except StoreUnavailable as error:
            self._note(error)
            raise

    async def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    def _note(self, error: StoreUnavailable) -> None:
        state = _state_below(error)
        if self._closed or state in TRANSIENT or state in UNAVAILABLE:
            return  # others were in the way; that says nothing about the database
        self.trouble = _trouble_of(state)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._try_until_it_can(), name="writable")

    async def _try_until_it_can(self) -> None:
        while True:
            try:
                await self._attempt()
            except StoreUnavailable as error:
                self.trouble = _trouble_of(_state_below(error))
            except Exception:
                logger.exception("whether the database can be written could not be tried")
            else:
                self.trouble = None
                return
            await asyncio.sleep(LOOK_AGAIN)


def try_to_write(connection: "Connection") -> None:
    """Raises what the server has against it."""
    for statement in TRY:
        connection.exec_driver_sql(statement)


def _trouble_of(state: str) -> Trouble:
    """Said to anyone who asks for the health, so it names no place."""
    if (known := BY_STATE.get(state)) is not None:
        return known
    reason = f"the server says SQLSTATE {state}" if state else "it does not answer"
    return Trouble("database_unusable", f"the database cannot be written: {reason}; the log says more")


def _state_below(error: StoreUnavailable) -> str:
    return "" if error.__cause__ is None else state_of(error.__cause__)

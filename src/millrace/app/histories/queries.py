"""Reading a run's records and log lines page by page, in both directions, and waiting for the next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.cursors import Page, encode_cursor
from millrace.app.histories import repository
from millrace.app.histories.repository import LogFilter, Progress, Window
from millrace.app.histories.timeline import Timeline, timeline_of
from millrace.app.histories.views import BY_USERS, View, log_view, record_view, users_in, with_user
from millrace.auth.names import UserNames
from millrace.core.errors import NotFound
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.database import Database

Read = Callable[[Connection], Sequence[RowMapping]]

MOST_RECORDS = 50_000
"""A timeline is made of so many records at most."""


class HistoryQueries:
    def __init__(
        self,
        database: Database,
        bus: Bus,
        clock: Clock,
        names: UserNames,
        missing: Callable[[str], Awaitable[NotFound]],
    ) -> None:
        """`missing`: what is to be said of a run that is not there, which may be in the archive."""
        self._database = database
        self._missing = missing
        self._names = names
        self._bus = bus
        self._clock = clock

    async def records(self, run_id: str, window: Window, *, wait_seconds: float) -> Page[View]:
        """A stretch of the run's history; with nothing there yet, waits for a record while the run goes on."""

        def read(connection: Connection) -> Sequence[RowMapping]:
            return repository.read_records(connection, run_id, window)

        rows = await self._awaited(run_id, read, wait_seconds)
        return _page(rows, window, partial(record_view, names=await self._names.of(users_in(rows))))

    async def logs(self, run_id: str, window: Window, narrow: LogFilter, *, wait_seconds: float) -> Page[View]:
        """A stretch of the run's log; with nothing there yet, waits for a line while the run goes on."""

        def read(connection: Connection) -> Sequence[RowMapping]:
            return repository.read_logs(connection, run_id, window, narrow)

        return _page(await self._awaited(run_id, read, wait_seconds), window, log_view)

    async def timeline(self, run_id: str, *, after: int = 0) -> Timeline:
        """What became of each task and why, put together from the records numbered above `after`.

        They may be more than one timeline is made of: then it is not `complete`, and goes on after `next_after`.
        """
        window = Window(after=after, limit=MOST_RECORDS)

        def read(connection: Connection) -> tuple[Progress | None, Sequence[RowMapping]]:
            return repository.progress(connection, run_id), repository.read_records(connection, run_id, window)

        found, rows = await self._database.read(read)
        if found is None:
            raise await self._missing(run_id)
        timeline = await asyncio.to_thread(timeline_of, run_id, found, rows, after)
        names = await self._names.of(users_in(rows))
        tasks = [_with_named_notes(task, names) for task in timeline["tasks"]]
        return {**_with_named_notes(timeline, names), "tasks": tasks}

    async def require(self, run_id: str) -> None:
        """Raise `NotFound` unless there is such a run."""
        if await self._database.read(lambda connection: repository.progress(connection, run_id)) is None:
            raise await self._missing(run_id)

    async def _awaited(self, run_id: str, read: Read, wait_seconds: float) -> Sequence[RowMapping]:
        """What `read` finds, looking again after each hint about the run until there is something or time is up."""
        until = self._clock.monotonic() + wait_seconds
        while True:
            remaining = until - self._clock.monotonic()
            if remaining <= 0:
                return (await self._look(run_id, read))[1]
            # The wait begins before the read, so that what is committed in between is not slept through.
            hint = asyncio.ensure_future(self._bus.wait(run_id, remaining))
            try:
                finished, rows = await self._look(run_id, read)
                if rows or finished:
                    return rows
                await hint
            finally:
                hint.cancel()

    async def _look(self, run_id: str, read: Read) -> tuple[bool, Sequence[RowMapping]]:
        """Whether the run has finished, and the rows: in one snapshot, so a finished run has no more to come."""

        def look(connection: Connection) -> tuple[Progress | None, Sequence[RowMapping]]:
            return repository.progress(connection, run_id), read(connection)

        found, rows = await self._database.read(look)
        if found is None:
            raise await self._missing(run_id)
        return is_finished(found), rows


def is_finished(progress: Progress) -> bool:
    return RunStatus(progress.status) in FINISHED_RUN


def unfinished(database: Database) -> Callable[[Set[str]], Awaitable[Set[str]]]:
    """To ask which of some runs are there and have not finished: a look at one row of each."""

    async def ask(run_ids: Set[str]) -> Set[str]:
        return await repository.unfinished(database, run_ids)

    return ask


def _with_named_notes(view: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A timeline, or a task of one, whose notes call users by names."""
    return {**view, "notes": [_named(note, names) for note in view["notes"]]}


def _named(note: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    return {**note, "data": with_user(note["data"], names)} if note["type"] in BY_USERS else note


def unknown_run(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run with the id {run_id!r}")


def _page(rows: Sequence[RowMapping], window: Window, view: Callable[[RowMapping], View]) -> Page[View]:
    """The next page goes on after the last line shown, and there is one unless this stretch ran to the end."""
    goes_on = bool(rows) and (len(rows) == window.limit if not window.last else window.before is not None)
    return Page([view(row) for row in rows], encode_cursor(int(rows[-1]["seq"])) if goes_on else None)

"""Reading runs: one, lists of them, their tasks, and their records and log lines as they come."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.plans import StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.repository import RunFilter, RunHead
from millrace.app.runs.views import View, log_view, record_view, run_view, task_run_view
from millrace.core.errors import NotFound
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.database import Database

Read = Callable[[Connection], Sequence[RowMapping]]


class RunQueries:
    def __init__(self, database: Database, plans: StoredPlans, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._plans = plans
        self._bus = bus
        self._clock = clock

    async def get(self, run_id: str) -> View:
        row = await self._database.read(lambda connection: repository.find_run(connection, run_id))
        if row is None:
            raise unknown_run(run_id)
        return run_view(row)

    async def list(self, narrow: RunFilter, *, cursor: str | None, limit: int) -> Page[View]:
        before = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.list_runs(connection, narrow, before=before, limit=limit + 1)
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1]["id"]) if len(rows) > limit else None
        return Page([run_view(row) for row in shown], more)

    async def tasks(self, run_id: str, *, cursor: str | None, limit: int) -> Page[View]:
        """The task runs of a run, in the order in which the definition lists their tasks."""
        after = decode_text(cursor)
        head = await self.head(run_id)
        paths = list((await self._plans.plan(head.version_id)).tasks)
        first = paths.index(after) + 1 if after in paths else 0
        wanted = paths[first : first + limit]
        rows = await self._database.read(lambda connection: repository.task_runs_of(connection, run_id, wanted))
        more = encode_cursor(wanted[-1]) if first + limit < len(paths) else None
        return Page([task_run_view(rows[path]) for path in wanted if path in rows], more)

    async def task(self, run_id: str, path: str) -> View:
        row = await self._database.read(lambda connection: repository.find_task_run(connection, run_id, path))
        if row is None:
            await self.head(run_id)
            raise NotFound("task_run_not_found", f"run {run_id} has no task {path!r}")
        return task_run_view(row)

    async def records(self, run_id: str, *, after: int, limit: int, wait_seconds: float) -> Page[View]:
        """Records numbered above `after`; with none there yet, waits for one while the run goes on."""

        def read(connection: Connection) -> Sequence[RowMapping]:
            return repository.records_after(connection, run_id, after, limit)

        return _numbered(await self._awaited(run_id, read, wait_seconds), limit, record_view)

    async def logs(
        self, run_id: str, *, after: int, limit: int, wait_seconds: float, path: str | None, levels: Sequence[str]
    ) -> Page[View]:
        """Log lines numbered above `after`; with none there yet, waits for one while the run goes on."""

        def read(connection: Connection) -> Sequence[RowMapping]:
            return repository.logs_after(connection, run_id, after, limit, path=path, levels=levels)

        return _numbered(await self._awaited(run_id, read, wait_seconds), limit, log_view)

    async def head(self, run_id: str) -> RunHead:
        head = await self._database.read(lambda connection: repository.head(connection, run_id))
        if head is None:
            raise unknown_run(run_id)
        return head

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
        """Whether the run has finished, read first: then the rows that follow are all there will be."""

        def look(connection: Connection) -> tuple[RunHead | None, Sequence[RowMapping]]:
            return repository.head(connection, run_id), read(connection)

        head, rows = await self._database.read(look)
        if head is None:
            raise unknown_run(run_id)
        return is_finished(head), rows


def is_finished(head: RunHead) -> bool:
    return RunStatus(head.status) in FINISHED_RUN


def unknown_run(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run with the id {run_id!r}")


def _numbered(rows: Sequence[RowMapping], limit: int, view: Callable[[RowMapping], View]) -> Page[View]:
    more = encode_cursor(int(rows[-1]["seq"])) if len(rows) == limit else None
    return Page([view(row) for row in rows], more)

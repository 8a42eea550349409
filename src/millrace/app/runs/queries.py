"""Reading runs: one, lists of them, and their tasks."""

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice

from sqlalchemy import Connection

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.plans import StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.payloads import read_back
from millrace.app.runs.repository import RUN_PAYLOADS, TASK_PAYLOADS, RunFilter, RunHead
from millrace.app.runs.views import View, run_view, task_run_view
from millrace.app.runs.waiting.reasons import waiting_for, waiting_in_list
from millrace.core.errors import Fault, InvalidRequest, NotFound
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.definition.words import hint
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.payloads import Payloads

TASKS_TOLD = 20
"""Of a run whose task was asked for under a wrong name."""


class RunQueries:
    def __init__(
        self,
        database: Database,
        plans: StoredPlans,
        clock: Clock,
        type_limits: Mapping[str, int],
        payloads: Payloads,
    ) -> None:
        self._database = database
        self._payloads = payloads
        self._plans = plans
        self._clock = clock
        self._type_limits = type_limits
        self.is_archived: Callable[[str], Awaitable[bool]] | None = None
        """Asked about runs that are not there, to say where they are."""

    async def get(self, run_id: str) -> View:
        """One run with all that belongs to it, and what it waits for. Raises `NotFound`."""

        def read(connection: Connection) -> View | None:
            row = repository.find_run(connection, run_id)
            if row is None:
                return None
            told = repository.told_of(connection, row)
            if RunStatus(row["status"]) in FINISHED_RUN:
                return run_view(row, [], told)
            return run_view(row, waiting_for(connection, run_id, self._clock.now(), self._type_limits), told)

        found = await self._database.read(read)
        if found is None:
            raise await self.missing(run_id)
        return await read_back(found, RUN_PAYLOADS, self._payloads)

    async def list(self, narrow: RunFilter, *, cursor: str | None, limit: int) -> Page[View]:
        """Runs, newest first. A page may hold fewer than `limit`, or none, and have a next one all the same."""
        before = decode_text(cursor)

        def read(connection: Connection) -> tuple[list[View], str | None]:
            rows, below = repository.list_runs(connection, narrow, before=before, limit=limit)
            waits = waiting_in_list(connection, rows, self._clock.now(), self._type_limits)
            return [run_view(row, waits.get(row["id"], ())) for row in rows], below

        views, below = await self._database.read(read)
        return Page(views, None if below is None else encode_cursor(below))

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
        return await read_back(task_run_view(row), TASK_PAYLOADS, self._payloads)

    async def require_task(self, run_id: str, path: str) -> None:
        """Raise `InvalidRequest` for a filter by a task that the run does not have, `NotFound` without such a run."""
        known = (await self._plans.plan((await self.head(run_id)).version_id)).tasks
        if path in known:
            return
        message = f"run {run_id} has no task {path[:100]!r}{hint(path, known)}"
        remedy = f"write one of {', '.join(islice(known, TASKS_TOLD))}{', …' if len(known) > TASKS_TOLD else ''}"
        fault = Fault("query.task", "unknown_task", message, remedy)
        raise InvalidRequest("unknown_task", "there is no such task in the run", faults=[fault])

    async def head(self, run_id: str) -> RunHead:
        head = await self._database.read(lambda connection: repository.head(connection, run_id))
        if head is None:
            raise await self.missing(run_id)
        return head

    async def missing(self, run_id: str) -> NotFound:
        """What is to be said of a run that is not there."""
        if self.is_archived is not None and await self.is_archived(run_id):
            where = f"it is in the archive: `millrace archive show {run_id}`"
            return NotFound("run_not_found", f"there is no run with the id {run_id!r} any more; {where}")
        return unknown_run(run_id)


def is_finished(head: RunHead) -> bool:
    return RunStatus(head.status) in FINISHED_RUN


def unknown_run(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run with the id {run_id!r}")

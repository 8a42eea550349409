"""Reading runs: one, lists of them, and their tasks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice

import orjson
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.decisions.repository import Wait, find_wait
from millrace.app.decisions.views import question_view
from millrace.app.plans import StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.payloads import read_back
from millrace.app.runs.repository import RUN_PAYLOADS, RunFilter, RunHead
from millrace.app.runs.tasks.order import holds_tasks, is_path, place_of
from millrace.app.runs.tasks.reading import TaskFilter, TaskReader, TaskRows
from millrace.app.runs.tasks.repository import TASK_PAYLOADS
from millrace.app.runs.views import View, run_view, task_run_view, test_view
from millrace.app.runs.waiting.reasons import waiting_for, waiting_in_list
from millrace.app.test_runs.repository import terms_of
from millrace.core.controls import APPROVAL
from millrace.core.errors import Fault, InvalidRequest, NotFound
from millrace.core.states import FINISHED_RUN, RunStatus, TaskStatus
from millrace.definition.words import hint
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.payloads import Payloads
from millrace.ports.plans import TEST

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
            test = _test_of(connection, row)
            if RunStatus(row["status"]) in FINISHED_RUN:
                return run_view(row, [], told, test)
            return run_view(row, waiting_for(connection, run_id, self._clock.now(), self._type_limits), told, test)

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

    async def tasks(self, run_id: str, narrow: TaskFilter, *, cursor: str | None, limit: int) -> Page[View]:
        """The task runs of a run, as the definition lists their tasks, iteration after iteration.

        A page that is narrowed by status may hold fewer than `limit`, or none, and have a next one all the same.
        Raises `InvalidRequest` for `within` nothing that could hold tasks.
        """
        after = decode_text(cursor)
        head = await self.head(run_id)
        plan = await self._plans.plan(head.plan_id)
        if narrow.within is not None and not holds_tasks(plan, narrow.within):
            message = f"{narrow.within[:100]!r} is no task of this run that holds others, nor an iteration of a loop"
            fault = Fault("query.within", "unknown_task", message, "write a path such as load, or load[3]")
            raise InvalidRequest("unknown_task", "there is no such task in the run", faults=[fault])
        found = await self._database.read(
            lambda connection: TaskReader(connection, plan, head).page(narrow, after=after, limit=limit)
        )
        keys = await self._keys(found.inputs)
        views = [
            task_run_view(row, place_of(plan, row["path"]), keys, plan, begun=found.begun.get(row["path"]))
            for row in found.rows
        ]
        return Page(views, None if found.next is None else encode_cursor(found.next))

    async def _keys(self, inputs: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """What the items of loops are called, by the path of the loop."""
        taken = {path: orjson.loads(await self._payloads.read(text)) for path, text in inputs.items()}
        return {path: given.get("keys", ()) for path, given in taken.items()}

    async def task(self, run_id: str, path: str) -> View:
        """One task run, and what is asked if it waits for a decision. Raises `NotFound`."""
        head = await self.head(run_id)
        plan = await self._plans.plan(head.plan_id)

        def read(connection: Connection) -> tuple[TaskRows, Wait | None]:
            found = TaskReader(connection, plan, head).one(path)
            row = found.rows[0] if found.rows else None
            waits = row is not None and row["type"] == APPROVAL and row["status"] == TaskStatus.WAITING
            return found, find_wait(connection, run_id, path) if waits else None

        found, wait = await self._database.read(read)
        if not found.rows:
            raise NotFound("task_run_not_found", f"run {run_id} has no task {path!r}")
        view = task_run_view(found.rows[0], place_of(plan, path), await self._keys(found.inputs), plan)
        shown = {**view, "approval": None if wait is None else question_view(wait)}
        return await read_back(shown, TASK_PAYLOADS, self._payloads)

    async def require_task(self, run_id: str, path: str) -> None:
        """Raise `InvalidRequest` for a filter by a task that the run cannot have, `NotFound` without such a run.

        Also the path of an iteration stands for what is in it.
        """
        plan = await self._plans.plan((await self.head(run_id)).plan_id)
        if is_path(plan, path) or holds_tasks(plan, path):
            return
        known = plan.tasks
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


def _test_of(connection: Connection, row: RowMapping) -> View | None:
    """What a test run tests. Of other runs nothing is read."""
    terms = terms_of(connection, row["id"]) if row["trigger_type"] == TEST else None
    return None if terms is None else test_view(terms)


def is_finished(head: RunHead) -> bool:
    return RunStatus(head.status) in FINISHED_RUN


def unknown_run(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run with the id {run_id!r}")

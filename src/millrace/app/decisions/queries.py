"""Reading what waits for a decision: over all runs, and how a single task stands."""

from sqlalchemy import Connection

from millrace.app.cursors import Page, decode_text, encode_cursor, invalid_cursor
from millrace.app.decisions import repository
from millrace.app.decisions.repository import Look, Place
from millrace.app.decisions.views import View, approval_view
from millrace.app.runs.queries import RunQueries
from millrace.auth.sight import Sight
from millrace.core.errors import NotFound
from millrace.core.values import MAX_INTEGER
from millrace.ports.database import Database


class ApprovalQueries:
    def __init__(self, database: Database, runs: RunQueries) -> None:
        self._database = database
        self._runs = runs

    async def list(
        self, workflow_id: str | None, *, sight: Sight | None = None, cursor: str | None, limit: int
    ) -> Page[View]:
        """What waits for a decision, the longest first. A page may be short, and have a next one all the same."""
        after = _place(decode_text(cursor))
        waits, end = await self._database.read(
            lambda connection: repository.list_waits(connection, workflow_id, sight, after=after, limit=limit)
        )
        more = None if end is None else encode_cursor(" ".join(map(str, end)))
        return Page([approval_view(wait) for wait in waits], more)

    async def look(self, run_id: str, path: str) -> Look:
        """How a task stands. Raises `NotFound` without such a run or task."""

        def read(connection: Connection) -> Look | None:
            return repository.look(connection, run_id, path)

        found = await self._database.read(read)
        if found is None:
            await self._runs.head(run_id)
            raise NotFound("task_run_not_found", f"run {run_id} has no task {path!r}")
        return found


def _place(text: str | None) -> Place | None:
    if text is None:
        return None
    since, _, rest = text.partition(" ")
    run_id, found, path = rest.partition(" ")
    if not found or not since.isascii() or not since.isdecimal() or len(since) > len(str(MAX_INTEGER)):
        raise invalid_cursor()
    if int(since) > MAX_INTEGER or "\0" in rest:
        raise invalid_cursor()
    return int(since), run_id, path

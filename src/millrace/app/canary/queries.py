"""Reading canaries: which is live and which were, and how the two versions did, side by side."""

from functools import partial
from typing import Final

import orjson
from sqlalchemy import Connection

from millrace.app.canary import repository
from millrace.app.canary.outcomes import outcomes_of, outcomes_view
from millrace.app.canary.repository import CanaryRow
from millrace.app.canary.views import canary_view, no_canary
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.workflows.catalog import Catalog
from millrace.app.workflows.repository import WorkflowRow
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject
from millrace.ports.database import Database

MOST_RUNS: Final = 20_000
"""Of a workflow, the newest: so many are looked at for one comparison."""


class CanaryQueries:
    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def live(self, reference: str) -> JsonObject:
        """The canary that is under way, and how both versions did. Raises `NotFound`."""
        workflow = (await self._catalog.resolve(reference)).workflow
        return await self._database.read(partial(_live, workflow=workflow))

    async def get(self, reference: str, canary_id: str) -> JsonObject:
        """As `live`, of any canary of the workflow: what became of its runs while it was live, as far as they are kept.

        Raises `NotFound`.
        """
        workflow = (await self._catalog.resolve(reference)).workflow
        return await self._database.read(partial(_one, workflow=workflow, canary_id=canary_id))

    async def list(self, reference: str, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """The canaries of a workflow, newest first, without figures. Raises `NotFound`."""
        before = decode_text(cursor)
        workflow = (await self._catalog.resolve(reference)).workflow
        rows = await self._database.read(
            lambda connection: repository.list_canaries(connection, workflow.id, before=before, limit=limit + 1)
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].id) if len(rows) > limit else None
        return Page([canary_view(row, workflow.name) for row in shown], more)


def _live(connection: Connection, workflow: WorkflowRow) -> JsonObject:
    row = repository.live(connection, workflow.id)
    if row is None:
        raise no_canary(workflow.name)
    return _compared(connection, workflow, row)


def _one(connection: Connection, workflow: WorkflowRow, canary_id: str) -> JsonObject:
    row = repository.find(connection, workflow.id, canary_id)
    if row is None:
        raise NotFound("canary_not_found", f"the workflow {workflow.name!r} has had no canary {canary_id[:80]!r}")
    return _compared(connection, workflow, row)


def _compared(connection: Connection, workflow: WorkflowRow, row: CanaryRow) -> JsonObject:
    seen = repository.runs_during(connection, row, MOST_RUNS + 1)
    complete, seen = len(seen) <= MOST_RUNS, seen[:MOST_RUNS]
    stable, canary = (outcomes_of(seen, version_id) for version_id in repository.version_ids(connection, row))
    return {
        **canary_view(row, workflow.name),
        "outcomes": {
            "looked_at": len(seen),
            "complete": complete,
            "stable": outcomes_view(row.stable, stable, _failure(connection, stable.last_failure)),
            "canary": outcomes_view(row.version, canary, _failure(connection, canary.last_failure)),
        },
    }


def _failure(connection: Connection, run_id: str | None) -> JsonObject | None:
    """A run that failed, and why."""
    if run_id is None:
        return None
    error = repository.error_of(connection, run_id)
    return {"run_id": run_id, "message": None if error is None else orjson.loads(error).get("message")}

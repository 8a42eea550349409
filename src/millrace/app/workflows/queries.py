"""Reading workflows: one, lists of them, their versions, and what is different between two versions."""

from functools import partial

import orjson
from sqlalchemy import Connection

from millrace.app.cursors import Page, decode_number, decode_text, encode_cursor
from millrace.app.workflows import repository
from millrace.app.workflows.catalog import Catalog, require_seen, unknown_version, unknown_workflow
from millrace.app.workflows.repository import VersionRow, WorkflowFilter, WorkflowRow
from millrace.app.workflows.views import detail, difference_view, etag, summary, version_view
from millrace.app.workflows.writing import newest
from millrace.auth.sight import Sight
from millrace.core.values import JsonObject
from millrace.definition.diff import difference
from millrace.definition.hashing import DESCRIBING
from millrace.ports.database import Database


class WorkflowQueries:
    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def get(self, reference: str) -> tuple[JsonObject, str]:
        """The workflow with its newest definition, and its ETag."""
        found = await self._database.read(lambda connection: newest(connection, reference))
        if found is None:
            raise unknown_workflow(reference)
        return detail(found), etag(found.workflow)

    async def id_of(self, reference: str, sight: Sight | None = None) -> str:
        """Raises `NotFound`, also for one that is not within the sight."""
        found = (await self._catalog.resolve(reference)).workflow.id
        await require_seen(self._database, found, sight, reference)
        return found

    async def id_of_runs(self, reference: str, sight: Sight | None = None) -> str:
        """As `id_of`, and the id of a deleted workflow is known, too: for finding its runs and ending them."""
        found = await self._catalog.id_of_runs(reference)
        await require_seen(self._database, found, sight, reference)
        return found

    async def list(self, narrow: WorkflowFilter, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Workflows by name, without their definitions."""
        after = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.list_workflows(connection, narrow, after=after, limit=limit + 1)
        )
        shown = rows[:limit]
        return Page([summary(row) for row in shown], encode_cursor(shown[-1].name) if len(rows) > limit else None)

    async def versions(self, reference: str, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """The versions of a workflow, newest first, without their definitions."""
        before = decode_number(cursor)
        workflow_id = (await self._catalog.resolve(reference)).workflow.id
        rows = await self._database.read(
            lambda connection: repository.list_versions(connection, workflow_id, before=before, limit=limit + 1)
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].number) if len(rows) > limit else None
        return Page([version_view(row, with_definition=False) for row in shown], more)

    async def version(self, reference: str, version: str) -> tuple[JsonObject, str]:
        """The version with this number, else with this tag, or `newest`, and the ETag of its workflow."""
        workflow, row = await self._version(reference, version)
        return version_view(row, with_definition=True), etag(workflow)

    async def difference(self, reference: str, old: str | None, new: str | None) -> JsonObject:
        """What became of `old` on the way to `new`: by default the newest version, and the one before that.

        Words about the workflow are left out: they belong to it and not to a version.
        """
        workflow, after = await self._version(reference, new)
        _, before = await self._version(workflow.id, str(max(after.number - 1, 1)) if old is None else old)
        found = difference(orjson.loads(before.definition), orjson.loads(after.definition), but=DESCRIBING)
        return {
            "workflow": {"id": workflow.id, "name": workflow.name},
            "from": version_view(before, with_definition=False),
            "to": version_view(after, with_definition=False),
            **difference_view(found),
        }

    async def _version(self, reference: str, wanted: str | None) -> tuple[WorkflowRow, VersionRow]:
        """A workflow and its version of this number or tag, without one the newest."""
        return await self._database.read(partial(_version, reference=reference, wanted=wanted))


def _version(connection: Connection, reference: str, wanted: str | None) -> tuple[WorkflowRow, VersionRow]:
    workflow = repository.find_workflow(connection, reference)
    if workflow is None:
        raise unknown_workflow(reference)
    wanted = str(workflow.newest_version) if wanted is None else wanted
    version = repository.version_called(connection, workflow.id, wanted)
    if version is None:
        raise unknown_version(workflow, wanted)
    return workflow, version

"""Reading workflows: one, lists of them, and their versions."""

from millrace.app.cursors import Page, decode_number, decode_text, encode_cursor
from millrace.app.workflows import repository
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.commands import newest
from millrace.app.workflows.repository import WorkflowFilter
from millrace.app.workflows.views import detail, etag, summary, version_view
from millrace.core.values import JsonObject
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
        workflow, version = found
        return detail(workflow, version, []), etag(workflow)

    async def id_of(self, reference: str) -> str:
        return (await self._catalog.resolve(reference)).workflow.id

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

    async def version(self, reference: str, number: int) -> JsonObject:
        workflow = (await self._catalog.resolve(reference)).workflow
        return version_view(await self._catalog.version(workflow, number), with_definition=True)

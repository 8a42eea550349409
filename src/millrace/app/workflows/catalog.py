"""Which workflow a path means, and which version a start of it takes.

What was read is remembered. Whoever changes a workflow (`writing`, and test mode) has it forgotten after the commit
and before it answers; a read that was under way meanwhile is told apart by the generation and not remembered. So in a
process that is alone on its database memory is never out of date. Where others write, too, it may be, and is good only
for a start: the commit of that says whether it is (`NewRun.workflow_updated_at`).
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection

from millrace.app.canary.choosing import LiveCanary
from millrace.app.canary.repository import live_choice
from millrace.app.workflows import repository
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.auth.grants.repository import visible
from millrace.auth.sight import Sight
from millrace.core.errors import NotFound
from millrace.ports.database import Database

MAX_CACHED = 4096


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    workflow: WorkflowRow
    version_id: str
    """The version that a start without `version` takes: the deployed one, else the newest."""
    canary: LiveCanary | None = None
    """Takes a share of the starts by triggers."""


class Catalog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[str, CatalogEntry] = {}
        self._references: defaultdict[str, set[str]] = defaultdict(set)
        """Under which words a workflow is remembered, by its id."""
        self._generation = 0

    async def resolve(self, reference: str) -> CatalogEntry:
        """The workflow with this id, else this exact name, else this slug, as it is now. Raises `NotFound`."""
        if self._database.is_shared:
            return await self.read(reference)
        return await self.expected(reference)

    async def expected(self, reference: str) -> CatalogEntry:
        """As `resolve`, but it may be out of date where the database is shared. Raises `NotFound`."""
        return self._entries.get(reference) or await self.read(reference)

    async def read(self, reference: str) -> CatalogEntry:
        """As `resolve`, whatever is remembered. Raises `NotFound`."""
        generation = self._generation
        entry = await self._database.read(lambda connection: _find(connection, reference))
        if entry is None:
            raise unknown_workflow(reference)
        if generation == self._generation:
            self._remember(reference, entry)
        return entry

    def _remember(self, reference: str, entry: CatalogEntry) -> None:
        # Another process may give the slug of one workflow to a new one as its name, which goes first.
        if self._database.is_shared and reference not in (entry.workflow.id, entry.workflow.name):
            return
        if len(self._entries) >= MAX_CACHED:
            self.forget_all()
        before = self._entries.get(reference)
        if before is not None and before != entry:
            self.forget(before.workflow.id, reference)
        self._entries[reference] = entry
        self._references[entry.workflow.id].add(reference)

    async def id_of_runs(self, reference: str) -> str:
        """The id under which the runs of a workflow are found: a deleted one is known by its id still, since its runs
        are there and may go on. Raises `NotFound`."""
        try:
            return (await self.resolve(reference)).workflow.id
        except NotFound:
            if await self._database.read(lambda connection: repository.is_deleted(connection, reference)):
                return reference
            raise

    async def version(self, workflow: WorkflowRow, wanted: str) -> VersionRow:
        """The version with this number, else with this tag, or `newest`. Raises `NotFound`."""
        row = await self._database.read(lambda connection: repository.version_called(connection, workflow.id, wanted))
        if row is None:
            raise unknown_version(workflow, wanted)
        return row

    def forget(self, workflow_id: str, name: str) -> None:
        """A change was committed of the workflow with this id, which has this name now."""
        self._generation += 1
        for reference in (*self._references.pop(workflow_id, ()), name):
            self._entries.pop(reference, None)

    def forget_all(self) -> None:
        """A change of some workflow was committed."""
        self._generation += 1
        self._entries.clear()
        self._references.clear()


async def require_seen(database: Database, workflow_id: str, sight: Sight | None, reference: str) -> None:
    """Raise, for a workflow that is not within the sight, the same `NotFound` as for one that there is not."""
    if sight is None:
        return
    if not await database.read(lambda connection: visible(connection, sight, [workflow_id])):
        raise unknown_workflow(reference)


def unknown_workflow(reference: str) -> NotFound:
    return NotFound("workflow_not_found", f"there is no workflow with the id, name or slug {reference!r}")


def unknown_version(workflow: WorkflowRow, reference: str) -> NotFound:
    return NotFound(
        "version_not_found",
        f"workflow {workflow.name!r} has no version {reference[:80]}; the newest is {workflow.newest_version}",
    )


def _find(connection: Connection, reference: str) -> CatalogEntry | None:
    row = repository.find_workflow(connection, reference)
    if row is None:
        return None
    number = row.newest_version if row.deployed_version is None else row.deployed_version
    version = repository.version_by_number(connection, row.id, number)
    if version is None:
        return None
    # Read after the workflow's row: should the canary be newer than that, the commit of a start finds out.
    canary = None if row.deployed_version is None else live_choice(connection, row.id)
    return CatalogEntry(row, version.id, canary)

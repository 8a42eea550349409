"""Reading what was deployed when, by whom, and with what outcome."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.canary import repository as canaries
from millrace.app.canary.repository import CanaryRow
from millrace.app.canary.views import live_view
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.deployments import repository
from millrace.app.deployments.repository import DeploymentFilter
from millrace.app.workflows.catalog import unknown_workflow
from millrace.app.workflows.repository import VersionRow, WorkflowRow, find_workflow, version_by_number
from millrace.app.workflows.views import version_view
from millrace.core.values import JsonObject, to_iso
from millrace.ports.database import Database


class DeploymentQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, narrow: DeploymentFilter, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Deployments, newest first; those of deleted workflows, too."""
        before = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.list_deployments(connection, narrow, before=before, limit=limit + 1)
        )
        shown = rows[:limit]
        return Page(
            [deployment_view(row) for row in shown], encode_cursor(shown[-1]["id"]) if len(rows) > limit else None
        )

    async def deployed(self, reference: str) -> JsonObject:
        """What is deployed of a workflow, whether its triggers may fire, and the deployment that made it so."""
        found = await self._database.read(partial(_deployed, reference=reference))
        workflow, version, last = found.workflow, found.version, found.last
        return {
            "workflow": {"id": workflow.id, "name": workflow.name, "status": workflow.status},
            "deployed": version is not None,
            "version": None if version is None else version_view(version, with_definition=False),
            "newest_version": workflow.newest_version,
            "live": version is not None and workflow.status == "active",
            "deployment": None if last is None else deployment_view(last),
            "canary": live_view(found.canary),
        }


@dataclass(frozen=True, slots=True)
class _Deployed:
    workflow: WorkflowRow
    version: VersionRow | None
    last: RowMapping | None
    canary: CanaryRow | None


def _deployed(connection: Connection, reference: str) -> _Deployed:
    workflow = find_workflow(connection, reference)
    if workflow is None:
        raise unknown_workflow(reference)
    number = workflow.deployed_version
    version = None if number is None else version_by_number(connection, workflow.id, number)
    narrow = DeploymentFilter(workflow.id, outcomes=("succeeded",))
    last = repository.list_deployments(connection, narrow, before=None, limit=1)
    return _Deployed(workflow, version, last[0] if last else None, canaries.live(connection, workflow.id))


def deployment_view(row: RowMapping) -> JsonObject:
    found: dict[str, Any] = dict(row)
    return {
        "id": found["id"],
        "workflow": {"id": found["workflow_id"], "name": found["workflow_name"]},
        "version": found["version"],
        "action": found["action"],
        "outcome": found["outcome"],
        "message": found["message"],
        "deployed_by": found["deployed_by"],
        "at": to_iso(found["at"]),
    }

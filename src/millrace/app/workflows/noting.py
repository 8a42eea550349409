"""What the audit log says of a change of a workflow: a row for each kind of change that it was.

A definition is not repeated there: its version has it, and stays. The hash of its content says which it was.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from millrace.app.canary.repository import CanaryRow
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.core.values import JsonObject

PLAIN: Final = ("name", "slug", "description", "category", "owner", "status")
OF_DEPLOYMENTS: Final = {
    "deploy": Action.WORKFLOW_DEPLOY,
    "undeploy": Action.WORKFLOW_UNDEPLOY,
    "rollback": Action.WORKFLOW_ROLLBACK,
}


def note_made(connection: Connection, workflow: WorkflowRow, version: VersionRow, source: str | None) -> None:
    after = noted(workflow, version, source)
    note(connection, Action.WORKFLOW_CREATE, workflow.id, workflow.name, after=after)


def note_saved(
    connection: Connection,
    workflow: WorkflowRow,
    before: JsonObject,
    after: JsonObject,
) -> None:
    """`before` and `after` are from `noted`; nothing is written where they are the same."""
    changed = {name for name in after if after[name] != before[name]}
    action = Action.WORKFLOW_UPDATE
    if changed == {"status"}:
        action = Action.WORKFLOW_ENABLE if workflow.status == "active" else Action.WORKFLOW_DISABLE
    note(connection, action, workflow.id, workflow.name, before=before, after=after)


def note_deployment(
    connection: Connection,
    workflow: WorkflowRow,
    action: str,
    before: int | None,
    after: int | None,
    message: str | None,
) -> None:
    """Also where the version was deployed already: somebody has said so again."""
    note(
        connection,
        OF_DEPLOYMENTS[action],
        workflow.id,
        workflow.name,
        before={"deployed_version": before},
        after={"deployed_version": after, "message": message},
    )


def note_description(connection: Connection, workflow: WorkflowRow, before: VersionRow, after: VersionRow) -> None:
    old, new = fields(before, "tag", "comment"), fields(after, "tag", "comment")
    note(connection, Action.VERSION_DESCRIBE, after.id, f"{workflow.name}:{after.number}", before=old, after=new)


def note_canary(
    connection: Connection, workflow: WorkflowRow, before: CanaryRow | None, after: CanaryRow | None
) -> None:
    action = Action.CANARY_STOP if after is None else Action.CANARY_SET
    row = after or before
    entity = None if row is None else row.id
    note(connection, action, entity, workflow.name, before=_canary(before), after=_canary(after))


def noted(workflow: WorkflowRow, version: VersionRow, source: str | None) -> JsonObject:
    """A workflow as the log has it, but for what is deployed."""
    told: JsonObject = fields(workflow, *PLAIN)
    read: Mapping[str, Any] = {name: orjson.loads(getattr(workflow, name)) for name in ("labels", "metadata")}
    return {**told, **read, "version": version.number, "content_hash": version.content_hash, "source": source}


def _canary(row: CanaryRow | None) -> JsonObject:
    return {"version": None, "share": None} if row is None else fields(row, "version", "share")

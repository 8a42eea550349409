"""How a workflow and its versions are shown: the canonical definition, and what is known of it besides."""

import orjson

from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.core.values import JsonObject, JsonValue, to_iso


def current_definition(workflow: WorkflowRow, version: VersionRow) -> JsonObject:
    """The definition of a version, described as the workflow is described now."""
    definition: JsonObject = orjson.loads(version.definition)
    now: JsonObject = {
        "name": workflow.name,
        "description": workflow.description,
        "category": workflow.category,
        "labels": orjson.loads(workflow.labels) or None,
        "metadata": orjson.loads(workflow.metadata) or None,
        "owner": workflow.owner,
        "version_tag": version.tag,
    }
    described = {key: value for key, value in now.items() if value is not None}
    return {**described, **{key: value for key, value in definition.items() if key not in now}}


def summary(workflow: WorkflowRow) -> JsonObject:
    """A workflow in a list."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "slug": workflow.slug,
        "description": workflow.description,
        "category": workflow.category,
        "labels": orjson.loads(workflow.labels),
        "metadata": orjson.loads(workflow.metadata),
        "owner": workflow.owner,
        "status": workflow.status,
        "version": workflow.newest_version,
        "deployed_version": workflow.deployed_version,
        "created_by": workflow.created_by,
        "updated_by": workflow.updated_by,
        "created_at": to_iso(workflow.created_at),
        "updated_at": to_iso(workflow.updated_at),
    }


def detail(workflow: WorkflowRow, version: VersionRow, warnings: list[str]) -> JsonObject:
    """A workflow with its newest definition."""
    shown: list[JsonValue] = list(warnings)
    return {**summary(workflow), "definition": current_definition(workflow, version), "warnings": shown}


def version_view(version: VersionRow, *, with_definition: bool) -> JsonObject:
    view: JsonObject = {
        "id": version.id,
        "number": version.number,
        "tag": version.tag,
        "author": version.author,
        "comment": version.comment,
        "content_hash": version.content_hash,
        "created_at": to_iso(version.created_at),
    }
    if with_definition:
        view["definition"] = orjson.loads(version.definition)
    return view


def etag(workflow: WorkflowRow) -> str:
    """Changes with every change of the workflow; begins with the newest version's number."""
    return f'"{workflow.newest_version}-{workflow.updated_at:x}"'

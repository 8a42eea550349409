"""How a workflow and its versions are shown: the canonical definition, and what is known of it besides."""

from collections.abc import Sequence

import orjson

from millrace.app.canary.views import live_view
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.writing import Current
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.definition.diff import Difference, FieldChange, Kind, TaskChange
from millrace.definition.outline import PlacedTask, placed_tasks


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
        "test_mode": None if workflow.test_mode is None else orjson.loads(workflow.test_mode),
        "created_by": workflow.created_by,
        "updated_by": workflow.updated_by,
        "created_at": to_iso(workflow.created_at),
        "updated_at": to_iso(workflow.updated_at),
    }


def detail(current: Current, warnings: Sequence[str] = ()) -> JsonObject:
    """A workflow with its newest definition, the names that its tasks have besides, and what it was applied from."""
    shown: list[JsonValue] = list(warnings)
    definition = current_definition(current.workflow, current.version)
    tasks: list[JsonValue] = [
        {
            "uid": current.uids[placed.id],
            "id": placed.id,
            "name": placed.task.get("name"),
            "type": placed.task["type"],
            "list": placed.within.name,
            "index": placed.index,
        }
        for placed in placed_tasks(definition)
    ]
    return {
        **summary(current.workflow),
        "source": current.source,
        "canary": live_view(current.canary),
        "definition": definition,
        "tasks": tasks,
        "warnings": shown,
    }


def task_view(current: Current, placed: PlacedTask) -> JsonObject:
    """A task of the newest version, and where it stands."""
    return {
        "uid": current.uids[placed.id],
        "id": placed.id,
        "list": placed.within.name,
        "index": placed.index,
        "workflow": {
            "id": current.workflow.id,
            "name": current.workflow.name,
            "version": current.workflow.newest_version,
        },
        "task": placed.task,
    }


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
        definition: JsonObject = orjson.loads(version.definition)
        definition.pop("version_tag", None)
        view["definition"] = definition if version.tag is None else {**definition, "version_tag": version.tag}
    return view


def difference_view(found: Difference) -> JsonObject:
    fields: list[JsonValue] = [_field(change) for change in found.fields]
    tasks: list[JsonValue] = [_task(change) for change in found.tasks]
    return {"identical": not found, "fields": fields, "tasks": tasks}


def _field(change: FieldChange) -> JsonObject:
    view: JsonObject = {"path": change.path, "change": change.kind.value}
    if change.kind is not Kind.ADDED:
        view["old"] = change.old
    if change.kind is not Kind.REMOVED:
        view["new"] = change.new
    return view


def _task(change: TaskChange) -> JsonObject:
    fields: list[JsonValue] = [_field(field) for field in change.fields]
    view: JsonObject = {
        "id": change.id,
        "change": change.kind.value,
        "moved": change.moved,
        "from": _standing(change.before),
        "to": _standing(change.after),
        "fields": fields,
    }
    only = change.after if change.before is None else change.before if change.after is None else None
    if only is not None:
        view["task"] = only.task
    return view


def _standing(placed: PlacedTask | None) -> JsonObject | None:
    return None if placed is None else {"list": placed.within.name, "index": placed.index, "path": placed.path}


def etag(workflow: WorkflowRow) -> str:
    """Changes with every change of the workflow; begins with the newest version's number."""
    return f'"{workflow.newest_version}-{workflow.updated_at:x}"'

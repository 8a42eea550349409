"""Create, change and delete workflows. A version is made exactly when the definition's work changed.

    split the request → merge with what is there → validate (outside any transaction) → one write

A change is decided on what was read before and written only if that is still so (`updated_at` is compared in the
write), otherwise decided anew; so nothing is lost and the writer thread never waits for a validation.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from millrace.app.workflows import repository
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.drafts import Draft, Drafts
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.requests import SaveOptions, split
from millrace.app.workflows.views import current_definition, detail, etag
from millrace.core.errors import Conflict, NotFound, Unavailable
from millrace.core.values import Instant, JsonObject, JsonValue
from millrace.definition import slugify
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

T = TypeVar("T")

MAX_TRIES = 8
"""Decisions anew when others change the same workflow at the same time."""


class WorkflowCommands:
    def __init__(self, database: Database, clock: Clock, ids: Ids, catalog: Catalog, drafts: Drafts) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._catalog = catalog
        self._drafts = drafts

    async def create(self, body: JsonValue, *, by: str) -> tuple[JsonObject, str]:
        """A new workflow as shown, and its ETag. Raises `InvalidRequest`, or `Conflict` when the name is taken."""
        given, options = split(body)
        draft = await asyncio.to_thread(self._drafts.checked, given)
        workflow_id, version_id, now = self._ids.new(), self._ids.new(), self._clock.now()
        version = VersionRow(
            id=version_id,
            workflow_id=workflow_id,
            number=1,
            tag=draft.tag,
            definition=draft.stored,
            content_hash=draft.content_hash,
            author=by,
            comment=options.comment,
            created_at=now,
        )
        workflow = WorkflowRow(
            id=workflow_id,
            slug="",
            status=options.status or "active",
            newest_version=1,
            deployed_version=1 if options.deploy else None,
            created_by=by,
            updated_by=by,
            created_at=now,
            updated_at=now,
            **draft.described(),
        )
        workflow = await self._write(lambda connection: _insert(connection, workflow, version))
        return detail(workflow, version, draft.warnings), etag(workflow)

    async def update(
        self,
        reference: str,
        body: JsonValue,
        *,
        by: str,
        if_match: Callable[[WorkflowRow], bool] | None = None,
        replace: bool = False,
    ) -> tuple[JsonObject, str]:
        """Change the top-level fields that the body gives; with `replace` take out those that it does not.

        Raises `Conflict` `stale_version` if others were faster.
        """
        given, options = split(body)
        for _ in range(MAX_TRIES):
            workflow, version = await self._read(reference)
            _refuse_stale(workflow, options, if_match)
            current: JsonObject = {"name": workflow.name} if replace else current_definition(workflow, version)
            merged = self._drafts.merged(current, given)
            draft = await asyncio.to_thread(self._drafts.checked, merged)
            change = self._decide(workflow, version, draft, options, by)
            if change is None:
                return detail(workflow, version, draft.warnings), etag(workflow)
            saved = await self._write(partial(_save, before=workflow, after=change[0], version=change[1]))
            if saved is not None:
                return detail(saved, change[1], draft.warnings), etag(saved)
        raise Unavailable("busy", f"the workflow {reference!r} is being changed by many at once; try again")

    async def delete(self, reference: str, *, by: str) -> None:
        """Hide the workflow and free its name. Its runs go on and stay readable: they keep their version."""
        now = self._clock.now()
        if not await self._write(lambda connection: _delete(connection, reference, by, now)):
            raise unknown_workflow(reference)

    async def validate(self, body: JsonValue) -> JsonObject:
        """The canonical form of a definition and the warnings about it, without saving. Raises `InvalidRequest`."""
        given, _ = split(body)
        draft = await asyncio.to_thread(self._drafts.checked, given)
        warnings: list[JsonValue] = list(draft.warnings)
        return {"valid": True, "definition": draft.canonical, "warnings": warnings}

    def _decide(
        self, workflow: WorkflowRow, version: VersionRow, draft: Draft, options: SaveOptions, by: str
    ) -> tuple[WorkflowRow, VersionRow] | None:
        """The rows after the change; `None` when everything is as the request wants it already."""
        now = max(self._clock.now(), workflow.updated_at + 1)
        status = options.status or workflow.status
        deploy = options.deploy and status != "draft"
        if draft.content_hash == version.content_hash:
            after = replace(version, tag=draft.tag)
        else:
            after = VersionRow(
                id=self._ids.new(),
                workflow_id=workflow.id,
                number=version.number + 1,
                tag=None if draft.tag == version.tag else draft.tag,
                definition=draft.stored,
                content_hash=draft.content_hash,
                author=by,
                comment=options.comment,
                created_at=now,
            )
        changed = replace(
            workflow,
            status=status,
            newest_version=after.number,
            deployed_version=after.number if deploy else workflow.deployed_version,
            **draft.described(),
        )
        if changed == workflow and after == version:
            return None
        return replace(changed, updated_by=by, updated_at=now), after

    async def _read(self, reference: str) -> tuple[WorkflowRow, VersionRow]:
        found = await self._database.read(lambda connection: newest(connection, reference))
        if found is None:
            raise unknown_workflow(reference)
        return found

    async def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._database.write(work)
        finally:
            self._catalog.forget()


def newest(connection: Connection, reference: str) -> tuple[WorkflowRow, VersionRow] | None:
    workflow = repository.find_workflow(connection, reference)
    if workflow is None:
        return None
    version = repository.version_by_number(connection, workflow.id, workflow.newest_version)
    if version is None:
        raise NotFound("version_not_found", f"workflow {workflow.name!r} has lost its newest version")
    return workflow, version


def _insert(connection: Connection, workflow: WorkflowRow, version: VersionRow) -> WorkflowRow:
    _refuse_taken_name(connection, workflow)
    workflow = replace(workflow, slug=repository.free_slug(connection, slugify(workflow.name)))
    repository.add_workflow(connection, workflow)
    repository.add_version(connection, version)
    return workflow


def _save(connection: Connection, before: WorkflowRow, after: WorkflowRow, version: VersionRow) -> WorkflowRow | None:
    """Write the change unless the workflow is no longer as it was read; then write nothing and answer `None`."""
    found = newest(connection, before.id)
    if found is None or found[0] != before:
        return None
    if after.name != before.name:
        _refuse_taken_name(connection, after)
        after = replace(after, slug=repository.free_slug(connection, slugify(after.name), but=after.id))
    if version.tag is not None and repository.tag_taken(connection, after.id, version.tag, but=version.id):
        raise Conflict("tag_taken", f"another version of {after.name!r} has the tag {version.tag!r}")
    if version.number > before.newest_version:
        repository.add_version(connection, version)
    elif version.tag != found[1].tag:
        repository.set_tag(connection, version.id, version.tag)
    repository.save_workflow(connection, after)
    return after


def _delete(connection: Connection, reference: str, by: str, now: Instant) -> bool:
    workflow = repository.find_workflow(connection, reference)
    if workflow is not None:
        repository.mark_deleted(connection, workflow.id, by=by, now=now)
    return workflow is not None


def _refuse_taken_name(connection: Connection, workflow: WorkflowRow) -> None:
    if repository.name_taken(connection, workflow.name, but=workflow.id):
        raise Conflict("name_taken", f"there is a workflow named {workflow.name!r} already; names are unique")


def _refuse_stale(workflow: WorkflowRow, options: SaveOptions, if_match: Callable[[WorkflowRow], bool] | None) -> None:
    expected = options.expected_version
    if (expected is None or expected == workflow.newest_version) and (if_match is None or if_match(workflow)):
        return
    raise Conflict(
        "stale_version",
        f"the workflow {workflow.name!r} has changed: it is at version {workflow.newest_version} now; "
        "read it again and repeat the change",
    )

"""Create, change, apply and delete workflows. A version is made exactly when the definition's work changed.

split the request → merge with what is there → validate → decide; `writing` writes it
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from millrace.app.workflows import repository
from millrace.app.workflows.drafts import Draft, Drafts
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.requests import SaveOptions, split
from millrace.app.workflows.views import current_definition, detail, difference_view, etag
from millrace.app.workflows.writing import Change, Current, IfMatch, WorkflowWriter, stale
from millrace.auth.sight import Sight
from millrace.core.errors import Conflict
from millrace.core.values import JsonObject, JsonValue
from millrace.definition import merged
from millrace.definition.diff import difference
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

Permit: TypeAlias = Callable[[str, WorkflowRow | None], Awaitable[None]]
"""Asked whether a workflow of a name may be made, or the one that has it changed."""


@dataclass(frozen=True, slots=True)
class Save:
    """A change of a definition that was checked.

    `tagged`: the request itself gives the tag, it was not merely carried along. `strict`: then it is a fault that
    the tag names other work already; else the new version just has none.
    """

    draft: Draft
    options: SaveOptions
    tagged: bool
    strict: bool = False


class WorkflowCommands:
    def __init__(self, database: Database, clock: Clock, ids: Ids, drafts: Drafts, writer: WorkflowWriter) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._drafts = drafts
        self._writer = writer

    async def create(self, body: JsonValue, *, by: str) -> tuple[JsonObject, str]:
        """A new workflow as shown, and its ETag.

        Raises `InvalidRequest`, or `Conflict` when the name is taken or the body says which version it changes.
        """
        given, options = split(body)
        draft = await self._drafts.judged(given)
        _refuse_version_of_new(str(draft.canonical["name"]), options)
        created = await self._writer.add(self._new(draft, options, by), by=by, message=options.comment)
        return detail(created, draft.warnings), etag(created.workflow)

    async def update(
        self, reference: str, body: JsonValue, *, by: str, if_match: IfMatch | None = None, replace: bool = False
    ) -> tuple[JsonObject, str]:
        """Change the top-level fields that the body gives; with `replace` take out those that it does not.

        Raises `Conflict` `stale_version` if others were faster.
        """
        given, options = split(body)

        async def decide(current: Current) -> Change:
            refuse_stale(current.workflow, options)
            before: JsonObject = {"name": current.workflow.name} if replace else described(current)
            draft = await self._drafts.judged(merged(before, given))
            return await self.decided(current, Save(draft, options, "version_tag" in given), by)

        saved = await self._writer.change(reference, decide, by=by, if_match=if_match)
        return detail(saved.current, saved.warnings), etag(saved.current.workflow)

    async def apply(
        self,
        body: JsonValue,
        *,
        by: str,
        source: str | None,
        dry_run: bool,
        permit: Permit | None = None,
        sight: Sight | None = None,
    ) -> JsonObject:
        """Make the workflow of this name what the body says, whether there is one or not: what was done, in words.

        The workflow belongs to `source` from now on, whoever made it; without `source` it stays where it belongs.
        `permit` is asked before anything is told of what there is; `sight` says which workflows are.
        """
        given, options = split(body)
        draft = await self._drafts.judged(given, sight)
        save = Save(draft, options, "version_tag" in given, strict=True)
        name = str(draft.canonical["name"])
        before = await self._permitted(name, permit)
        if before is None:
            _refuse_version_of_new(name, options)
            new = replace(self._new(draft, options, by), source=source)
            if dry_run:
                await self._writer.judge(None, Change(new.workflow, new.version))
                return _applied("created", None, new, draft.warnings)
            try:
                added = await self._writer.add(new, by=by, message=options.comment)
                return _applied("created", None, added, draft.warnings)
            except Conflict as error:
                before = await self._permitted(name, permit)
                if error.code != "name_taken" or before is None:
                    raise
        return await self._apply_to(before, save, by=by, source=source, dry_run=dry_run)

    async def delete(
        self, reference: str, *, by: str, if_match: IfMatch | None = None, source: str | None = None
    ) -> int:
        """Hide the workflow and free its name. Its runs go on and stay readable: they keep their version.

        Those that were to start later are cancelled; answers how many.
        """
        return await self._writer.delete(reference, by=by, if_match=if_match, source=source)

    async def validate(self, body: JsonValue, sight: Sight | None = None) -> JsonObject:
        """The canonical form of a definition and the warnings about it, without saving. Raises `InvalidRequest`."""
        given, _ = split(body)
        draft = await self._drafts.judged(given, sight, saving=False)
        warnings: list[JsonValue] = list(draft.warnings)
        return {"valid": True, "definition": draft.canonical, "warnings": warnings}

    async def decided(self, current: Current, save: Save, by: str) -> Change:
        """The rows after a change of the definition. Raises `Conflict` when a tag that was given is not free."""
        workflow, version, draft, options = current.workflow, current.version, save.draft, save.options
        tag = await self._tag(current, save)
        if draft.content_hash == version.content_hash:
            after = replace(version, tag=tag)
        else:
            after = self._version(workflow.id, version.number + 1, tag, draft, options.comment, by)
        status = options.status or ("active" if _deploys_draft(workflow, options) else workflow.status)
        changed = replace(
            workflow,
            status=status,
            newest_version=after.number,
            deployed_version=_deployed(workflow, status, after.number, options),
            **draft.described(),
        )
        return Change(changed, after, message=options.comment, warnings=draft.warnings)

    async def _apply_to(
        self, workflow: WorkflowRow, save: Save, *, by: str, source: str | None, dry_run: bool
    ) -> JsonObject:
        shown: list[tuple[str, Current]] = []

        async def decide(current: Current) -> Change:
            refuse_stale(current.workflow, save.options)
            change = await self.decided(current, save, by)
            outcome = "updated" if change.of(current) else "unchanged"
            if source is not None and current.source != source:
                change = replace(change, source=source)
                outcome = "adopted" if outcome == "unchanged" else outcome
            shown[:] = [(outcome, current)]
            return change

        warnings: Sequence[str] = save.draft.warnings
        if dry_run:
            current = await self._writer.read(workflow.id)
            change = await decide(current)
            await self._writer.judge(current, change)
            after = Current(change.workflow, change.version, {}, change.source or current.source)
        else:
            saved = await self._writer.change(workflow.id, decide, by=by)
            after, warnings = saved.current, saved.warnings
        outcome, before = shown[0]
        return _applied(outcome, before, after, warnings)

    async def _tag(self, current: Current, save: Save) -> str | None:
        """The tag of the newest version after a change: what the request gives, unless a version has it with reason."""
        version, wanted = current.version, save.draft.tag
        same = save.draft.content_hash == version.content_hash
        if not save.tagged:
            return version.tag if same else None
        if wanted is None or (same and wanted == version.tag):
            return wanted
        holder = await self._database.read(
            partial(repository.version_by_tag, workflow_id=version.workflow_id, tag=wanted)
        )
        if holder is None:
            return wanted
        if holder.content_hash == save.draft.content_hash:
            return version.tag if same else None
        if holder.id == version.id and not same and not save.strict:
            return None
        raise Conflict(
            "tag_taken",
            f"version {holder.number} of {current.workflow.name!r} has the tag {wanted!r}, and other work; "
            "give this one a `version_tag` of its own, or none",
        )

    def _new(self, draft: Draft, options: SaveOptions, by: str) -> Current:
        version = self._version(self._ids.new(), 1, draft.tag, draft, options.comment, by)
        status = options.status or "active"
        workflow = WorkflowRow(
            id=version.workflow_id,
            slug="",
            status=status,
            newest_version=1,
            deployed_version=None if status == "draft" or options.deploy is False else 1,
            created_by=by,
            updated_by=by,
            created_at=version.created_at,
            updated_at=version.created_at,
            **draft.described(),
        )
        return Current(workflow, version, {}, None)

    def _version(
        self, workflow_id: str, number: int, tag: str | None, draft: Draft, comment: str | None, by: str
    ) -> VersionRow:
        return VersionRow(
            id=self._ids.new(),
            workflow_id=workflow_id,
            number=number,
            tag=tag,
            definition=draft.stored,
            content_hash=draft.content_hash,
            author=by,
            comment=comment,
            created_at=self._clock.now(),
        )

    async def _permitted(self, name: str, permit: Permit | None) -> WorkflowRow | None:
        """The workflow of this name, if the caller may change it, or nothing, if he may make it."""
        found = await self._named(name)
        if permit is not None:
            await permit(name, found)
        return found

    async def _named(self, name: str) -> WorkflowRow | None:
        return await self._database.read(lambda connection: repository.workflow_named(connection, name))


def described(current: Current) -> JsonObject:
    return current_definition(current.workflow, current.version)


def refuse_stale(workflow: WorkflowRow, options: SaveOptions) -> None:
    if options.expected_version is not None and options.expected_version != workflow.newest_version:
        raise stale(workflow)


def _refuse_version_of_new(name: str, options: SaveOptions) -> None:
    """Who names the version that he changes has seen a workflow, and would not know that it is another one now."""
    if options.expected_version is not None:
        raise Conflict(
            "stale_version",
            f"`version` is the version that a change is based on, and there is no workflow named {name!r} to be at "
            f"version {options.expected_version}; leave `version` out to create it",
        )


def _deploys_draft(workflow: WorkflowRow, options: SaveOptions) -> bool:
    return workflow.status == "draft" and options.deploy is True


def _deployed(workflow: WorkflowRow, status: str, number: int, options: SaveOptions) -> int | None:
    """What is deployed after a save. Who chose an older version keeps it, until there is something new to deploy."""
    if status == "draft":
        return None
    made = number > workflow.newest_version or workflow.status == "draft"
    wanted = made if options.deploy is None else options.deploy
    return number if wanted else workflow.deployed_version


def _applied(outcome: str, before: Current | None, after: Current, warnings: Sequence[str]) -> JsonObject:
    workflow = after.workflow
    told: list[JsonValue] = list(warnings)
    return {
        "outcome": outcome,
        "name": workflow.name,
        **_state(after),
        "before": None if before is None else _state(before),
        "changes": None if before is None else difference_view(difference(described(before), described(after))),
        "warnings": told,
    }


def _state(current: Current) -> JsonObject:
    workflow = current.workflow
    return {
        "version": workflow.newest_version,
        "status": workflow.status,
        "deployed_version": workflow.deployed_version,
        "source": current.source,
    }

"""Single tasks of a workflow, each by its uid. Every change is a change of the whole definition: a new version."""

from dataclasses import dataclass, replace

from millrace.app.workflows import task_edits
from millrace.app.workflows.commands import Save, WorkflowCommands, described, refuse_stale
from millrace.app.workflows.drafts import Draft, Drafts
from millrace.app.workflows.requests import SaveOptions, split_task
from millrace.app.workflows.task_edits import GivenTask
from millrace.app.workflows.views import etag, task_view
from millrace.app.workflows.writing import Change, Current, IfMatch, Saved, WorkflowWriter
from millrace.core.errors import InvalidRequest
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.outline import PlacedTask, placed_tasks


@dataclass(slots=True)
class _Found:
    """The task that a decision was about, by its id after the change."""

    id: str = ""


class WorkflowTasks:
    def __init__(self, drafts: Drafts, writer: WorkflowWriter, commands: WorkflowCommands) -> None:
        self._drafts = drafts
        self._writer = writer
        self._commands = commands

    async def list(self, reference: str) -> tuple[JsonObject, str]:
        """Every task of the newest version, those within tasks included, and the ETag of the workflow."""
        current = await self._writer.read(reference)
        items: list[JsonValue] = [task_view(current, placed) for placed in placed_tasks(described(current))]
        return {"items": items, "next_cursor": None}, etag(current.workflow)

    async def get(self, reference: str, task: str) -> tuple[JsonObject, str]:
        current = await self._writer.read(reference)
        placed = task_edits.find(described(current), current.uids, task)
        return task_view(current, placed), etag(current.workflow)

    async def add(
        self, reference: str, body: JsonValue, *, by: str, if_match: IfMatch | None = None
    ) -> tuple[JsonObject, str]:
        """Add a task: at the end, or where `index`, `list` or `after` say. Raises `InvalidRequest`."""
        fields, position, options = split_task(body)
        given = task_edits.read_task(fields, position)
        added = _Found()

        async def decide(current: Current) -> Change:
            refuse_stale(current.workflow, options)
            definition = described(current)
            placed = task_edits.insert(definition, current.uids, dict(given.fields), given.position)
            draft = await self._checked(definition, placed.path, given)
            added.id = task_edits.same_place(draft.canonical, placed).id
            return await self._decided(current, draft, options, by)

        return _shown(await self._writer.change(reference, decide, by=by, if_match=if_match), added)

    async def update(
        self,
        reference: str,
        task: str,
        body: JsonValue,
        *,
        by: str,
        if_match: IfMatch | None = None,
        replace_all: bool = False,
    ) -> tuple[JsonObject, str]:
        """Change the fields of a task that the body gives, and where it stands. Its uid stays, also under a new id."""
        fields, position, options = split_task(body)
        given = task_edits.read_task(fields, position)
        changed = _Found()

        async def decide(current: Current) -> Change:
            refuse_stale(current.workflow, options)
            definition = described(current)
            placed = task_edits.find(definition, current.uids, task)
            if given.rewritten is not None and "id" not in fields:
                given.fields["id"] = placed.id
            before: JsonObject = {"id": placed.id} if replace_all else placed.task
            after = task_edits.merged(before, given.fields)
            put = task_edits.put(definition, current.uids, placed, after, given.position)
            draft = await self._checked(definition, put.path, given)
            changed.id = task_edits.same_place(draft.canonical, put).id
            change = await self._decided(current, draft, options, by)
            return replace(change, renamed=None if changed.id == placed.id else (placed.id, changed.id))

        return _shown(await self._writer.change(reference, decide, by=by, if_match=if_match), changed)

    async def remove(
        self, reference: str, task: str, *, by: str, options: SaveOptions, if_match: IfMatch | None = None
    ) -> str:
        """Remove a task; answers the workflow's ETag. Raises `InvalidRequest` `task_in_use` when others need it."""

        async def decide(current: Current) -> Change:
            refuse_stale(current.workflow, options)
            definition = described(current)
            placed = task_edits.find(definition, current.uids, task)
            draft = await self._without(definition, placed)
            return await self._decided(current, draft, options, by)

        saved = await self._writer.change(reference, decide, by=by, if_match=if_match)
        return etag(saved.current.workflow)

    async def _decided(self, current: Current, draft: Draft, options: SaveOptions, by: str) -> Change:
        return await self._commands.decided(current, Save(draft, options, tagged=False), by)

    async def _checked(self, definition: JsonObject, path: str, given: GivenTask) -> Draft:
        try:
            return await self._drafts.judged(definition)
        except InvalidRequest as error:
            faults = task_edits.within_task(error.faults, path, given)
            raise InvalidRequest(error.code, "the workflow would not be valid with this task", faults=faults) from None

    async def _without(self, definition: JsonObject, placed: PlacedTask) -> Draft:
        faults = task_edits.detach(definition, placed)
        task_edits.remove(placed)
        try:
            draft = await self._drafts.judged(definition)
        except InvalidRequest as error:
            faults += task_edits.before_removal(error.faults, placed)
        if faults:
            message = f"the task {placed.id} cannot be removed: others need it, or nothing would be left"
            raise InvalidRequest("task_in_use", message, faults=faults)
        return draft


def _shown(saved: Saved, found: _Found) -> tuple[JsonObject, str]:
    placed = task_edits.find(described(saved.current), {}, found.id)
    return task_view(saved.current, placed), etag(saved.current.workflow)

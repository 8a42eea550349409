"""From a saved version to one that runs: status, deploy and undeploy, roll back, and the names of versions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from millrace.app.canary.views import no_canary
from millrace.app.workflows import repository
from millrace.app.workflows.catalog import unknown_version
from millrace.app.workflows.commands import Save, WorkflowCommands
from millrace.app.workflows.drafts import Drafts
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.requests import SaveOptions
from millrace.app.workflows.views import current_definition, detail, etag, version_view
from millrace.app.workflows.writing import Change, Current, Decide, IfMatch, Saved, WorkflowWriter
from millrace.core.errors import Conflict, InvalidRequest
from millrace.core.values import JsonObject
from millrace.ports.database import Database

CALLERS_FAULTS = frozenset({"stale_version"})
"""Conflicts that say nothing about the version that was to be deployed."""


@dataclass(frozen=True, slots=True)
class Retelling:
    """What becomes of a version's tag and comment; what is not `given` stays."""

    given: frozenset[str]
    tag: str | None = None
    comment: str | None = None
    move: bool = False
    """The tag may be taken from the version that has it."""


class WorkflowLifecycle:
    def __init__(self, database: Database, drafts: Drafts, writer: WorkflowWriter, commands: WorkflowCommands) -> None:
        self._database = database
        self._drafts = drafts
        self._writer = writer
        self._commands = commands

    async def enable(self, reference: str, *, by: str, if_match: IfMatch | None = None) -> tuple[JsonObject, str]:
        """Make it active. Its newest version is deployed if none is, so that there is something to start."""
        chosen: list[VersionRow] = []

        async def decide(current: Current) -> Change:
            workflow = replace(current.workflow, status="active")
            if workflow.deployed_version is None:
                chosen[:] = [current.version]
                await self.check(current.workflow, current.version)
                workflow = replace(workflow, deployed_version=current.version.number)
            return Change(workflow, current.version)

        return _shown(await self._recorded("deploy", chosen, reference, decide, by, if_match))

    async def disable(self, reference: str, *, by: str, if_match: IfMatch | None = None) -> tuple[JsonObject, str]:
        """Pause it: its triggers are silent, explicit starts still work."""

        async def decide(current: Current) -> Change:
            return Change(replace(current.workflow, status="paused"), current.version)

        return _shown(await self._writer.change(reference, decide, by=by, if_match=if_match))

    async def deploy(
        self,
        reference: str,
        version: str | None,
        *,
        by: str,
        message: str | None = None,
        if_match: IfMatch | None = None,
    ) -> tuple[JsonObject, str]:
        """Deploy the version with this number or tag, the newest without one; a draft becomes active.

        Raises `InvalidRequest` when this installation cannot run it any more; that is recorded.
        """

        async def choose(current: Current) -> VersionRow:
            return current.version if version is None else await self.version(current.workflow, version)

        return await self._deploy(reference, choose, by, message, if_match)

    async def promote(
        self, reference: str, *, by: str, message: str | None = None, if_match: IfMatch | None = None
    ) -> tuple[JsonObject, str]:
        """Deploy the version that is the canary, as `deploy` does. Raises `NotFound` `canary_not_found`."""

        async def choose(current: Current) -> VersionRow:
            if current.canary is None:
                raise no_canary(current.workflow.name)
            return await self.version(current.workflow, str(current.canary.version))

        return await self._deploy(reference, choose, by, message or "the canary was promoted", if_match)

    async def _deploy(
        self,
        reference: str,
        choose: Callable[[Current], Awaitable[VersionRow]],
        by: str,
        message: str | None,
        if_match: IfMatch | None,
    ) -> tuple[JsonObject, str]:
        chosen: list[VersionRow] = []

        async def decide(current: Current) -> Change:
            wanted = await choose(current)
            chosen[:] = [wanted]
            await self.check(current.workflow, wanted)
            status = "active" if current.workflow.status == "draft" else current.workflow.status
            workflow = replace(current.workflow, status=status, deployed_version=wanted.number)
            return Change(workflow, current.version, action="deploy", message=message)

        return _shown(await self._recorded("deploy", chosen, reference, decide, by, if_match))

    async def undeploy(
        self, reference: str, *, by: str, message: str | None = None, if_match: IfMatch | None = None
    ) -> tuple[JsonObject, str]:
        """Take back what is deployed: its triggers are silent until a version is deployed again."""

        async def decide(current: Current) -> Change:
            return Change(replace(current.workflow, deployed_version=None), current.version, message=message)

        return _shown(await self._writer.change(reference, decide, by=by, if_match=if_match))

    async def rollback(
        self,
        reference: str,
        version: str,
        *,
        by: str,
        comment: str | None = None,
        deploy: bool = True,
        if_match: IfMatch | None = None,
    ) -> tuple[JsonObject, str]:
        """Make a new version that does what an older one did, and deploy it unless told otherwise.

        Names and words about the workflow (description, labels, owner, …) stay as they are now.
        """
        chosen: list[VersionRow] = []

        async def decide(current: Current) -> Change:
            old = await self.version(current.workflow, version)
            chosen[:] = [old]
            draft = await self._drafts.judged(_described(current.workflow, old))
            told = comment or f"rolled back to version {old.number}"
            options = SaveOptions(deploy=deploy and current.workflow.status != "draft", comment=told)
            change = await self._commands.decided(current, Save(draft, options, tagged=False), by)
            return replace(change, action="rollback" if options.deploy else None)

        return _shown(await self._recorded("rollback", chosen, reference, decide, by, if_match))

    async def retell(
        self, reference: str, version: str, told: Retelling, *, by: str, if_match: IfMatch | None = None
    ) -> tuple[JsonObject, str]:
        """Give a version another tag or comment; its work is for ever. Raises `Conflict` `tag_taken`."""
        changed: list[VersionRow] = []

        async def decide(current: Current) -> Change:
            row = await self.version(current.workflow, version)
            after = replace(
                row,
                tag=told.tag if "tag" in told.given else row.tag,
                comment=told.comment if "comment" in told.given else row.comment,
            )
            changed[:] = [after]
            if after.id == current.version.id:
                return Change(current.workflow, after, takes_tag=told.move)
            retold = None if after == row else after
            return Change(current.workflow, current.version, retold=retold, takes_tag=told.move)

        saved = await self._writer.change(reference, decide, by=by, if_match=if_match)
        return version_view(changed[0], with_definition=True), etag(saved.current.workflow)

    async def _recorded(
        self,
        action: str,
        chosen: list[VersionRow],
        reference: str,
        decide: Decide,
        by: str,
        if_match: IfMatch | None,
    ) -> Saved:
        """Change the workflow; that a chosen version could not be deployed is recorded before the error goes on."""
        try:
            return await self._writer.change(reference, decide, by=by, if_match=if_match)
        except (InvalidRequest, Conflict) as error:
            if chosen and error.code not in CALLERS_FAULTS:
                reason = "; ".join([error.message, *(f"{fault.path}: {fault.message}" for fault in error.faults[:3])])
                await self._writer.record_failure(chosen[0], action, reason, by=by)
            raise

    async def version(self, workflow: WorkflowRow, reference: str) -> VersionRow:
        """The version of this number or tag, or `newest`. Raises `NotFound`."""
        found = await self._database.read(
            partial(repository.version_called, workflow_id=workflow.id, reference=reference)
        )
        if found is None:
            raise unknown_version(workflow, reference)
        return found

    async def check(self, workflow: WorkflowRow, version: VersionRow) -> None:
        """Raise `InvalidRequest` unless this installation can run the version as it is now."""
        await self._drafts.runnable(_described(workflow, version))


def _described(workflow: WorkflowRow, version: VersionRow) -> JsonObject:
    definition = current_definition(workflow, version)
    definition.pop("version_tag", None)
    return definition


def _shown(saved: Saved) -> tuple[JsonObject, str]:
    return detail(saved.current, saved.warnings), etag(saved.current.workflow)

"""Begin a canary, change its share, stop it. It is promoted by deploying it, which `workflows.lifecycle` does."""

from dataclasses import replace

from millrace.app.canary.repository import CanaryRow
from millrace.app.canary.standing import CanaryChange
from millrace.app.canary.views import no_canary
from millrace.app.workflows.lifecycle import WorkflowLifecycle
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.views import etag
from millrace.app.workflows.writing import Change, Current, IfMatch, WorkflowWriter
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.ports.ids import Ids


class CanaryCommands:
    def __init__(self, ids: Ids, writer: WorkflowWriter, lifecycle: WorkflowLifecycle) -> None:
        self._ids = ids
        self._writer = writer
        self._lifecycle = lifecycle

    async def set(
        self, reference: str, version: str, share: int, *, by: str, if_match: IfMatch | None = None
    ) -> tuple[str, str, str]:
        """Let this version take `share` hundredths of a percent of the triggered runs from the commit on.

        It takes the place of another canary; of the canary that is it already only the share changes. Answers the ids
        of the workflow and the canary, and the workflow's ETag. Raises `NotFound`, `Conflict` `nothing_deployed`, and
        `InvalidRequest` for the version that is deployed or one that this installation cannot run.
        """
        found: list[str] = []

        async def decide(current: Current) -> Change:
            wanted = await self._lifecycle.version(current.workflow, version)
            row = self._row(current, wanted, share, by)
            await self._lifecycle.check(current.workflow, wanted)
            found[:] = [row.id]
            return Change(
                current.workflow, current.version, canary=None if row == current.canary else CanaryChange(row)
            )

        saved = await self._writer.change(reference, decide, by=by, if_match=if_match)
        return saved.current.workflow.id, found[0], etag(saved.current.workflow)

    async def stop(self, reference: str, *, by: str, if_match: IfMatch | None = None) -> tuple[str, str, str]:
        """Let the deployed version take all triggered runs again. Answers as `set`; raises `NotFound`."""
        found: list[str] = []

        async def decide(current: Current) -> Change:
            if current.canary is None:
                raise no_canary(current.workflow.name)
            found[:] = [current.canary.id]
            return Change(current.workflow, current.version, canary=CanaryChange(None))

        saved = await self._writer.change(reference, decide, by=by, if_match=if_match)
        return saved.current.workflow.id, found[0], etag(saved.current.workflow)

    def _row(self, current: Current, wanted: VersionRow, share: int, by: str) -> CanaryRow:
        """The canary as it is to be. One that is new gets its time when it is written."""
        workflow, live = current.workflow, current.canary
        stable = _deployed(workflow, wanted)
        if live is not None and live.version == wanted.number:
            return replace(live, share=share)
        return CanaryRow(self._ids.new(), workflow.id, wanted.number, stable, share, started_by=by, started_at=0)


def _deployed(workflow: WorkflowRow, wanted: VersionRow) -> int:
    """The deployed version, which the canary stands beside."""
    if workflow.deployed_version is None:
        raise Conflict(
            "nothing_deployed",
            f"no version of {workflow.name!r} is deployed, so there are no triggered runs to share; deploy one first",
        )
    if workflow.deployed_version == wanted.number:
        message = f"version {wanted.number} is the deployed one, which takes all other triggered runs"
        fault = Fault("version", "deployed", message, "name another version than the deployed one")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return workflow.deployed_version

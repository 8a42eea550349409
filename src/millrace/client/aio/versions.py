"""The versions of workflows, and which of them is in use."""

from collections.abc import AsyncIterator, Sequence
from typing import cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import UNSET, Body, IfMatch, Tagged, Unset, if_match_header, json_body, word_query
from millrace.client.types import (
    DeployedAnswer,
    Deployment,
    DeploymentPage,
    DifferenceAnswer,
    VersionDetail,
    VersionPage,
    VersionSummary,
    WorkflowDetail,
)


class AsyncVersions(AsyncResource):
    """`client.versions`. A version is named by its number or its tag."""

    async def list(self, workflow: str, *, cursor: str | None = None, limit: int = 50) -> VersionPage:
        """A page of the versions of a workflow, newest first."""
        path = await self._workflow_path(workflow, "versions")
        return cast(VersionPage, await self._transport.get(path, {"cursor": cursor, "limit": limit}))

    async def iterate(self, workflow: str) -> AsyncIterator[VersionSummary]:
        """All versions of a workflow, newest first."""
        async for version in self._transport.pages(await self._workflow_path(workflow, "versions"), {}):
            yield version

    async def get(self, workflow: str, version: int | str) -> VersionDetail:
        """One version with its definition."""
        path = await self._workflow_path(workflow, "versions", version)
        return cast(VersionDetail, await self._transport.get(path))

    async def get_tagged(
        self, workflow: str, version: int | str, known: Tagged[VersionDetail] | None = None
    ) -> Tagged[VersionDetail]:
        """As `get`, with the ETag; `known` is answered itself when nothing has changed since."""
        return await self._transport.tagged(await self._workflow_path(workflow, "versions", version), known)

    async def change(
        self,
        workflow: str,
        version: int | str,
        *,
        tag: str | Unset | None = UNSET,
        comment: str | Unset | None = UNSET,
        move: bool | Unset = UNSET,
        if_match: IfMatch = None,
    ) -> VersionDetail:
        """Give a version another tag or comment; `None` takes it away. What the version does never changes.

        With `move` the tag is taken from the version that has it, where else that is `Conflict` `tag_taken`.
        """
        told = {"tag": tag, "comment": comment, "move": move}
        answer = await self._transport.send(
            "PATCH",
            await self._workflow_path(workflow, "versions", version),
            Body({name: value for name, value in told.items() if value is not UNSET}),
            headers=if_match_header(if_match),
        )
        return cast(VersionDetail, answer)

    async def compare(
        self, workflow: str, old: int | str | None = None, new: int | str | None = None
    ) -> DifferenceAnswer:
        """What is different from `old` to `new`; by default the newest version and the one before it."""
        path = await self._workflow_path(workflow, "diff")
        return cast(DifferenceAnswer, await self._transport.get(path, {"from": old, "to": new}))

    async def rollback(
        self,
        workflow: str,
        version: int | str,
        *,
        comment: str | None = None,
        deploy: bool | None = None,
        if_match: IfMatch = None,
    ) -> WorkflowDetail:
        """Make a new version that does what an older one did, and deploy it unless `deploy=False`."""
        answer = await self._transport.send(
            "POST",
            await self._workflow_path(workflow, "rollback"),
            json_body(version=version, comment=comment, deploy=deploy),
            headers=if_match_header(if_match),
        )
        return cast(WorkflowDetail, answer)


class AsyncDeployments(AsyncResource):
    """`client.deployments`: which version triggers start, and explicit starts that name none."""

    async def get(self, workflow: str) -> DeployedAnswer:
        """The version of a workflow that is deployed."""
        path = await self._workflow_path(workflow, "deploy")
        return cast(DeployedAnswer, await self._transport.get(path))

    async def deploy(
        self,
        workflow: str,
        version: int | str | None = None,
        *,
        comment: str | None = None,
        if_match: IfMatch = None,
    ) -> DeployedAnswer:
        """Deploy a version; the newest if none is named. A draft becomes active."""
        answer = await self._transport.send(
            "POST",
            await self._workflow_path(workflow, "deploy"),
            json_body(version=version, comment=comment),
            headers=if_match_header(if_match),
        )
        return cast(DeployedAnswer, answer)

    async def undeploy(self, workflow: str, *, if_match: IfMatch = None) -> DeployedAnswer:
        """Take back what is deployed: no trigger of the workflow fires until a version is deployed again."""
        path = await self._workflow_path(workflow, "deploy")
        return cast(DeployedAnswer, await self._transport.send("DELETE", path, headers=if_match_header(if_match)))

    async def list(
        self,
        *,
        workflow: str | None = None,
        action: str | Sequence[str] | None = None,
        outcome: str | Sequence[str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> DeploymentPage:
        """A page of what was deployed, undeployed and rolled back, newest first; what failed, too."""
        query = {
            "workflow": workflow,
            "action": word_query(action),
            "outcome": word_query(outcome),
            "cursor": cursor,
            "limit": limit,
        }
        return cast(DeploymentPage, await self._transport.get("/deployments", query))

    def iterate(
        self,
        *,
        workflow: str | None = None,
        action: str | Sequence[str] | None = None,
        outcome: str | Sequence[str] | None = None,
    ) -> AsyncIterator[Deployment]:
        """All deployments that `list` would find on its pages."""
        query = {"workflow": workflow, "action": word_query(action), "outcome": word_query(outcome)}
        return self._transport.pages("/deployments", query)

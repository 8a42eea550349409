"""Second versions of workflows that take a share of the triggered runs, and how both versions did."""

from collections.abc import AsyncIterator
from typing import cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import IfMatch, if_match_header, json_body
from millrace.client.types import Canary, CanaryDetail, CanaryPage, DeployedAnswer


class AsyncCanaries(AsyncResource):
    """`client.canaries`: try a version out beside the deployed one, before it takes its place."""

    async def get(self, workflow: str) -> CanaryDetail:
        """The canary that is under way, and how both versions did. Raises `NotFound` when there is none."""
        return cast(CanaryDetail, await self._transport.get(await self._workflow_path(workflow, "canary")))

    async def get_by_id(self, workflow: str, canary: str) -> CanaryDetail:
        """A canary by its id, also one that has ended: how both versions did meanwhile."""
        path = await self._workflow_path(workflow, "canaries", canary)
        return cast(CanaryDetail, await self._transport.get(path))

    async def set(self, workflow: str, version: int | str, share: float, *, if_match: IfMatch = None) -> CanaryDetail:
        """Let a version take a share of the runs that triggers start, in percent: from 0.01 to 99.99.

        It takes the place of another canary; the same version again changes only the share.
        """
        answer = await self._transport.send(
            "PUT",
            await self._workflow_path(workflow, "canary"),
            json_body(version=version, share=share),
            headers=if_match_header(if_match),
        )
        return cast(CanaryDetail, answer)

    async def promote(self, workflow: str, *, comment: str | None = None, if_match: IfMatch = None) -> DeployedAnswer:
        """Deploy the version that is the canary: it takes all runs from now on."""
        answer = await self._transport.send(
            "POST",
            await self._workflow_path(workflow, "canary", "promote"),
            json_body(comment=comment),
            headers=if_match_header(if_match),
        )
        return cast(DeployedAnswer, answer)

    async def stop(self, workflow: str, *, if_match: IfMatch = None) -> CanaryDetail:
        """End the trial: the deployed version takes all triggered runs again."""
        path = await self._workflow_path(workflow, "canary")
        return cast(CanaryDetail, await self._transport.send("DELETE", path, headers=if_match_header(if_match)))

    async def list(self, workflow: str, *, cursor: str | None = None, limit: int = 50) -> CanaryPage:
        """A page of the canaries of a workflow, newest first, and how they ended."""
        path = await self._workflow_path(workflow, "canaries")
        return cast(CanaryPage, await self._transport.get(path, {"cursor": cursor, "limit": limit}))

    async def iterate(self, workflow: str) -> AsyncIterator[Canary]:
        """All canaries of a workflow, newest first."""
        async for canary in self._transport.pages(await self._workflow_path(workflow, "canaries"), {}):
            yield canary

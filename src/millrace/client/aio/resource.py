"""What the groups of methods have in common."""

from millrace.client.aio.transport import AsyncTransport
from millrace.client.answers import part
from millrace.client.errors import NotFound
from millrace.client.requests import path_of


class AsyncResource:
    """A group of methods of a client."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _workflow_path(self, workflow: str, *more: str | int) -> str:
        """`/workflows/NAME`; with the id where a name cannot stand in a path (`a/b`, `..`)."""
        if workflow and ("/" in workflow or not workflow.strip(".")):
            workflow = await self._id_of(workflow)
        return path_of("workflows", workflow, *more)

    async def _id_of(self, name: str) -> str:
        async for item in self._transport.pages("/workflows", {"name": name}):
            if part(item, "name") == name:
                return str(part(item, "id"))
        raise NotFound(404, "workflow_not_found", f"there is no workflow named {name!r}")

# Printed by scripts/print-client from aio/resource.py; changes belong there.
"""What the groups of methods have in common."""

from millrace.client.answers import part
from millrace.client.errors import NotFound
from millrace.client.requests import path_of
from millrace.client.sync.transport import Transport


class Resource:
    """A group of methods of a client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _workflow_path(self, workflow: str, *more: str | int) -> str:
        """`/workflows/NAME`; with the id where a name cannot stand in a path (`a/b`, `..`)."""
        if workflow and ("/" in workflow or not workflow.strip(".")):
            workflow = self._id_of(workflow)
        return path_of("workflows", workflow, *more)

    def _id_of(self, name: str) -> str:
        for item in self._transport.pages("/workflows", {"name": name}):
            if part(item, "name") == name:
                return str(part(item, "id"))
        raise NotFound(404, "workflow_not_found", f"there is no workflow named {name!r}")

"""The single tasks of workflows."""

from collections.abc import Mapping
from typing import Any, cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import Body, IfMatch, Tagged, if_match_header
from millrace.client.types import TaskPage, TaskView


class AsyncTasks(AsyncResource):
    """`client.tasks`. A task is named by its uid, which stays when it is changed here, or by its id."""

    async def list(self, workflow: str) -> TaskPage:
        """All tasks of the newest version, those within tasks included."""
        return cast(TaskPage, await self._transport.get(await self._workflow_path(workflow, "tasks")))

    async def list_tagged(self, workflow: str, known: Tagged[TaskPage] | None = None) -> Tagged[TaskPage]:
        """As `list`, with the ETag of the workflow; `known` is answered itself when nothing has changed since."""
        return await self._transport.tagged(await self._workflow_path(workflow, "tasks"), known)

    async def get(self, workflow: str, task: str) -> TaskView:
        """A task of the newest version."""
        return cast(TaskView, await self._transport.get(await self._workflow_path(workflow, "tasks", task)))

    async def get_tagged(self, workflow: str, task: str, known: Tagged[TaskView] | None = None) -> Tagged[TaskView]:
        """As `get`, with the ETag of the workflow; `known` is answered itself when nothing has changed since."""
        return await self._transport.tagged(await self._workflow_path(workflow, "tasks", task), known)

    async def add(self, workflow: str, task: Mapping[str, Any], *, if_match: IfMatch = None) -> TaskView:
        """Add a task: at the end, or where its `index` (and `list`) or `after` say; then there is a new version.

        Beside its own fields `task` may have `version`, `comment` and `deploy`.
        """
        path = await self._workflow_path(workflow, "tasks")
        answer = await self._transport.send("POST", path, Body(dict(task)), headers=if_match_header(if_match))
        return cast(TaskView, answer)

    async def update(
        self,
        workflow: str,
        task: str,
        changes: Mapping[str, Any],
        *,
        replace: bool | None = None,
        if_match: IfMatch = None,
    ) -> TaskView:
        """Change the fields given, `None` takes one out; `index`, `list` or `after` move the task.

        With `replace` it is the whole task: fields that are not given are taken out.
        """
        answer = await self._transport.send(
            "PATCH",
            await self._workflow_path(workflow, "tasks", task),
            Body(dict(changes)),
            query={"replace": replace},
            headers=if_match_header(if_match),
        )
        return cast(TaskView, answer)

    async def remove(
        self,
        workflow: str,
        task: str,
        *,
        version: int | None = None,
        comment: str | None = None,
        deploy: bool | None = None,
        if_match: IfMatch = None,
    ) -> None:
        """Remove a task. Refused while other tasks depend on it or read what it answers."""
        path = await self._workflow_path(workflow, "tasks", task)
        query = {"version": version, "comment": comment, "deploy": deploy}
        await self._transport.send("DELETE", path, query=query, headers=if_match_header(if_match))

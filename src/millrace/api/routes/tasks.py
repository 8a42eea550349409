"""Routes about the single tasks of a workflow, each by its uid."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, document, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.preconditions import UNCHANGED, IfMatch, IfNoneMatch, answer_unless_known
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.versions import TASK_EXAMPLE, TaskPage, TaskView
from millrace.app.workflows.requests import LONGEST_COMMENT, SaveOptions
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("tasks")

READ = [requires(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]

DESCRIBED = request_body({"$ref": "#/components/schemas/TaskBody"}, TASK_EXAMPLE)
CHANGE = request_body({"$ref": "#/components/schemas/TaskChange"}, {"timeout": "5m"})


@router.get("/workflows/{workflow}/tasks", dependencies=READ, responses={200: {"model": TaskPage}, **UNCHANGED})
async def list_tasks(workflow: str, container: Containers, if_none_match: IfNoneMatch = None) -> Response:
    """All tasks of the newest version, those within tasks included."""
    shown, tag = await container.workflow_tasks.list(workflow)
    return answer_unless_known(shown, tag, if_none_match)


@router.post(
    "/workflows/{workflow}/tasks",
    status_code=201,
    responses={201: {"model": TaskView}},
    openapi_extra=DESCRIBED,
)
async def add_task(
    workflow: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Add a task: at the end, or where `index` (and `list`) or `after` say. The workflow gets a new version."""
    body = await document(request)
    shown, tag = await container.workflow_tasks.add(workflow, body, by=caller.user_id, if_match=if_match)
    return answer(shown, 201, {"ETag": tag, "Location": f"{request.url.path}/{shown['uid']}"})


@router.get("/workflows/{workflow}/tasks/{task}", dependencies=READ, responses={200: {"model": TaskView}, **UNCHANGED})
async def get_task(workflow: str, task: str, container: Containers, if_none_match: IfNoneMatch = None) -> Response:
    """A task of the newest version. `{task}` is its uid, or its id."""
    shown, tag = await container.workflow_tasks.get(workflow, task)
    return answer_unless_known(shown, tag, if_none_match)


@router.put("/workflows/{workflow}/tasks/{task}", responses={200: {"model": TaskView}}, openapi_extra=CHANGE)
@router.patch("/workflows/{workflow}/tasks/{task}", responses={200: {"model": TaskView}}, openapi_extra=CHANGE)
async def update_task(
    workflow: str,
    task: str,
    request: Request,
    container: Containers,
    caller: Writer,
    if_match: IfMatch,
    replace: Annotated[
        bool, Query(description="The body is the whole task: fields that it does not give are taken out.")
    ] = False,
) -> Response:
    """Change the fields given, null takes one out; `index`, `list` or `after` move the task. Its uid stays."""
    body = await document(request)
    shown, tag = await container.workflow_tasks.update(
        workflow, task, body, by=caller.user_id, if_match=if_match, replace_all=replace
    )
    return answer(shown, headers={"ETag": tag})


@router.delete("/workflows/{workflow}/tasks/{task}", status_code=204)
async def remove_task(
    workflow: str,
    task: str,
    container: Containers,
    caller: Writer,
    if_match: IfMatch,
    version: Annotated[int | None, Query(ge=1, description="The number of the version that this changes.")] = None,
    comment: Annotated[str | None, Query(max_length=LONGEST_COMMENT, pattern=NO_NUL)] = None,
    deploy: Annotated[bool | None, Query(description="false: the new version is not deployed.")] = None,
) -> Response:
    """Remove a task. Refused while other tasks depend on it or read what it answers."""
    options = SaveOptions(deploy=deploy, comment=comment, expected_version=version)
    tag = await container.workflow_tasks.remove(workflow, task, by=caller.user_id, options=options, if_match=if_match)
    return Response(status_code=204, headers={"ETag": tag})

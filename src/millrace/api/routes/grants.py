"""Routes about grants: what a user may do with a single workflow."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.grants import (
    GRANTS_EXAMPLE,
    GrantsBody,
    GrantsOfUser,
    GrantsOfUserPage,
    GrantsOnWorkflowPage,
)
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("grants")

Caller = Annotated[Principal, requires(Permission.SELF)]
Giver = Annotated[Principal, requires(Permission.GRANT_WRITE)]


@router.get(
    "/workflows/{workflow}/grants",
    dependencies=[requires(Permission.GRANT_READ)],
    responses={200: {"model": GrantsOfUserPage}},
)
async def list_grants(workflow: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Who was given what for this workflow. Who sees all workflows by his role is not among them for that."""
    return page_answer(await container.grants.of_workflow(workflow, cursor=cursor, limit=limit))


@router.put(
    "/workflows/{workflow}/grants/{user}",
    responses={200: {"model": GrantsOfUser}},
    openapi_extra=request_body(GrantsBody.model_json_schema(), GRANTS_EXAMPLE),
)
async def set_grants(workflow: str, user: str, request: Request, container: Containers, caller: Giver) -> Response:
    """Let a user have exactly these grants on the workflow. They hold from the next request on."""
    body = await checked(request, GrantsBody)
    return answer(await container.grants.put(workflow, user, body.wanted(), by=caller))


@router.delete("/workflows/{workflow}/grants/{user}", status_code=204)
async def remove_grants(workflow: str, user: str, container: Containers, _: Giver) -> Response:
    """Take all grants on the workflow from a user. Streams that he has open end within seconds."""
    await container.grants.take(workflow, user)
    return Response(status_code=204)


@router.get(
    "/users/{user}/grants",
    dependencies=[requires(Permission.USER_READ)],
    responses={200: {"model": GrantsOnWorkflowPage}},
)
async def list_grants_of_user(user: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """What a user was given for which workflows."""
    return page_answer(await container.grants.of_user(user, cursor=cursor, limit=limit))


@router.get("/auth/me/grants", responses={200: {"model": GrantsOnWorkflowPage}})
async def list_own_grants(container: Containers, caller: Caller, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """What you were given for which workflows, by whichever credential you ask."""
    return page_answer(await container.grants.of_user(caller.user_id, cursor=cursor, limit=limit))

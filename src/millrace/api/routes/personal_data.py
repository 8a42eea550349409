"""Routes about what is kept of a person: told to him or to administrators, and erased by these."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked_in_private, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.schemas.accounts import UserView
from millrace.api.schemas.personal_data import ERASE_EXAMPLE, EraseBody, PersonalData
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("users")

Caller = Annotated[Principal, requires(Permission.SELF)]
Writer = Annotated[Principal, requires(Permission.USER_WRITE)]


@router.get("/auth/me/personal-data", responses={200: {"model": PersonalData}})
async def my_personal_data(container: Containers, caller: Caller) -> Response:
    """All that is kept of you, as one document."""
    return answer(await container.privacy.personal_data.export(caller.user_id, by=caller))


@router.get("/users/{user}/personal-data", responses={200: {"model": PersonalData}})
async def personal_data(user: str, container: Containers, caller: Writer) -> Response:
    """All that is kept of a user, as one document."""
    return answer(await container.privacy.personal_data.export(user, by=caller))


@router.post(
    "/users/{user}/erase",
    responses={200: {"model": UserView}},
    openapi_extra=request_body(EraseBody.model_json_schema(), ERASE_EXAMPLE),
)
async def erase_user(user: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Delete a user for ever, with what says who it was; in the audit log, too. What was done keeps the id alone."""
    body = await checked_in_private(request, EraseBody)
    return answer(await container.privacy.erasure.erase(user, body.confirm, by=caller))

"""Routes about one's own account: who one is, the password, and where one is logged in."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api import cookies
from millrace.api.bodies import answer, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, api_router, origin_of, recognised, requires
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.accounts import (
    NAME_EXAMPLE,
    PASSWORD_EXAMPLE,
    AccountChange,
    Ended,
    Me,
    PasswordBody,
    SessionPage,
)
from millrace.api.schemas.oidc import LoggedOut
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("auth")

Caller = Annotated[Principal, requires(Permission.SELF)]
Recognised = Annotated[Principal, recognised()]


@router.get("/auth/me", responses={200: {"model": Me}})
async def me(container: Containers, caller: Recognised) -> Response:
    """Who you are, and what you may do with the credential that you use, whatever its scopes are."""
    return answer(await container.identity.accounts.me(caller))


@router.patch(
    "/auth/me",
    responses={200: {"model": Me}},
    openapi_extra=request_body(AccountChange.model_json_schema(), NAME_EXAMPLE),
)
async def change_me(request: Request, container: Containers, caller: Caller) -> Response:
    """Change your name."""
    body = await checked_in_private(request, AccountChange)
    return answer(await container.identity.accounts.rename(caller, body.name))


@router.post(
    "/auth/password",
    status_code=204,
    openapi_extra=request_body(PasswordBody.model_json_schema(), PASSWORD_EXAMPLE),
)
async def change_password(request: Request, container: Containers, caller: Caller) -> Response:
    """Change your password. All your other logins end; API keys stay."""
    body = await checked_in_private(request, PasswordBody)
    await container.identity.accounts.change_password(caller, body.old_password, body.new_password, origin_of(request))
    return Response(status_code=204)


@router.post("/auth/logout", status_code=204, responses={200: {"model": LoggedOut}})
async def log_out(request: Request, container: Containers, caller: Recognised) -> Response:
    """End this login, whatever its scopes are: its cookie or its tokens are refused from when this is answered.

    Who is known to a login provider is told where to log out there, too.
    """
    await container.identity.accounts.log_out(caller)
    url = await container.identity.oidc.logout_url(caller.user_id)
    return _forgotten(request, Response(status_code=204) if url is None else answer({"provider_logout_url": url}))


@router.post("/auth/logout-everywhere", responses={200: {"model": Ended}})
async def log_out_everywhere(request: Request, container: Containers, caller: Caller) -> Response:
    """End all your logins, this one too. API keys stay."""
    ended = await container.identity.accounts.log_out_everywhere(caller)
    return _forgotten(request, answer({"ended": ended}))


@router.get("/auth/sessions", responses={200: {"model": SessionPage}})
async def list_sessions(container: Containers, caller: Caller, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Where you are logged in, the newest first."""
    return page_answer(await container.identity.accounts.sessions(caller, cursor=cursor, limit=limit))


@router.delete("/auth/sessions/{session}", status_code=204)
async def end_session(session: str, container: Containers, caller: Caller) -> Response:
    """End one of your logins."""
    await container.identity.accounts.end_session(caller, session)
    return Response(status_code=204)


def _forgotten(request: Request, response: Response) -> Response:
    if cookies.session_in(request) is not None:
        cookies.forget_session(request, response)
    return response

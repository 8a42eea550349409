"""Routes about users and service accounts, for administrators."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.queries import Cursor, Limit, known_word
from millrace.api.schemas.accounts import Ended, UserView
from millrace.api.schemas.identity import (
    CHANGE_EXAMPLE,
    ROLE_NAMES,
    USER_EXAMPLE,
    MadeUser,
    UserBody,
    UserChange,
    UserPage,
)
from millrace.app.identity.users import NewUser
from millrace.auth.permissions import Access, Permission, Role
from millrace.auth.principal import Principal, UserKind

router = api_router("users")

READ = [requires(Permission.USER_READ)]
Writer = Annotated[Principal, requires(Permission.USER_WRITE)]
STATUSES = ("active", "disabled", "deleted")


@router.get("/users", dependencies=READ, responses={200: {"model": UserPage}})
async def list_users(
    container: Containers,
    role: Annotated[str | None, Query(description="Only those with this role.")] = None,
    kind: Annotated[str | None, Query(description="person or service.")] = None,
    status: Annotated[str | None, Query(description="active, disabled or deleted; without it all but deleted.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The users, the oldest first."""
    wanted = known_word("query.role", ROLE_NAMES.get(role or "", role), [one.value for one in Role])
    page = await container.identity.users.list(
        role=wanted,
        kind=known_word("query.kind", kind, [one.value for one in UserKind]),
        status=known_word("query.status", status, STATUSES),
        cursor=cursor,
        limit=limit,
    )
    return page_answer(page)


@router.post(
    "/users",
    status_code=201,
    responses={201: {"model": MadeUser}},
    openapi_extra=request_body(UserBody.model_json_schema(), USER_EXAMPLE),
)
async def create_user(request: Request, container: Containers, caller: Writer) -> Response:
    """Make a user or a service account. Without a password the answer has a token, once, to set one by."""
    body = await checked_in_private(request, UserBody)
    body.check()
    users = container.identity.users
    wanted = NewUser(
        UserKind(body.kind),
        body.name,
        body.role_or(users.default_role),
        body.email,
        body.password,
        Access(body.access or Access.ALL),
    )
    shown = await users.create(wanted, by=caller)
    return answer(shown, 201, {"Location": f"/api/v1/users/{shown['id']}"})


@router.get("/users/{user}", dependencies=READ, responses={200: {"model": UserView}})
async def get_user(user: str, container: Containers) -> Response:
    """A user by id or e-mail address, a service account by id or name."""
    return answer(await container.identity.users.get(user))


@router.patch(
    "/users/{user}",
    responses={200: {"model": UserView}},
    openapi_extra=request_body(UserChange.model_json_schema(), CHANGE_EXAMPLE),
)
async def change_user(user: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Change name, e-mail address, role or access. Another role holds at once, for all logins and keys of the user."""
    body = await checked_in_private(request, UserChange)
    return answer(await container.identity.users.change(user, body.given(), by=caller))


@router.delete("/users/{user}", responses={200: {"model": UserView}})
async def delete_user(user: str, container: Containers, caller: Writer) -> Response:
    """Delete a user for ever: logins and keys end, the e-mail address is free, what was done keeps the name."""
    return answer(await container.identity.users.delete(user, by=caller))


@router.post("/users/{user}/disable", responses={200: {"model": UserView}})
async def disable_user(user: str, container: Containers, caller: Writer) -> Response:
    """Refuse whatever the user has, at once. The last administrator cannot be disabled."""
    return answer(await container.identity.users.disable(user, by=caller))


@router.post("/users/{user}/enable", responses={200: {"model": UserView}})
async def enable_user(user: str, container: Containers, caller: Writer) -> Response:
    """Let a disabled user in again. API keys hold again, logins do not."""
    return answer(await container.identity.users.enable(user, by=caller))


@router.post("/users/{user}/reset", responses={200: {"model": MadeUser}})
async def reset_user(user: str, container: Containers, caller: Writer) -> Response:
    """A token to pass on, by which the user sets a new password within a day, once."""
    return answer(await container.identity.users.reset(user, by=caller))


@router.post("/users/{user}/logout", responses={200: {"model": Ended}})
async def log_user_out(user: str, container: Containers, caller: Writer) -> Response:
    """End all logins of a user. API keys stay."""
    return answer({"ended": await container.identity.users.log_out(user, by=caller)})

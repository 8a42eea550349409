"""Routes about API keys: one's own, and with the permission for it those of others."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.identity import (
    KEY_EXAMPLE,
    ROTATE_EXAMPLE,
    KeyBody,
    KeyPage,
    KeyView,
    MadeKey,
    RotateBody,
)
from millrace.app.identity.keys import NewApiKey
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.core.errors import Fault, InvalidRequest

router = api_router("api-keys")

Caller = Annotated[Principal, requires(Permission.SELF)]


@router.get("/api-keys", responses={200: {"model": KeyPage}})
async def list_keys(
    container: Containers,
    caller: Caller,
    user: Annotated[
        str | None, Query(max_length=1_000, description="Whose, for administrators: id, e-mail or service account.")
    ] = None,
    everybody: Annotated[
        bool, Query(alias="all", description="Those of everybody, which needs the permission user:read, too.")
    ] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Your API keys, the newest first, also those that have ended; never the keys themselves."""
    keys = container.identity.keys
    if everybody and user is not None:
        fault = Fault("query.all", "value", "these are not the keys of one user", "leave out all, or user")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    if everybody:
        page = await keys.list_all(caller, cursor=cursor, limit=limit)
    else:
        page = await keys.list(caller, user=user, cursor=cursor, limit=limit)
    return page_answer(await named_page(container, page))


@router.post(
    "/api-keys",
    status_code=201,
    responses={201: {"model": MadeKey}},
    openapi_extra=request_body(KeyBody.model_json_schema(), KEY_EXAMPLE),
)
async def create_key(request: Request, container: Containers, caller: Caller) -> Response:
    """Make an API key. The answer has the key, this once."""
    body = await checked(request, KeyBody)
    wanted = NewApiKey(body.name, body.permissions(), body.end(), body.lifetime(), body.user)
    shown = await named(container, await container.identity.keys.create(caller, wanted))
    return answer(shown, 201, {"Location": f"/api/v1/api-keys/{shown['id']}"})


@router.get("/api-keys/{key}", responses={200: {"model": KeyView}})
async def get_key(key: str, container: Containers, caller: Caller) -> Response:
    """What is known of a key: all but the key."""
    return answer(await named(container, await container.identity.keys.get(caller, key)))


@router.delete("/api-keys/{key}", responses={200: {"model": KeyView}})
async def revoke_key(key: str, container: Containers, caller: Caller) -> Response:
    """Revoke a key: it is refused from when this is answered."""
    return answer(await named(container, await container.identity.keys.revoke(caller, key)))


@router.post(
    "/api-keys/{key}/rotate",
    status_code=201,
    responses={201: {"model": MadeKey}},
    openapi_extra=request_body(RotateBody.model_json_schema(), ROTATE_EXAMPLE, required=False),
)
async def rotate_key(key: str, request: Request, container: Containers, caller: Caller) -> Response:
    """A new key in place of this one, which ends now or after the overlap. The answer has the new key, this once."""
    body = await checked(request, RotateBody)
    shown = await container.identity.keys.rotate(caller, key, overlap=body.duration())
    return answer(await named(container, shown), 201, {"Location": f"/api/v1/api-keys/{shown['id']}"})

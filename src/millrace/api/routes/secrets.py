"""Routes about secrets. Values go in and never come out; the permission to set one shows nobody its value."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.secrets import SECRET_EXAMPLE, Deleted, KeyRotated, SecretBody, SecretDetail, SecretPage
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("secrets")

READ = [requires(Permission.SECRET_READ)]
Writer = Annotated[Principal, requires(Permission.SECRET_WRITE)]


@router.get("/secrets", dependencies=READ, responses={200: {"model": SecretPage}})
async def list_secrets(container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The secrets of the database by name, without their values."""
    return page_answer(await named_page(container, await container.secret_queries.list(cursor=cursor, limit=limit)))


@router.post(
    "/secrets/rotate-key",
    dependencies=[requires(Permission.ENCRYPTION_KEY_ROTATE)],
    responses={200: {"model": KeyRotated}},
)
async def rotate_key(container: Containers) -> Response:
    """Encrypt everything with a new key: one that is made now, or the one that MILLRACE_ENCRYPTION_KEY has."""
    return answer(await container.secret_commands.rotate_key())


@router.get("/secrets/{name}", dependencies=READ, responses={200: {"model": SecretDetail}})
async def get_secret(name: str, container: Containers) -> Response:
    """What is known of a secret: everything but its value."""
    return answer(await named(container, await container.secret_queries.get(name)))


@router.put(
    "/secrets/{name}",
    responses={200: {"model": SecretDetail}, 201: {"model": SecretDetail}},
    openapi_extra=request_body(SecretBody.model_json_schema(), SECRET_EXAMPLE),
)
async def set_secret(name: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Set a secret; it holds for every task that starts from now on. The answer says which workflows read it."""
    body = await checked_in_private(request, SecretBody)
    shown, made = await container.secret_commands.put(name, body.value, by=caller.user_id, description=body.description)
    return answer(await named(container, shown), 201 if made else 200)


@router.delete("/secrets/{name}", responses={200: {"model": Deleted}})
async def delete_secret(name: str, container: Containers, _: Writer) -> Response:
    """Delete a secret. The answer says which deployed workflows read it and will fail without it."""
    return answer(await container.secret_commands.delete(name))

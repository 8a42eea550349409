"""Routes about secrets. Values go in and never come out; the permission to set one shows nobody its value."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, SightBeside, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.secrets import (
    ROLLBACK_EXAMPLE,
    SCOPE_EXAMPLE,
    SECRET_EXAMPLE,
    Deleted,
    KeptVersions,
    KeyRotated,
    OutsideSecretPage,
    RollbackBody,
    SecretBody,
    SecretDetail,
    SecretPage,
    SecretScopeBody,
)
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("secrets")

READ = [requires(Permission.SECRET_READ)]
Writer = Annotated[Principal, requires(Permission.SECRET_WRITE)]


@router.get("/secrets", dependencies=READ, responses={200: {"model": SecretPage}})
async def list_secrets(container: Containers, sight: SightBeside, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The secrets of the database by name, without their values."""
    page = await container.secret_queries.list(cursor=cursor, limit=limit, sight=sight)
    return page_answer(await named_page(container, page))


@router.get("/outside-secrets", dependencies=READ, responses={200: {"model": OutsideSecretPage}})
async def list_outside_secrets(container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Names of the secrets that the environment and the folder of the server define. They win over the database."""
    return page_answer(await container.secret_queries.list_outside(cursor=cursor, limit=limit))


@router.post(
    "/secrets/rotate-key",
    dependencies=[requires(Permission.ENCRYPTION_KEY_ROTATE)],
    responses={200: {"model": KeyRotated}},
)
async def rotate_key(container: Containers) -> Response:
    """Encrypt everything with a new key: one that is made now, or the one that MILLRACE_ENCRYPTION_KEY has."""
    return answer(await container.secret_commands.rotate_key())


@router.get("/secrets/{name}", dependencies=READ, responses={200: {"model": SecretDetail}})
async def get_secret(name: str, container: Containers, sight: SightBeside) -> Response:
    """What is known of a secret: everything but its value."""
    return answer(await named(container, await container.secret_queries.get(name, sight)))


@router.put(
    "/secrets/{name}",
    responses={200: {"model": SecretDetail}, 201: {"model": SecretDetail}},
    openapi_extra=request_body(SecretBody.model_json_schema(), SECRET_EXAMPLE),
)
async def set_secret(name: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Set a secret; it holds for every task that starts from now on. The answer says which workflows read it."""
    body = await checked_in_private(request, SecretBody)
    shown, made = await container.secret_commands.put(
        name, body.value, by=caller.user_id, description=body.description, scope=body.scope()
    )
    return answer(await named(container, shown), 201 if made else 200)


@router.patch(
    "/secrets/{name}",
    responses={200: {"model": SecretDetail}},
    openapi_extra=request_body(SecretScopeBody.model_json_schema(), SCOPE_EXAMPLE),
)
async def scope_secret(name: str, request: Request, container: Containers, _: Writer) -> Response:
    """Say anew which workflows and hosts a secret is for, without its value; hosts that it could not be sent to so far
    take its value (PUT). It holds for every task that starts from now on."""
    body = await checked(request, SecretScopeBody)
    return answer(await named(container, await container.secret_commands.rescope(name, body.scope())))


@router.delete("/secrets/{name}", responses={200: {"model": Deleted}})
async def delete_secret(name: str, container: Containers, _: Writer) -> Response:
    """Delete a secret. The answer says which deployed workflows read it and will fail without it."""
    return answer(await container.secret_commands.delete(name))


@router.get("/secrets/{name}/versions", dependencies=READ, responses={200: {"model": KeptVersions}})
async def list_secret_versions(name: str, container: Containers) -> Response:
    """The last versions of a secret, the newest first: numbers, by whom and when; never a value."""
    return page_answer(await named_page(container, await container.secret_queries.versions(name)))


@router.post(
    "/secrets/{name}/rollback",
    responses={200: {"model": SecretDetail}},
    openapi_extra=request_body(RollbackBody.model_json_schema(), ROLLBACK_EXAMPLE),
)
async def roll_back_secret(name: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Have a former value hold again, as a new version. What the secret is for stays as it is."""
    body = await checked_in_private(request, RollbackBody)
    shown = await container.secret_commands.roll_back(name, body.version, by=caller.user_id)
    return answer(await named(container, shown))

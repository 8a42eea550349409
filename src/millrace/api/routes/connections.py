"""Routes about connections: what a task needs to reach a server, under a name. What is secret is shown as `***`."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, SightBeside, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.presence import while_present
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.secrets import (
    CONNECTION_EXAMPLE,
    ROLLBACK_EXAMPLE,
    SCOPE_EXAMPLE,
    ConnectionBody,
    ConnectionDetail,
    ConnectionPage,
    ConnectionScopeBody,
    ConnectionTested,
    Deleted,
    KeptVersions,
    RollbackBody,
)
from millrace.app.connections.commands import ConnectionRequest
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("connections")

READ = [requires(Permission.CONNECTION_READ)]
Writer = Annotated[Principal, requires(Permission.CONNECTION_WRITE)]


@router.get("/connections", dependencies=READ, responses={200: {"model": ConnectionPage}})
async def list_connections(
    container: Containers,
    sight: SightBeside,
    type: Annotated[str | None, Query(description="Only those of this type.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The connections by name."""
    page = await container.connection_queries.list(kind=type, cursor=cursor, limit=limit, sight=sight)
    return page_answer(await named_page(container, page))


@router.get("/connections/{name}", dependencies=READ, responses={200: {"model": ConnectionDetail}})
async def get_connection(name: str, container: Containers, sight: SightBeside) -> Response:
    """A connection, with the deployed workflows that name it."""
    return answer(await named(container, await container.connection_queries.get(name, sight)))


@router.put(
    "/connections/{name}",
    responses={200: {"model": ConnectionDetail}, 201: {"model": ConnectionDetail}},
    openapi_extra=request_body(ConnectionBody.model_json_schema(), CONNECTION_EXAMPLE),
)
async def set_connection(name: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Set a connection. A database may be given as `{"connection_string": …}`, which is taken apart."""
    body = await checked_in_private(request, ConnectionBody)
    wanted = ConnectionRequest(body.type, body.config, body.description, body.scope())
    shown, made = await container.connection_commands.put(name, wanted, by=caller.user_id)
    return answer(await named(container, shown), 201 if made else 200)


@router.patch(
    "/connections/{name}",
    responses={200: {"model": ConnectionDetail}},
    openapi_extra=request_body(ConnectionScopeBody.model_json_schema(), SCOPE_EXAMPLE),
)
async def scope_connection(name: str, request: Request, container: Containers, _: Writer) -> Response:
    """Say anew which workflows a connection is for; what it says stays as it is."""
    body = await checked(request, ConnectionScopeBody)
    return answer(await named(container, await container.connection_commands.rescope(name, body.scope())))


@router.delete("/connections/{name}", responses={200: {"model": Deleted}})
async def delete_connection(name: str, container: Containers, _: Writer) -> Response:
    """Delete a connection. The answer says which deployed workflows name it and will fail without it."""
    return answer(await container.connection_commands.delete(name))


@router.get("/connections/{name}/versions", dependencies=READ, responses={200: {"model": KeptVersions}})
async def list_connection_versions(name: str, container: Containers) -> Response:
    """The last versions of a connection, the newest first: numbers, by whom and when."""
    return page_answer(await named_page(container, await container.connection_queries.versions(name)))


@router.post(
    "/connections/{name}/rollback",
    responses={200: {"model": ConnectionDetail}},
    openapi_extra=request_body(RollbackBody.model_json_schema(), ROLLBACK_EXAMPLE),
)
async def roll_back_connection(name: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Have a connection say again what a former version said, as a new version; its secrets with it."""
    body = await checked_in_private(request, RollbackBody)
    return answer(
        await named(container, await container.connection_commands.roll_back(name, body.version, by=caller.user_id))
    )


@router.post(
    "/connections/{name}/test",
    dependencies=[requires(Permission.CONNECTION_TEST)],
    responses={200: {"model": ConnectionTested}},
)
async def test_connection(name: str, request: Request, container: Containers) -> Response:
    """Connect once, as a task would, and say whether that works. It ends when the client goes."""
    return answer(await while_present(request, container.connection_tester.test(name)))

"""What routes ask for: the container, the caller, the permission.

Authentication is a dependency of every router that `api_router` makes, and a test walks all routes for one that is open
without being listed; which permission a route needs is part of its declaration.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import APIKeyHeader

from millrace.api.query_names import known_query
from millrace.app.container import Container
from millrace.auth.permissions import Permission, require
from millrace.auth.principal import Principal

API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key; the first is in the file api-key.")

BEARER: Final = "bearer "


async def container_of(request: Request) -> Container:
    container: Container = request.app.state.container
    return container


Containers = Annotated[Container, Depends(container_of)]


async def authenticated(request: Request, key: Annotated[str | None, Depends(API_KEY)] = None) -> None:
    """Find the caller, by `X-API-Key` or by `Authorization: Bearer` with an API key. Raises `Unauthenticated`."""
    if key is None:
        header = request.headers.get("Authorization", "")
        key = header[len(BEARER) :] if header[: len(BEARER)].lower() == BEARER else None
    container = await container_of(request)
    request.state.caller = await container.authenticator.authenticate(key)


def api_router(tag: str) -> APIRouter:
    """A router of the API, whose routes all ask for credentials before anything else, and take no unknown query.

    The application takes its routes as they are: a router that is included in another costs every request a second
    search for its route, and the first one the time to make all of them anew.
    """
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[Depends(authenticated), Depends(known_query)])


class Requires:
    """A dependency that answers the caller if he has the permission, and raises `Forbidden` if not."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        require(caller, self.permission)
        return caller


def requires(permission: Permission) -> Any:
    """To be put on a route: `dependencies=[requires(…)]`, or as the annotation of an argument that wants the caller."""
    dependency: DependsParam = Depends(Requires(permission))
    return dependency

"""What routes ask for: the container, the caller, the permission.

Authentication is a dependency of the whole API router, so a route cannot be added without it; which permission a route
needs is part of its declaration.
"""

from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import APIKeyHeader

from millrace.app.container import Container
from millrace.auth.permissions import Permission, require
from millrace.auth.principal import Principal

API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key; the first is in the file api-key.")

BEARER: Final = "bearer "


async def container_of(request: Request) -> Container:
    container: Container = request.app.state.container
    return container


Containers = Annotated[Container, Depends(container_of)]


async def authenticated(
    request: Request, container: Containers, key: Annotated[str | None, Depends(API_KEY)] = None
) -> Principal:
    """The caller, by `X-API-Key` or by `Authorization: Bearer` with an API key. Raises `Unauthenticated`."""
    if key is None:
        header = request.headers.get("Authorization", "")
        key = header[len(BEARER) :] if header[: len(BEARER)].lower() == BEARER else None
    return await container.authenticator.authenticate(key)


Caller = Annotated[Principal, Depends(authenticated)]


class Requires:
    """A dependency that answers the caller if he has the permission, and raises `Forbidden` if not."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, caller: Caller) -> Principal:
        require(caller, self.permission)
        return caller


def requires(permission: Permission) -> Any:
    """To be put on a route: `dependencies=[requires(…)]`, or as the annotation of an argument that wants the caller."""
    dependency: DependsParam = Depends(Requires(permission))
    return dependency

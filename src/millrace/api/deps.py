"""What routes ask for: the container, the caller, the permission.

Authentication is a dependency of every router that `api_router` makes, and a test walks all routes for one that is open
without being listed; which permission a route needs is part of its declaration.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from millrace.api import cookies
from millrace.api.query_names import known_query
from millrace.app.container import Container
from millrace.auth.authentication import refusal
from millrace.auth.logins.sessions import Origin
from millrace.auth.permissions import Permission, require
from millrace.auth.principal import Principal

KEY_HEADER: Final = "X-API-Key"
API_KEY = APIKeyHeader(name=KEY_HEADER, auto_error=False, description="An API key; the first is in the file api-key.")
ACCESS_TOKEN = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/token",
    auto_error=False,
    description="An access token, or an API key.",
)

BEARER: Final = "bearer "


async def container_of(request: Request) -> Container:
    container: Container = request.app.state.container
    return container


Containers = Annotated[Container, Depends(container_of)]


async def authenticated(
    request: Request,
    _: Annotated[str | None, Depends(API_KEY)] = None,
    __: Annotated[str | None, Depends(ACCESS_TOKEN)] = None,
) -> None:
    """Find the caller: by `X-API-Key`, else by `Authorization: Bearer`, else by the cookie of a login.

    What is sent explicitly counts also where it is wrong: the cookie, which a browser adds to anything, does not step
    in. Raises `Unauthenticated`, and `Forbidden` for what another site has a browser do.
    """
    container = await container_of(request)
    by = container.identity.authenticator
    if (key := request.headers.get(KEY_HEADER)) is not None:
        request.state.caller = await by.of_key(key)
    elif (header := request.headers.get("Authorization")) is not None:
        if header[: len(BEARER)].lower() != BEARER:
            raise refusal()
        request.state.caller = await by.of_bearer(header[len(BEARER) :])
    elif (cookie := cookies.session_in(request)) is not None:
        request.state.caller = await by.of_cookie(cookie)
        cookies.refuse_other_sites(request)
    else:
        raise refusal()


def origin_of(request: Request) -> Origin:
    """Where the connection comes from; what a header says of that is not believed."""
    address = "unknown" if request.client is None else request.client.host
    return Origin(address, request.headers.get("User-Agent"))


def open_router(tag: str) -> APIRouter:
    """A router of the API whose routes need no credentials: they are how one comes by some."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[Depends(known_query)])


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

"""What routes ask for: the container, the caller, the permission.

Authentication is a dependency of every router that `api_router` makes, and a test walks all routes for one that is open
without being listed; which permission a route needs is part of its declaration.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from millrace.api import cookies, rates
from millrace.api.query_names import known_query
from millrace.app.containers.container import Container
from millrace.app.grants.rights import ARCHIVED, KINDS, WORKFLOW, Subject, require_role, sight_beside
from millrace.auth.audit.acting import proven
from millrace.auth.logins.sessions import Origin
from millrace.auth.permissions import PER_WORKFLOW, Permission, allows, has, require, require_usable
from millrace.auth.principal import Principal
from millrace.auth.refusals import nothing_sent, refusal
from millrace.auth.sight import Sight
from millrace.core.errors import Forbidden, Unauthenticated

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
    in. Raises `Unauthenticated`, `Forbidden` for what another site has a browser do, and `RateLimited`.
    """
    try:
        request.state.caller = caller = await _caller(request)
    except Unauthenticated:
        rates.is_refused(request)
        raise
    rates.belongs_to(request, caller)
    proven(caller)


async def _caller(request: Request) -> Principal:
    container = await container_of(request)
    by = container.identity.authenticator
    if (key := request.headers.get(KEY_HEADER)) is not None:
        return await by.of_key(key)
    if (header := request.headers.get("Authorization")) is not None:
        if header[: len(BEARER)].lower() != BEARER:
            raise refusal()
        return await by.of_bearer(header[len(BEARER) :])
    if (cookie := cookies.session_in(request)) is not None:
        caller = await by.of_cookie(cookie)
        cookies.refuse_other_sites(request)
        return caller
    raise nothing_sent()


def origin_of(request: Request) -> Origin:
    """Where the request comes from, which may be behind a proxy that is trusted; nobody else's headers are believed."""
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
    """A dependency that answers the caller if he has the permission, and raises `Forbidden` if not.

    Who has it not everywhere may have it for the workflow that the path is about, which the route is then given by its
    id: the name may mean another one by the time that the body has come. Where the path names nothing, only
    who has it everywhere comes in: routes that filter what they list, or check what the body names, say so by
    `Sees` and `Allows`.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        # The way of nearly all requests: nothing more is read for it.
        if allows(caller, self.permission) and not caller.must_change_password:
            return caller
        subject = subject_of(request) if self.permission in PER_WORKFLOW else None
        if subject is None:
            require(caller, self.permission)
        else:
            meant = await (await container_of(request)).rights.require(caller, self.permission, subject)
            if subject.kind == WORKFLOW:
                request.path_params[WORKFLOW] = meant
        return caller


class Recognises(Requires):
    """Answers whoever is known, whatever his scopes are: for telling him who he is, and for ending his login."""

    def __init__(self) -> None:
        super().__init__(Permission.SELF)

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        return caller


class Sees(Requires):
    """Answers of which workflows the route is to tell, or which it may change; the query leaves out the others."""

    async def __call__(self, request: Request) -> Sight | None:  # type: ignore[override]
        return await (await container_of(request)).rights.sight(request.state.caller, self.permission)


class Allows(Requires):
    """For a route about no workflow, or one that the body names: the route then asks about that one itself."""

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        require_role(caller, self.permission)
        return caller


class AllowsWithAny(Requires):
    """For a route whose body names the workflow, which it then asks about: refused to who may do it with none."""

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        await (await container_of(request)).rights.sight(caller, self.permission)
        return caller


class AllowsOrAny(AllowsWithAny):
    """As `AllowsWithAny`, where it may also be a workflow that is yet to be made."""

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.caller
        require_usable(caller, self.permission)
        return caller if has(caller.role, self.permission) else await super().__call__(request)


def subject_of(request: Request) -> Subject | None:
    """What the path is about: of several things it names the first, to which the others belong."""
    for kind in KINDS:
        if kind in request.path_params:
            archived = kind == "run" and request.url.path.startswith("/api/v1/archive/")
            return Subject(ARCHIVED if archived else kind, str(request.path_params[kind]))
    return None


async def _sight_beside(request: Request) -> Sight | None:
    return sight_beside(request.state.caller)


SightBeside = Annotated[Sight | None, Depends(_sight_beside)]
"""Of the workflows that are named in what a route tells of something else."""


def requires(permission: Permission) -> Any:
    """To be put on a route: `dependencies=[requires(…)]`, or as the annotation of an argument that wants the caller."""
    return _depends(Requires(permission))


def recognised() -> Any:
    """As the annotation of an argument that wants the caller, of a route for everybody who is known."""
    return _depends(Recognises())


def sees(permission: Permission) -> Any:
    """As the annotation of an argument that wants the `Sight`."""
    return _depends(Sees(permission))


def allowed(permission: Permission) -> Any:
    """As `requires`, for a route that is about no workflow that is there."""
    return _depends(Allows(permission))


def allowed_with_any(permission: Permission) -> Any:
    """As `requires`, for a route whose body names the workflow: refused to who may do it with none."""
    return _depends(AllowsWithAny(permission))


def allowed_or_any(permission: Permission) -> Any:
    """As `allowed_with_any`, or the workflow is a new one, and the role lets him make it."""
    return _depends(AllowsOrAny(permission))


def still_allowed(request: Request, requirement: Requires, told: Sight | None = None) -> Callable[[], Awaitable[None]]:
    """To ask of an answer that goes on: whether the credential holds still, and gives what it gave when it began.

    Raises `Unauthenticated`, `Forbidden` or `NotFound` if not.
    """

    async def ask() -> None:
        await authenticated(request)
        answered: object = await requirement(request)
        if isinstance(requirement, Sees) and answered != told:
            raise Forbidden("access_changed", "what you may see has changed since this began; ask again")

    return ask


def _depends(requirement: Requires) -> Any:
    dependency: DependsParam = Depends(requirement)
    return dependency

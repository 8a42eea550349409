"""Routes by which one comes by credentials; they need none. What they are sent is not repeated in any answer."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from fastapi import Request, Response

from millrace.api import cookies, problems
from millrace.api.bodies import answer, checked_in_private, received, request_body
from millrace.api.deps import Containers, open_router, origin_of
from millrace.api.schemas.accounts import (
    LOGIN_EXAMPLE,
    REFRESH_EXAMPLE,
    RESET_EXAMPLE,
    SETUP_EXAMPLE,
    LoginBody,
    Me,
    RefreshBody,
    ResetBody,
    SetupBody,
    SetupNeeded,
    TokenError,
    Tokens,
)
from millrace.app.containers.container import Container
from millrace.auth.logins import sessions
from millrace.auth.logins.throttling import TooManyAttempts
from millrace.auth.permissions import Permission
from millrace.core.errors import InvalidRequest, MillraceError, Unauthenticated
from millrace.core.values import SECOND

router = open_router("auth")

FORM = "application/x-www-form-urlencoded"
FORM_SCHEMA = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
        "username": {"type": "string", "description": "The e-mail address, for password."},
        "password": {"type": "string", "format": "password"},
        "refresh_token": {"type": "string", "description": "For refresh_token."},
        "scope": {"type": "string", "description": "Permissions with blanks between; without it all of the role."},
    },
}
NEEDED = {"password": ("username", "password"), "refresh_token": ("refresh_token",)}
MOST_FIELDS = 20


class _Refused(Exception):
    """What RFC 6749 has to say about a request for tokens."""

    def __init__(self, error: str, description: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.answer = answer({"error": error, "error_description": description}, status, headers)


@router.post(
    "/auth/token",
    responses={200: {"model": Tokens}, 400: {"model": TokenError}, 429: {"model": TokenError}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": FORM_SCHEMA,
                    "example": {"grant_type": "password", "username": "ada@example.com", "password": "…"},
                }
            },
        }
    },
)
async def token(request: Request, container: Containers) -> Response:
    """Tokens for a password or a refresh token, as OAuth 2 has it: a form in, and errors as in RFC 6749."""
    try:
        form = await _form(request)
        given = await _granted(request, container, form)
    except _Refused as refused:
        return refused.answer
    except (Unauthenticated, InvalidRequest, TooManyAttempts) as error:
        return _as_oauth(error)
    return tokens_answer(given)


@router.post(
    "/auth/login",
    responses={200: {"model": Me}},
    openapi_extra=request_body(LoginBody.model_json_schema(), LOGIN_EXAMPLE),
)
async def login(request: Request, container: Containers) -> Response:
    """Log in with a browser: the answer sets a cookie, and says who you are."""
    cookies.refuse_login_from_elsewhere(request)
    body = await checked_in_private(request, LoginBody)
    identity = container.identity
    _, made = await identity.logging_in.web(body.email, body.password, origin_of(request))
    caller = await identity.authenticator.of_cookie(made.cookie)
    response = answer(await identity.accounts.me(caller))
    cookies.set_session(request, response, made)
    return response


@router.post(
    "/auth/refresh",
    responses={200: {"model": Tokens}},
    openapi_extra=request_body(RefreshBody.model_json_schema(), REFRESH_EXAMPLE),
)
async def refresh(request: Request, container: Containers) -> Response:
    """New tokens for a refresh token. It can be used once: if it comes a second time, the login ends."""
    body = await checked_in_private(request, RefreshBody)
    return tokens_answer(await container.identity.logging_in.sessions.refresh(body.refresh_token))


@router.post(
    "/auth/reset",
    status_code=204,
    openapi_extra=request_body(ResetBody.model_json_schema(), RESET_EXAMPLE),
)
async def reset(request: Request, container: Containers) -> Response:
    """Set a password by the token that an administrator has passed on. All logins of the user end."""
    body = await checked_in_private(request, ResetBody)
    await container.identity.accounts.reset(body.token, body.password)
    return Response(status_code=204)


@router.get("/auth/setup", responses={200: {"model": SetupNeeded}})
async def setup_needed(container: Containers) -> Response:
    """Whether nobody has a password yet."""
    return answer({"needed": await container.identity.accounts.setup_needed()})


@router.post(
    "/auth/setup",
    responses={200: {"model": Me}},
    openapi_extra=request_body(SetupBody.model_json_schema(), SETUP_EXAMPLE),
)
async def set_up(request: Request, container: Containers) -> Response:
    """Give the first administrator an address, a name and a password. Only until somebody has a password."""
    body = await checked_in_private(request, SetupBody)
    accounts = container.identity.accounts
    return answer(await accounts.set_up(body.setup_key, body.email, body.name, body.password))


def tokens_answer(given: sessions.Tokens) -> Response:
    scope = None if given.scopes is None else " ".join(sorted(given.scopes))
    content = {
        "access_token": given.access_token,
        "token_type": "Bearer",
        "expires_in": given.lifetime // SECOND,
        "refresh_token": given.refresh_token,
        "scope": scope,
    }
    return answer(content)


async def _form(request: Request) -> dict[str, str]:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise _Refused("invalid_request", f"send a form, as Content-Type: {FORM}")
    try:
        pairs = parse_qsl(
            (await received(request)).decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise _Refused("invalid_request", "the form cannot be read") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _Refused("invalid_request", "a field of the form is there twice")
    if any("\0" in value for value in form.values()):
        raise _Refused("invalid_request", "a field of the form has the character NUL")
    return form


async def _granted(request: Request, container: Container, form: dict[str, str]) -> sessions.Tokens:
    grant = form.get("grant_type", "")
    if not grant:
        raise _Refused("invalid_request", "the field grant_type is missing: password or refresh_token")
    if grant not in NEEDED:
        raise _Refused("unsupported_grant_type", "grant_type is password or refresh_token")
    missing = [name for name in NEEDED[grant] if not form.get(name)]
    if missing:
        raise _Refused("invalid_request", f"the field {missing[0]} is missing")
    logging_in = container.identity.logging_in
    if grant == "refresh_token":
        return await logging_in.sessions.refresh(form["refresh_token"])
    scopes = _scopes(form.get("scope", "").split())
    return await logging_in.tokens(form["username"], form["password"], origin_of(request), scopes)


def _scopes(words: Sequence[str]) -> frozenset[Permission] | None:
    try:
        return frozenset(map(Permission, words)) if words else None
    except ValueError:
        raise _Refused(
            "invalid_scope", "a scope is a permission such as run:read, with blanks between several"
        ) from None


def _as_oauth(error: MillraceError) -> Response:
    if isinstance(error, Unauthenticated):
        refused = _Refused("invalid_grant", error.message)
    elif isinstance(error, TooManyAttempts):
        refused = _Refused(error.code, error.message, 429, {"Retry-After": str(error.retry_after)})
    elif error.code == "invalid_scope":
        refused = _Refused("invalid_scope", error.faults[0].message)
    else:
        return problems.of_error(error)
    return refused.answer

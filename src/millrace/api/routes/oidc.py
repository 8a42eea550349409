"""Routes of logins by an OpenID Connect provider; they need no credentials, they are how one comes by some.

A browser is sent to the provider and comes back with a code. What the provider puts into that address is not believed,
and never shown: errors have words of ours, as a page for who looks, and as a problem document for programs.
"""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from millrace.api import cookies, problems
from millrace.api.approval_page import POLICY, told
from millrace.api.bodies import answer, checked_in_private, request_body
from millrace.api.deps import Containers, origin_of
from millrace.api.query_names import known_query
from millrace.api.routes.logging_in import tokens_answer
from millrace.api.schemas.accounts import Tokens
from millrace.api.schemas.oidc import CHALLENGE, CODE_EXAMPLE, CodeBody, LoginProvider
from millrace.app.identity.oidc import Answered, OidcLogins
from millrace.auth.oidc.pending import Pending, Program
from millrace.core.errors import Fault, InvalidRequest, MillraceError

router = APIRouter(prefix="/api/v1", tags=["auth"])
"""Each route but the callback refuses an unknown query: providers add what they like."""

KNOWN_QUERY = [Depends(known_query)]
LONGEST: Final = 4_096

Text = Annotated[str | None, Query(max_length=LONGEST)]


@router.get("/auth/oidc", dependencies=KNOWN_QUERY, responses={200: {"model": LoginProvider}})
async def provider(container: Containers) -> Response:
    """Whether people can log in by an OpenID Connect provider, and its name."""
    return answer(container.identity.oidc.shown())


@router.get("/auth/oidc/login", status_code=303, dependencies=KNOWN_QUERY)
async def begin(
    request: Request,
    container: Containers,
    next: Annotated[str, Query(max_length=LONGEST, description="Path of this server to go on at.")] = "/",
    challenge: Annotated[
        str | None, Query(pattern=CHALLENGE, description="Of a program: S256 of the verifier it will show.")
    ] = None,
    port: Annotated[
        int | None, Query(ge=1, le=65_535, description="Of a program: where it listens, on the browser's machine.")
    ] = None,
) -> Response:
    """Begin a login: sends the browser to the provider, and has it keep a cookie for ten minutes."""
    logins = container.identity.oidc
    try:
        url, kept = await logins.begin(next, _program(challenge, port))
    except MillraceError as error:
        return _refusal(request, logins, error)
    response = RedirectResponse(url, 303)
    cookies.set_pending(response, kept, secure=_is_secure(logins))
    return response


@router.get("/auth/oidc/callback", status_code=303)
async def come_back(
    request: Request,
    container: Containers,
    state: Text = None,
    code: Text = None,
    error: Text = None,
    iss: Text = None,
) -> Response:
    """Where the provider sends the browser back to: sets the cookie of a login, and goes on where it began."""
    logins, pending = container.identity.oidc, None
    try:
        secure = _is_secure(logins)
        pending = logins.begun(cookies.pending_in(request, secure=secure))
        response = await _gone_on(request, logins, pending, Answered(state, code, error, iss))
    except MillraceError as refused:
        response = _told_to(request, logins, pending, refused)
    if pending is not None:
        cookies.forget_pending(response, secure=secure)
    return response


@router.post(
    "/auth/oidc/token",
    dependencies=KNOWN_QUERY,
    responses={200: {"model": Tokens}},
    openapi_extra=request_body(CodeBody.model_json_schema(), CODE_EXAMPLE),
)
async def exchange(request: Request, container: Containers) -> Response:
    """Tokens for the code of a login that a program has begun. It can be used once, within five minutes."""
    body = await checked_in_private(request, CodeBody)
    return tokens_answer(await container.identity.oidc.exchange(body.code, body.verifier, origin_of(request)))


async def _gone_on(request: Request, logins: OidcLogins, pending: Pending, answered: Answered) -> Response:
    origin, program = origin_of(request), pending.program
    if program is None:
        made = await logins.web(pending, answered, origin)
        response: Response = RedirectResponse(logins.public_url + pending.next, 303)
        cookies.set_session(request, response, made)
        return response
    code = await logins.code(pending, program, answered, origin)
    if program.port is not None:
        return _to_program(program.port, code=code)
    text = f"Type this code where you have typed millrace login, and nowhere else: {code}"
    return _page(told("Go on at the command line", text))


def _told_to(request: Request, logins: OidcLogins, pending: Pending | None, error: MillraceError) -> Response:
    """A program that waits learns of it, too."""
    program = None if pending is None else pending.program
    if program is None or program.port is None:
        return _refusal(request, logins, error)
    return _to_program(program.port, error=error.code, message=error.message)


def _refusal(request: Request, logins: OidcLogins, error: MillraceError) -> Response:
    if "text/html" not in request.headers.get("Accept", ""):
        return problems.of_error(error)
    text = "; ".join([error.message, *(fault.message for fault in error.faults)])
    begin_at = logins.shown()["login_url"]
    onward = None if begin_at is None else (str(begin_at), "Begin again")
    return _page(told("You are not logged in", text, onward), problems.status_of(error))


def _page(content: str, status: int = 200) -> Response:
    return HTMLResponse(content, status, {"Content-Security-Policy": POLICY})


def _to_program(port: int, **told_to: str) -> Response:
    """By its address and not by a name, which could lead elsewhere (RFC 8252, section 8.3)."""
    return RedirectResponse(f"http://127.0.0.1:{port}/?{urlencode(told_to)}", 303)


def _program(challenge: str | None, port: int | None) -> Program | None:
    if challenge is None and port is not None:
        fault = Fault("query.challenge", "missing", "a program that listens has a challenge, too", "send both or none")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return None if challenge is None else Program(challenge, port)


def _is_secure(logins: OidcLogins) -> bool:
    return logins.public_url.startswith("https:")

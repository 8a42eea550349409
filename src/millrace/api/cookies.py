"""The cookie of a login in a browser, and what keeps other sites from using it.

A browser sends it along with whatever a page of any site has it request. So a request that changes something must show
that it comes from a page of ours: `Sec-Fetch-Site` says so, which no page can set, or else `Origin`.
"""

from datetime import UTC, datetime
from typing import Final

from fastapi import Request, Response

from millrace.auth.logins.sessions import WebLogin
from millrace.core.errors import Forbidden
from millrace.core.values import SECOND

NAME: Final = "millrace_session"
SECURE_NAME: Final = "__Host-millrace_session"
"""Browsers take one of this name only over https, for this host alone, and for all its paths."""
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def session_in(request: Request) -> str | None:
    return request.cookies.get(_name(request))


def set_session(request: Request, response: Response, login: WebLogin) -> None:
    response.set_cookie(
        _name(request),
        login.cookie,
        expires=datetime.fromtimestamp(login.expires_at / SECOND, UTC),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def forget_session(request: Request, response: Response) -> None:
    response.delete_cookie(_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="strict")


def refuse_other_sites(request: Request) -> None:
    """Raises `Forbidden` for a change that a page of ours has not asked for, as far as anybody can tell."""
    if request.method in READING:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is None and request.headers.get("Origin") == _own(request):
        return
    if site != "same-origin":
        raise _cross_site()


def refuse_login_from_elsewhere(request: Request) -> None:
    """As above, of who has no cookie yet, and may be no browser: only what says that it comes from elsewhere."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (site is None and origin not in (None, _own(request))):
        raise _cross_site()


def _cross_site() -> Forbidden:
    return Forbidden(
        "cross_site",
        "a login by cookie is for pages of this server, which show Sec-Fetch-Site: same-origin or its own Origin; "
        "programs send an API key or an access token",
    )


def _own(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('Host', '')}"


def _name(request: Request) -> str:
    return SECURE_NAME if _is_secure(request) else NAME


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"

"""The cookies of a login in a browser, and of one that has begun; and what keeps other sites from using the first.

A browser sends it along with whatever a page of any site has it request. So a request that changes something must show
that it comes from a page of ours: `Sec-Fetch-Site` says so, which no page can set, or else `Origin`.
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from millrace.auth.logins.sessions import WebLogin
from millrace.auth.oidc.pending import HOLDS
from millrace.core.errors import Forbidden
from millrace.core.values import SECOND

NAME: Final = "millrace_session"
SECURE_NAME: Final = "__Host-millrace_session"
"""Browsers take one of this name only over https, for this host alone, and for all its paths."""
PENDING: Final = "millrace_oidc"
SECURE_PENDING: Final = "__Host-millrace_oidc"
"""A login that is under way at a provider. It must come along when the provider sends the browser back."""
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


def pending_in(request: Request, *, secure: bool) -> str | None:
    return request.cookies.get(SECURE_PENDING if secure else PENDING)


def set_pending(response: Response, text: str, *, secure: bool) -> None:
    """`secure`: whether browsers use this installation over https."""
    name, seconds = SECURE_PENDING if secure else PENDING, HOLDS // SECOND
    response.set_cookie(name, text, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def forget_pending(response: Response, *, secure: bool) -> None:
    name = SECURE_PENDING if secure else PENDING
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


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
    return f"{'https' if _is_secure(request) else request.url.scheme}://{request.headers.get('Host', '')}"


def _name(request: Request) -> str:
    return SECURE_NAME if _is_secure(request) else NAME


def _is_secure(request: Request) -> bool:
    """Whether the browser has come over https: to this server, or to a proxy that is trusted and says so. One that is
    not trusted stands in front where it has come to the public address of this installation, which is at https."""
    if request.url.scheme == "https":
        return True
    parts = urlsplit(request.app.state.container.settings.public_url or "")
    host = request.headers.get("Host", "").lower()
    return parts.scheme == "https" and host in (parts.netloc.lower(), parts.netloc.lower().removesuffix(":443"))

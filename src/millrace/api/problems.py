"""Every error as a problem document (RFC 9457), mapped here once: `{type, title, status, detail, code, faults,
request_id}`.

`code` is stable and for programs, `detail` for people, `faults` name each field. Nothing that leaves here holds the
value of a known secret (`masking`), nor a stack trace.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from millrace.api.discretion import discreet
from millrace.api.masking import ProblemAnswer
from millrace.app.request_faults import of_parameters
from millrace.auth.audit.acting import NOBODY, Acting, acting, acting_as
from millrace.auth.limits.limits import RateLimited
from millrace.auth.logins.throttling import TooManyAttempts
from millrace.core.errors import (
    Conflict,
    Fault,
    Forbidden,
    Gone,
    InvalidRequest,
    MillraceError,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreadable,
)
from millrace.core.values import JsonObject
from millrace.definition.faults import MOST_FAULTS
from millrace.ports.objects import ObjectStoreError, ObjectStoreUnavailable
from millrace.ports.payloads import PayloadLost
from millrace.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

STATUS: tuple[tuple[type[MillraceError], int], ...] = (
    (Unreadable, 400),
    (TooLarge, 413),
    (InvalidRequest, 422),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (Gone, 410),
    (NotFound, 404),
    (Conflict, 409),
    (TooManyAttempts, 429),
    (RateLimited, 429),
    (Unavailable, 503),
)
"""The first class that fits gives the status, so the more special ones come first."""

HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}

REQUEST_ID = "millrace.request_id"
REQUEST_HEADER = "X-Request-Id"
"""Where the id of a request is: in its scope, and in the headers of request and answer."""

RETRY_AFTER = {"Retry-After": "1"}
CHALLENGE = {"WWW-Authenticate": 'ApiKey, Bearer realm="millrace"'}


def problem(
    status: int, code: str, detail: str, faults: Sequence[Fault] = (), headers: dict[str, str] | None = None
) -> Response:
    document: JsonObject = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "faults": [
            {"path": fault.path, "code": fault.code, "message": fault.message, "remedy": fault.remedy}
            for fault in faults[:MOST_FAULTS]
        ],
        "request_id": acting().request_id,
    }
    return ProblemAnswer(document, status, headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(MillraceError, _millrace_error)
    app.add_exception_handler(StoreUnavailable, _store_unavailable)
    app.add_exception_handler(ObjectStoreError, _object_store_error)
    app.add_exception_handler(PayloadLost, _payload_lost)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)


def status_of(error: MillraceError) -> int:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def of_error(error: MillraceError) -> Response:
    status = status_of(error)
    headers = {401: CHALLENGE, 503: RETRY_AFTER}.get(status)
    if isinstance(error, TooManyAttempts):
        headers = {"Retry-After": str(error.retry_after)}
    elif isinstance(error, RateLimited):
        headers = {
            "Retry-After": str(error.retry_after),
            "RateLimit-Limit": str(error.limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(error.reset),
        }
    return problem(status, error.code, error.message, error.faults, headers)


async def _millrace_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MillraceError), "registered for this class"  # noqa: S101
    return of_error(discreet(error, getattr(request.state, "caller", None)))


async def _store_unavailable(_: Request, error: Exception) -> Response:
    logger.error("a request failed because the store is unavailable: %s", error)
    return problem(503, "store_unavailable", "the database is not available; try again later", headers=RETRY_AFTER)


async def _object_store_error(_: Request, error: Exception) -> Response:
    logger.error("a request failed because of the artifact store: %s", error)
    if isinstance(error, ObjectStoreUnavailable):
        return problem(503, "artifact_store_unavailable", str(error), headers=RETRY_AFTER)
    return problem(500, "artifact_lost", str(error))


async def _payload_lost(_: Request, error: Exception) -> Response:
    logger.error("a request failed because of the artifact store: %s", error)
    return problem(500, "payload_lost", str(error))


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this class"  # noqa: S101
    return problem(422, "invalid_request", "the request is not valid", of_parameters(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class"  # noqa: S101
    status = error.status_code
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible at {request.url.path}",
    }.get(status, str(error.detail))
    return problem(status, HTTP_CODES.get(status, "http_error"), detail, headers=dict(error.headers or {}))


async def _defect(request: Request, error: Exception) -> Response:
    """Answers from outside of all that is known of the request but what was left in its scope."""
    request_id: str | None = request.scope.get(REQUEST_ID)
    with acting_as(Acting(NOBODY, request_id=request_id)):
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        headers = {} if request_id is None else {REQUEST_HEADER: request_id}
        return problem(500, "internal_error", "this is a defect of Millrace; its log says more", headers=headers)

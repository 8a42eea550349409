"""Where webhooks come in: open to everybody who knows a path, since each webhook says itself who may call it.

The credentials of the API are worth nothing here, and a cookie is not looked at: a page in a browser can make it send
one, but not sign.
"""

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from millrace.api.bodies import answer
from millrace.api.problems import problem
from millrace.api.stream import streams_of
from millrace.app.containers.container import Container
from millrace.app.webhooks.receiving import Accepted, Challenge, Incoming, NotAllowed, Skipped, too_large
from millrace.core.errors import Unreadable

router = APIRouter()

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def receive(request: Request) -> Response:
    container: Container = request.app.state.container
    incoming = Incoming(
        method=request.method,
        path=request.path_params["path"].removesuffix("/"),
        headers=_headers(request),
        query=request.scope["query_string"].decode("latin-1"),
        client=request.client.host if request.client is not None else "",
    )

    async def body(limit: int) -> bytes:
        return await _body(request, limit)

    try:
        answered = await container.triggers.webhook_receiver.receive(incoming, body)
    except NotAllowed as error:
        return problem(401, error.code, error.message, headers={"WWW-Authenticate": error.challenge})
    match answered:
        case Challenge():
            return Response(answered.text, media_type="text/plain")
        case Skipped():
            return answer({"decision": "skipped"})
        case Accepted():
            return await _accepted(request, container, answered)


# Of its request the framework would read nothing, and take as long over it as over the rest.
router.add_route("/webhook/{path:path}", receive, methods=METHODS, include_in_schema=False)


async def _accepted(request: Request, container: Container, accepted: Accepted) -> Response:
    """At once, or with the output of the run if it finishes in time."""
    run_id, seconds = accepted.run_id, accepted.wait_seconds
    finished = seconds is not None and await streams_of(request).unless_stopping(
        container.run_starter.wait(run_id, seconds)
    )
    if finished:
        run = await container.run_queries.get(run_id)
        if run["status"] == "completed":
            return answer(run["output"])
        return problem(502, "run_failed", f"the run {run_id} is {run['status']}")
    return answer({"run_id": run_id, "duplicate": accepted.duplicate}, 200 if accepted.duplicate else 202)


def _headers(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    received = bytearray()
    try:
        async for part in request.stream():
            received += part
            if len(received) > limit:
                raise too_large(limit)
    except ClientDisconnect:
        raise Unreadable("incomplete", "the connection ended before the body did") from None
    return bytes(received)

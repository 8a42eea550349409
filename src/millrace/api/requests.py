"""Each request has an id, which is in its answer, in problem documents, in the log and in what is written of changes.

A caller may choose it (`X-Request-Id`), so that one id goes through all that he runs. What is no plain short word is
not taken over: it would come back in headers and lines of logs. Others are counted, after a name of the process that is
drawn once: to draw each would be to let another thread have the interpreter in the midst of every request.

Plain ASGI, and within it is known who acts: nobody yet, from this address. `deps.authenticated` finds out who.
"""

import logging
import re
import secrets
from itertools import count
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace.api.masking import masker_of
from millrace.api.problems import REQUEST_HEADER, REQUEST_ID
from millrace.auth.audit.acting import NOBODY, Acting, acting, acting_as

_PROCESS: Final = secrets.token_hex(8)
_NUMBERS: Final = count(1)
_HEADER: Final = REQUEST_HEADER.lower().encode()
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}", re.ASCII)


class Requests:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        request_id = given if _WELL_FORMED.fullmatch(given) else f"{_PROCESS}-{next(_NUMBERS):06x}"
        scope[REQUEST_ID] = request_id
        raw = (_HEADER, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), raw]
            await send(message)

        client, mask = scope.get("client"), masker_of(scope).value
        address = None if client is None else client[0]
        with acting_as(Acting(NOBODY, address=address, request_id=request_id, mask=mask)):
            await self._app(scope, receive, send_with_id)


def _given(scope: Scope) -> str:
    """The id that the caller has chosen; empty if none."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            return str(value.decode("latin-1"))
    return ""


def name_requests_in_logs() -> None:
    """Have every line of the log that belongs to a request end with its id, from now on."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_id)


def _add_id(record: logging.LogRecord) -> bool:
    request_id = acting().request_id
    if request_id is not None and not hasattr(record, "request_id"):
        record.request_id = request_id
        record.msg, record.args = f"{record.getMessage()} [request {request_id}]", None
    return True

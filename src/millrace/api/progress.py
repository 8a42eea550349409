"""An answer that tells how far it has come: JSON documents, one a line, of which the last is the answer itself.

For what takes long enough that a person would wonder. It ends when the client goes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from millrace.api.masking import masker_of, one_line
from millrace.api.presence import gone
from millrace.auth.masked_documents import masked_document
from millrace.core.values import JsonObject
from millrace.ports.secrets import Masker

LINES: Final = "application/x-ndjson"

Say = Callable[[JsonObject], None]
Work = Callable[[Say], Awaitable[JsonObject]]
"""Does what was asked for, and says on the way how far it is."""


def wants_progress(request: Request) -> bool:
    return LINES in request.headers.get("Accept", "")


class ProgressAnswer(Response):
    """`{"progress": …}` lines, then one `{"answer": …}`. ASGI is spoken here directly, to see the client go.

    Until the first line nothing is sent: what is raised before is answered as it would be without progress. Later an
    error can only end the connection.
    """

    media_type = LINES

    def __init__(self, work: Work) -> None:
        super().__init__(headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [asyncio.create_task(self._answer(send, masker_of(scope))), asyncio.create_task(gone(receive))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _answer(self, send: Send, masker: Masker) -> None:
        said: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        working = asyncio.ensure_future(self._work(said.put_nowait))
        working.add_done_callback(lambda _: said.put_nowait(None))
        try:
            line = await said.get()
            if line is None:
                working.result()
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while line is not None:
                await _write(send, {"progress": line}, masker)
                line = await said.get()
            await _write(send, {"answer": working.result()}, masker)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def _write(send: Send, line: JsonObject, masker: Masker) -> None:
    masked = one_line(masked_document(orjson.dumps(line), masker))
    await send({"type": "http.response.body", "body": masked + b"\n", "more_body": True})

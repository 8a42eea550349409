"""Whether the client is still there: what takes long ends when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

from millrace.core.errors import Unreadable

T = TypeVar("T")


async def gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_present(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the client goes. The route must not read the body meanwhile.

    Raises `Unreadable` for a client that has gone, which nobody hears.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(gone(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    if not working.cancelled():
        return working.result()
    leaving.result()  # a body that is too large ends the wait, too
    raise Unreadable("incomplete", "the connection ended before the answer was ready")

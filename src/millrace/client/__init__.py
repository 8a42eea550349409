"""The Python client of Millrace: `Client`, and `AsyncClient` for asyncio. It imports nothing else of Millrace.

    from millrace.client import Client

    with Client() as client:
        print(client.run("greet", {"name": "Ada"}))

`millrace.client.types` names what is answered, `millrace.client.errors` draws the tree of errors. `aio` is written by
hand; `sync` and `types` are printed by `scripts/print-client`, from `aio` and from the OpenAPI document.
"""

from millrace.client import types
from millrace.client.aio.client import AsyncClient
from millrace.client.aio.following import AsyncStream
from millrace.client.errors import (
    ClientClosed,
    Conflict,
    DownloadFailed,
    Forbidden,
    InvalidArgument,
    InvalidRequest,
    MillraceError,
    NoApiKey,
    NotFound,
    PreconditionFailed,
    RequestRefused,
    RunFailed,
    StreamFailed,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from millrace.client.requests import UNSET, Tagged
from millrace.client.sync.client import Client
from millrace.client.sync.following import Stream

__all__ = [
    "UNSET",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientClosed",
    "Conflict",
    "DownloadFailed",
    "Forbidden",
    "InvalidArgument",
    "InvalidRequest",
    "MillraceError",
    "NoApiKey",
    "NotFound",
    "PreconditionFailed",
    "RequestRefused",
    "RunFailed",
    "Stream",
    "StreamFailed",
    "Tagged",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "WaitTimeout",
    "types",
]

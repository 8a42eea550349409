"""Routes about the archive: what there is, a run in it, and all that it has of the run as JSON lines."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import Query, Request, Response
from starlette.responses import StreamingResponse

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, api_router, requires
from millrace.api.masking import masker_of, one_line
from millrace.api.naming import named
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.archive import ArchivedRun, ArchivePage
from millrace.auth.masked_documents import masked_document
from millrace.auth.permissions import Permission, require
from millrace.auth.principal import Principal
from millrace.core.values import JsonObject
from millrace.ports.secrets import Masker

router = api_router("archive")

READ = [requires(Permission.RUN_READ)]
LINES = "application/x-ndjson"
CONTENT: dict[int | str, dict[str, Any]] = {200: {"content": {LINES: {"schema": {"type": "string"}}}}}


@router.get("/archive", dependencies=[requires(Permission.RETENTION_READ)], responses={200: {"model": ArchivePage}})
async def list_archives(container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List archives, newest first. Each is one object with many runs, which were deleted after it was written."""
    return page_answer(await container.archive_queries.list(cursor=cursor, limit=limit))


@router.get("/archive/runs/{run}", dependencies=READ, responses={200: {"model": ArchivedRun}})
async def get_archived_run(run: str, container: Containers) -> Response:
    """One run with its input and output, as it was when it was archived."""
    return answer(await named(container, await container.archive_queries.get(run)))


@router.get("/archive/runs/{run}/lines", responses=CONTENT)
async def get_archived_lines(
    run: str,
    request: Request,
    container: Containers,
    caller: Annotated[Principal, requires(Permission.RUN_READ)],
    family: Annotated[bool, Query(description="Also of its retries and sub-runs, and what it is one of.")] = False,
) -> Response:
    """All that the archive has of a run: a JSON document a line, whose `kind` says what it is.

    They are `family`, `run`, `task_run`, `attempt`, `record`, `log` and `artifact`, in this order.
    """
    if family:
        # It may have runs of any workflow.
        require(caller, Permission.RUN_READ)
    lines = container.archive_queries.lines(run, family=family)
    # What is wrong with the request, or with the store, is an answer only as long as nothing was sent.
    first = await anext(lines)
    return StreamingResponse(_sent(first, lines, masker_of(request.scope)), media_type=LINES)


async def _sent(first: JsonObject, more: AsyncGenerator[JsonObject], masker: Masker) -> AsyncIterator[bytes]:
    async with aclosing(more):
        yield _masked(first, masker)
        async for line in more:
            yield _masked(line, masker)


def _masked(line: JsonObject, masker: Masker) -> bytes:
    return one_line(masked_document(orjson.dumps(line), masker)) + b"\n"

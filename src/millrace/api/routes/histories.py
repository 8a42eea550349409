"""Routes to what runs leave behind: records, log lines, the timeline; by page, or live as server-sent events."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, Requires, Sees, api_router, still_allowed
from millrace.api.queries import After, Cursor, ManyLines, WaitSeconds, Words, position, words
from millrace.api.schemas.histories import LogPage, RecordPage, RecordView, TimelineView
from millrace.api.stream import EVENT_STREAM, Follow, LastEventId, streams_of, wants_stream
from millrace.app.containers.container import Container
from millrace.app.cursors import Page
from millrace.app.histories.following import Batch
from millrace.app.histories.repository import LEVELS, LogFilter, Window
from millrace.auth.permissions import Permission
from millrace.auth.sight import Sight
from millrace.core.errors import Fault, InvalidRequest

router = api_router("runs")

READING = Requires(Permission.RUN_READ)
READ = [Depends(READING)]
SEEING = Sees(Permission.RUN_READ)

Before = Annotated[int | None, Query(ge=1, le=2**62, description="The last ones numbered below this.")]
Tail = Annotated[int | None, Query(ge=0, le=1000, description="The last so many; followed, these and what comes then.")]
From = Annotated[str | None, Query(alias="after", max_length=40, description="An `id` of this stream; 0: all kept.")]


EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One event of the stream, which has any number of them. The last of a finished run is `end`.",
    "properties": {
        "id": {"type": "string", "description": "Where to go on: send it as `Last-Event-ID`."},
        "event": {"type": "string", "enum": ["record", "log", "end", "error"]},
        "data": {"type": "string", "description": "JSON: a record, a line, a status or a problem."},
    },
}


def _streamed(model: Any) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that gives pages or a stream."""
    return {200: {"model": model, "content": {EVENT_STREAM: {"schema": EVENT}}}}


@router.get("/runs/{run}/events", dependencies=READ, responses=_streamed(RecordPage))
async def list_records(
    run: str,
    request: Request,
    container: Containers,
    after: After = None,
    before: Before = None,
    cursor: Cursor = None,
    tail: Tail = None,
    limit: ManyLines = 200,
    wait_seconds: WaitSeconds = 0,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> Response:
    """The history of a run: numbered records without gaps. `wait_seconds` waits for the next, `follow` streams them."""
    if wants_stream(request, follow):
        await container.histories.require(run)
        start = _number(last_event_id) if last_event_id else position(after, cursor)
        return streams_of(request).answer(
            "record", container.followers.records(run, after=start), still=still_allowed(request, READING)
        )
    window = _window(after, before, cursor, tail, limit)
    return await _awaited_page(
        request, lambda seconds: container.histories.records(run, window, wait_seconds=seconds), wait_seconds
    )


@router.get("/runs/{run}/logs", dependencies=READ, responses=_streamed(LogPage))
async def list_logs(
    run: str,
    request: Request,
    container: Containers,
    level: Words,
    task: Annotated[
        str | None,
        Query(
            max_length=512,
            description="Only lines of this task; with load, or load[3], those of tasks in the loop or iteration.",
        ),
    ] = None,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only lines of this attempt.")] = None,
    after: After = None,
    before: Before = None,
    cursor: Cursor = None,
    tail: Tail = None,
    limit: ManyLines = 200,
    wait_seconds: WaitSeconds = 0,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> Response:
    """The log lines of a run, in order. One `level` means it and what is more severe; several mean exactly these."""
    narrow = LogFilter(task, attempt, _levels(words("level", level, LEVELS)))
    if task is not None:
        await container.run_queries.require_task(run, task)
    if wants_stream(request, follow):
        await container.histories.require(run)
        start, last = (_number(last_event_id), None) if last_event_id else (position(after, cursor), tail)
        batches = container.followers.logs(run, narrow, after=start, tail=last)
        return streams_of(request).answer("log", batches, still=still_allowed(request, READING))
    window = _window(after, before, cursor, tail, limit)
    return await _awaited_page(
        request, lambda seconds: container.histories.logs(run, window, narrow, wait_seconds=seconds), wait_seconds
    )


@router.get("/runs/{run}/timeline", dependencies=READ, responses={200: {"model": TimelineView}})
async def get_timeline(run: str, container: Containers, after: After = None) -> Response:
    """What became of each task and why: attempts, waits, delays, reasons, put together from the run's records.

    With `after` it is made of the records above that number: tasks then have what happened to them since.
    """
    return answer(await container.histories.timeline(run, after=position(after, None)))


@router.get("/stream", responses=_streamed(RecordView))
async def stream_runs(
    request: Request,
    container: Containers,
    sight: Annotated[Sight | None, Depends(SEEING)],
    after: From = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The records of all runs as server-sent events, in the order of their commits, from now or from `after` on."""
    batches, begin = await _changes(container, None, last_event_id or after, sight)
    still = still_allowed(request, SEEING, sight)
    return streams_of(request).answer("record", batches, begin, still=still)


@router.get("/workflows/{workflow}/stream", dependencies=READ, responses=_streamed(RecordView))
async def stream_workflow(
    workflow: str, request: Request, container: Containers, after: From = None, last_event_id: LastEventId = None
) -> Response:
    """As `/stream`, only the runs of one workflow."""
    workflow_id = await container.workflow_queries.id_of(workflow)
    batches, begin = await _changes(container, workflow_id, last_event_id or after)
    return streams_of(request).answer("record", batches, begin, still=still_allowed(request, READING))


async def _changes(
    container: Container, workflow_id: str | None, given: str | None, sight: Sight | None = None
) -> tuple[AsyncIterator[Batch], str]:
    """What comes, and from where on."""
    begin = given or await container.followers.here()
    position = await container.followers.place(begin)
    return container.followers.changes(workflow_id, position=position, sight=sight), begin


async def _awaited_page(
    request: Request, ask: Callable[[float], Coroutine[Any, Any, Page[Any]]], seconds: float
) -> Response:
    """What comes within these seconds; what there is, once this process is asked to stop."""
    found = await streams_of(request).unless_stopping(ask(seconds)) if seconds else None
    if seconds:
        # What holds no more by now is answered nothing that came meanwhile.
        await still_allowed(request, READING)()
    return page_answer(await ask(0) if found is None else found)


def _window(after: int | None, before: int | None, cursor: str | None, tail: int | None, limit: int) -> Window:
    if tail is not None and before is None:
        return Window(position(after, cursor), None, last=True, limit=min(tail, limit))
    return Window(position(after, cursor), before, last=before is not None, limit=limit)


def _levels(wanted: list[str]) -> tuple[str, ...]:
    return LEVELS[LEVELS.index(wanted[0]) :] if len(wanted) == 1 else tuple(wanted)


def _number(last_event_id: str) -> int:
    if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19:
        return int(last_event_id)
    fault = Fault("header.Last-Event-ID", "value", f"{last_event_id!r} is not a number", "send the last `id` received")
    raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])

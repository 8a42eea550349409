"""Routes about events: publish one or many, list and read what was published."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, page_answer, request_body
from millrace.api.cloud_events import BATCH, STRUCTURED, incoming, with_id
from millrace.api.deps import Containers, api_router, requires
from millrace.api.keys import IdempotencyKey
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.events import (
    BATCH_EXAMPLE,
    CLOUD_EVENT_EXAMPLE,
    EVENT_EXAMPLE,
    CloudEventBody,
    EventBody,
    EventPage,
    EventView,
    PublishedEvent,
    PublishedEvents,
)
from millrace.app.events.repository import EventFilter
from millrace.auth.permissions import Permission

router = api_router("events")

READ = [requires(Permission.EVENT_READ)]
PUBLISH = [requires(Permission.EVENT_PUBLISH)]

PUBLISH_BODY = request_body(EventBody.model_json_schema(), EVENT_EXAMPLE)
_CLOUD_EVENT = CloudEventBody.model_json_schema()
PUBLISH_BODY["requestBody"]["content"] |= {
    STRUCTURED: {"schema": _CLOUD_EVENT, "example": CLOUD_EVENT_EXAMPLE},
    BATCH: {"schema": {"type": "array", "items": _CLOUD_EVENT}, "example": BATCH_EXAMPLE},
}


@router.post(
    "/events",
    dependencies=PUBLISH,
    status_code=202,
    responses={202: {"model": PublishedEvent | PublishedEvents}, 200: {"model": PublishedEvent | PublishedEvents}},
    openapi_extra=PUBLISH_BODY,
)
async def publish_event(request: Request, container: Containers, idempotency_key: IdempotencyKey = None) -> Response:
    """Publish an event, which starts a run of each trigger that waits for it.

    Takes Millrace's own JSON, and CloudEvents 1.0 as they are sent over HTTP: structured, binary (attributes as headers
    `ce-…`) and in batches, of which all or none are stored; a batch is answered with `items`. 202 when an event was
    stored; 200 when its source had given this id before: then nothing is stored and nothing started once more.
    """
    come = with_id(await incoming(request), idempotency_key)
    received = await container.triggers.event_intake.publish(come.events, batch=come.batch)
    shown = [{**one.event, "repeated": one.repeated} for one in received]
    status = 200 if all(one.repeated for one in received) else 202
    return answer({"items": shown} if come.batch else shown[0], status)


@router.get("/events", dependencies=READ, responses={200: {"model": EventPage}})
async def list_events(
    container: Containers,
    type: Annotated[str | None, Query(description="Only events of this type.")] = None,
    source: Annotated[str | None, Query(description="Only events from this source.")] = None,
    subject: Annotated[str | None, Query(description="Only events about this subject.")] = None,
    run: Annotated[str | None, Query(description="Only events that this run published.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List events, newest first."""
    narrow = EventFilter(type=type, source=source, subject=subject, run_id=run)
    return page_answer(await container.event_queries.list(narrow, cursor=cursor, limit=limit))


@router.get("/events/{event}", dependencies=READ, responses={200: {"model": EventView}})
async def get_event(event: str, container: Containers) -> Response:
    """One event with its data."""
    return answer(await container.event_queries.get(event))

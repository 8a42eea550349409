"""Routes about events: list and read what was published."""

from typing import Annotated

from fastapi import Query, Response

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, api_router, requires
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.events import EventPage, EventView
from millrace.app.events.repository import EventFilter
from millrace.auth.permissions import Permission

router = api_router("events")

READ = [requires(Permission.EVENT_READ)]


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

"""The route that says what triggers would do, and why; it starts nothing."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, sees
from millrace.api.queries import instant
from millrace.api.schemas.simulations import (
    SIMULATION_EXAMPLE,
    ScheduleSimulation,
    SimulatedEvent,
    SimulationBody,
    SimulationPage,
)
from millrace.app.events.receiving import NewEvent
from millrace.app.triggers.simulating_schedules import Stretch
from millrace.auth.permissions import Permission
from millrace.auth.sight import Sight

router = api_router("triggers")

MOST_TRIGGERS = 200
"""On a page about an event."""

BODY_SCHEMA = SimulationBody.model_json_schema()
BODY_SCHEMA["properties"]["event"]["anyOf"][0] = BODY_SCHEMA.pop("$defs")[SimulatedEvent.__name__]
"""A body is described in one piece."""


@router.post(
    "/triggers/simulate",
    responses={200: {"model": SimulationPage | ScheduleSimulation}},
    openapi_extra=request_body(BODY_SCHEMA, SIMULATION_EXAMPLE),
)
async def simulate(
    request: Request, container: Containers, sight: Annotated[Sight | None, sees(Permission.TRIGGER_READ)]
) -> Response:
    """Which triggers an event would make fire, and for each that it would not, which filters refuse it and why.

    Triggers that wait for the event's type come first. With `from` and `until` instead of an event: what schedules
    would fire between two moments. Nothing is stored and nothing started.
    """
    body = await checked(request, SimulationBody)
    if body.event is None:
        stretch = Stretch(instant(body.from_) or 0, instant(body.until) or 0)
        fired = container.triggers.schedule_simulation.between(
            stretch, workflow=body.workflow, limit=body.limit, sight=sight
        )
        return answer(await fired)
    limit = min(body.limit, MOST_TRIGGERS)
    found = await container.triggers.simulation.of_event(
        _event(body.event), workflow=body.workflow, cursor=body.cursor, limit=limit, sight=sight
    )
    return page_answer(found)


def _event(told: SimulatedEvent) -> NewEvent:
    return NewEvent(
        told.type, told.source, told.subject, told.data, told.id, instant(told.time), extensions=dict(told.extensions)
    )

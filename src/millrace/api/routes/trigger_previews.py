"""Routes about trigger types and schedules: what a type takes, and when a schedule is due next."""

import asyncio
from typing import Annotated, Any

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, fitting, mapping, request_body
from millrace.api.deps import Containers, allowed, api_router, requires
from millrace.api.schemas.trigger_previews import PREVIEW_BODY_EXAMPLE, Preview, TriggerTypePage
from millrace.app.triggers.preview_bodies import BODIES, MOST, USUAL, PreviewBody, Start, body_for
from millrace.auth.permissions import Permission

router = api_router("triggers")

READ = [requires(Permission.TRIGGER_READ)]

ABOUT_NONE = [allowed(Permission.TRIGGER_READ)]


def _schema(model: type[PreviewBody]) -> dict[str, Any]:
    """Its parts are those of the config of a trigger, which the schema of definitions has already; the types share
    them, so those of cron stand for all."""
    schema = model.model_json_schema(ref_template="#/components/schemas/CronTriggerConfig.{model}")
    schema.pop("$defs", None)
    return schema


PREVIEW_BODY = request_body({"oneOf": [_schema(model) for model in BODIES.values()]}, PREVIEW_BODY_EXAMPLE)

Count = Annotated[int, Query(ge=1, le=MOST, description="How many firings.")]
From = Annotated[Start | None, Query(alias="from")]


@router.get("/trigger-types", dependencies=ABOUT_NONE, responses={200: {"model": TriggerTypePage}})
async def list_trigger_types(container: Containers) -> Response:
    """The trigger types that fire in this release, and what their `config` takes."""
    items = [
        {"type": name, "summary": kind.summary, "config_schema": kind.config_model.model_json_schema()}
        for name, kind in sorted(container.triggers.types.items())
    ]
    return answer({"items": items, "next_cursor": None})


@router.post(
    "/triggers/preview", dependencies=ABOUT_NONE, responses={200: {"model": Preview}}, openapi_extra=PREVIEW_BODY
)
async def preview_schedule(request: Request, container: Containers) -> Response:
    """The next firings of a schedule, given as the `config` of a trigger, with its `type` beside it: cron, interval or
    once. Nothing is saved.
    """
    given = await mapping(request)
    body = fitting(given, body_for(given))
    return answer(await asyncio.to_thread(container.triggers.previews.of_schedule, body))


@router.get("/workflows/{workflow}/triggers/{trigger}/preview", dependencies=READ, responses={200: {"model": Preview}})
async def preview_trigger(
    workflow: str, trigger: str, container: Containers, count: Count = USUAL, start: From = None
) -> Response:
    """The next firings of a trigger, whether it may fire or not. `{trigger}` is its id in the definition."""
    return answer(await container.triggers.previews.of_trigger(workflow, trigger, start=start, count=count))

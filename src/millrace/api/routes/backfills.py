"""Routes about backfills: runs for due times of the past."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires, sees
from millrace.api.naming import named, named_page
from millrace.api.queries import Cursor, Limit, Words, words
from millrace.api.schemas.backfills import (
    BACKFILL_BODY_EXAMPLE,
    STATUSES,
    BackfillBody,
    BackfillPage,
    BackfillPreview,
    BackfillView,
)
from millrace.app.backfills.repository import BackfillFilter
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight

router = api_router("triggers")

READ = [requires(Permission.TRIGGER_READ)]
Seeing = Annotated[Sight | None, sees(Permission.TRIGGER_READ)]
CONTROL = [requires(Permission.TRIGGER_CONTROL)]
Starter = Annotated[Principal, requires(Permission.RUN_START)]


@router.post(
    "/triggers/{trigger}/backfill",
    status_code=202,
    dependencies=CONTROL,
    responses={200: {"model": BackfillPreview}, 202: {"model": BackfillView}},
    openapi_extra=request_body(BackfillBody.model_json_schema(), BACKFILL_BODY_EXAMPLE),
)
async def begin_backfill(trigger: str, request: Request, container: Containers, caller: Starter) -> Response:
    """Start a run for each due time of a past range that has none. What is answered tells the progress."""
    body = await checked(request, BackfillBody)
    if body.dry_run:
        return answer(await container.triggers.backfills.preview(trigger, body.wanted()))
    begun = await container.triggers.backfills.begin(trigger, body.wanted(), by=caller.user_id)
    return answer(await named(container, begun), 202, {"Location": f"/api/v1/backfills/{begun['id']}"})


@router.get("/backfills", responses={200: {"model": BackfillPage}})
async def list_backfills(
    container: Containers,
    sight: Seeing,
    status: Words,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    trigger: Annotated[str | None, Query(max_length=36, description="Id of a trigger.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Backfills, newest first, those of removed triggers among them."""
    narrow = BackfillFilter(
        trigger_id=trigger,
        workflow_id=None if workflow is None else await container.workflow_queries.id_of(workflow, sight),
        statuses=words("status", status, STATUSES),
        sight=sight,
    )
    page = await container.triggers.backfills.list(narrow, cursor=cursor, limit=limit)
    return page_answer(await named_page(container, page))


@router.get("/backfills/{backfill}", dependencies=READ, responses={200: {"model": BackfillView}})
async def get_backfill(backfill: str, container: Containers) -> Response:
    """How far a backfill has come."""
    return answer(await named(container, await container.triggers.backfills.get(backfill)))


@router.post("/backfills/{backfill}/pause", dependencies=CONTROL, responses={200: {"model": BackfillView}})
async def pause_backfill(backfill: str, container: Containers) -> Response:
    """Start no more runs until it is resumed. Those that were started go on."""
    return answer(await named(container, await container.triggers.backfills.pause(backfill)))


@router.post("/backfills/{backfill}/resume", dependencies=CONTROL, responses={200: {"model": BackfillView}})
async def resume_backfill(backfill: str, container: Containers) -> Response:
    """Let a paused backfill go on."""
    return answer(await named(container, await container.triggers.backfills.resume(backfill)))


@router.post("/backfills/{backfill}/cancel", dependencies=CONTROL, responses={200: {"model": BackfillView}})
async def cancel_backfill(backfill: str, container: Containers) -> Response:
    """End a backfill. Runs that it has started go on."""
    return answer(await named(container, await container.triggers.backfills.cancel(backfill)))
